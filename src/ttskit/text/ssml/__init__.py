"""SSML 1.1, the portable subset: reading it safely and writing it."""
