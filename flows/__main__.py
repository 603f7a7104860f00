"""`python -m flows` is the command `leap`."""

from flows.command.main import main

main()
