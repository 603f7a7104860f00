"""What a run would need, do and cost, said before anything is started for it."""
