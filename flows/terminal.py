"""What commands print: whatever was written by somebody else is spelled out, so that nothing steers the terminal."""

import sys
from io import TextIOWrapper

import typer

from leap_core.text.shown import shown_lines


def echo(text: object, err: bool = False) -> None:
    """Print a text of one or more lines."""
    typer.echo(shown_lines(str(text)), err=err)


def log(line: str) -> None:
    """Show one line of progress at once; standard output is kept for results."""
    print(shown_lines(line), file=sys.stderr, flush=True)


def print_whatever_it_holds() -> None:
    """Let the terminal's own encoding stop no output: what it cannot hold is spelled out."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not where a program that calls this has put another in its place
            stream.reconfigure(errors="backslashreplace")
