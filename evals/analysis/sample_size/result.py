"""The values of a sample size plan: goal, options and their costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

GoalKind = Literal["width", "effect", "within", "below"]


class Goal(NamedTuple):
    """What the next run is to reach with `power`; `size` is a fraction in (0, 1).

    `width`: a total width of the 95% interval. `effect`: the effect that is detected. On just the questions asked:
    `within`: the limit that an unchanged model is shown to be within, against a base run of the same size; `below`: the
    limit that the upper end of the rate is not above.
    """

    kind: GoalKind
    size: float
    power: float = 0.8


@dataclass(frozen=True)
class Bill:
    """Requests (without retries), and tokens estimated from the pilot's usage, None if it recorded none."""

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
        """All tokens, None if some are unknown."""
        parts = (self.prompt_tokens, self.completion_tokens, self.judge_prompt_tokens, self.judge_completion_tokens)
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


@dataclass(frozen=True)
class Option:
    """Ask `questions` questions with `samples` samples each, under each condition and in each option order.

    `safe_questions` suffice even at the upper bounds of the variance, or of the rate; None if no number does. `reach`
    is the width, the smallest detectable effect (None if above 1) or the smallest limit, with all available questions.
    `enough`: whether `questions` are available.
    """

    samples: int
    questions: int
    safe_questions: int | None
    bill: Bill
    safe_bill: Bill | None
    reach: float | None
    enough: bool
    cheapest: bool = False


@dataclass(frozen=True)
class Pilot:
    """The pilot's measurements in a cell. For an effect, `base_rate` is the rate under the baseline."""

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
    """The options for one rate, or for one effect against `baseline`. `at_best` is the reach with unlimited samples."""

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

    @property
    def is_reached(self) -> bool:
        """Whether there are questions enough for an option."""
        return any(option.enough for option in self.options)


@dataclass(frozen=True)
class Next:
    """The next run, for all cells of a suite and format together.

    `enough`: whether it reaches the goal with the available questions. If not, it asks all of them, with samples that
    come close to the best possible. `needed` questions suffice at that number of samples, `safe` ones even at the upper
    bounds of the variance. `reach` is that of the worst cell, None if a cell has none. `command` is None if there is no
    such run, and `no_command` says why. `dataset_holds` is the number of questions in the pilot's dataset if the run
    needs more. `options` are those of the command, by field, and `config` is the file with them.
    """

    suite: str
    format: str
    samples: int
    questions: int
    enough: bool
    needed: int
    safe: int | None
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
