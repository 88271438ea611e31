"""Progress callbacks of a run. The command line implements them; the run itself never prints."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from evals.plan.spend import Ledger

Stage = Literal["sampling", "judging", "reasoning"]
"""Asking the models under test, judging answers, and judging the reasoning behind them."""


class Progress(Protocol):
    """Told of each thing done; must not block."""

    def sampled(self, *, failed: bool) -> None: ...
    def judged(self, *, failed: bool) -> None: ...
    def monitored(self, *, failed: bool) -> None: ...

    def retried(self, stage: Stage) -> None:
        """A request of that stage failed in a way that may pass, and is about to be sent again."""
        ...

    def replied(self, stage: Stage, model: str, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        """A model has replied; the tokens are the server's count, None where it gave none."""
        ...


class RunView(Protocol):
    """What a person watching a run is told."""

    def say(self, text: str) -> None: ...

    def progress(
        self, *, planned: int, recorded: int, failed: int, to_judge: int, judge: str, ledger: Ledger
    ) -> AbstractContextManager[Progress]:
        """`judge` is the model that judges, "" for none. `ledger` holds what was spent before, and is kept up to date
        by the progress."""
        ...
