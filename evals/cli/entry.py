"""The entry point: every expected error is one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from evals import __version__
from evals.cli import (
    asking,
    comparing,
    data,
    debugging,
    doctoring,
    drifting,
    exporting,
    labelling,
    nights,
    planning,
    plotting,
    reading,
    reporting,
    robust,
    showing,
)
from evals.cli.app import EXIT_BAD_INPUT, EXIT_DEFECT, EXIT_INTERRUPTED, app
from evals.errors import EmevalError

COMMANDS = (
    asking,
    showing,
    reporting,
    plotting,
    exporting,
    comparing,
    data,
    drifting,
    labelling,
    nights,
    planning,
    reading,
    robust,
    doctoring,
)
"""The modules whose import adds their commands to the app, in the order of --help."""


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error, without keys; or EMEVAL_DEBUG=1.")
    ] = False,
) -> None:
    _Debug.is_on = debug or debugging.is_asked_for()
    if version:
        typer.echo(f"emeval {__version__}")
        raise typer.Exit


class _Debug:
    """What the root options have said, for whoever catches an error behind them."""

    is_on = False


def main() -> None:
    """Run the command line. Every error is one line on stderr, an expected one with the exit code of its class."""
    _write_anywhere()
    _Debug.is_on = debugging.is_asked_for()
    try:
        # Without standalone mode the code of a typer.Exit is returned, and an interruption is one with code 130.
        code = app(standalone_mode=False)
    except EmevalError as error:
        _trace(error)
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; nothing more to say
        sys.exit(1)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:
        # Wrong options come as an exception of the option parser, which typer may bundle or not.
        show = getattr(error, "format_message", None)
        if show is None:
            _trace(error)
            _fail(debugging.in_one_line(error), EXIT_DEFECT)
        _fail(str(show()), EXIT_BAD_INPUT)
    if code == EXIT_INTERRUPTED:
        _fail("interrupted", EXIT_INTERRUPTED)
    sys.exit(code or 0)


def _trace(error: Exception) -> None:
    if _Debug.is_on:
        print(debugging.full_traceback(error), file=sys.stderr)  # noqa: T201


def _write_anywhere() -> None:
    """Let output fail neither on a closed stream nor on a locale that lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  for as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _fail(message: str, code: int) -> NoReturn:
    print(f"emeval: {message}", file=sys.stderr)  # noqa: T201
    sys.exit(code)
