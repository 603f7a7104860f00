"""ALFWorld: household text games, the original's own or generated ones, played by a native engine."""
