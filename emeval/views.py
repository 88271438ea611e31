"""What a person is shown while a run works: bars in a notebook and on a terminal, lines in a log, or nothing."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from rich.console import Console

from evals.console import ConsoleView
from evals.progress import Counted
from evals.spend import Ledger
from evals.view import RunView

_log = logging.getLogger("emeval")


def view_of_run(*, progress: bool) -> RunView:
    """The view for where this code runs. Without `progress` what a run says goes to the log `emeval`, at level INFO."""
    if not progress:
        return _LogView()
    # Bars are widgets there; without them the view does as in a log, and writes a line now and then.
    if Console().is_jupyter and importlib.util.find_spec("ipywidgets"):
        return _NotebookView()
    return ConsoleView()


class _NotebookView(ConsoleView):
    """That of a terminal, drawn as widgets and HTML by rich."""

    def __init__(self) -> None:
        super().__init__()
        notebook = Console(force_jupyter=True, force_terminal=True, highlight=False, emoji=False)
        self.err = cast("Any", notebook)


class _LogView:
    def say(self, text: str) -> None:
        _log.info("%s", text)

    @contextmanager
    def progress(
        self, *, planned: int, recorded: int, failed: int, to_judge: int, judge: str, ledger: Ledger
    ) -> Generator[Counted]:
        words = "%d of %d trials are recorded, %d of them failed; %d answers wait for a judge"
        _log.info(words, recorded, planned, failed, to_judge)
        yield Counted(planned, recorded, failed, to_judge, judge, ledger)
