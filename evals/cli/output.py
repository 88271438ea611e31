"""What commands print without a console: lines of text, and the one line of an error. None of it steers a terminal.

Standard streams are replaced by ones that survive a full disk and a terminal that has gone: output is lost then, and
the run goes on.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

import typer

from evals.text import printable

_OTHER_LINE_END = re.compile(r"\n(?!  \| )")
"""A line end that begins no quoted line."""


def echo(text: str, *, nl: bool = True) -> None:
    """Print `text` on stdout."""
    typer.echo(printable(text), nl=nl)


def echo_styled(text: str) -> None:
    """Print what a console has made: its texts are printable, and it has decided about styles."""
    typer.echo(text, nl=False, color=True)


def print_error(message: str) -> None:
    """Print an error on stderr: one line whatever names it holds, and the lines of a log that it quotes."""
    line = _OTHER_LINE_END.sub(r"\\n", printable(message))
    print(f"emeval: {line}", file=sys.stderr)  # noqa: T201


class SurvivingStream(io.TextIOWrapper):
    """A standard stream whose writes do not fail where its disk is full or its terminal gone: the rest is discarded.

    A reader that has gone still raises BrokenPipeError, which ends a command whose output is all that it makes.
    """

    lost = ""
    """Why output was lost, "" if none was."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._discard(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._discard(error)

    def _discard(self, error: OSError) -> None:
        """What is buffered needs a target, or it fails again when the process ends."""
        self.lost = self.lost or error.strerror or "it cannot be written"
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def write_anywhere() -> None:
    """Let output fail neither on a closed stream, a full disk nor a locale that lacks a character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  for as long as the process lives
        elif stream is not getattr(sys, f"__{name}__"):  # where the command line is called by a program
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        elif isinstance(stream, io.TextIOWrapper):
            stream.flush()
            binary = open(stream.fileno(), "wb", closefd=False)  # noqa: SIM115  the stream's own descriptor
            line_buffering = stream.line_buffering
            setattr(sys, name, SurvivingStream(binary, stream.encoding, "replace", line_buffering=line_buffering))


def output_lost() -> str:
    """Why some of what was printed on stdout is lost, "" if nothing is."""
    stream = sys.stdout
    stream.flush()
    return stream.lost if isinstance(stream, SurvivingStream) else ""
