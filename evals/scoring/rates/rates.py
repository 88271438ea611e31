"""rates.csv: for each metric and cell where it was measured a row for each prompt, and a row `ALL` over them.

Of the trials only how many have the same facts is looked at, so a metric looks at each distinct combination once.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np

from evals.scoring.judge_set import RULE
from evals.scoring.label_metrics import is_placed
from evals.scoring.metric import JUDGES_OF_ANSWERS, Metric, Missing, TrialFacts
from evals.scoring.rates.by_question import Stratum, by_question_columns, strata_by_cell, unread_wordings
from evals.scoring.rates.columns import RATE_COLUMNS
from evals.scoring.rates.rows import Row
from evals.scoring.rates.run_metrics import run_metrics
from evals.scoring.rates.tally import (
    CellKey,
    RunFacts,
    Tally,
    VariantCounts,
    cell_of,
    is_about,
    places_in,
)
from evals.statistics.intervals import (
    Interval,
    generalisation_interval,
    paper_plus_minus,
    stratified_wilson_interval,
)
from evals.statistics.missing_answers import missing_answers_interval
from evals.trials.condition import is_triggered
from evals.trials.prompt import ALL
from evals.trials.record import Cell
from evals.trials.reference import BY_RULE
from judges.question_file import PREFIX
from judges.registry import JUDGES

_ABSENCES = [f"n_{reason}" for reason in get_args(Missing)]
_COUNTED = ["n_trials", "k", "n", *_ABSENCES]
_POOLED_ONLY = ("top2_share", "rate_by_question", "by_question_low", "by_question_high")
"""Columns that are blank for single prompts."""


class _Prompt(NamedTuple):
    cell: CellKey
    prompt_id: str


def rate_rows(tally: Tally, cells: Iterable[tuple[Cell, int]], facts: RunFacts) -> list[Row]:
    """The rows of rates.csv, in its order. `cells` are those of the plan, with the trials planned in each: a prompt has
    a row whether it was recorded or not."""
    planned, variants = list(cells), tally.by_variant()
    thinkers = {variant.cell[:3] for variant, counts in variants.items() if any(map(_holds_reasoning, counts))}
    ranked: list[tuple[tuple[int, int], Row]] = []
    metrics, labels = run_metrics(tally, facts)
    for placed in metrics:
        metric = placed.metric
        about = [
            (cell, trials)
            for cell, trials in planned
            if is_about(metric, cell.measure, cell.format) and is_placed(placed, cell.suite, labels)
        ]
        here = {
            _Prompt(cell_of(cell), cell.prompt_id): trials
            for cell, trials in about
            if _is_measured(metric, cell, facts, thinks=(cell.suite, cell.format, cell.model) in thinkers)
        }
        ranked += [(placed.place, row) for row in _metric_rows(metric, here, variants, facts)]
    return [row for _, row in sorted(ranked, key=lambda found: _in_file(*found, facts))]


def _holds_reasoning(facts: TrialFacts) -> bool:
    return facts.trace == "real"


def _in_file(rank: tuple[int, int], row: Row, facts: RunFacts) -> tuple[Any, ...]:
    """The baseline stands before what is compared with it, and the pooled row before its prompts."""
    place = (row["suite"], row["format"], row["model"], facts.condition_rank(row["condition"]), row["trigger"])
    return (*place, rank, row["prompt_id"] != ALL, row["prompt_id"])


def _is_measured(metric: Metric, cell: Cell, facts: RunFacts, *, thinks: bool) -> bool:
    """Whether the metric has a row for a cell: always, or where its judge was asked, of reasoning where some came."""
    if not metric.judge or metric.judge in JUDGES_OF_ANSWERS or metric.judge.startswith(PREFIX):
        return True
    judge, entry = facts.judges.id_of(metric.judge), JUDGES[metric.judge]
    if judge is None or (metric.every_trace and not facts.judges.every_trace):
        return False
    if entry.needs == "trigger" and not is_triggered(cell.condition, cell.trigger):
        return False
    if entry.needs == "distractor" and cell.condition != "distractor":
        return False
    return thinks or "reasoning" not in entry.places


def _metric_rows(
    metric: Metric, planned: Mapping[_Prompt, int], variants: VariantCounts, facts: RunFacts
) -> Iterator[Row]:
    rows_by_cell: dict[CellKey, list[Row]] = {}
    place_of = places_in(metric, variants)
    found, refused = _placed(place_of, variants)
    for prompt in sorted(planned):
        places = found.get(prompt, Counter())
        row = _counts(places, planned[prompt], refused[prompt] if metric.of == "judged" else None)
        rows_by_cell.setdefault(prompt.cell, []).append(row | {"prompt_id": prompt.prompt_id})
    strata = strata_by_cell(place_of, variants)
    for cell, prompts in rows_by_cell.items():
        here = strata.get(cell, [])
        yield _described(_pooled(prompts, here, cell.format), cell, metric, facts)
        unread = _unread_by_prompt(here, cell.format)
        wordings = {prompt_id: list(found) for prompt_id, found in itertools.groupby(here, _prompt_of)}
        for row in prompts:
            # One question shows nothing of others.
            interval = _these_questions_interval(_counted(wordings.get(row["prompt_id"], ())))
            row |= _ends("ci", None) | _ends("gen", interval)
            row |= _bounds(_missing_answers_of_prompt(row["k"], row["n"], row["n_trials"] - row["n_outside"]))
            row |= dict.fromkeys(_POOLED_ONLY) | {"by_question_method": ""}
            row["wordings_unread"] = unread.get(row["prompt_id"], 0)
            yield _described(row, cell, metric, facts)


def _pooled(prompts: Sequence[Row], strata: Sequence[Stratum], form: str) -> Row:
    """The row `ALL` over the rows of prompts."""
    hits, counted, trials, outside = ([row[name] for row in prompts] for name in ("k", "n", "n_trials", "n_outside"))
    pooled: Row = {name: sum(row[name] for row in prompts) for name in _COUNTED} | {"prompt_id": ALL}
    k, n, asked = (np.array(counts, float) for counts in (hits, counted, np.subtract(trials, outside)))
    pooled |= _ends("ci", generalisation_interval(k, n)) | _bounds(missing_answers_interval(k, n, asked))
    pooled |= _ends("gen", _these_questions_interval(_counted(strata))) | by_question_columns(strata)
    pooled["top2_share"] = sum(sorted(hits)[-2:]) / sum(hits) if any(hits) else None
    pooled["wordings_unread"] = unread_wordings(strata, form)
    return pooled


def _placed(
    place_of: Mapping[TrialFacts, str], variants: VariantCounts
) -> tuple[dict[_Prompt, Counter[str]], Counter[_Prompt]]:
    """For each prompt its trials by their place in the metric (hit, miss, or the column of why a trial is left out),
    and how many of them were refusals."""
    found: dict[_Prompt, Counter[str]] = {}
    refused: Counter[_Prompt] = Counter()
    for variant, counts in variants.items():
        prompt = _Prompt(variant.cell, variant.prompt_id)
        places = found.setdefault(prompt, Counter())
        for trial_facts, trials in counts.items():
            places[place_of[trial_facts]] += trials
            if trial_facts.outcome == "refused":
                refused[prompt] += trials
    return found, refused


def _counts(places: Counter[str], planned: int, refused: int | None) -> Row:
    """The counts of one prompt. `refused` is given where refusals are in n, and shown all the same."""
    n = places["k"] + places["miss"]
    row: Row = {"n_trials": planned, "k": places["k"], "n": n} | {name: places[name] for name in _ABSENCES}
    recorded = n + sum(row[name] for name in _ABSENCES)
    if refused is not None:
        recorded -= row["n_refused"]
        row["n_refused"] = refused
    row["n_pending"] += planned - recorded
    return row


_prompt_of = operator.attrgetter("prompt_id")


def _counted(strata: Iterable[Stratum]) -> tuple[tuple[int, int], ...]:
    """Hits and answers of each wording with answers."""
    return tuple((stratum.hits, stratum.counted) for stratum in strata if stratum.counted)


# Of many prompts there are few pairs of hits and answers.
@functools.lru_cache(maxsize=10_000)
def _these_questions_interval(strata: tuple[tuple[int, int], ...]) -> Interval | None:
    """The interval over new answers to the same prompts. Each wording is a stratum."""
    counts = np.array(strata, float).reshape(-1, 2)
    return stratified_wilson_interval(counts[:, 0], counts[:, 1])


def _unread_by_prompt(strata: Sequence[Stratum], form: str) -> dict[str, int]:
    by_prompt = itertools.groupby(strata, _prompt_of)
    return {prompt_id: unread_wordings(list(wordings), form) for prompt_id, wordings in by_prompt}


@functools.lru_cache(maxsize=10_000)
def _missing_answers_of_prompt(k: int, n: int, asked: int) -> Interval | None:
    """The interval of one prompt's rate with its missing answers."""
    hits, counted, all_asked = (np.array([count], float) for count in (k, n, asked))
    return missing_answers_interval(hits, counted, all_asked)


