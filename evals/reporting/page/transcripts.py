"""Pack transcripts for a page: an index of them, and their texts in parts that the page opens on demand.

Of a large run these are a part of its trials, the same each time, which is spread evenly over the plan.

Texts are compressed (gzip, then base64), so that a page of 10,000 answers stays small; the page shows them as text, not
HTML. Journals are streamed; only the index (a few numbers and a line of text per trial) and the packed parts until the
sink takes them stay in memory.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.plan.judge_names import JudgeName, judge_names, said_of
from evals.plan.manifest import judge_set
from evals.runner.count import Counted
from evals.scoring.judge_set import JudgePanel
from evals.scoring.metric import PRIMARY, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.text import one_line
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.response import Failure, Response
from evals.trials.storage.checking import LARGE

MOST = 50_000
"""Transcripts of a page, about: a browser opens 20 MB of them, and not 200."""
PART_BYTES = 1 << 19
"""Characters at which a part is closed: small enough to open quickly, large enough to compress well."""
_PEEK = 120

NAMED = ("run", "suite", "format", "model", "condition", "question", "outcome", "flag", "articulates", "verdict")
"""Columns of the index whose values are indices of names."""
COLUMNS = ("id", *NAMED, "hit", "score", "coherent", "repeat", "peek", "part", "place")


@dataclass
class Index:
    """One value per trial in each of COLUMNS, and the `names` to which the columns of NAMED refer.

    `hit` is 1, 0, or None for an answer not counted in its suite's primary metric; `score` and `coherent` are 0-100 or
    None. The name of a condition is a triple with its trigger and distractor. `trials` are those that the runs have.
    """

    trials: int

    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    names: dict[str, dict[Any, int]] = field(default_factory=lambda: {name: {} for name in NAMED})

    def add(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            number = self.names[name].setdefault(value, len(self.names[name])) if name in self.names else value
            self.columns[name].append(number)

    def packed(self) -> str:
        return pack({"names": {name: list(known) for name, known in self.names.items()}, "columns": self.columns})

    def __len__(self) -> int:
        return len(self.columns["id"])


def pack(value: object) -> str:
    """`value` as compressed JSON, in characters that need no escaping. Lone surrogates become �."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 9, mtime=0)).decode("ascii")


class _TextPart:
    """The texts of consecutive trials, with shared prompts stored once."""

    def __init__(self) -> None:
        self.prompts: dict[tuple[tuple[str, str], ...], int] = {}
        self.trials: list[dict[str, Any]] = []
        self.size = 0

    def add(self, trial: RecordedTrial, names: dict[str, JudgeName]) -> int:
        """Add a trial, and return its position in the part."""
        prompt = tuple((message.role, message.content) for message in trial.messages)
        if prompt not in self.prompts:
            self.prompts[prompt] = len(self.prompts)
            self.size += sum(len(content) for _, content in prompt)
        texts = _texts(trial, names)
        self.trials.append({"prompt": self.prompts[prompt], **texts})
        self.size += sum(len(text) for text in texts.values() if isinstance(text, str))
        self.size += sum(len(said["reply"]) for said in texts["said"])
        return len(self.trials) - 1

    def packed(self) -> str:
        return pack({"prompts": list(self.prompts), "trials": self.trials})


def _texts(trial: RecordedTrial, names: dict[str, JudgeName]) -> dict[str, Any]:
    sayings = [
        {
            "judge": saying.judge.shown,
            "model": saying.judge.model,
            "counts": saying.judge.counts,
            "words": saying.words,
            "reply": saying.reply,
        }
        for saying in said_of(trial, names)
    ]
    match trial.result:
        case Failure(kind, detail, attempts):
            return {"failure": f"{kind}: {detail}", "attempts": attempts, "said": sayings}
        case Response() as response:
            return {
                "reasoning": response.reasoning,
                "answer": response.answer,
                "refusal": response.refusal,
                "state": response.reasoning_state,
                "finish": response.finish_reason,
                "tokens": response.completion_tokens,
                "said": sayings,
            }


def pack_transcripts(runs: Sequence[Counted], sink: Callable[[str], None], most: int = MOST) -> Index:
    """Pass the trials of the runs to `sink` in packed parts, and return their index. Where there are more than `most`,
    these are about as many."""
    index, part, closed = Index(sum(run.manifest.trials_recorded for run in runs)), _TextPart(), 0
    share = min(1.0, most / max(1, index.trials))
    for run in runs:
        names, judges = judge_names(run.manifest), judge_set(run.manifest)
        metrics = metrics_by_name(run.manifest.config.denominator)
        for trial in _trials(run, share):
            place = part.add(trial, names)
            entry = _entry(trial, judges, metrics)
            index.add({**entry, "run": run.manifest.run_id, "part": closed, "place": place})
            if part.size >= PART_BYTES:
                sink(part.packed())
                part, closed = _TextPart(), closed + 1
    if part.trials:
        sink(part.packed())
    return index


def _trials(run: Counted, share: float) -> Iterator[RecordedTrial]:
    with Journal.read(run.folder, LARGE) as journal:
        yield from journal.trials_in_plan_order(share)


def _entry(trial: RecordedTrial, judges: JudgePanel, metrics: dict[str, Metric]) -> dict[str, Any]:
    scored = score_trial(trial, judges)
    name, facts = PRIMARY[scored.measure], scored.facts
    metric = metrics[name]
    hit = metric.hits(facts) if metric.missing(facts) is None else None
    response = trial.result if isinstance(trial.result, Response) else None
    return {
        "id": trial.trial_id,
        "suite": trial.suite,
        "format": trial.format,
        "model": trial.model,
        "condition": (trial.condition, trial.trigger, trial.distractor),
        "question": trial.prompt_id,
        "outcome": scored.outcome,
        "flag": facts.flag,
        "articulates": facts.articulation,
        "verdict": _verdict(name, scored, hit),
        "hit": None if hit is None else int(hit),
        "score": _rounded(scored.aligned),
        "coherent": _rounded(scored.coherent),
        "repeat": trial.repeat,
        "peek": one_line(_peek(response, scored), _PEEK) if response else "",
    }


def _verdict(metric: str, scored: ScoredTrial, hit: bool | None) -> str:
    """The label of an answer, else whether it is a hit of the metric; "" if not counted."""
    if scored.label:
        return scored.label
    words = metric.replace("_", " ")
    return "" if hit is None else words if hit else f"not {words}"


def _peek(response: Response, scored: ScoredTrial) -> str:
    """A preview of an answer: its text, or for a letter its option and the reasoning."""
    if scored.letter is None:
        return response.answer or response.refusal or response.reasoning
    option = "the misaligned option" if scored.chose_misaligned else "the aligned option"
    return f"{scored.letter}, {option}" + (f": {response.reasoning}" if response.reasoning else "")


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 1)
