"""What a person is told while a run works: as by the command line, or, without progress, through the log `emeval`."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from evals.plan.spend import Ledger
from evals.reporting.console.progress import ConsoleView, StageCounts
from evals.runner.view import RunView

_log = logging.getLogger("emeval")


def view_of_run(*, progress: bool) -> RunView:
    """With `progress` what the command line shows on stderr: bars where they can be redrawn, in a notebook as a widget;
    else a line now and then. Without it nothing is shown."""
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
