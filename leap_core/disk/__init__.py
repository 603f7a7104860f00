"""Files, locks, canonical JSON and Parquet."""
