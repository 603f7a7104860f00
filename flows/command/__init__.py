"""The command line `leap`."""
