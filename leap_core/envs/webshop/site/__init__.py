"""The site that a visitor sees: pages, actions, and the reward of a purchase."""
