"""The plan of a sample size: the goal, its options and their bill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple


class Goal(NamedTuple):
    """The total width of a 95% interval, or an effect to be found with a power; `size` is a fraction in (0, 1)."""

    kind: Literal["width", "effect"]
    size: float
    power: float = 0.8


@dataclass(frozen=True)
class Bill:
    """Requests, before retries, and the tokens that the pilot's usage makes of them; None where it recorded none."""

    model_calls: int
    judge_calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    judge_prompt_tokens: int | None
    judge_completion_tokens: int | None

    @property
    def calls(self) -> int:
        return self.model_calls + self.judge_calls

    @property
    def tokens(self) -> int | None:
        """All of them, None where some are not known."""
        parts = (self.prompt_tokens, self.completion_tokens, self.judge_prompt_tokens, self.judge_completion_tokens)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


@dataclass(frozen=True)
class Option:
    """Ask `questions` questions with `samples` samples each: under each condition, and in each option order.

    `safe_questions` are enough at the upper bounds of the variance. `reach` is the width, or the smallest effect found,
    with all questions that there are; None where not even an effect of 1 is. `enough`: whether these are enough.
    """

    samples: int
    questions: int
    safe_questions: int
    bill: Bill
    safe_bill: Bill
    reach: float | None
    enough: bool
    cheapest: bool = False


@dataclass(frozen=True)
class Pilot:
    """What the pilot measured in a cell. Of an effect `rate` is that under the condition, `base_rate` that without."""

    questions: int
    draws_per_question: float
    orders: int
    k: int
    n: int
    rate: float
    base_rate: float | None
    estimate: float
    ci_low: float
    ci_high: float
    counted_share: float
    between: float
    within: float
    between_share: float
    separable: bool
    no_spread: bool


@dataclass(frozen=True)
class CellPlan:
    """The options for one rate, or for one effect against `baseline`. `at_best` is the reach with endless samples."""

    suite: str
    format: str
    model: str
    condition: str
    baseline: str | None
    trigger: str
    metric: str
    pilot: Pilot
    questions_there_are: int
    at_best: float | None
    options: tuple[Option, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Next:
    """What to run for all cells of a suite and format together.

    `enough`: whether it reaches the goal with the questions that there are; where it does not, all of them are asked,
    with samples that come close to the best they can do. `needed` questions would do at so many samples, `safe` ones
    at the upper bounds of the variance. `reach` is the width or the effect of the cell that comes off worst, None where
    one has none. `command` is None where there is none, and `no_command` says why; where it asks more questions than
    the pilot's dataset holds, `dataset_holds` says how many these are. `options` are those of the command, by field,
    and `config` is the file that holds them.
    """

    suite: str
    format: str
    samples: int
    questions: int
    enough: bool
    needed: int
    safe: int
    reach: float | None
    bill: Bill
    command: str | None
    no_command: str = ""
    dataset_holds: int | None = None
    options: dict[str, Any] | None = None
    config: str | None = None


@dataclass(frozen=True)
class SizePlan:
    pilot: str
    goal: Goal
    cells: tuple[CellPlan, ...]
    next: tuple[Next, ...]
    notes: tuple[str, ...]
