"""What a person sees of corrected.csv: beside the raw rate the one without the judge's errors, and what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evals.console.markup import plain
from evals.numbers import percent
from evals.scoring.rates.rows import BETWEEN_NOTES, PPI, ROGAN_GLADEN, Row

_METHODS = {ROGAN_GLADEN: "Rogan-Gladen", PPI: "PPI++"}


def corrected_lines(corrected: Sequence[Row] | None, suite: str, form: str, model: str) -> Iterator[str]:
    """Rich markup: a line for each cell of a suite, format and model, one for the judge, and what to know of them.

    Nothing where there are no labels.
    """
    if corrected is None:
        return
    here = [row for row in corrected if (row["suite"], row["format"], row["model"]) == (suite, form, model)]
    for metric in dict.fromkeys(row["metric"] for row in here):
        rows = [row for row in here if row["metric"] == metric]
        of_methods = {method: [row for row in rows if row["method"] == method] for method in _METHODS}
        for cell in zip(*of_methods.values(), strict=True):
            by_method = dict(zip(_METHODS.values(), cell, strict=True))
            rates = ", ".join(f"{words} {_rate(row)}" for words, row in by_method.items())
            raw = cell[-1]
            yield (
                f"{plain(metric).capitalize()}, corrected for the judge's errors, {_cell(raw)}: {rates}; as "
                f"judged {percent(raw['rate'])} ({raw['k']} of {raw['n']}); {_labels(raw)}"
            )
        yield _judge(of_methods[ROGAN_GLADEN][0])
        yield from _notes(of_methods)


def _notes(of_methods: Mapping[str, Sequence[Row]]) -> Iterator[str]:
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
        yield f"[yellow]{before}{plain(note)}.[/yellow]"


def _cell(row: Row) -> str:
    return plain(row["condition"] + (f": {row['trigger']}" if row["trigger"] else ""))


def _rate(row: Row) -> str:
    if row["corrected"] is None:
        return "no rate"
    low, high = percent(row["corrected_low"]), percent(row["corrected_high"])
    return f"[bold]{percent(row['corrected'])}[/bold] (95% interval {low} to {high})"


def _judge(row: Row) -> str:
    said = [f"Judge {plain(row['judge'])} beside {row['n_labels']} labels of all cells"]
    said += [
        f"{name} {percent(row[name])} ({percent(row[f'{name}_low'])} to {percent(row[f'{name}_high'])})"
        for name in ("sensitivity", "specificity")
        if row[name] is not None
    ]
    if row["kappa"] is not None:
        said.append(f"kappa {row['kappa']:.2f}")
    return ", ".join(said) + "."


def _labels(row: Row) -> str:
    here = f"{row['n_labels']} labels here" + (f", {row['n_unsure']} more unsure" if row["n_unsure"] else "")
    if row["labels_to_halve"] is None:
        return here
    return f"{here}, {row['labels_to_halve']} more would halve the interval of PPI++"
