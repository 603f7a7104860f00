"""The realizability gate: what a correction may say."""