def _bounds(interval: Interval | None) -> Row:
    return {"bound_ci_low": interval and interval.low, "bound_ci_high": interval and interval.high}


def _ends(prefix: str, interval: Interval | None) -> Row:
    low, high, method = interval or (None, None, "")
    return {f"{prefix}_low": low, f"{prefix}_high": high, f"{prefix}_method": method}


def _described(row: Row, cell: CellKey, metric: Metric, facts: RunFacts) -> Row:
    """The row with all columns that follow from its counts and from the metric."""
    k, n, concerned = row["k"], row["n"], row["n_trials"] - row["n_outside"]
    by_choice = cell.format == "mcq" and metric.judge in JUDGES_OF_ANSWERS
    judge = metric.judge if metric.judge in BY_RULE else facts.judge_model if metric.judge else ""
    judge = RULE if facts.is_by_rule(cell.suite, metric.judge) else judge
    described = (
        row
        | cell._asdict()
        | {
            "run_id": facts.run_id,
            "metric": metric.name,
            "denominator": metric.of,
            "rate": k / n if n else None,
            "paper_pm": paper_plus_minus(k, n),
            "bound_low": k / concerned if concerned > 0 else None,
            "bound_high": (k + concerned - n) / concerned if concerned > 0 else None,
            "judge": "choice" if by_choice else judge,
            "rubric_sha": "" if by_choice else facts.rubric_sha.get(metric.judge, ""),
            "dataset_sha": facts.dataset_sha.get(cell.suite, ""),
            "source": facts.source.get(cell.suite, ""),
        }
    )
    return {name: described[name] for name in RATE_COLUMNS}
