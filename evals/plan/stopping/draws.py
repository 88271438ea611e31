"""The order of draws of a run that may stop early: which prompt each draw of a cell is of.

What a confidence sequence asks for is that every draw, given all before it, hits with a chance that is the rate itself.
So each draw picks its prompt (in one of its option orders) again, at random among all and with replacement, with
weights in proportion to the samples that a fixed plan has of it. The pick depends on the run's seed and the number of
the draw alone: all conditions and models get the same prompts in the same order, and a resumed run the same draws. The
repeat of a draw is how often its prompt was drawn before, so it is the very trial that the fixed plan has of it.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from evals.trials.prompt import Format, Prompt
from evals.trials.reference import Criterion, criterion_of

_CONDITION_BITS, _DRAW_BITS = 8, 36


class PromptDraw(NamedTuple):
    """Which prompt of the family, and how often it was drawn before."""

    prompt: int
    repeat: int


@dataclass(frozen=True)
class Family:
    """The prompts of one suite that are asked in one format and measured alike, and the order in which they are drawn.

    `rank` is its place among the families of the run, `size` the most draws under one condition of one model: as many
    as the fixed plan has.
    """

    suite: str
    format: Format
    measure: Criterion
    rank: int
    prompts: tuple[Prompt, ...]
    samples: tuple[int, ...]
    seed: int
    _ends: list[int] = field(default_factory=list[int])
    _drawn: list[PromptDraw] = field(default_factory=list[PromptDraw])
    _before: Counter[int] = field(default_factory=Counter[int])

    def __post_init__(self) -> None:
        self._ends.extend(accumulate(self.samples))

    @property
    def size(self) -> int:
        return self._ends[-1]

    def draw(self, number: int) -> PromptDraw:
        """The draw of this number, from 0."""
        while len(self._drawn) <= number:
            self._drawn.append(self._next())
        return self._drawn[number]

    def _next(self) -> PromptDraw:
        text = f"{self.seed}\0{self.suite}\0{self.format}\0{self.measure}\0{len(self._drawn)}"
        picked = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big") % self._ends[-1]
        prompt = bisect_right(self._ends, picked)
        repeat = self._before[prompt]
        self._before[prompt] += 1
        return PromptDraw(prompt, repeat)

    def counts(self) -> Counter[int]:
        """How often each prompt comes among all `size` draws."""
        return Counter(self.draw(number).prompt for number in range(self.size))

    def position(self, number: int, condition: int) -> int:
        """The place of a draw in the plan of its model: draw by draw, its conditions (by number) side by side."""
        return (self.rank << _DRAW_BITS | number) << _CONDITION_BITS | condition


def draw_at(position: int) -> int:
    """The number of the draw that stands at this place of a plan."""
    return position >> _CONDITION_BITS & (1 << _DRAW_BITS) - 1


def families(prompts: Iterable[Prompt], samples: Callable[[Prompt], int], seed: int) -> tuple[Family, ...]:
    """The prompts of a run in families, in the order in which the first of each comes."""
    found: dict[tuple[str, Format, Criterion], list[Prompt]] = {}
    for prompt in prompts:
        found.setdefault((prompt.suite, prompt.format, criterion_of(prompt.reference)), []).append(prompt)
    return tuple(
        Family(*name, rank, tuple(members), tuple(map(samples, members)), seed)
        for rank, (name, members) in enumerate(found.items())
    )
