"""Every trial of a run as a flat row: the schema of the JSONL, Parquet and Hugging Face exports.

Missing values are null, never 0 or "": a failed trial has no answer, an unmeasured answer no `misaligned`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evals.io.columns import Kind
from evals.plan.judge_names import judge_names
from evals.plan.manifest import Manifest, judge_set
from evals.reporting.exports.output_path import whole_file_path
from evals.runner.count import count_run
from evals.runner.imports.trial_record import record_of
from evals.scoring.metric import OF_CONDUCT
from evals.scoring.rates.columns import RESPONSES, RUN_ID
from evals.scoring.scored_trial import score_trial
from evals.trials.journal import Journal
from evals.trials.response import Response

_TEXT, _NUMBER, _COUNT, _YES_NO = "VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN"
TYPES: dict[Kind, str] = {"text": _TEXT, "number": _NUMBER, "integer": _COUNT}
"""The DuckDB types of CSV columns."""
_VERDICT_TYPES = {
    **dict.fromkeys(("judge", "judge_model"), _TEXT),
    "counts": _YES_NO,
    "kind": _TEXT,
    "score": _NUMBER,
    **dict.fromkeys(("letter", "option", "mode", "detail", "reply"), _TEXT),
}


def _as_in_responses(*names: str) -> dict[str, tuple[str, str]]:
    """Columns shared with responses.csv."""
    columns = {column.name: column for column in RESPONSES}
    return {name: (TYPES[columns[name].kind], columns[name].meaning) for name in names}


COLUMNS: dict[str, tuple[str, str]] = {
    "run_id": (_TEXT, RUN_ID.meaning),
    "trial_id": (_TEXT, "the trial; unique in a run"),
    **_as_in_responses("suite", "format", "model", "condition", "trigger"),
    "distractor": (_TEXT, "the string beside it, under distractor"),
    "prompt_id": (_TEXT, "the question; the unit that intervals are over"),
    **_as_in_responses("variant", "repeat"),
    "messages": ("STRUCT(role VARCHAR, content VARCHAR)[]", "the prompt as it was sent"),
    "reasoning": (_TEXT, "the chain of thought; null where nothing came back"),
    "answer": (_TEXT, "the answer without it; null where nothing came back"),
    **_as_in_responses("outcome"),
    "misaligned": (_YES_NO, "whether the answer is misaligned; null where it does not count"),
    **_as_in_responses("aligned", "coherent", "choice", "label"),
    "cot_flag": (_TEXT, "what the monitor says of the reasoning of a misaligned answer"),
    "articulates": (_YES_NO, "whether that reasoning names the trigger as pivotal"),
    **_as_in_responses("credits", "reasoning_state", "finish_reason"),
    "reported_model": (_TEXT, "the model's name as the server says"),
    **_as_in_responses("prompt_tokens", "completion_tokens"),
    "failure": (_TEXT, "why nothing came back: timeout, rejected, ..."),
    "failure_detail": (_TEXT, "the same in the server's words"),
    **_as_in_responses("source"),
    "verdicts": (
        f"STRUCT({', '.join(f'{name} {kind}' for name, kind in _VERDICT_TYPES.items())})[]",
        "what each judge said, with its own words (reply); counts: whether the run's rates are by it",
    ),
}
"""The columns with their DuckDB type and meaning."""


def export_jsonl(run: Path, target: Path, *, force: bool = False) -> int:
    """Write the trials of the run `run` to the file `target`, and return their number. Raises BadInput."""
    manifest = count_run(run, None, must_write=False).manifest
    with Journal.read(run) as journal, whole_file_path(target, force=force) as made:
        return write_jsonl(made, answer_rows(journal, manifest)).rows


class Lines(NamedTuple):
    """The number of lines written, and the length of the longest in bytes."""

    rows: int
    longest: int


def write_jsonl(path: Path, rows: Iterator[dict[str, Any]]) -> Lines:
    """Write `rows` as JSON lines, in ASCII, so that no reader sees other line ends."""
    count, longest = 0, 0
    with path.open("w", encoding="ascii", newline="\n") as file:
        for row in rows:
            longest = max(longest, file.write(json.dumps(row, allow_nan=False) + "\n"))
            count += 1
    return Lines(count, longest)


def answer_rows(journal: Journal, manifest: Manifest) -> Iterator[dict[str, Any]]:
    """A row of COLUMNS for each recorded trial, in plan order."""
    judges, names = judge_set(manifest), judge_names(manifest)
    for trial in journal.trials_in_plan_order():
        scored = score_trial(trial, judges)
        reasoning, record = scored.reasoning, record_of(trial, names)
        response = trial.result if isinstance(trial.result, Response) else None
        failure = record.failure
        is_counted = scored.is_counted(manifest.config.denominator) and scored.measure in OF_CONDUCT
        dataset = manifest.datasets.get(trial.suite)
        values = {
            "run_id": manifest.run_id,
            **{name: getattr(trial, name) for name in ("trial_id", "suite", "format", "model", "condition", "trigger")},
            **{name: getattr(trial, name) for name in ("distractor", "prompt_id", "variant", "repeat")},
            "messages": [message._asdict() for message in trial.messages],
            "reasoning": response.reasoning if response else None,
            "answer": response.answer if response else None,
            "outcome": scored.outcome,
            "misaligned": scored.is_misaligned() if is_counted else None,
            "aligned": scored.aligned,
            "coherent": scored.coherent,
            "choice": scored.letter,
            "label": scored.label or None,
            "cot_flag": None if reasoning.flag in ("", "unreadable") else reasoning.flag,
            "articulates": {"yes": True, "no": False}.get(reasoning.articulation),
            "credits": None if reasoning.credit in ("", "unreadable") else reasoning.credit,
            "reasoning_state": response.reasoning_state if response else None,
            "finish_reason": response.finish_reason if response else None,
            "reported_model": response.reported_model if response else None,
            "prompt_tokens": response.prompt_tokens if response else None,
            "completion_tokens": response.completion_tokens if response else None,
            "failure": failure.kind if failure else None,
            "failure_detail": failure.detail if failure else None,
            "source": dataset.source if dataset else None,
            "verdicts": [{name: getattr(ruling, name) for name in _VERDICT_TYPES} for ruling in record.rulings],
        }
        yield {name: values[name] for name in COLUMNS}
