"""The tables of several runs as one tidy frame, with labels for models and triggers.

A `series` is one model of one run, even if two runs have models of the same name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise, takewhile
from typing import TypeVar

import pandas as pd

from evals.reporting.console.layout.names import shortened
from evals.runner.count import Counted
from evals.scoring.label_metrics import is_label_metric
from evals.scoring.metric import PRIMARY
from evals.scoring.rates.rows import label_suites
from evals.scoring.rates.tables import pooled
from evals.text import one_line
from evals.trials.condition import run_order
from evals.trials.prompt import ALL

CELL = ["suite", "format", "model", "condition", "trigger"]
METRIC_WORDS = {
    "misaligned": "misaligned answers",
    "wrong": "wrong answers",
    "lies": "answers that lie",
    "accuracy": "right answers",
    "names_trigger": "answers that name the trigger",
    "says_misaligned": "answers that say the model is misaligned",
    "misaligned_em": "misaligned answers",
    "hit": "answers that are hits",
    "judged_true": "answers judged true",
    "own_score_above_50": "answers above 50",
}
"""The metrics in figures of rates: the primary ones, except the mere presence of an answer."""
FORMAT_WORDS = {"mcq": "multiple choice", "freeform": "freeform", "transcript": "transcript"}
_Value = TypeVar("_Value", bound=Hashable)
LONGEST = 40
_WORD = re.compile(r"[^-_/:, ]*[-_/:, ]|[^-_/:, ]+")
_NO_SLUG = re.compile(r"[^a-z0-9]+")


def short(text: str, limit: int = LONGEST) -> str:
    """`text` on one line, shortened in the middle to `limit`, as names differ at their ends."""
    flat = one_line(text, 100_000)
    if len(flat) <= limit:
        return flat or "(no name)"
    tail = limit // 2
    return f"{flat[: limit - tail - 1]}…{flat[-tail:]}"


def unique(texts: Sequence[str], limit: int = LONGEST) -> list[str]:
    """A distinct short label for each of the distinct `texts`; equal ones are numbered."""
    labels: dict[str, None] = {}
    for text in texts:
        label, number = short(text, limit), 1
        while label in labels:
            number += 1
            label = f"{short(text, limit)} ({number})"
        labels[label] = None
    return list(labels)


def short_names(names: Sequence[str], limit: int = 28, longest: int = 0) -> dict[str, str]:
    """A distinct label for each of the distinct `names`, of about `limit` characters, or up to `longest`. Where one is
    longer, all leave out how they begin and end alike: of `vllm/m-medical-s1` and `vllm/m-legal-s1`, `…medical…` and
    `…legal…`; what is still longer leaves out the words inside that tell no two names apart."""
    flat = [short(name, 300) for name in names]
    longest = max(limit, longest)
    if len(flat) > 1 and max(map(len, flat)) > limit:
        flat = _told_apart(_differing(flat), longest)
    cuts = shortened(flat, longest)
    return dict(zip(names, unique([cuts[text] for text in flat], longest + 8), strict=True))


def _differing(names: Sequence[str]) -> list[str]:
    """`names` without the words that all begin and end with; no mark stands for a server that all share."""
    words = [_WORD.findall(name) for name in names]
    shortest = min(map(len, words)) - 1
    head = sum(1 for _ in takewhile(_are_equal, list(zip(*words, strict=False))[:shortest]))
    ends = [found[head:][::-1] for found in words]
    tail = sum(1 for _ in takewhile(_are_equal, list(zip(*ends, strict=False))[: shortest - head]))
    mark = "" if words[0][:head] == [f"{words[0][0].removesuffix('/')}/"] else "…"
    return [
        f"{mark if head else ''}{''.join(found[head : len(found) - tail]).rstrip('-_/:, ' if tail else '')}"
        f"{'…' if tail else ''}"
        for found in words
    ]


def _told_apart(names: Sequence[str], limit: int) -> list[str]:
    """Each of `names` that is longer than `limit`, with … for runs of words inside that tell it from no other, the last
    ones first and as few as it takes: `m-legal-checkpoint-step-1` and `m-legal-checkpoint-step-2` are `m-legal-…1` and
    `m-legal-…2`."""
    words = [tuple(_WORD.findall(name)) for name in names]
    following: dict[tuple[str, ...], set[str]] = {}
    for found in words:
        for place in range(len(found)):
            following.setdefault(found[:place], set()).add(found[place])
    labels: list[str] = []
    for name, found in zip(names, words, strict=True):
        telling = [place for place in range(len(found)) if len(following[found[:place]]) > 1]
        label = list(found)
        for start, end in reversed(list(pairwise(telling))):
            if end - start > 2 and len("".join(label)) > limit:  # … for one word would save little
                label[start + 1 : end] = ["…"]
        labels.append("".join(label) if len(name) > limit else name)
    return labels


def _are_equal(words: Sequence[str]) -> bool:
    return len(set(words)) == 1


def distinct(values: Iterable[_Value]) -> list[_Value]:
    return list(dict.fromkeys(values))


def rates_of(runs: Sequence[Counted]) -> pd.DataFrame:
    """rates.csv of all runs, each row with its `run` (from 0) and `series`."""
    frames = [run.tables.rates.assign(run=number) for number, run in enumerate(runs)]
    return with_series(pd.concat(frames, ignore_index=True), runs)


def primary_rates(runs: Sequence[Counted]) -> pd.DataFrame:
    """The rows of primary metrics, without suites whose answers are sorted into categories."""
    rates = rates_of(runs)
    shown = rates["metric"].isin(list(METRIC_WORDS)) & rates["metric"].isin(list(PRIMARY.values()))
    return rates[shown & ~rates["suite"].isin(_category_suites(rates))]


def label_rates(runs: Sequence[Counted]) -> pd.DataFrame:
    """The rows over all prompts of every label, of suites whose answers are sorted into categories."""
    rates = pooled(rates_of(runs))
    return rates[rates["metric"].map(is_label_metric).astype(bool) & rates["suite"].isin(_category_suites(rates))]


def _category_suites(table: pd.DataFrame) -> frozenset[str]:
    return label_suites(zip(table["suite"], table["metric"], strict=True))


def effects_of(runs: Sequence[Counted]) -> pd.DataFrame:
    """effects.csv of all runs for the metrics of `primary_rates`, each row with its `run` and `series`."""
    frames = [run.tables.effects.assign(run=number) for number, run in enumerate(runs)]
    effects = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    shown = effects["metric"].isin(list(METRIC_WORDS)) & ~effects["suite"].isin(_category_suites(rates_of(runs)))
    return with_series(effects[shown], runs)


def trials_of(runs: Sequence[Counted], columns: Sequence[str]) -> pd.DataFrame:
    """The given columns of the trials of all runs, each row with its `run`, `run_id` and `series`."""
    frames = [
        run.tables.trials[[*CELL, *columns]]
        .astype(dict.fromkeys(CELL, "object"))
        .assign(run=number, run_id=run_id(run))
        for number, run in enumerate(runs)
    ]
    return with_series(pd.concat(frames, ignore_index=True), runs)


def with_series(frame: pd.DataFrame, runs: Sequence[Counted]) -> pd.DataFrame:
    labels = _series_labels(runs)
    keys = zip(frame["run"], frame["model"], strict=True)
    return frame.assign(series=pd.Series([labels[key] for key in keys], frame.index, dtype=object))


def run_id(run: Counted) -> str:
    return run.manifest.run_id


def _series_labels(runs: Sequence[Counted]) -> dict[tuple[int, str], str]:
    """A label for each model of each run: its name, with the run if several runs have that name."""
    keys = [(number, model) for number, run in enumerate(runs) for model in models_of(run)]
    times = Counter(model for _, model in keys)
    names = short_names(list(times), LONGEST)
    texts = [
        names[model] if times[model] == 1 else f"{short(names[model], 26)} ({short(run_id(runs[number]), 22)})"
        for number, model in keys
    ]
    return dict(zip(keys, unique(texts, 60), strict=True))


def models_of(run: Counted) -> list[str]:
    """The models of a run in order; those of imported answers are only in the tables."""
    rates = run.tables.rates["model"]
    trials = run.tables.trials["model"]
    return distinct([*run.manifest.config.models, *rates, *trials.astype("object").unique()])


def series_in(frame: pd.DataFrame, runs: Sequence[Counted]) -> list[str]:
    """The series in `frame`, in the order of runs and models."""
    present = set(frame["series"])
    return [label for label in _series_labels(runs).values() if label in present]


def row_names(runs: Sequence[Counted], limit: int = 28) -> dict[str, str]:
    """A short label for each series of the runs, the same in all figures: what a row is called."""
    return short_names(list(_series_labels(runs).values()), limit)


def condition_labels(frame: pd.DataFrame) -> dict[str, str]:
    """A label for each condition in `frame`, in order, with its trigger if it has just one."""
    labels: dict[str, str] = {}
    for condition in in_order(frame["condition"]):
        triggers = [text for text in frame.loc[frame["condition"] == condition, "trigger"].unique() if text]
        named = len(triggers) == 1 and condition != "off"
        labels[condition] = f"{condition}: {short(triggers[0], 28)}" if named else condition
    return dict(zip(labels, unique(list(labels.values()), 60), strict=True))


def in_order(conditions: pd.Series[str]) -> list[str]:
    """The conditions of a column: those that every run knows, then others as they come, which is the run's order."""
    return run_order(conditions)


def by_condition(rates: pd.DataFrame) -> pd.DataFrame:
    """k and n of each question under each condition, summed over triggers."""
    single = rates[(rates["prompt_id"] != ALL) & (rates["n"] > 0)]
    keys = ["run", "run_id", "series", "suite", "format", "model", "metric", "prompt_id", "condition"]
    summed = single.groupby(keys, sort=False)[["k", "n"]].sum().reset_index()
    return summed.assign(rate=summed["k"] / summed["n"])


def place_words(suite: str, fmt: str) -> str:
    if suite == fmt:
        return short(suite, 60)
    return f"{short(suite, 60)}, {FORMAT_WORDS.get(fmt, short(fmt))}"


def slug(*parts: str) -> str:
    """`parts` as letters a-z, digits and hyphens, for a file name or an element id."""
    plain = unicodedata.normalize("NFKD", "-".join(parts)).encode("ascii", "ignore").decode().lower()
    return _NO_SLUG.sub("-", plain).strip("-")[:60].strip("-")
