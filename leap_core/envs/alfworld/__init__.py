"""ALFWorld: household text games, played by a native engine from the original's own game files or from generated ones."""
