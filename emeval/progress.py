"""Progress callbacks of a run: the command line's view, or, without progress, the logger `emeval`."""

from __future__ import annotations

import logging
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext

from evals.io.process.meanwhile import import_meanwhile
from evals.plan.spend import Ledger
from evals.reporting.console.progress import ConsoleView, StageCounts, StartCounts
from evals.runner.view import Earlier, Progress, RunView
from evals.scoring.rates.running import RunningRates

_log = logging.getLogger("emeval")


def view_of_run(*, progress: bool) -> RunView:
    """With `progress`, the command line's view on stderr: bars on a terminal, a widget in a notebook,
    else occasional lines. Without it, nothing is shown."""
    return _Importing(ConsoleView() if progress else _LogView())


class _Importing:
    """A view that imports pandas, which the results need, while servers are waited for."""

    def __init__(self, view: RunView) -> None:
        self._view = view

    def say(self, text: str) -> None:
        self._view.say(text)

    def busy(self, text: str) -> AbstractContextManager[None]:
        return self._view.busy(text)

    @contextmanager
    def progress(
        self,
        *,
        planned: int,
        recorded: int,
        earlier: Future[Earlier],
        judge: str,
        ledger: Ledger,
        rates: RunningRates | None = None,
    ) -> Generator[Progress]:
        counts = {"planned": planned, "recorded": recorded}
        with self._view.progress(**counts, earlier=earlier, judge=judge, ledger=ledger, rates=rates) as progress:
            import_meanwhile("pandas")
            yield progress


class _LogView:
    def say(self, text: str) -> None:
        _log.info("%s", text)

    def busy(self, text: str) -> AbstractContextManager[None]:
        _log.debug("%s", text)
        return nullcontext()

    @contextmanager
    def progress(
        self,
        *,
        planned: int,
        recorded: int,
        earlier: Future[Earlier],
        judge: str,
        ledger: Ledger,
        rates: RunningRates | None = None,
    ) -> Generator[StageCounts]:
        del rates

        def say(known: Future[Earlier]) -> None:
            if not known.cancelled() and not known.exception():
                failed, to_judge, _ = known.result()
                words = "%d of %d trials are recorded, %d of them failed; %d answers wait for a judge"
                _log.info(words, recorded, planned, failed, to_judge)

        earlier.add_done_callback(say)
        yield StageCounts(StartCounts(planned, recorded, earlier), judge, ledger)
