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
    """Rich markup: a line for each cell of a suite, format and model, one for the judge, and what to know of them.

    Nothing where there are no labels.
    """
    if corrected is None:
        return
    here = corrected[(corrected["suite"] == suite) & (corrected["format"] == form) & (corrected["model"] == model)]
    for metric, rows in here.groupby("metric", sort=False):
        of_methods = {method: rows[rows["method"] == method].to_dict("records") for method in _METHODS}
        for cell in zip(*of_methods.values(), strict=True):
            by_method = dict(zip(_METHODS.values(), cell, strict=True))
            rates = ", ".join(f"{words} {_rate(row)}" for words, row in by_method.items())
            raw = cell[-1]
            yield (
                f"{_plain(str(metric)).capitalize()}, corrected for the judge's errors, {_cell(raw)}: {rates}; as "
                f"judged {_percent(raw['rate'])} ({raw['k']} of {raw['n']}); {_labels(raw)}"
            )
        yield _judge(of_methods[ROGAN_GLADEN][0])
        yield from _notes(of_methods)


def _notes(of_methods: dict[str, list[dict[Any, Any]]]) -> Iterator[str]:
    """Each note once, with the methods and conditions that it is about."""
    where: dict[str, dict[str, list[str]]] = {}
    for method, rows in of_methods.items():
        for row in rows:
            for note in filter(None, row["note"].split(BETWEEN_NOTES)):
                where.setdefault(note, {}).setdefault(method, []).append(_cell(row))
    for note, methods in where.items():
        about = [
            _METHODS[method] + ("" if len(cells) == len(of_methods[method]) else f" ({', '.join(cells)})")
            for method, cells in methods.items()
        ]
        before = "" if about == list(_METHODS.values()) else f"{', '.join(about)}: "
        yield f"[yellow]{before}{_plain(note)}.[/yellow]"


def _cell(row: dict[Any, Any]) -> str:
    return _plain(row["condition"] + (f": {row['trigger']}" if row["trigger"] else ""))


def _rate(row: dict[Any, Any]) -> str:
    if pd.isna(row["corrected"]):
        return "no rate"
    low, high = _percent(row["corrected_low"]), _percent(row["corrected_high"])
    return f"[bold]{_percent(row['corrected'])}[/bold] (95% interval {low} to {high})"


def _judge(row: dict[Any, Any]) -> str:
    said = [f"Judge {_plain(row['judge'])} beside {row['n_labels']} labels of all cells"]
    said += [
        f"{name} {_percent(row[name])} ({_percent(row[f'{name}_low'])} to {_percent(row[f'{name}_high'])})"
        for name in ("sensitivity", "specificity")
        if not pd.isna(row[name])
    ]
    if not pd.isna(row["kappa"]):
        said.append(f"kappa {row['kappa']:.2f}")
    return ", ".join(said) + "."


def _labels(row: dict[Any, Any]) -> str:
    here = f"{row['n_labels']} labels here" + (f", {row['n_unsure']} more unsure" if row["n_unsure"] else "")
    if pd.isna(row["labels_to_halve"]):
        return here
    return f"{here}, {row['labels_to_halve']} more would halve the interval of PPI++"


def _percent(value: float | None) -> str:
    return "–" if value is None or pd.isna(value) else f"{100 * value:.1f}%"


def _plain(text: str) -> str:
    return escape(one_line(text))
