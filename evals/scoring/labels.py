"""The folder `labels/` of a run: the sample, what there is to label, and the labels; each written whole or not at all.

Everything that reads labels reads them here. `sample.json` is the key of the sample: it says which trial stands behind
a label id, so labellers must not look at it.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from pydantic import BaseModel, ConfigDict, Field

from evals.errors import BadInput
from evals.io.atomic import whole_file
from evals.io.csv_reader import csv_file
from evals.io.csv_writer import csv_row
from evals.io.folders.leftovers import new_folder, partial_path, remove_left_folders
from evals.io.folders.strange_files import refuse_linked_folder, refuse_strange_entries
from evals.io.json_files import read_stored
from evals.text import original_text

FOLDER = "labels"
SAMPLE_NAME, TO_LABEL_NAME, PAGE_NAME, LABELS_NAME = "sample.json", "to_label.csv", "label.html", "labels.csv"
SCHEMA_VERSION = 1

LabelWord = Literal["yes", "no", "refused", "unsure"]
"""`yes`: the answer is a hit of the metric. `unsure` is no measurement, like an unreadable verdict."""
LABEL_WORDS: tuple[LabelWord, ...] = get_args(LabelWord)


class SampledStratum(BaseModel):
    """Of `population` answers `drawn` were drawn by simple random sampling, so each with probability
    drawn / population."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    population: int = Field(ge=1)
    drawn: int = Field(ge=1)


class SampledRow(BaseModel):
    """One drawn answer. `probability` is its inclusion probability, in (0, 1]; `metric` what a label says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label_id: str
    trial_id: str
    metric: str
    stratum: str
    probability: float = Field(gt=0, le=1)


class LabelSample(BaseModel):
    """`judge` is the model whose verdicts the strata are made of. Together the strata are the whole population."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    run_id: str
    seed: int
    created_at: str
    judge: str
    strata: tuple[SampledStratum, ...]
    rows: tuple[SampledRow, ...]


class Label(NamedTuple):
    """What the labellers say of one answer together."""

    trial_id: str
    metric: str
    label: LabelWord


class LabelRow(NamedTuple):
    """What one labeller says of one answer. `labelled_at` is when it was imported (UTC, ISO 8601)."""

    label_id: str
    trial_id: str
    metric: str
    label: LabelWord
    labeller: str
    note: str
    labelled_at: str


def read_sample(run: Path) -> LabelSample | None:
    """The sample that was drawn in the run folder, None where there is none. Raises BadInput when it cannot be read."""
    refuse_strange_entries(run / FOLDER)
    return read_stored(run / FOLDER / SAMPLE_NAME, LabelSample, "a sample")


def read_labels(run: Path) -> dict[str, Label]:
    """One label for each labelled answer, by trial_id: what most of its labellers say, `unsure` where that is a tie.

    {} where nothing is labelled. Raises BadInput when the labels cannot be read.
    """
    said: dict[tuple[str, str], Counter[LabelWord]] = {}
    for row in read_label_rows(run):
        said.setdefault((row.trial_id, row.metric), Counter())[row.label] += 1
    return {trial_id: Label(trial_id, metric, _majority(words)) for (trial_id, metric), words in said.items()}


def _majority(words: Counter[LabelWord]) -> LabelWord:
    (first, count), *others = words.most_common()
    return "unsure" if others and others[0][1] == count else first


def read_label_rows(run: Path) -> list[LabelRow]:
    """Every label of every labeller, in the order of the file; [] where there are none. Raises BadInput."""
    path = run / FOLDER / LABELS_NAME
    refuse_strange_entries(path.parent)
    if not path.exists():
        return []
    rows: list[LabelRow] = []
    with csv_file(path, LabelRow._fields) as file:
        file.require(*LabelRow._fields)
        for row in file:
            cells = {name: original_text(row.cells[name]) for name in LabelRow._fields}
            if cells["label"] not in LABEL_WORDS:
                raise BadInput(f"{path}:{row.line}: label: must be one of {', '.join(LABEL_WORDS)}")
            word = cast("LabelWord", cells.pop("label"))
            rows.append(LabelRow(**cells, label=word))
    return rows


def write_label_rows(run: Path, rows: Iterable[LabelRow]) -> None:
    """Replace the labels of the run. Raises BadInput where that is not possible, and then the old ones stay."""
    text = csv_text(LabelRow._fields, rows)
    path = run / FOLDER / LABELS_NAME
    refuse_linked_folder(path.parent)
    with _unwritable(path), whole_file(path) as file:
        file.write(text)


def write_sample(run: Path, sample: LabelSample, to_label: str, page: str) -> None:
    """Put the sample and what is labelled from it in place of what was there, all three files together.

    Raises BadInput where that is not possible, and then what was there stays.
    """
    folder = run / FOLDER
    made, old = (partial_path(folder, kind) for kind in ("part", "old"))
    refuse_linked_folder(folder)
    remove_left_folders(folder)
    texts: Mapping[str, str] = {
        SAMPLE_NAME: sample.model_dump_json(indent=1) + "\n",
        # A spreadsheet takes a file for UTF-8 only if it begins with this mark.
        TO_LABEL_NAME: f"\ufeff{to_label}",
        PAGE_NAME: page,
    }
    with _unwritable(folder):
        try:
            with new_folder(made):
                for name, text in texts.items():
                    _write(made / name, text)
                if folder.exists():
                    folder.replace(old)
                made.replace(folder)
        finally:
            if old.exists() and not folder.exists():
                old.replace(folder)
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return csv_row(columns) + "".join(map(csv_row, rows))


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _unwritable(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None
