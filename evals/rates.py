"""From the journal to tidy tables: responses.csv, rates.csv and effects.csv. pandas starts here.

responses.csv is written row by row in the order of the plan, so its size never stands in memory and a run that was
interrupted ten times writes the same file as one that was not. What the rates need of each trial is a few short
columns.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from evals.errors import JournalFull
from evals.intervals import cluster_wilson_interval, paired_effect, paper_plus_minus, wilson_interval
from evals.journal import Journal
from evals.metrics import MISALIGNED, Denominator, counts, is_misaligned
from evals.outcomes import JudgeSet, Measured, measure
from evals.records import ALL, Response
from evals.rows import RecordedTrial, question_of
from evals.text import spreadsheet_safe

BASELINE = "off"

RESPONSE_COLUMNS = [
    *("question", "answer", "question_id", "aligned", "coherent", "reasoning", "suite", "format", "model", "condition"),
    *("trigger", "repeat", "variant", "outcome", "misaligned", "choice", "cot_flag", "articulates", "finish_reason"),
    *("reasoning_state", "judge", "prompt_tokens", "completion_tokens", "trial_id"),
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
    *("ci_high", "ci_method", "paper_pm", "bound_low", "bound_high", "n_trials", "n_refused", "n_incoherent"),
    *("n_truncated", "n_empty", "n_failed", "n_unreadable", "n_pending", "judge", "rubric_sha", "dataset_sha"),
]
EFFECT_COLUMNS = [
    *("run_id", "suite", "format", "model", "condition", "baseline", "metric", "effect", "ci_low", "ci_high", "method"),
    *("p_value", "n_prompts"),
]
_CELL = ["suite", "format", "model", "condition", "trigger"]
_NARROW = [*_CELL, "prompt_id", "variant", "outcome", "letter", "mode", "counted", "hit"]
"""What is kept of each trial to count with: all but the last two are names, of which there are few."""
_MISSING = {
    "n_refused": ("refused",),
    "n_incoherent": ("incoherent",),
    "n_truncated": ("truncated",),
    "n_empty": ("empty",),
    "n_failed": ("failed",),
    "n_unreadable": ("judge_unreadable", "judge_refused", "judge_failed"),
}
"""Outcomes behind each count of what is outside the denominator; the rest of it is pending (not asked, or not
judged)."""


@dataclass(frozen=True)
class RunFacts:
    """What the tables say about the run as a whole. `dataset_sha` is by suite; "" where nothing of the kind was
    used."""

    run_id: str
    judges: JudgeSet
    judge_model: str
    rubric_sha: str
    dataset_sha: dict[str, str]
    denominator: Denominator


@dataclass(frozen=True)
class Tables:
    """`trials` has one row for each recorded trial (cell, prompt, variant, outcome, counted, hit, letter, mode)."""

    trials: pd.DataFrame
    rates: pd.DataFrame
    effects: pd.DataFrame


def write_tables(journal: Journal, folder: Path, facts: RunFacts) -> Tables:
    """Write the three CSVs into `folder`, each whole or not at all, and return the tables."""
    trials = _write_responses(journal, folder / "responses.csv", facts)
    rates = _rates(trials, journal, facts)
    effects = _effects(trials, facts)
    _write_frame(rates, folder / "rates.csv")
    _write_frame(effects, folder / "effects.csv")
    return Tables(trials, rates, effects)


# --- responses.csv ---------------------------------------------------------------------------------------------------


def _write_responses(journal: Journal, path: Path, facts: RunFacts) -> pd.DataFrame:
    narrow: dict[str, list[Any]] = {name: [] for name in _NARROW}
    with _replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RESPONSE_COLUMNS)
        for trial in journal.trials_in_plan_order():
            measured = measure(trial, facts.judges)
            counted = counts(measured, facts.denominator)
            hit = counted and is_misaligned(measured)
            row = _response_row(trial, measured, facts, misaligned=hit if counted else None)
            writer.writerow([row[column] for column in RESPONSE_COLUMNS])
            values = (
                *(getattr(trial, name) for name in _CELL),
                trial.prompt_id,
                trial.variant,
                measured.outcome,
                measured.letter,
                measured.mode,
                counted,
                hit,
            )
            for column, value in zip(narrow.values(), values, strict=True):
                column.append(value)
    frame = pd.DataFrame(narrow)
    return frame.astype(dict.fromkeys(_NARROW[:-2], "category") | {"counted": bool, "hit": bool})


def _response_row(trial: RecordedTrial, measured: Measured, facts: RunFacts, misaligned: bool | None) -> dict[str, Any]:
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
        "judge": "choice" if trial.format == "mcq" else facts.judge_model,
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
        "cot_flag": "",
        "articulates": "",
        "reasoning_state": response.reasoning_state if response else "",
        "prompt_tokens": response.prompt_tokens if response else None,
        "completion_tokens": response.completion_tokens if response else None,
        "trial_id": trial.trial_id,
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


# --- rates.csv -------------------------------------------------------------------------------------------------------


def _rates(trials: pd.DataFrame, journal: Journal, facts: RunFacts) -> pd.DataFrame:
    """One row for each planned prompt of a cell, recorded or not, and one `ALL` row for the cell."""
    keys = [*_CELL, "prompt_id"]
    planned = pd.DataFrame([(*cell, count) for cell, count in journal.cells()], columns=[*keys, "n_trials"])
    tallies = trials.groupby(keys, observed=True, sort=False).agg(k=("hit", "sum"), n=("counted", "sum"))
    for column, outcomes in _MISSING.items():
        tallies[column] = (
            trials["outcome"].isin(outcomes).groupby([trials[key] for key in keys], observed=True, sort=False).sum()
        )
    cells = planned.merge(tallies.reset_index().astype(dict.fromkeys(keys, "object")), on=keys, how="left")
    number_columns = ["k", "n", *_MISSING]
    cells[number_columns] = cells[number_columns].fillna(0).astype(int)
    cells = cells.sort_values(keys, kind="stable")

    rows: list[dict[str, Any]] = []
    for cell, group in cells.groupby(_CELL, sort=False):
        identity = dict(zip(_CELL, cell, strict=True))
        totals = {name: int(group[name].sum()) for name in ["n_trials", *number_columns]}
        pooled = cluster_wilson_interval(group["k"].to_numpy(float), group["n"].to_numpy(float))
        rows.append(_rate_row(identity | totals | {"prompt_id": ALL}, pooled, facts))
        for prompt in group[["prompt_id", "n_trials", *number_columns]].to_dict("records"):
            values = identity | {str(name): value for name, value in prompt.items()}
            rows.append(_rate_row(values, wilson_interval(prompt["k"], prompt["n"]), facts))
    table = pd.DataFrame(rows, columns=RATE_COLUMNS)
    # The baseline stands before what is compared with it, and the pooled row before its prompts.
    table["_treated"] = table["condition"] != BASELINE
    table["_single"] = table["prompt_id"] != ALL
    order = ["suite", "format", "model", "_treated", "condition", "trigger", "_single", "prompt_id"]
    table = table.sort_values(order, kind="stable")
    return table[RATE_COLUMNS].reset_index(drop=True)


def _rate_row(values: dict[str, Any], interval: Any, facts: RunFacts) -> dict[str, Any]:
    k, n, trials = values["k"], values["n"], values["n_trials"]
    outside = trials - n
    accounted = sum(values[column] for column in _MISSING)
    if facts.denominator == "judged":
        accounted -= values["n_refused"]  # they are in n
    low, high, method = interval or (None, None, "")
    return {
        **values,
        "run_id": facts.run_id,
        "metric": MISALIGNED,
        "denominator": facts.denominator,
        "rate": k / n if n else None,
        "ci_low": low,
        "ci_high": high,
        "ci_method": method,
        "paper_pm": paper_plus_minus(k, n),
        "bound_low": k / trials if trials else None,
        "bound_high": (k + outside) / trials if trials else None,
        "n_pending": outside - accounted,
        "judge": "choice" if values["format"] == "mcq" else facts.judge_model,
        "rubric_sha": "" if values["format"] == "mcq" else facts.rubric_sha,
        "dataset_sha": facts.dataset_sha.get(values["suite"], ""),
    }


# --- effects.csv -----------------------------------------------------------------------------------------------------


def _effects(trials: pd.DataFrame, facts: RunFacts) -> pd.DataFrame:
    """The effect of each condition against `off`, paired by prompt and, within it, by option order."""
    keys = ["suite", "format", "model", "prompt_id", "variant", "condition"]
    counts = trials.groupby(keys, observed=True).agg(k=("hit", "sum"), n=("counted", "sum")).reset_index()
    rows: list[dict[str, Any]] = []
    for cell, group in counts.groupby(["suite", "format", "model"], observed=True):
        base = group[group["condition"] == BASELINE].set_index(["prompt_id", "variant"])[["k", "n"]]
        for condition, treated in group[group["condition"] != BASELINE].groupby("condition", observed=True):
            pairs = treated.set_index(["prompt_id", "variant"])[["k", "n"]].join(base, rsuffix="_base", how="inner")
            k, n, k_base, n_base = (pairs[name].to_numpy(float) for name in ("k", "n", "k_base", "n_base"))
            prompts, _ = pd.factorize(pairs.index.get_level_values("prompt_id"))
            effect = paired_effect(k, n, k_base, n_base, prompts)
            if effect is None:
                continue
            rows.append(
                dict(zip(("suite", "format", "model"), cell, strict=True))
                | {
                    "run_id": facts.run_id,
                    "condition": condition,
                    "baseline": BASELINE,
                    "metric": MISALIGNED,
                    "effect": effect.effect,
                    "ci_low": effect.interval.low,
                    "ci_high": effect.interval.high,
                    "method": effect.interval.method,
                    "p_value": effect.p_value,
                    "n_prompts": effect.prompts,
                }
            )
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


# --- files -----------------------------------------------------------------------------------------------------------


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    texts = frame.select_dtypes(exclude=[np.number]).columns
    safe = frame.assign(
        **{name: frame[name].map(lambda v: spreadsheet_safe(v) if isinstance(v, str) else v) for name in texts}
    )
    with _replacing(path) as file:
        safe.to_csv(file, index=False, lineterminator="\n")


@contextmanager
def _replacing(path: Path) -> Generator[IO[str]]:
    """A file that takes the place of `path` once it is whole; on an error the old one stays."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")  # two may write the tables of one run
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise JournalFull(
            f"{path}: cannot be written ({error.strerror}); the journal is whole: `emeval rates` writes it anew"
        ) from None
    finally:
        partial.unlink(missing_ok=True)
