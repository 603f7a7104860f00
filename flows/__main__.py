"""`python -m flows` is the command `leap`."""

from flows.cli import main

main()
