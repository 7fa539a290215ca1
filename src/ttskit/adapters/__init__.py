"""One file per provider, each an implementation of the contract in ``base``."""
