"""Which draws of a model are recorded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from evals.trials.journal import Journal
from evals.trials.prompt import Prompt


@dataclass
class RecordedDraws:
    """Which draws of a model are recorded, told without a look at each of them: how many there are of each prompt and
    condition is counted once, when it is first asked for."""

    journal: Journal
    model: str
    _counts: dict[tuple[str, ...], int] | None = field(default=None, init=False)

    def repeats(self, prompt: Prompt, condition: str, samples: int) -> Collection[int]:
        """The repeats that are recorded. If as many are as are planned, they are the planned ones."""
        if self._counts is None:
            self._counts = self.journal.draws_of(self.model)
        draws = (prompt.suite, prompt.format, prompt.id, prompt.variant, condition)
        count = self._counts.get(draws, 0)
        return range(samples) if count == samples else self.journal.repeats_of(self.model, draws) if count else ()

    def has(self, trial_id: str) -> bool:
        return self._counts != {} and self.journal.has_trial(trial_id)
