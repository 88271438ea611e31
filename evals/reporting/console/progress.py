"""Progress of a run: a bar for each stage on a terminal, else a log line every few seconds.

Done, failed and spent cover the whole run, including earlier sessions; rates and retries only this session.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from evals.numbers import counted, duration
from evals.plan.spend import Ledger, spend_words
from evals.reporting.console.live.interim import interim_lines
from evals.reporting.console.live.waits import shown_if_long
from evals.reporting.console.markup import LONG, plain
from evals.reporting.console.terminal import SafeConsole
from evals.runner.view import Earlier, Stage
from evals.text import one_line
from evals.trials.record import Role

if TYPE_CHECKING:
    from evals.io.web.download import OnBytes
    from evals.scoring.rates.running import RunningRates

_LOG_EVERY_S = 10.0
_LOG_RATES_EVERY_S = 60.0
_ROLES: dict[Stage, Role] = {"sampling": "sampling", "judging": "judging", "reasoning": "judging"}


@dataclass(slots=True)
class _Line:
    """The progress of a stage. `total` is None if unknown in advance; `now` counts this session only."""

    name: str
    total: int | None
    done: int = 0
    failed: int = 0
    now: int = 0
    retries: int = 0

    def rate(self, since: float) -> float:
        """Items per second."""
        return self.now / max(time.monotonic() - since, 1e-9)


class StartCounts(NamedTuple):
    """Trials planned, those recorded when a session starts, and what else there was, known a while later. `rates` grow
    with the answers of this session, None where none are shown."""

    planned: int
    recorded: int
    earlier: Future[Earlier]
    rates: RunningRates | None = None


class StageCounts:
    """Counts progress by stage, without showing it."""

    def __init__(self, start: StartCounts, judge: str, ledger: Ledger) -> None:
        self._judge = one_line(judge, 60)
        self._ledger = ledger
        self._started = time.monotonic()
        self._lines: dict[Stage, _Line] = {"sampling": _Line("sampling", start.planned, start.recorded)}
        self._earlier: Future[Earlier] | None = start.earlier
        self._rates, self._is_resumed = start.rates, start.recorded > 0
        self._take_earlier()

    def _take_earlier(self) -> None:
        """Add what earlier sessions did, as soon as it is known."""
        found = self._earlier
        if found is None or not found.done() or found.cancelled() or found.exception():
            return
        failed, to_judge, usage = found.result()
        self._earlier = None
        self._ledger.include(usage)
        self._lines["sampling"].failed += failed
        if to_judge > 0:
            self._lines.setdefault("judging", _Line(f"judge {self._judge}", to_judge)).total = to_judge

    def sampled(self, *, failed: bool) -> None:
        self._step("sampling", failed)

    def judged(self, *, failed: bool) -> None:
        self._step("judging", failed)

    def monitored(self, *, failed: bool) -> None:
        self._step("reasoning", failed)

    def retried(self, stage: Stage) -> None:
        self._line(stage).retries += 1
        self._changed(stage)

    def replied(
        self,
        stage: Stage,
        model: str,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        *,
        by_batch: bool = False,
    ) -> None:
        self._ledger.add(model, _ROLES[stage], prompt_tokens, completion_tokens, by_batch=by_batch)

    def _step(self, stage: Stage, failed: bool) -> None:
        self._take_earlier()
        line = self._line(stage)
        line.done += 1
        line.now += 1
        line.failed += failed
        self._changed(stage)

    def _line(self, stage: Stage) -> _Line:
        if stage not in self._lines:  # the total is unknown
            name = "reasoning" if stage == "reasoning" else "judge"
            self._lines[stage] = _Line(f"{name} {self._judge}".strip(), None)
        return self._lines[stage]

    def _changed(self, stage: Stage, /) -> None:
        """Called when a count of the stage has changed."""

    def _failed_words(self, line: _Line) -> str:
        """Failures of the whole run, "" while those of earlier sessions are unknown."""
        is_unknown = self._earlier is not None and line is self._lines["sampling"]
        return "" if is_unknown else f"{line.failed:,} failed"

    def spent(self) -> str:
        """What the whole run has spent, "" while that of earlier sessions is unknown."""
        self._take_earlier()
        return "" if self._earlier is not None else spend_words(self._ledger.charges())

    def interim(self) -> list[str]:
        """The running rates in lines."""
        return [] if self._rates is None else list(interim_lines(self._rates, resumed=self._is_resumed))


class _BarsWithSpend(Progress):
    """Rich's progress bars, with lines on running rates, and a last one on spending."""

    spent: StageCounts | None = None
    finished_all = False
    """The block has ended: results follow, and what was interim is taken away."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for line in self.spent.interim() if self.spent and not self.finished_all else ():
            yield Text(line, style="dim", overflow="ellipsis", no_wrap=True)
        words = self.spent.spent() if self.spent else ""
        if words:
            yield Text(f"spent so far: {words}", overflow="ellipsis", no_wrap=True)


class _ProgressBars(StageCounts):
    def __init__(self, bars: _BarsWithSpend, start: StartCounts, judge: str, ledger: Ledger) -> None:
        super().__init__(start, judge, ledger)
        self._bars = bars
        self._tasks: dict[Stage, TaskID] = {}
        for stage in self._lines:
            self._changed(stage)
        bars.spent = self

    def _changed(self, stage: Stage, /) -> None:
        line = self._lines[stage]
        fields: dict[str, Any] = {
            "rate": f"{line.rate(self._started):.1f}/s" if line.now else "",
            "failed": self._failed_words(line),
            "retries": counted(line.retries, "retry"),
        }
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(line.name, total=line.total, completed=line.done, **fields)
        self._bars.update(self._tasks[stage], total=line.total, completed=line.done, **fields)


class _ProgressLog(StageCounts):
    """Logs a line every few seconds, without redrawing, for files."""

    def __init__(self, console: Console, start: StartCounts, judge: str, ledger: Ledger) -> None:
        super().__init__(start, judge, ledger)
        self._console = console
        self._last = self._rates_last = self._started

    def _changed(self, _stage: Stage, /) -> None:
        if time.monotonic() - self._last < _LOG_EVERY_S:
            return
        self.line()
        if self._last - self._rates_last >= _LOG_RATES_EVERY_S:
            self._rates_last = self._last
            for line in self.interim():
                self._console.print(escape(line), soft_wrap=True)

    def line(self) -> None:
        self._last = time.monotonic()
        self._take_earlier()
        parts = [self._words(stage, line) for stage, line in self._lines.items()]
        spent = self.spent()
        self._console.print("; ".join([*parts, *([f"spent so far: {escape(spent)}"] if spent else [])]), soft_wrap=True)

    def _words(self, stage: Stage, line: _Line) -> str:
        retries = f", {counted(line.retries, 'retry')}" if line.retries else ""
        if stage == "sampling":
            rate = line.rate(self._started)
            left = ((line.total or 0) - line.done) / rate if rate else 0.0
            failed = "" if self._earlier is not None else f", {line.failed} failed"
            return f"{line.done}/{line.total} sampled, {rate:.1f}/s, ETA {duration(left)}{failed}{retries}"
        of = "" if line.total is None else f"/{line.total}"
        return f"{escape(line.name)}: {line.done}{of} judged, {line.failed} failed{retries}"


@contextmanager
def shown(console: Console, start: StartCounts, judge: str, ledger: Ledger) -> Generator[StageCounts]:
    """Show progress on `console` during the block."""
    if not redraws(console):
        log = _ProgressLog(console, start, judge, ledger)
        try:
            yield log
        finally:
            log.line()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
        TextColumn("{task.fields[retries]}"),
    )
    with _BarsWithSpend(*columns, console=console, refresh_per_second=4) as bars:
        try:
            yield _ProgressBars(bars, start, judge, ledger)
        finally:
            bars.finished_all = True
            bars.refresh()  # notebooks do not draw the last state otherwise


def redraws(console: Console) -> bool:
    """Whether output can be redrawn: on a capable terminal or in a notebook, but not in a file with FORCE_COLOR."""
    if console.is_jupyter:
        return True
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


_PIPED_WIDTH = 80
_LEAST_WIDTH = 40


def _width_of_stdout() -> int | None:
    """The width of what stdout is printed for, None where its terminal is to say."""
    if sys.stdout.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    is_number = columns.isascii() and columns.isdigit() and len(columns) < 6
    return max(int(columns), _LEAST_WIDTH) if is_number and int(columns) else _PIPED_WIDTH


class _ProgressConsole(SafeConsole):
    """Standard error. If its reader is gone, output is discarded and the run continues."""

    def on_broken_pipe(self) -> None:  # rich would end the process
        self.quiet = True
        # Buffered output needs a target, or the interpreter exits with an error.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


class ConsoleView:
    """The view of a run on a terminal, or in a log if stderr is not a terminal.

    `quiet`: no messages, no progress, and `out` is discarded; errors are printed elsewhere. `tables` False: `out` is
    discarded, for commands that use stdout for something else.
    """

    def __init__(self, *, quiet: bool = False, tables: bool = True) -> None:
        self.quiet = quiet
        # No emoji codes, which could replace part of a model name such as BASE:two.
        self.err = _ProgressConsole(stderr=True, highlight=False, emoji=False)
        self.out = SafeConsole(highlight=False, emoji=False, width=_width_of_stdout(), quiet=quiet or not tables)

    def say(self, text: str) -> None:
        if self.quiet:
            return
        self.err.print(plain(text, LONG), style="dim", soft_wrap=True)

    @contextmanager
    def busy(self, text: str) -> Generator[None]:
        if self.quiet or not redraws(self.err):
            yield
            return
        with shown_if_long(self.err, plain(text)):
            yield

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
        start = StartCounts(planned, recorded, earlier, rates)
        if self.quiet:
            yield StageCounts(start, judge, ledger)
            return
        with shown(self.err, start, judge, ledger) as progress:
            yield progress


class FetchConsole:
    """The view of `emeval datasets fetch`."""

    def __init__(self) -> None:
        self._err = SafeConsole(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        self._err.print(one_line(text, 500), style="dim", markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, name: str, size: int | None) -> Generator[OnBytes]:
        """A callback for the bytes received and the total."""
        if not self._err.is_terminal:
            self.say(f"fetching {name}" + (f" ({size:,} bytes)" if size else ""))
            yield lambda _here, _total: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._err, transient=True) as bars:
            task = bars.add_task(name, total=size)
            yield lambda here, total: bars.update(task, completed=here, total=total)
