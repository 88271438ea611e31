"""Which figures of rates a run has: all models together, then each by question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd

from evals.reporting.figures.drawing.figure import Panel
from evals.reporting.figures.drawing.frames import (
    METRIC_WORDS,
    condition_labels,
    distinct,
    label_rates,
    place_words,
    primary_rates,
    row_names,
    series_in,
    slug,
)
from evals.reporting.figures.drawing.theme import MODEL_COLOURS
from evals.reporting.figures.rates.views import ByLabel, ByQuestion, Overview
from evals.runner.count import Counted
from evals.scoring.rates.tables import pooled
from evals.trials.prompt import ALL, Format

MOST_QUESTIONS, MOST_BARS = 25, 110
"""Above these numbers bars by question are unreadable, and questions are shown together."""
MOST_TOGETHER = 130
"""The most bars of a figure of all models; with more there are several."""
_FEWEST_LABELS = 12
"""As many labels are drawn at least, however little room there is."""
BY_QUESTION, BY_LABEL = "Rates by question", "Rates by label"


class _Rates(NamedTuple):
    """The rates of one suite and format of some runs; `words` say what is counted."""

    suite: str
    format: str
    words: str
    rates: pd.DataFrame
    runs: Sequence[Counted]

    @property
    def place(self) -> str:
        return place_words(self.suite, self.format)

    @property
    def shown(self) -> list[str]:
        return series_in(self.rates[self.rates["n"] > 0], self.runs)

    @property
    def silent(self) -> list[str]:
        """The series without a counted answer, which have no bar anywhere: the first figure names them."""
        return [series for series in series_in(self.rates, self.runs) if series not in self.shown]

    @property
    def treatments(self) -> dict[str, str]:
        return condition_labels(_counted(self.rates))

    def of(self, series: Sequence[str]) -> pd.DataFrame:
        return self.rates[self.rates["series"].isin(series)]


def rate_panels(runs: Sequence[Counted], only: Format | None = None, most_bars: int = MOST_BARS) -> list[Panel]:
    """Panels for each suite and format with counted answers (or only the format `only`): all models, then each by
    question. Models under one condition are in one panel. Above `most_bars` bars the questions are shown together."""
    panels: list[Panel] = []
    for place, rates in primary_rates(runs).groupby(["suite", "format", "metric"], sort=False):
        suite, fmt, metric = (str(part) for part in place)
        found = _Rates(suite, fmt, METRIC_WORDS[metric], rates, runs)
        if only in (None, fmt) and found.shown:
            panels += _panels(found, most_bars)
    for place, rates in label_rates(runs).groupby(["suite", "format"], sort=False):
        suite, fmt = (str(part) for part in place)
        found = _Rates(suite, fmt, "answers with this label", rates, runs)
        if only in (None, fmt) and found.shown:
            panels += _label_panels(found, most_bars)
    return panels


def _panels(found: _Rates, most_bars: int) -> Iterator[Panel]:
    rates, silent = found.rates, found.silent
    questions = rates.loc[rates["prompt_id"] != ALL, "prompt_id"].nunique()
    parts = _parts(found)
    is_readable = questions <= MOST_QUESTIONS and all(questions * _lanes(rates, part) <= most_bars for part in parts)
    if len(parts) > 1 or not is_readable:
        yield from _overviews(found, has_circles=not is_readable)
        silent = []
    for part in parts if is_readable else ():
        view = ByQuestion(found.words, found.of([*part, *silent]), tuple(part), found.treatments)
        yield _panel(found, view, BY_QUESTION, is_part=len(parts) > 1)


def _overviews(found: _Rates, *, has_circles: bool) -> Iterator[Panel]:
    shown = found.shown
    step = max(6, MOST_TOGETHER // (_lanes(found.rates, shown[:1]) * (2 if has_circles else 1)))
    for start in range(0, len(shown), step):
        few = shown[start : start + step]
        rows = found.of([*few, *([] if start else found.silent)])
        view = Overview(found.words, rows, tuple(few), found.treatments, has_circles, row_names(found.runs))
        is_part = len(shown) > step
        heading = found.place + (f", models {start + 1} to {start + len(few)}" if is_part else "")
        key = slug(found.suite, found.format, str(start // step + 1) if is_part else "")
        yield Panel(key, heading, view.caption(), view.data(), view.draw, view.numbers())


def _label_panels(found: _Rates, most_bars: int) -> Iterator[Panel]:
    parts = _parts(found)
    for number, part in enumerate(parts):
        rows = found.of([*part, *([] if number else found.silent)])
        labels = _labels(found.rates, most_bars // _lanes(found.rates, part))
        view = ByLabel(found.words, rows, tuple(part), found.treatments, labels)
        yield _panel(found, view, BY_LABEL, is_part=len(parts) > 1)


def _panel(found: _Rates, view: ByQuestion | ByLabel, series: str, *, is_part: bool) -> Panel:
    """A panel of all models, or one of a series of such, one for each model."""
    part = view.series if is_part else ()
    heading = ", ".join((found.place, *part))
    fold = f"{series}: {found.place}" if is_part else ""
    key = slug(found.suite, found.format, *part)
    return Panel(key, heading, view.caption(), view.data(), view.draw, view.numbers(), fold)


def _counted(rates: pd.DataFrame) -> pd.DataFrame:
    rows = pooled(rates)
    return rows[rows["n"] > 0]


def _parts(found: _Rates) -> list[list[str]]:
    """The series of each panel by question: one model, or all of them under one condition, told apart by colour."""
    shown = found.shown
    cells = _counted(found.rates)[["condition", "trigger"]].drop_duplicates()
    together = len(cells) == 1 and len(shown) <= len(MODEL_COLOURS)
    return [shown] if together else [[series] for series in shown]


def _lanes(rates: pd.DataFrame, part: Sequence[str]) -> int:
    """The bars of a group in a panel of these series."""
    cells = _counted(rates[rates["series"].isin(part)])[["condition", "trigger"]].drop_duplicates()
    return len(part) if len(part) > 1 else max(1, len(cells))


def _labels(rates: pd.DataFrame, room: int) -> tuple[str, ...]:
    """The labels that are drawn, as rates.csv has them in order: of too many the most frequent."""
    found = distinct(rates["metric"])
    room = max(_FEWEST_LABELS, room)
    if len(found) <= room:
        return tuple(found)
    hits = rates.groupby("metric")["k"].sum()
    most = set(sorted(found, key=lambda metric: -hits[metric])[:room])
    return tuple(metric for metric in found if metric in most)
