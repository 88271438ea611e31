"""Render report.html, with a content security policy that allows only its own scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, StrictUndefined

from evals import __version__
from evals.analysis.recipes.result import RecipeResult
from evals.io.csv_writer import csv_row
from evals.plan.provenance import now
from evals.reporting.figures.drawing.figure import Figure
from evals.reporting.page.choices import probability_table
from evals.reporting.page.conclusions import Sentence, reservations, sentences, tally_words
from evals.reporting.page.evidence import evidence_cards
from evals.reporting.page.experiments import (
    difference_table,
    notes_on_seeds,
    recipe_difference_table,
    recipe_table,
)
from evals.reporting.page.library import vega_library
from evals.reporting.page.strip import FEW, strips
from evals.reporting.page.tables import (
    base_rows,
    contrast_rows,
    corrected_table,
    drift_rows,
    provenance,
    rate_rows,
    weights_notes,
)
from evals.reporting.page.transcripts import Index
from evals.runner.count import Counted

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLES = 3
_MOST_OPEN = 4
"""A series of more figures is folded."""
_FORMATS = {"mcq": "multiple choice", "freeform": "open questions", "transcript": "plain transcripts"}
_FILTERS = (
    ("run", "run"),
    ("suite", "suite"),
    ("format", "format"),
    ("model", "model"),
    ("condition", "condition"),
    ("question", "question"),
    ("outcome", "outcome"),
    ("verdict", "verdict"),
    ("flag", "flag of the monitor"),
    ("articulates", "names the trigger"),
)


@dataclass(frozen=True)
class Packed:
    """The transcripts of a page: the index, plain and packed, and the packed parts.

    With `beside`, a folder of that name next to the page has the packed data instead.
    """

    index: Index
    packed_index: str
    parts: Sequence[str]
    beside: str | None = None


def report_page(
    runs: Sequence[Counted], figures: Sequence[Figure], packed: Packed, over: RecipeResult | None = None
) -> str:
    """The page as HTML; with `over` its recipes are those over several runs. Texts of models are packed or escaped."""
    found = sentences(runs)
    examples, query, total = _examples(found[0], packed.index) if found else ([], "", 0)
    # Escapes what a browser would read as the end of the script.
    library = vega_library().replace("</script", "<\\/script").replace("<!--", "<\\!--")
    scripts = {
        "library": library,
        "figures_script": _part("figures.js"),
        "transcripts_script": _part("transcripts.js"),
    }
    style = _part("report.css")
    names = list(dict.fromkeys(run.manifest.run_id for run in runs))
    title = ", ".join(names)
    allowed = " ".join(f"'{_hash(text)}'" for text in scripts.values())
    beside = " 'self'" if packed.beside else ""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_part("report.html.j2")).render(
        policy=f"default-src 'none'; script-src {allowed}{beside}; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'",
        title=title,
        style=style,
        reservations=reservations(runs),
        sentences=found,
        tally=tally_words(found),
        strips=strips(runs),
        few=FEW,
        formats=_FORMATS,
        many_runs=len(runs) > 1,
        examples=examples,
        examples_query=query,
        examples_total=total,
        transcripts=len(packed.index),
        trials=packed.index.trials,
        rates=rate_rows(runs),
        weights_notes=weights_notes(runs),
        base_effects=base_rows(runs),
        recipes=recipe_table(runs, over),
        recipe_differences=recipe_difference_table(runs, over),
        probabilities=probability_table(runs),
        differences=difference_table(runs),
        seed_notes=notes_on_seeds(runs, over),
        contrasts=contrast_rows(runs),
        corrected=corrected_table(runs),
        plates=_plates(figures),
        drift=drift_rows(runs),
        filters=_FILTERS,
        evidence=evidence_cards(runs),
        provenance=provenance(runs),
        version=__version__,
        written=now(),
        page={
            "file": re.sub(r"[^\w.-]+", "-", title).strip("-.")[:80] or "report",
            "beside": packed.beside,
            "figures": [
                {
                    "name": figure.name,
                    "chart": figure.chart.to_dict(validate=False),
                    "csv": _csv(figure.data),
                }
                for figure in figures
            ],
        },
        index=packed.packed_index,
        parts=packed.parts,
        **scripts,
    )


def _examples(sentence: Sentence, index: Index) -> tuple[list[dict[str, str]], str, int]:
    """A few hits of the cell, from different questions if possible; the query of all hits, and their number."""
    cell = asdict(sentence)
    numbers = {name: index.names[name].get(cell[name]) for name in ("run", "suite", "format", "model")}
    conditions = {
        number: name
        for name, number in index.names["condition"].items()
        if name[:2] == (sentence.condition, sentence.trigger)
    }
    columns = index.columns
    places = [
        place
        for place, (hit, condition) in enumerate(zip(columns["hit"], columns["condition"], strict=True))
        if hit == 1
        and condition in conditions
        and all(columns[name][place] == value for name, value in numbers.items())
    ]
    questions = list(index.names["question"])
    chosen: dict[str, int] = {}
    # Ids are hashes, so this is a reproducible random draw.
    for place in sorted(places, key=lambda place: columns["id"][place]):
        chosen.setdefault(questions[columns["question"][place]], place)
    examples = [
        {"id": columns["id"][place], "question": question, "peek": columns["peek"][place] or "(no text)"}
        for question, place in list(chosen.items())[:_EXAMPLES]
    ]
    state: dict[str, Any] = {name: _json(cell[name]) for name in numbers}
    if len(conditions) == 1:
        state["condition"] = _json(list(next(iter(conditions.values()))))
    return examples, urlencode({**state, "hit": 1}), len(places)


class _Plates(NamedTuple):
    """Figures in a row, each with its number, below one another or, with a `title`, in a fold."""

    title: str
    figures: list[tuple[int, Figure]]
    is_open: bool


def _plates(figures: Sequence[Figure]) -> list[_Plates]:
    found: list[_Plates] = []
    for title, group in groupby(enumerate(figures), key=lambda numbered: numbered[1].fold):
        members = list(group)
        found.append(_Plates(title, members, len(members) <= _MOST_OPEN))
    return found


def _csv(data: pd.DataFrame) -> str:
    rows = data.astype(object).where(data.notna(), None).itertuples(index=False, name=None)
    return csv_row(data.columns) + "".join(map(csv_row, rows))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _part(name: str) -> str:
    return resources.files("evals.reporting.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
