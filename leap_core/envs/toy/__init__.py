"""Toy: a corridor of closed doors with a thing behind each. The smallest environment, and the one to copy."""
