"""What the rule-based expert knows and does beside giving advice."""
