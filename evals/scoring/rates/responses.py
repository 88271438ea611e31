"""responses.csv, one row a trial. It is written row by row in the order of the plan, so its size never stands in
memory and a run that was interrupted ten times writes the same file as one that was not."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from evals.io.atomic import replacing
from evals.io.csv_writer import csv_row, quoted_cell, quoted_text
from evals.scoring.judge_set import RULE, JudgePanel, file_judge_id, is_counted_by_rule
from evals.scoring.metric import OF_CONDUCT
from evals.scoring.rates.columns import RESPONSE_COLUMNS
from evals.scoring.rates.tally import CountedTrial, RunFacts, Tally
from evals.scoring.scored_trial import ScoredTrial
from evals.scoring.sorting import Sorts
from evals.trials.journal import Journal
from evals.trials.journal_reading import StoredTrial
from evals.trials.record import RecordedTrial, question_of
from evals.trials.reference import BY_RULE, UserQuestion, criterion_of
from evals.trials.response import Response
from judges.monitors.suspicion import monitor_name
from judges.question_file import PREFIX
from judges.verdicts import Code, Labelled, Refused, Scored


class _Row(NamedTuple):
    """What a trial is counted as, and its line up to each of the cells `_OWN`, which differ within a sort, and to the
    end."""

    counted: CountedTrial
    parts: list[str]


_MOST_COUNTED = 100_000
"""Sorts that are remembered where a few numbers are known of each."""
_OWN = ("answer", "reasoning", "repeat", "prompt_tokens", "completion_tokens", "trial_id")
_PLACES = [*map(RESPONSE_COLUMNS.index, _OWN)]
assert sorted(_PLACES) == _PLACES  # noqa: S101


def write_responses(journal: Journal, path: Path, facts: RunFacts) -> Tally:
    """Write responses.csv, whole or not at all; the tally of its trials."""
    tally = Tally()

    def row_of(scored: ScoredTrial) -> _Row:
        counted = CountedTrial.of(scored, facts.denominator)
        kind = counted.kind
        shown = kind.hit if kind.counted and scored.measure in OF_CONDUCT else None
        row = _response_row(scored, facts, misaligned=shown)
        cells = [quoted_cell(row[column]) for column in RESPONSE_COLUMNS]
        between = [",".join(["", *cells[last + 1 : place], ""]) for last, place in pairwise(_PLACES)]
        before, after = ",".join([*cells[: _PLACES[0]], ""]), ",".join(["", *cells[_PLACES[-1] + 1 :]])
        return _Row(counted, [before, *between, f"{after}\n"])

    with replacing(path) as file, journal.counting() as trials:
        file.write(csv_row(RESPONSE_COLUMNS))
        for trial, (counted, parts) in Sorts(trials, facts.judges, row_of).whole():
            tally.add(counted)
            file.write(_line(parts, trial))
    return tally


def _line(parts: list[str], trial: StoredTrial) -> str:
    before, question, reasoning, repeat, prompt_tokens, completion_tokens, after = parts
    sent, said = trial.prompt_tokens, trial.completion_tokens
    return (
        f"{before}{quoted_text(trial.answer)}{question}{quoted_text(trial.reasoning)}{reasoning}{trial.repeat}{repeat}"
        f"{'' if sent is None else sent}{prompt_tokens}{'' if said is None else said}{completion_tokens}"
        f"{quoted_text(trial.trial_id)}{after}"
    )


def tally_of(journal: Journal, facts: RunFacts) -> Tally:
    """The tally of the trials in a journal."""
    tally = Tally()

    def placed(scored: ScoredTrial) -> tuple[int, float, float]:
        kind, aligned, coherent = CountedTrial.of(scored, facts.denominator)
        return tally.number_of(kind), aligned, coherent

    with journal.counting() as trials:
        for number, aligned, coherent in Sorts(trials, facts.judges, placed, _MOST_COUNTED).each():
            tally.numbers.append(number)
            tally.aligned.append(aligned)
            tally.coherent.append(coherent)
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
    said: dict[str, float | str] = {name: label for name, label in scored.alongside if not name.startswith(PREFIX)}
    trial = scored.trial
    for view, judge_id in judges.monitors.items():
        ruling = trial.rulings.get(judge_id)
        if ruling is not None and isinstance(ruling.verdict, Scored):
            said[monitor_name(view)] = round(ruling.verdict.score, 6)
    posed = trial.reference if isinstance(trial.reference, UserQuestion) else UserQuestion((), "recorded")
    for name in dict.fromkeys([*posed.judges, *(name for name, _ in posed.specs)]):
        ruling = trial.rulings.get(file_judge_id(name, posed, judges) or "")
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
    if isinstance(trial.reference, UserQuestion) and is_counted_by_rule(trial.reference):
        return RULE
    measure = criterion_of(trial.reference)
    return measure if measure in BY_RULE else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
