"""How the rule-based and the human expert read pages and shop."""
