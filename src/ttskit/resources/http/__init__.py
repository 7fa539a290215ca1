"""HTTP for adapters: one narrow client, with two transports behind it."""
