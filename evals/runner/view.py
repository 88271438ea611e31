"""Progress callbacks of a run. The command line implements them; the run itself never prints."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol

from evals.plan.spend import Ledger
from evals.scoring.rates.running import RunningRates
from evals.trials.record import Usage

Stage = Literal["sampling", "judging", "reasoning"]
"""Asking the models under test, judging answers, and judging the reasoning behind them."""


class Earlier(NamedTuple):
    """What the journal holds when a session starts: trials that failed, the open answers, recorded or planned, that no
    judge has read, and the replies of each model."""

    failed: int
    to_judge: int
    usage: list[Usage]


class Progress(Protocol):
    """Told of each thing done; must not block."""

    def sampled(self, *, failed: bool) -> None: ...
    def judged(self, *, failed: bool) -> None: ...
    def monitored(self, *, failed: bool) -> None: ...

    def retried(self, stage: Stage) -> None:
        """A request of that stage failed in a way that may pass, and is about to be sent again."""
        ...

    def replied(
        self,
        stage: Stage,
        model: str,
        prompt_tokens: int | None,
        completion_tokens: int | None,
        *,
        by_batch: bool = False,
    ) -> None:
        """A model has replied; the tokens are the server's count, None where it gave none. `by_batch`: at the price of
        a batch."""
        ...


class Says(Protocol):
    """Tells people something, in one line."""

    def say(self, text: str) -> None: ...


class RunView(Says, Protocol):
    """What a person watching a run is told."""

    def busy(self, text: str) -> AbstractContextManager[None]:
        """During the block something is at work that may take long; `text` says what."""
        ...

    def progress(
        self,
        *,
        planned: int,
        recorded: int,
        earlier: Future[Earlier],
        judge: str,
        ledger: Ledger,
        rates: RunningRates | None = None,
    ) -> AbstractContextManager[Progress]:
        """`judge` is the model that judges, "" for none. `earlier` is known a while after the start of a large run; the
        progress adds it to the `ledger`, which it keeps up to date. `rates` grow while the run is at work."""
        ...


class SaidLater:
    """Keeps what is said until `say_now`, and from then on keeps nothing: for work that goes on beside other work whose
    lines come first."""

    def __init__(self, view: Says) -> None:
        self._view = view
        self._kept: list[str] | None = []

    def say(self, text: str) -> None:
        if self._kept is None:
            self._view.say(text)
        else:
            self._kept.append(text)

    def say_now(self) -> None:
        for text in self._kept or ():
            self._view.say(text)
        self._kept = None
