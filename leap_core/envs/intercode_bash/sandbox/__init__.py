"""Sandboxes: where commands that a model wrote are run."""
