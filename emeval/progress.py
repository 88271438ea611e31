"""Progress callbacks of a run: the command line's view, or, without progress, the logger `emeval`."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from evals.plan.spend import Ledger
from evals.reporting.console.progress import ConsoleView, StageCounts
from evals.runner.view import RunView

_log = logging.getLogger("emeval")


def view_of_run(*, progress: bool) -> RunView:
    """With `progress`, the command line's view on stderr: bars on a terminal, a widget in a notebook,
    else occasional lines. Without it, nothing is shown."""
    return ConsoleView() if progress else _LogView()


class _LogView:
    def say(self, text: str) -> None:
        _log.info("%s", text)

    @contextmanager
    def progress(
        self, *, planned: int, recorded: int, failed: int, to_judge: int, judge: str, ledger: Ledger
    ) -> Generator[StageCounts]:
        words = "%d of %d trials are recorded, %d of them failed; %d answers wait for a judge"
        _log.info(words, recorded, planned, failed, to_judge)
        yield StageCounts(planned, recorded, failed, to_judge, judge, ledger)
