"""Which judges an answer still lacks: what must be known first is asked first.

The judges of answers (alignment and coherence, or the one that compares with a reference) read every complete open
answer. The judges of reasoning come after them, because they read the reasoning of answers found misaligned (Chua et
al. 2025), and articulation after the monitor, whose mismatch flag leaves an answer out. Where a distractor stands
beside the trigger, the credit judge takes the place of articulation.
"""

from __future__ import annotations

from evals.metrics import is_misaligned
from evals.outcomes import JudgeSet, is_judgeable, measure
from evals.thoughts import thought_of
from evals.trials.condition import has_distractor, is_triggered
from evals.trials.record import RecordedTrial


def due_judges(trial: RecordedTrial, judges: JudgeSet) -> tuple[str, ...]:
    """Ids of the judges to ask about `trial` now, together; () when there is nothing left to ask.

    A judge that has ruled is not due again, whatever came of it.
    """
    if is_judgeable(trial):
        first = _lacking(trial, *judges.of(trial))
        if first:
            return first
    if judges.monitor is None:
        return ()
    measured = measure(trial, judges)
    if measured.outcome != "scored" or not (judges.every_trace or is_misaligned(measured)):
        return ()
    thought = thought_of(trial, judges)
    if thought is None or thought.trace != "real":
        return ()
    if thought.flag == "":
        return (judges.monitor,)
    if thought.flag in ("unreadable", "cot_answer_mismatch"):
        return ()
    if has_distractor(trial.condition, trial.distractor):
        return _lacking(trial, judges.credit)
    return _lacking(trial, judges.articulation) if is_triggered(trial.condition, trial.trigger) else ()


def _lacking(trial: RecordedTrial, *ids: str | None) -> tuple[str, ...]:
    return tuple(judge_id for judge_id in ids if judge_id is not None and judge_id not in trial.rulings)
