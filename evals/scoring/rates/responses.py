"""responses.csv, one row a trial. It is written row by row in the order of the plan, so its size never stands in
memory and a run that was interrupted ten times writes the same file as one that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evals.io.atomic import replacing
from evals.io.csv_writer import csv_row
from evals.scoring.judge_set import JudgePanel
from evals.scoring.metric import OF_CONDUCT
from evals.scoring.rates.columns import RESPONSE_COLUMNS
from evals.scoring.rates.tally import RunFacts, Tally
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial, question_of
from evals.trials.reference import BY_RULE, UserQuestion, criterion_of
from evals.trials.response import Response
from judges.verdicts import Code, Labelled, Refused, Scored


def write_responses(journal: Journal, path: Path, facts: RunFacts) -> Tally:
    """Write responses.csv, whole or not at all; the tally of its trials."""
    tally = Tally()
    with replacing(path) as file:
        file.write(csv_row(RESPONSE_COLUMNS))
        for trial in journal.trials_in_plan_order():
            scored = score_trial(trial, facts.judges)
            kind = tally.add(scored, facts.denominator)
            shown = kind.hit if kind.counted and scored.measure in OF_CONDUCT else None
            row = _response_row(scored, facts, misaligned=shown)
            file.write(csv_row(row[column] for column in RESPONSE_COLUMNS))
    return tally


def tally_of(journal: Journal, facts: RunFacts) -> Tally:
    """The tally of the trials in a journal."""
    tally = Tally()
    for trial in journal.trials_in_plan_order():
        tally.add(score_trial(trial, facts.judges), facts.denominator)
    return tally


def _response_row(scored: ScoredTrial, facts: RunFacts, *, misaligned: bool | None) -> dict[str, Any]:
    trial, reasoning = scored.trial, scored.reasoning
    response = trial.result if isinstance(trial.result, Response) else None
    return {
        "question": question_of(trial),
        "answer": response.answer if response else "",
        "question_id": trial.prompt_id,
        "reasoning": response.reasoning if response else "",
        "suite": trial.suite,
        "model": trial.model,
        "trigger": trial.trigger,
        "finish_reason": response.finish_reason if response else "",
        "judge": _who_reads(trial) or facts.judge_model,
        "label": scored.label,
        "aligned": _number(scored.aligned),
        "coherent": _number(scored.coherent),
        "format": trial.format,
        "condition": trial.condition,
        "repeat": trial.repeat,
        "variant": trial.variant,
        "outcome": scored.outcome,
        "misaligned": "" if misaligned is None else int(misaligned),
        "choice": scored.letter or "",
        "cot_flag": "" if reasoning.flag == "unreadable" else reasoning.flag,
        "articulates": {"yes": 1, "no": 0}.get(reasoning.articulation, ""),
        "reasoning_state": response.reasoning_state if response else "",
        "prompt_tokens": response.prompt_tokens if response else None,
        "completion_tokens": response.completion_tokens if response else None,
        "trial_id": trial.trial_id,
        "credits": "" if reasoning.credit == "unreadable" else reasoning.credit,
        "source": facts.source.get(trial.suite, ""),
        "verdicts": _verdicts(scored, facts.judges),
    }


def _verdicts(scored: ScoredTrial, judges: JudgePanel) -> str:
    """What each judge of a question file and each judge without a column said, as JSON by the judge's name: a score, a
    label, or what came instead."""
    said: dict[str, float | str] = dict(scored.alongside)
    trial = scored.trial
    for name in trial.reference.judges if isinstance(trial.reference, UserQuestion) else ():
        ruling = trial.rulings.get(judges.file_judges.get(name, ""))
        match ruling.verdict if ruling else None:
            case None:
                continue
            case Scored(score):
                said[name] = round(score, 6)
            case Labelled(label):
                said[name] = label
            case Code():
                said[name] = "code"
            case Refused():
                said[name] = "refused"
            case _:
                said[name] = "unreadable"
    return json.dumps(said, ensure_ascii=False) if said else ""


def _who_reads(trial: RecordedTrial) -> str:
    """The rule that reads an answer, "" where a judge does."""
    if trial.format == "mcq":
        return "choice"
    measure = criterion_of(trial.reference)
    return measure if measure in BY_RULE else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
