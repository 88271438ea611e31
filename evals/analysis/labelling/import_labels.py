"""Labels from a file into the run folder: `emeval label import`.

The file is the one that the page gives, or to_label.csv with its blank cells filled in. It is taken whole or not at
all, and a label id that is not of this run's sample is an error: a label on the wrong answer would be a wrong number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from evals.errors import BadInput
from evals.io.csv_reader import CsvRow, csv_file
from evals.plan.provenance import now
from evals.plan.recorded_run import manifest_of
from evals.scoring.labels import (
    FOLDER,
    LABEL_WORDS,
    SAMPLE_NAME,
    LabelRow,
    LabelSample,
    LabelWord,
    SampledRow,
    read_label_rows,
    read_labels,
    read_sample,
    write_label_rows,
)
from evals.text import has_control_character, one_line, original_text

_COLUMNS = ("label_id", "label", "note")
_REQUIRED = ("label_id", "label")
_WORD_OF: dict[str, LabelWord] = {key: word for word in LABEL_WORDS for key in (word, word[0])}
"""A label, or the key that stands for it on the page."""
_LONGEST_NAME = 80
_HEADER_BYTES = 4096


class Agreement(NamedTuple):
    """Of `both` answers that two labellers labelled, `alike` got the same label. `kappa` is None where it is not
    defined."""

    first: str
    second: str
    both: int
    alike: int
    kappa: float | None


class Imported(NamedTuple):
    """What one import did (`taken` labels, of them `replaced` in place of own ones; `blank` rows, of them `lost_notes`
    with a note and no label; `kept` own labels from before that the file says nothing of), and how the run then stands:
    its `sampled` answers by label, and how labellers agree."""

    taken: int
    replaced: int
    kept: int
    blank: int
    lost_notes: int
    sampled: int
    by_label: dict[LabelWord, int]
    agreements: tuple[Agreement, ...]


def import_labels(run: Path, path: Path, labeller: str) -> Imported:
    """Add the labels in the CSV `path` to those of the run, as `labeller`'s. Raises BadInput, and then nothing has
    changed."""
    name = _name(labeller)
    manifest_of(run)
    sample = read_sample(run)
    if sample is None:
        raise BadInput(f"{run / FOLDER / SAMPLE_NAME}: is missing; `emeval label sample RUN` draws what to label")
    with _locked(run):  # two labellers may import at the same moment
        return _import(run, path, name, sample)


@contextmanager
def _locked(run: Path) -> Generator[None]:
    lock = FileLock(run / f".{FOLDER}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise BadInput(f"{run}: cannot be written: {error.strerror}; nothing was changed") from None
    try:
        yield
    finally:
        lock.release()


def _import(run: Path, path: Path, labeller: str, sample: LabelSample) -> Imported:
    found = _read(path, {row.label_id: row for row in sample.rows}, labeller)
    before = read_label_rows(run)
    new = {row.label_id for row in found.rows}
    own = [row for row in before if row.labeller == labeller]
    replaced = {row for row in own if row.label_id in new}
    rows = [row for row in before if row not in replaced] + found.rows
    place = {row.label_id: number for number, row in enumerate(sample.rows)}
    labellers = list(dict.fromkeys(row.labeller for row in rows))
    rows.sort(key=lambda row: (labellers.index(row.labeller), place.get(row.label_id, len(place))))
    if found.rows:
        write_label_rows(run, rows)
    words = Counter(label.label for label in read_labels(run).values())
    return Imported(
        taken=len(found.rows),
        replaced=len(replaced),
        kept=len(own) - len(replaced),
        blank=found.blank,
        lost_notes=found.lost_notes,
        sampled=len(sample.rows),
        by_label={word: words[word] for word in LABEL_WORDS},
        agreements=tuple(_agreements(rows)),
    )


class _FoundLabels(NamedTuple):
    rows: list[LabelRow]
    blank: int
    lost_notes: int


def _read(path: Path, sampled: dict[str, SampledRow], labeller: str) -> _FoundLabels:
    rows: list[LabelRow] = []
    lines: dict[str, int] = {}
    blank = lost_notes = 0
    at = now()
    with csv_file(path, _COLUMNS, delimiter=_delimiter(path)) as file:
        file.require(*_REQUIRED)
        for row in file:
            answer, word = _label_of(row, sampled, path)
            if answer.label_id in lines:
                first = lines[answer.label_id]
                raise BadInput(f"{path}:{row.line}: label_id: {answer.label_id} stands in line {first} already")
            lines[answer.label_id] = row.line
            note = original_text(row.cells.get("note", "")).strip()
            if word is None:
                blank += 1
                lost_notes += bool(note)
                continue
            rows.append(LabelRow(answer.label_id, answer.trial_id, answer.metric, word, labeller, note, at))
    return _FoundLabels(rows, blank, lost_notes)


def _label_of(row: CsvRow, sampled: dict[str, SampledRow], path: Path) -> tuple[SampledRow, LabelWord | None]:
    """The answer that a row is about, and its label, None for a blank one."""
    label_id = original_text(row.cells["label_id"]).strip()
    answer = sampled.get(label_id)
    if answer is None:
        raise BadInput(
            f"{path}:{row.line}: label_id: {one_line(label_id, 40) or 'a blank one'} is not in this run's sample"
        )
    said = original_text(row.cells["label"]).strip().lower()
    if said and said not in _WORD_OF:
        words = ", ".join(LABEL_WORDS)
        raise BadInput(f"{path}:{row.line}: label: {one_line(said, 40)!r} is not one of {words}; blank is not labelled")
    return answer, _WORD_OF.get(said)


def _delimiter(path: Path) -> str:
    """A spreadsheet writes semicolons where its user's language has decimal commas."""
    try:
        with path.open("rb") as file:
            header = file.readline(_HEADER_BYTES)
    except OSError:
        return ","  # the next reader says what is wrong
    return ";" if b";" in header and b"," not in header else ","


def _name(labeller: str) -> str:
    name = labeller.strip()
    if not name or len(name) > _LONGEST_NAME or has_control_character(name) or name != one_line(name):
        raise BadInput(f"--labeller: give the labeller's name in 1 to {_LONGEST_NAME} characters on one line")
    return name


def _agreements(rows: Sequence[LabelRow]) -> list[Agreement]:
    by_labeller: dict[str, dict[str, LabelWord]] = {}
    for row in rows:
        by_labeller.setdefault(row.labeller, {})[row.label_id] = row.label
    if len(by_labeller) < 2:
        return []
    from evals.statistics.agreement import cohen_kappa

    found: list[Agreement] = []
    for (first, one), (second, other) in combinations(by_labeller.items(), 2):
        shared = [label_id for label_id in one if label_id in other]
        pairs = [(one[label_id], other[label_id]) for label_id in shared]
        if pairs:
            kappa = cohen_kappa([pair[0] for pair in pairs], [pair[1] for pair in pairs])
            found.append(Agreement(first, second, len(pairs), sum(a == b for a, b in pairs), kappa))
    return found
