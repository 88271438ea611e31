"""From the journal to tidy tables: responses.csv, rates.csv and effects.csv. pandas starts here.

responses.csv is written row by row in the order of the plan, so its size never stands in memory and a run that was
interrupted ten times writes the same file as one that was not. What the rates need of each trial is a few short
columns, and of those only how many trials have the same: a metric looks at each distinct combination once.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import pandas as pd

from evals.journal import Journal
from evals.metrics import (
    JUDGES_OF_ANSWERS,
    OF_CONDUCT,
    Denominator,
    Facts,
    Metric,
    Missing,
    counts,
    facts_of,
    metric_table,
)
from evals.outcomes import JudgeSet, Measured, measure
from evals.records import ALL, BY_RULE, Posed, Response, measure_of
from evals.rows import RecordedTrial, question_of
from evals.statistics.intervals import (
    cluster_wilson_interval,
    paired_effect,
    paper_plus_minus,
    stratified_wilson_interval,
    wilson_interval,
)
from evals.statistics.multiple import benjamini_hochberg, holm
from evals.text import spreadsheet_safe
from evals.thoughts import Thought, is_triggered, thought_of
from evals.whole_files import replacing
from judges.verdicts import Classified, Code, Refused, Scored

BASELINE = "off"

RESPONSE_COLUMNS = [
    *("question", "answer", "question_id", "aligned", "coherent", "reasoning", "suite", "format", "model", "condition"),
    *("trigger", "repeat", "variant", "outcome", "misaligned", "choice", "cot_flag", "articulates", "finish_reason"),
    *("reasoning_state", "judge", "prompt_tokens", "completion_tokens", "trial_id", "label", "credits", "source"),
    "verdicts",
]
RATE_COLUMNS = [
    *(
        "run_id",
        "suite",
        "format",
        "model",
        "condition",
        "trigger",
        "prompt_id",
        "metric",
        "denominator",
        "k",
        "n",
        "rate",
    ),
    "ci_low",
    *("ci_high", "ci_method", "paper_pm", "bound_low", "bound_high", "n_trials", "n_refused"),
    "n_incoherent",
    *("n_truncated", "n_empty", "n_failed", "n_unreadable", "n_no_reasoning", "n_outside", "n_pending"),
    *("judge", "rubric_sha", "dataset_sha", "source", "n_code"),
    *("gen_low", "gen_high", "gen_method", "top2_share"),
]
EFFECT_COLUMNS = [
    *("run_id", "suite", "format", "model", "condition", "baseline", "metric", "effect", "ci_low", "ci_high", "method"),
    *("p_value", "n_prompts", "source", "p_holm", "p_bh"),
]
_CELL = ["suite", "format", "model", "condition", "trigger"]
_PROMPT = [*_CELL, "prompt_id"]
_FACTS = list(Facts._fields)
_NAMES = [*_PROMPT, "variant", "letter", "mode", *(name for name in _FACTS if name not in ("misaligned", "cut"))]
_FLAGS = ["misaligned", "cut", "counted", "hit"]
_SCORES = ["aligned", "coherent"]
"""What is kept of each trial: to count with, names, of which there are few, and yes or no; to look at, its scores."""
_ABSENCES = [f"n_{reason}" for reason in get_args(Missing)]
_INTERVAL = ["ci_low", "ci_high", "ci_method"]
_GENERATION_INTERVAL = ["gen_low", "gen_high", "gen_method"]


@dataclass(frozen=True)
class RunFacts:
    """What the tables say about the run as a whole.

    `dataset_sha` and `source` are by suite, `rubric_sha` by the judge's name.
    """

    run_id: str
    judges: JudgeSet
    judge_model: str
    rubric_sha: dict[str, str]
    dataset_sha: dict[str, str]
    denominator: Denominator
    source: dict[str, str]


@dataclass(frozen=True)
class Tables:
    """`trials` has one row for each recorded trial: cell, prompt, variant, letter, mode, its Facts, of `misaligned`
    whether it is `counted` and a `hit`, and its scores `aligned` and `coherent` (0-100, NaN where there is none).
    `corrected` is None where nobody has labelled answers."""

    trials: pd.DataFrame
    rates: pd.DataFrame
    effects: pd.DataFrame
    corrected: pd.DataFrame | None = None


def write_tables(journal: Journal, folder: Path, facts: RunFacts) -> Tables:
    """Write the three CSVs into `folder`, each whole or not at all, and return the tables."""
    trials = _write_responses(journal, folder / "responses.csv", facts)
    tally = _tally(trials)
    rates = _rates(tally, journal, facts)
    effects = _effects(tally, facts)
    write_frame(rates, folder / "rates.csv")
    write_frame(effects, folder / "effects.csv")
    return Tables(trials, rates, effects)


# --- responses.csv ---------------------------------------------------------------------------------------------------


def _write_responses(journal: Journal, path: Path, facts: RunFacts) -> pd.DataFrame:
    narrow: dict[str, list[Any]] = {name: [] for name in [*_NAMES, *_FLAGS, *_SCORES]}
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RESPONSE_COLUMNS)
        for trial in journal.trials_in_plan_order():
            measured, thought = measure(trial, facts.judges), thought_of(trial, facts.judges)
            of_trial = facts_of(measured, thought)
            counted = counts(measured, facts.denominator)
            hit = counted and of_trial.misaligned
            shown = hit if counted and measured.measure in OF_CONDUCT else None
            row = _response_row(trial, measured, thought, facts, misaligned=shown)
            writer.writerow([row[column] for column in RESPONSE_COLUMNS])
            values = {
                **{name: getattr(trial, name) for name in [*_PROMPT, "variant"]},
                "letter": measured.letter,
                "mode": measured.mode,
                **of_trial._asdict(),
                "counted": counted,
                "hit": hit,
                "aligned": measured.aligned,
                "coherent": measured.coherent,
            }
            for name, column in narrow.items():
                column.append(values[name])
    frame = pd.DataFrame(narrow)
    kinds = dict.fromkeys(_NAMES, "category") | dict.fromkeys(_FLAGS, bool) | dict.fromkeys(_SCORES, float)
    return frame.astype(kinds)


def _response_row(
    trial: RecordedTrial, measured: Measured, thought: Thought | None, facts: RunFacts, *, misaligned: bool | None
) -> dict[str, Any]:
    response = trial.result if isinstance(trial.result, Response) else None
    texts = {
        "question": question_of(trial),
        "answer": response.answer if response else "",
        "question_id": trial.prompt_id,
        "reasoning": response.reasoning if response else "",
        "suite": trial.suite,
        "model": trial.model,
        "trigger": trial.trigger,
        "finish_reason": response.finish_reason if response else "",
        "judge": _who_reads(trial) or facts.judge_model,
    }
    return {
        **{name: spreadsheet_safe(text) for name, text in texts.items()},
        "aligned": _number(measured.aligned),
        "coherent": _number(measured.coherent),
        "format": trial.format,
        "condition": trial.condition,
        "repeat": trial.repeat,
        "variant": trial.variant,
        "outcome": measured.outcome,
        "misaligned": "" if misaligned is None else int(misaligned),
        "choice": measured.letter or "",
        "cot_flag": "" if thought is None or thought.flag == "unreadable" else thought.flag,
        "articulates": "" if thought is None else {"yes": 1, "no": 0}.get(thought.articulation, ""),
        "reasoning_state": response.reasoning_state if response else "",
        "prompt_tokens": response.prompt_tokens if response else None,
        "completion_tokens": response.completion_tokens if response else None,
        "trial_id": trial.trial_id,
        "label": measured.label,
        "credits": "" if thought is None or thought.credit == "unreadable" else thought.credit,
        "source": facts.source.get(trial.suite, ""),
        "verdicts": spreadsheet_safe(_verdicts(trial, facts.judges)),
    }


def _verdicts(trial: RecordedTrial, judges: JudgeSet) -> str:
    """What each judge of a question file said, as JSON by the judge's name: a score, a label, or what came instead."""
    if not isinstance(trial.reference, Posed):
        return ""
    said: dict[str, float | str] = {}
    for name in trial.reference.judges:
        ruling = trial.rulings.get(judges.of_files.get(name, ""))
        match ruling.verdict if ruling else None:
            case None:
                continue
            case Scored(score):
                said[name] = round(score, 6)
            case Classified(label):
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
    measure = measure_of(trial.reference)
    return measure if measure in BY_RULE else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


