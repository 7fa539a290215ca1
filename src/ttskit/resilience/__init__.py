"""What protects a caller from a failing provider, and a provider from its callers.

Nothing here knows of audio, adapters or routing: values and a clock go in, decisions come out.
"""
