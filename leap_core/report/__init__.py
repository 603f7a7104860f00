"""The report of an experiment: one self-contained HTML file, made from plain records."""
