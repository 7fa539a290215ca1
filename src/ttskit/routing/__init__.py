"""Which providers speak, in which order, and driving utterances through them to the listener."""
