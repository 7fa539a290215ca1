"""What is run by the people who work on ttskit; not part of the package."""
