"""What a person sees of corrected.csv: beside the raw rate the one without the judge's errors, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from rich.markup import escape

from evals.corrected import BETWEEN_NOTES, PPI, ROGAN_GLADEN
from evals.text import one_line

_METHODS = {ROGAN_GLADEN: "Rogan-Gladen", PPI: "PPI++"}


def corrected_lines(corrected: pd.DataFrame | None, suite: str, form: str, model: str) -> Iterator[str]:
    """Rich markup: two lines for each cell of a suite, format and model, then what to know of them; nothing without
    labels."""
    if corrected is None:
        return
    here = corrected[(corrected["suite"] == suite) & (corrected["format"] == form) & (corrected["model"] == model)]
    notes: dict[str, list[str]] = {}
    for (condition, trigger, metric), rows in here.groupby(["condition", "trigger", "metric"], sort=False):
        by_method: dict[str, dict[Any, Any]] = {row["method"]: row for row in rows.to_dict("records")}
        cell = _plain(f"{condition}{f': {trigger}' if trigger else ''}")
        raw = by_method[PPI]
        rates = ", ".join(f"{words} {_rate(by_method[method])}" for method, words in _METHODS.items())
        yield (
            f"{str(metric).capitalize()} without the judge's errors, {cell}: {rates}; as judged "
            f"{_percent(raw['rate'])} ({raw['k']} of {raw['n']})"
        )
        yield f"  {_judge(by_method[ROGAN_GLADEN])}; {_labels(raw)}"
        for method, row in by_method.items():
            for note in filter(None, row["note"].split(BETWEEN_NOTES)):
                places = notes.setdefault(note, [])
                places.append(f"{_METHODS[method]}, {cell}")
    for note, places in notes.items():
        where = f"{', '.join(places)}: " if len(places) < len(here) else ""
        yield f"[yellow]Labels: {where}{_plain(note)}.[/yellow]"


def _rate(row: dict[Any, Any]) -> str:
    if pd.isna(row["corrected"]):
        return "no rate"
    low, high = _percent(row["corrected_low"]), _percent(row["corrected_high"])
    return f"[bold]{_percent(row['corrected'])}[/bold] (95% interval {low} to {high})"


def _judge(row: dict[Any, Any]) -> str:
    said = [f"Judge on {row['n_labels']} labels of all cells"]
    said += [
        f"{name} {_percent(row[name])} ({_percent(row[f'{name}_low'])} to {_percent(row[f'{name}_high'])})"
        for name in ("sensitivity", "specificity")
        if not pd.isna(row[name])
    ]
    if not pd.isna(row["kappa"]):
        said.append(f"kappa {row['kappa']:.2f}")
    return ", ".join(said)


def _labels(row: dict[Any, Any]) -> str:
    here = f"{row['n_labels']} labels here" + (f", {row['n_unsure']} more unsure" if row["n_unsure"] else "")
    if pd.isna(row["labels_to_halve"]):
        return here
    return f"{here}, {row['labels_to_halve']} more would halve the interval of PPI++"


def _percent(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{100 * value:.1f}%"


def _plain(text: str) -> str:
    return escape(one_line(text))
