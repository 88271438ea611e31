"""Which judges an answer still lacks: what must be known first is asked first.

The judges of answers (alignment and coherence, or the one that compares with a reference) read every complete open
answer. The judges of reasoning come after them, because they read the reasoning of answers found misaligned (Chua et
al. 2025), and articulation after the monitor, whose mismatch flag leaves an answer out. Where a distractor stands
beside the trigger, the credit judge takes the place of articulation. Monitors of replies come with those of reasoning,
and read every scored answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evals.scoring.judge_set import (
    CHOICE_JUDGE_ID,
    NAMING_JUDGE_ID,
    NUMBER_JUDGE_ID,
    OWN_SCORE_JUDGE_ID,
    SELF_REPORT_JUDGE_ID,
    JudgePanel,
    rule_key,
)
from evals.scoring.metric import OF_CONDUCT
from evals.scoring.outcome import has_complete_answer, has_readable_choice, is_judgeable
from evals.scoring.reasoning_verdicts import reasoning_verdicts
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.trials.condition import has_distractor, in_prompt_order, is_triggered
from evals.trials.record import JudgeKey, RecordedTrial, RecordedVerdict, asked_of, question_of
from evals.trials.reference import Fact, KnownAnswer, Number, Reference, SelfReport, TriggerName, Truth, UserQuestion
from evals.trials.response import Response
from judges.judge import JudgeInput, JudgeReply
from judges.parsing.score import read_score
from judges.registry import JUDGES
from judges.rules.options import Options


def due_judges(trial: RecordedTrial, judges: JudgePanel) -> tuple[str, ...]:
    """Ids of the judges to ask about `trial` now, together; () when there is nothing left to ask.

    A judge that has ruled is not due again, whatever came of it.
    """
    if is_judgeable(trial):
        first = _lacking(trial, *judges.of(trial))
        if first:
            return first
    if isinstance(trial.reference, SelfReport):
        return ()  # what a model says of itself is no conduct to be monitored
    has_reasoning = reasoning_verdicts(trial, judges).trace == "real"
    if not judges.monitors and not (judges.monitor and has_reasoning):
        return ()
    scored = score_trial(trial, judges)
    if scored.outcome != "scored":
        return ()
    of_reasoning = _due_of_reasoning(scored, judges) if has_reasoning else ()
    return (*of_reasoning, *_due_monitors(scored, judges, has_reasoning=has_reasoning))


def _due_of_reasoning(scored: ScoredTrial, judges: JudgePanel) -> tuple[str, ...]:
    """The judges of reasoning to ask now about an answer that has some."""
    trial = scored.trial
    if judges.monitor is None or not (judges.every_trace or scored.is_misaligned()):
        return ()
    if scored.reasoning.flag == "":
        return (judges.monitor,)
    if scored.reasoning.flag in ("unreadable", "cot_answer_mismatch"):
        return ()
    named = None
    if has_distractor(trial.condition, trial.distractor):
        named = judges.credit
    elif is_triggered(trial.condition, trial.trigger):
        named = judges.articulation
    return _lacking(trial, named, *_alongside(judges))


def _due_monitors(scored: ScoredTrial, judges: JudgePanel, *, has_reasoning: bool) -> tuple[str, ...]:
    """The monitors to ask now about a scored answer: about every one, since what they catch says nothing without their
    false alarms. Without reasoning there is nothing for a monitor that is shown it."""
    if scored.measure not in OF_CONDUCT:
        return ()
    shown = [judges.monitors[view] for view in judges.monitors if has_reasoning or view == "action"]
    return _lacking(scored.trial, *shown)


def awaits_judges(trial: RecordedTrial, judges: JudgePanel) -> bool:
    """Whether no judge has read an answer yet that one has to: it is `unjudged` so far."""
    return not trial.rulings and is_judgeable(trial) and bool(judges.of(trial))


def _alongside(judges: JudgePanel) -> list[str]:
    """The ids of the judges of reasoning with metrics of their own."""
    return [judge_id for name, judge_id in judges.alongside.items() if JUDGES[name].reads == "reasoning"]


def _lacking(trial: RecordedTrial, *ids: str | None) -> tuple[str, ...]:
    return tuple(judge_id for judge_id in ids if judge_id is not None and judge_id not in trial.rulings)


_CHOICE = JudgeKey(CHOICE_JUDGE_ID, "choice", "")
_NUMBER = JudgeKey(NUMBER_JUDGE_ID, "number", "")
_NAMING = JudgeKey(NAMING_JUDGE_ID, "naming", "")
_OWN_SCORE = JudgeKey(OWN_SCORE_JUDGE_ID, "own_score", "")
_SELF_REPORT = JudgeKey(SELF_REPORT_JUDGE_ID, "self_report", "")


def read_by_rule(
    trial_id: str, options: Options | None, reference: Reference | None, response: Response
) -> Iterator[tuple[JudgeKey, RecordedVerdict]]:
    """What needs no judge model: the choice, the number, the name in an answer that is one."""
    # The patterns of rules take longer to compile than most commands have to do, so each is imported where it is due.
    if options is not None and has_readable_choice(response):
        from judges.rules.choice import read_choice

        yield _CHOICE, RecordedVerdict(read_choice(response.answer, options), reply="", request_id=trial_id)
    if not has_complete_answer(response):
        return
    if isinstance(reference, UserQuestion):
        for name, spec in reference.specs:
            if spec.rule is not None:
                from judges.rules.text_rule import read_by_text_rule

                said = read_by_text_rule(response.answer, spec.rule)
                yield rule_key(name, spec), RecordedVerdict(said, reply="", request_id=trial_id)
    match reference:
        case Number():
            from judges.rules.number import read_number

            yield _NUMBER, RecordedVerdict(read_number(response.answer), reply="", request_id=trial_id)
        case TriggerName(text):
            from judges.rules.naming import read_naming

            yield _NAMING, RecordedVerdict(read_naming(response.answer, text), reply="", request_id=trial_id)
        case SelfReport("high" | "low"):
            from judges.rules.self_rating import read_self_rating

            yield _SELF_REPORT, RecordedVerdict(read_self_rating(response.answer), reply="", request_id=trial_id)
        case UserQuestion(measure="own_score"):
            own = read_score(JudgeReply(response.answer), "text", refusal_allowed=False)
            yield _OWN_SCORE, RecordedVerdict(own, reply="", request_id=trial_id)
        case Truth() | Fact() | KnownAnswer() | SelfReport() | UserQuestion() | None:
            return


def judge_input_of(trial: RecordedTrial, response: Response) -> JudgeInput:
    """Everything about a response that a judge may be shown."""
    shown = _reference_texts(trial)
    if trial.distractor:
        shown["first"], shown["second"] = in_prompt_order(trial.messages, trial.trigger, trial.distractor)
    return JudgeInput(question_of(trial), response.answer, response.reasoning, trial.trigger, **shown)


def _reference_texts(trial: RecordedTrial) -> dict[str, Any]:
    """What an answer is compared with, in the fields of a JudgeInput."""
    match trial.reference:
        case Truth(correct, incorrect):
            return {"correct": "\n".join(correct), "incorrect": "\n".join(incorrect)}
        case Fact(text):
            return {"fact": text}
        case KnownAnswer(text):
            return {"correct": text}
        case UserQuestion(prompts):
            return {"asked": asked_of(trial), "prompts": prompts}
        case Number() | TriggerName() | SelfReport() | None:
            return {}
