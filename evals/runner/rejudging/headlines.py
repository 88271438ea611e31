"""The rates that a judge stands for, beside those of another: one line for each cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from evals.numbers import percent
from evals.plan.manifest import Manifest
from evals.scoring.judge_set import RubricFacts
from evals.scoring.rates.rows import Row, headline_rows
from evals.text import one_line

_MOST = 20
_CELL = ("suite", "format", "model", "condition", "trigger", "metric")


class Headline(NamedTuple):
    """A rate over all prompts of a cell, and the judge that it is by, with its rubrics' names and hashes."""

    cell: tuple[str, ...]
    rate: float | None
    hits: int
    counted: int
    judge: str
    rubrics: Mapping[str, RubricFacts]

    @property
    def shown(self) -> str:
        rate = percent(self.rate) if self.counted else "no rate"
        return f"{rate} ({self.hits}/{self.counted})"


def headlines_of(manifest: Manifest, rows: Iterable[Row]) -> list[Headline]:
    """The headline rates among the rows of rates.csv."""
    judge = manifest.config.judge or ""
    return [
        Headline(tuple(str(row[name]) for name in _CELL), row["rate"], row["k"], row["n"], judge, manifest.rubrics)
        for row in headline_rows(rows)
    ]


def change_lines(before: list[Headline], after: list[Headline]) -> Iterator[str]:
    """What each rate was, and what it is now that another judge counts."""
    return _lines(before, after, "judge {0} {1}, now judge {2} {3}")


def beside_lines(counted: list[Headline], other: list[Headline]) -> Iterator[str]:
    """What each rate is, and what it would be by the judge beside."""
    return _lines(counted, other, "judge {0} {1} counts, beside it judge {2} {3}")


def _lines(first: list[Headline], second: list[Headline], form: str) -> Iterator[str]:
    found = {headline.cell: headline for headline in second}
    pairs = [(one, found[one.cell]) for one in first if one.cell in found]
    for one, other in pairs[:_MOST]:
        suite, form_of_answers, model, condition, _, metric = one.cell
        where = f"{one_line(suite, 60)} ({form_of_answers}), {one_line(model, 60)}, condition {one_line(condition, 60)}"
        names = _names(one, other)
        yield f"{where}: {metric}: {form.format(names[0], one.shown, names[1], other.shown)}"
    if len(pairs) > _MOST:
        yield f"and {len(pairs) - _MOST:,} more cells"


def _names(one: Headline, other: Headline) -> tuple[str, str]:
    """The judges' names; of one judge that was asked in other words, with the names of its rubrics."""
    if one.judge != other.judge:
        return one.judge, other.judge
    other_words = [
        name for name in one.rubrics.keys() & other.rubrics.keys() if one.rubrics[name] != other.rubrics[name]
    ]
    if not other_words:
        return one.judge, other.judge
    shown = (", ".join(side.rubrics[name].name for name in sorted(other_words)) for side in (one, other))
    first, second = (f"{one.judge} with {one_line(names, 60)}" for names in shown)
    return first, second
