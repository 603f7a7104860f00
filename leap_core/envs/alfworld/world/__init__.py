"""ALFWorld's world in words: kinds of objects and receptacles, and the goals that games set."""
