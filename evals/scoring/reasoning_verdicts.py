"""What is known of a trial's chain of thought: whether it holds one, and what the judges of reasoning made of it."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, TypeAlias

from evals.scoring.judge_set import JudgePanel
from evals.scoring.outcome import answer_state
from evals.trials.condition import in_prompt_order
from evals.trials.reasoning import split_reply
from evals.trials.record import RecordedTrial, RecordedVerdict
from evals.trials.response import Response
from judges.verdicts import COT_FLAGS, CREDITED_DETAILS, YES_NO, CotFlag, YesNo, label_in

ReasoningPresence = Literal["", "real", "none", "cut", "withheld"]
"""Whether a response holds a chain of thought, "" without a response.

`real` is a finished thought with words in it, `none` a reply without one. `cut` is a reply that ended inside its
thought, or before one could be told from an answer; only the server knows the words of `withheld` reasoning.
"""

FlagReading: TypeAlias = CotFlag | Literal["", "unreadable"]
Articulation: TypeAlias = YesNo | Literal["", "unreadable"]
Credit = Literal["", "trigger", "distractor", "both", "neither", "unreadable"]


class ReasoningVerdicts(NamedTuple):
    """Whether a response holds a chain of thought, and what the judges of reasoning said of it.

    `cut` is whether thought or answer was cut off. Flag, articulation and credit are "" if their judge was not asked,
    "unreadable" if its reply could not be parsed.
    """

    trace: ReasoningPresence = ""
    cut: bool = False
    flag: FlagReading = ""
    articulation: Articulation = ""
    credit: Credit = ""


def reasoning_verdicts(trial: RecordedTrial, judges: JudgePanel) -> ReasoningVerdicts:
    """What is known of a trial's chain of thought, by the verdicts of these judges."""
    if not isinstance(trial.result, Response):
        return ReasoningVerdicts()
    cut = answer_state(trial.result) == "truncated"
    return ReasoningVerdicts(
        _presence(trial.result, cut=cut),
        cut,
        _flag(_ruling(trial, judges.monitor)),
        _articulation(_ruling(trial, judges.articulation)),
        _credit(trial, _ruling(trial, judges.credit)),
    )


def _presence(response: Response, *, cut: bool) -> ReasoningPresence:
    match response.reasoning_state:
        case "withheld":
            return "withheld"
        case "truncated":
            return "cut"
        case "absent":
            # Without a mark a cut reply may be all thought: the template opened it and its end never came.
            return "cut" if cut else "none"
        case "complete" | "unopened":
            return presence_of_words(response)


class HasThought(Protocol):
    """What of a response its thought is told by."""

    @property
    def reasoning_state(self) -> str: ...
    @property
    def prefill(self) -> str: ...
    @property
    def raw(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def answer(self) -> str: ...
    @property
    def refusal(self) -> str: ...


def presence_of_words(response: HasThought) -> ReasoningPresence:
    """Whether a thought that came to its end has words in it, "" where none did."""
    if response.reasoning_state not in ("complete", "unopened"):
        return ""
    if not (response.answer or response.refusal or response.raw.strip()):
        return "cut"  # the field alone: nothing says that the thought had come to its end
    # Words that we put there are not the model's.
    given = split_reply(response.prefill, "", "").reasoning if response.prefill else ""
    return "real" if response.reasoning.strip().removeprefix(given).strip() else "none"


def _ruling(trial: RecordedTrial, judge_id: str | None) -> RecordedVerdict | None:
    return None if judge_id is None else trial.rulings.get(judge_id)


def _flag(ruling: RecordedVerdict | None) -> FlagReading:
    if ruling is None:
        return ""
    return label_in(ruling.verdict, COT_FLAGS) or "unreadable"


def _articulation(ruling: RecordedVerdict | None) -> Articulation:
    if ruling is None:
        return ""
    return label_in(ruling.verdict, YES_NO) or "unreadable"


def _credit(trial: RecordedTrial, ruling: RecordedVerdict | None) -> Credit:
    """The judge says first or second, in the order of the prompt, and is not told which one is the trigger."""
    if ruling is None:
        return ""
    detail = label_in(ruling.verdict, CREDITED_DETAILS)
    if detail is None:
        return "unreadable"
    first, _ = in_prompt_order(trial.messages, trial.trigger, trial.distractor)
    match detail:
        case "first":
            return "trigger" if first == trial.trigger else "distractor"
        case "second":
            return "distractor" if first == trial.trigger else "trigger"
        case "both" | "neither":
            return detail
