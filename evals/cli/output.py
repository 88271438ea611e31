"""What commands print without a console: lines of text, and the one line of an error. None of it steers a terminal."""

from __future__ import annotations

import sys

import typer

from evals.text import printable


def echo(text: str, *, nl: bool = True) -> None:
    """Print `text` on stdout."""
    typer.echo(printable(text), nl=nl)


def echo_styled(text: str) -> None:
    """Print what a console has made: its texts are printable, and it has decided about styles."""
    typer.echo(text, nl=False, color=True)


def print_error(message: str) -> None:
    """Print an error on stderr, in one line whatever names it holds."""
    line = printable(message).replace("\n", "\\n")
    print(f"emeval: {line}", file=sys.stderr)  # noqa: T201
