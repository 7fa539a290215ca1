"""From the caller's text to what an engine is asked to say: pure functions, no I/O."""
