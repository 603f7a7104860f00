"""The shop: products, goals and search, downloaded or generated."""
