"""The ``ttskit`` command: speech, voices, providers and settings from a terminal or a script."""
