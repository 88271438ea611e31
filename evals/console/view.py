"""What a person sees while a run works: progress and what is said on stderr, and where the tables go."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from evals.console.markup import plain
from evals.plan.spend import Ledger

if TYPE_CHECKING:
    from evals.progress import Counted

_PIPED_WIDTH = 140


class _ProgressConsole(Console):
    """Standard error. When its reader has gone, what it shows is lost and the run continues."""

    def on_broken_pipe(self) -> None:  # rich would end the process
        self.quiet = True
        # What is still buffered must have somewhere to go, or the interpreter ends with an error of its own.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


class ConsoleView:
    """The view of a run on a terminal, or in a log where stderr is not one.

    `quiet`: nothing is said and no progress shown, and what is printed to `out` goes nowhere; errors are not its own.
    `tables` False: what is printed to `out` goes nowhere, for commands that use stdout for something else.
    """

    def __init__(self, *, quiet: bool = False, tables: bool = True) -> None:
        self.quiet = quiet
        # No emoji: a model called BASE:two would be shown with one in place of its name.
        self.err = _ProgressConsole(stderr=True, highlight=False, emoji=False)
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        self.out = Console(highlight=False, emoji=False, width=width, quiet=quiet or not tables)

    def say(self, text: str) -> None:
        if self.quiet:
            return
        self.err.print(plain(text), style="dim", soft_wrap=True)

    @contextmanager
    def progress(
        self, *, planned: int, recorded: int, failed: int, to_judge: int, judge: str, ledger: Ledger
    ) -> Generator[Counted]:
        from evals.progress import Counted, shown  # rich's bars take a while to import

        counts = (planned, recorded, failed, to_judge, judge, ledger)
        if self.quiet:
            yield Counted(*counts)
            return
        named = {"planned": planned, "recorded": recorded, "failed": failed, "to_judge": to_judge}
        with shown(self.err, **named, judge=judge, ledger=ledger) as progress:
            yield progress
