"""What a run amounts to: its summary, and the data of its report."""