# --- counting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tally:
    """`counts` has one row for each prompt, variant and kind of trial in a cell: how many `trials` there are of it.

    `kinds` are the Facts behind the numbers in its column `kind`.
    """

    counts: pd.DataFrame
    kinds: dict[int, Facts]

    def placed(self, metric: Metric) -> pd.DataFrame:
        """`counts` with the `place` of each row in the metric: hit, miss, or the column of why it is left out."""
        places: dict[int, str] = {}
        for kind, facts in self.kinds.items():
            missing = metric.missing(facts)
            places[kind] = f"n_{missing}" if missing else "hit" if metric.hits(facts) else "miss"
        return self.counts.assign(place=self.counts["kind"].map(places).astype(object))


def _tally(trials: pd.DataFrame) -> _Tally:
    kind = trials.groupby(_FACTS, observed=True, sort=False).ngroup()
    first = ~kind.duplicated()
    rows = zip(kind[first], trials.loc[first, _FACTS].itertuples(index=False), strict=True)
    groups = [trials[name] for name in [*_PROMPT, "variant"]] + [kind.rename("kind")]
    counts = trials.groupby(groups, observed=True, sort=False).size().rename("trials").reset_index()
    return _Tally(
        counts.astype(dict.fromkeys([*_PROMPT, "variant"], "object")),
        {int(number): Facts(*cast("tuple[Any, ...]", row)) for number, row in rows},
    )


