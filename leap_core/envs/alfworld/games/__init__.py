"""Where games come from: generated from a seed, or indexed in a download."""
