"""The benchmark: its tasks, how it reads a command, and its score."""