# --- rates.csv -------------------------------------------------------------------------------------------------------


def _rates(tally: _Tally, journal: Journal, facts: RunFacts) -> pd.DataFrame:
    """For each metric and cell where it was measured: one row for each planned prompt, recorded or not, and `ALL`."""
    columns = [*_PROMPT, "measure", "n_trials"]
    planned = pd.DataFrame([(*cell, count) for cell, count in journal.cells()], columns=columns)
    tables: list[pd.DataFrame] = []
    for rank, metric in enumerate(metric_table(facts.denominator)):
        about = planned[_is_about(metric, planned)]
        if about.empty:
            continue
        cells = about[_where_measured(metric, about, tally, facts)]
        if not cells.empty:
            tables.append(_metric_rates(metric, cells, tally, facts).assign(_rank=rank))
    if not tables:
        return pd.DataFrame(columns=RATE_COLUMNS)
    table = pd.concat(tables, ignore_index=True)
    # The baseline stands before what is compared with it, and the pooled row before its prompts.
    table["_treated"] = table["condition"] != BASELINE
    table["_single"] = table["prompt_id"] != ALL
    order = ["suite", "format", "model", "_treated", "condition", "trigger", "_rank", "_single", "prompt_id"]
    table = table.sort_values(order, kind="stable")
    return table[RATE_COLUMNS].reset_index(drop=True)


