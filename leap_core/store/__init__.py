"""Artifacts: published once, named by their content, verified when they are read."""