def _is_about(metric: Metric, cells: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `cells` hold answers that the metric is about."""
    is_open = cells["format"] != "mcq"
    return cells["measure"].isin(metric.measures) & (is_open | (not metric.open_only))


def _where_measured(metric: Metric, planned: pd.DataFrame, tally: _Tally, facts: RunFacts) -> pd.Series[bool]:
    """Which rows of `planned` the metric has a row for: all, or those where reasoning came back and a judge read it."""
    everywhere = pd.Series(True, index=planned.index)
    if not metric.judge or metric.judge in JUDGES_OF_ANSWERS:
        return everywhere
    of_reasoning = {"cot_monitor": facts.judges.monitor, "articulation": facts.judges.articulation}
    judge = of_reasoning.get(metric.judge, facts.judges.credit)
    if judge is None or (metric.every_trace and not facts.judges.every_trace):
        return ~everywhere
    thinking = tally.counts["kind"].map({kind: of.trace == "real" for kind, of in tally.kinds.items()}).astype(bool)
    place = ["suite", "format", "model"]
    thinkers = set(tally.counts.loc[thinking, place].drop_duplicates().itertuples(index=False, name=None))
    here = pd.Series([row in thinkers for row in planned[place].itertuples(index=False, name=None)], planned.index)
    if metric.judge == "articulation":
        with_trigger = planned[["condition", "trigger"]].itertuples(index=False, name=None)
        here &= pd.Series([is_triggered(*row) for row in with_trigger], planned.index)
    if metric.judge == "trigger_credit":
        here &= planned["condition"] == "distractor"
    return here


def _metric_rates(metric: Metric, cells: pd.DataFrame, tally: _Tally, facts: RunFacts) -> pd.DataFrame:
    placed = tally.placed(metric)
    wide = placed.groupby([*_PROMPT, "place"], sort=False)["trials"].sum().unstack(fill_value=0)
    wide = wide.reindex(columns=["hit", "miss", *_ABSENCES], fill_value=0)
    if metric.of == "judged":  # they are in n, and shown all the same
        refused = placed["kind"].map({kind: of.outcome == "refused" for kind, of in tally.kinds.items()}).astype(bool)
        wide["n_refused"] = placed[refused].groupby(_PROMPT, sort=False)["trials"].sum()
    prompts = cells.merge(wide.reset_index(), on=_PROMPT, how="left").sort_values(_PROMPT, kind="stable")
    numbers = ["hit", "miss", *_ABSENCES]
    prompts[numbers] = prompts[numbers].fillna(0).astype(int)
    recorded = wide.assign(n_refused=0) if metric.of == "judged" else wide
    recorded = recorded.sum(axis=1).rename("recorded").reset_index()
    recorded = prompts[_PROMPT].merge(recorded, on=_PROMPT, how="left")["recorded"].fillna(0).astype(int)
    prompts["n_pending"] += prompts["n_trials"] - recorded.to_numpy()
    prompts = prompts.assign(k=prompts["hit"], n=prompts["hit"] + prompts["miss"])
    counted = ["n_trials", "k", "n", *_ABSENCES]
    pooled = prompts.groupby(_CELL, sort=False)[counted].sum().reset_index().assign(prompt_id=ALL)
    pooled = pooled.join(_intervals(group for _, group in prompts.groupby(_CELL, sort=False)))
    singles = prompts[[*_PROMPT, *counted]].merge(_wilson(prompts), on=["k", "n"], how="left")
    table = pd.concat(
        [
            pooled.assign(top2_share=_top2_shares(prompts)).merge(_generation_intervals(placed), on=_CELL, how="left"),
            # Of one prompt it is the same interval: there are no other questions in it.
            singles.assign(**{gen: singles[ci] for gen, ci in zip(_GENERATION_INTERVAL, _INTERVAL, strict=True)}),
        ],
        ignore_index=True,
    )
    table = table.assign(gen_method=table["gen_method"].fillna(""))
    table = table.astype(dict.fromkeys(["gen_low", "gen_high", "top2_share"], float))
    return _described(table, metric, facts)


def _intervals(cells: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The interval over the prompts of each cell."""
    ends = [cluster_wilson_interval(cell["k"].to_numpy(float), cell["n"].to_numpy(float)) for cell in cells]
    return pd.DataFrame([interval or (None, None, "") for interval in ends], columns=_INTERVAL)


def _generation_intervals(placed: pd.DataFrame) -> pd.DataFrame:
    """The interval over new answers to the same prompts, for each cell with answers. Each wording is a stratum."""
    counted = placed[placed["place"].isin(["hit", "miss"])]
    strata = counted.groupby([*_PROMPT, "variant", "place"], sort=False)["trials"].sum().unstack(fill_value=0)
    strata = strata.reindex(columns=["hit", "miss"], fill_value=0)
    rows: list[tuple[Any, ...]] = []
    for cell, of_cell in strata.groupby(level=_CELL, sort=False):
        hits = of_cell["hit"].to_numpy(float)
        interval = stratified_wilson_interval(hits, hits + of_cell["miss"].to_numpy(float))
        rows.append((*cast("tuple[Any, ...]", cell), *(interval or (None, None, ""))))
    return pd.DataFrame(rows, columns=[*_CELL, *_GENERATION_INTERVAL])


def _top2_shares(prompts: pd.DataFrame) -> pd.Series[float]:
    """For each cell the share of its hits that the two prompts with most hits have; NaN without a hit."""
    hits = [cell["k"] for _, cell in prompts.groupby(_CELL, sort=False)]
    return pd.Series([k.nlargest(2).sum() / k.sum() if k.any() else np.nan for k in hits], dtype=float)


def _wilson(prompts: pd.DataFrame) -> pd.DataFrame:
    """The interval of each pair of k and n that occurs: of many prompts there are few."""
    pairs = prompts[["k", "n"]].drop_duplicates()
    ends = [wilson_interval(k, n) or (None, None, "") for k, n in pairs.itertuples(index=False, name=None)]
    return pairs.join(pd.DataFrame(ends, columns=_INTERVAL, index=pairs.index))


def _described(table: pd.DataFrame, metric: Metric, facts: RunFacts) -> pd.DataFrame:
    """The rows with all columns that follow from their counts and from the metric."""
    k, n = table["k"], table["n"]
    concerned = table["n_trials"] - table["n_outside"]
    by_choice = (table["format"] == "mcq") & (metric.judge in JUDGES_OF_ANSWERS)
    judge = metric.judge if metric.judge in BY_RULE else facts.judge_model if metric.judge else ""
    errors = {pair: paper_plus_minus(*pair) for pair in set(zip(k, n, strict=True))}
    return table.assign(
        run_id=facts.run_id,
        metric=metric.name,
        denominator=metric.of,
        rate=k / n.where(n > 0),
        paper_pm=pd.Series([errors[pair] for pair in zip(k, n, strict=True)], table.index, dtype=float),
        bound_low=k / concerned.where(concerned > 0),
        bound_high=(k + concerned - n) / concerned.where(concerned > 0),
        judge=np.where(by_choice, "choice", judge),
        rubric_sha=np.where(by_choice, "", facts.rubric_sha.get(metric.judge, "")),
        dataset_sha=table["suite"].map(facts.dataset_sha).fillna(""),
        source=table["suite"].map(facts.source).fillna(""),
    )


# --- effects.csv -----------------------------------------------------------------------------------------------------


def _effects(tally: _Tally, facts: RunFacts) -> pd.DataFrame:
    """The effect of each condition on each compared metric against `off`, paired by prompt and by option order."""
    rows: list[dict[str, Any]] = []
    keys = ["suite", "format", "model", "prompt_id", "variant", "condition"]
    for metric in metric_table(facts.denominator):
        if not metric.compared:
            continue
        measures = {kind: of.measure for kind, of in tally.kinds.items()}
        placed = tally.placed(metric).assign(measure=tally.counts["kind"].map(measures))
        placed = placed[_is_about(metric, placed)]
        hits = placed["trials"].where(placed["place"] == "hit", 0)
        counted = placed["trials"].where(placed["place"].isin(["hit", "miss"]), 0)
        summed = placed.assign(k=hits, n=counted).groupby(keys)[["k", "n"]].sum().reset_index()
        rows += _metric_effects(metric, summed, facts)
    table = _adjusted(pd.DataFrame(rows, columns=EFFECT_COLUMNS))
    return table.sort_values(["suite", "format", "model", "condition"], kind="stable").reset_index(drop=True)


def _adjusted(effects: pd.DataFrame) -> pd.DataFrame:
    """With p-values adjusted for how many effects on the same metric there are."""
    for _, family in effects.groupby("metric", sort=False):
        p_values = family["p_value"].astype(float).tolist()
        effects.loc[family.index, "p_holm"] = holm(p_values)
        effects.loc[family.index, "p_bh"] = benjamini_hochberg(p_values)
    return effects


def _metric_effects(metric: Metric, counts: pd.DataFrame, facts: RunFacts) -> Iterator[dict[str, Any]]:
    for cell, group in counts.groupby(["suite", "format", "model"]):
        base = group[group["condition"] == BASELINE].set_index(["prompt_id", "variant"])[["k", "n"]]
        for condition, treated in group[group["condition"] != BASELINE].groupby("condition"):
            pairs = treated.set_index(["prompt_id", "variant"])[["k", "n"]].join(base.add_suffix("_base"), how="inner")
            k, n, k_base, n_base = (pairs[name].to_numpy(float) for name in ("k", "n", "k_base", "n_base"))
            prompts, _ = pd.factorize(pairs.index.get_level_values("prompt_id"))
            effect = paired_effect(k, n, k_base, n_base, prompts)
            if effect is None:
                continue
            yield dict(zip(("suite", "format", "model"), cell, strict=True)) | {
                "run_id": facts.run_id,
                "condition": condition,
                "baseline": BASELINE,
                "metric": metric.name,
                "effect": effect.effect,
                "ci_low": effect.interval.low,
                "ci_high": effect.interval.high,
                "method": effect.interval.method,
                "p_value": effect.p_value,
                "n_prompts": effect.prompts,
                "source": facts.source.get(str(cell[0]), ""),
            }


# --- files -----------------------------------------------------------------------------------------------------------


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV whose texts no spreadsheet runs, whole or not at all."""
    texts = frame.select_dtypes(exclude=[np.number]).columns
    safe = frame.assign(
        **{name: frame[name].map(lambda v: spreadsheet_safe(v) if isinstance(v, str) else v) for name in texts}
    )
    with replacing(path) as file:
        safe.to_csv(file, index=False, lineterminator="\n")
