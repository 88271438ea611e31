"""Import labels from a file into the run folder: `emeval label import`.

The file comes from the labelling page, or is to_label.csv with its blank cells filled in. It is imported whole or not
at all. A label id that is not in this run's sample is an error: a label on the wrong answer would give a wrong number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals.errors import BadInput
from evals.io.csv_reader import CsvRow, csv_file
from evals.io.folders.locks import own_lock
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
from evals.trials.journal import Journal

if TYPE_CHECKING:
    from evals.statistics.labels.agreement import Coefficient

_COLUMNS = ("label_id", "label", "note")
_REQUIRED = ("label_id", "label")
_WORD_OF: dict[str, LabelWord] = {key: word for word in LABEL_WORDS for key in (word, word[0])}
"""The label of each word, and of each key on the page."""
_LONGEST_NAME = 80


class Agreement(NamedTuple):
    """Agreement of two labellers on the `both` answers that both labelled, of which `alike` got the same label.

    `kappa` is None where it is undefined. `over_all` is that of all answers of the run, for which the sample stands.
    """

    first: str
    second: str
    both: int
    alike: int
    kappa: float | None
    over_all: Coefficient | None


class LabelImport(NamedTuple):
    """Counts of one import, and the labels of the run after it.

    `replaced` of the `taken` labels overwrote earlier ones of the same labeller, `kept` of whose labels are not in the
    file; `lost_notes` of the `blank` rows have a note and no label. `by_label` counts the `sampled` answers.
    """

    taken: int
    replaced: int
    kept: int
    blank: int
    lost_notes: int
    sampled: int
    by_label: dict[LabelWord, int]
    agreements: tuple[Agreement, ...]


def import_labels(run: Path, path: Path, labeller: str) -> LabelImport:
    """Add the labels in the CSV `path` to the run, as `labeller`'s. If it raises BadInput, nothing has changed."""
    name = _name(labeller)
    manifest_of(run)
    sample = read_sample(run)
    if sample is None:
        raise BadInput(f"{run / FOLDER / SAMPLE_NAME}: is missing; `emeval label sample RUN` draws what to label")
    with _locked(run):  # two labellers may import at the same moment
        return _import(run, path, name, sample)


@contextmanager
def _locked(run: Path) -> Generator[None]:
    lock = own_lock(run / f".{FOLDER}.lock")
    try:
        lock.acquire()
    except OSError as error:
        raise BadInput(f"{run}: cannot be written: {error.strerror}; nothing was changed") from None
    try:
        yield
    finally:
        lock.release()


def _import(run: Path, path: Path, labeller: str, sample: LabelSample) -> LabelImport:
    found = _read(path, {row.label_id: row for row in sample.rows}, labeller)
    before = read_label_rows(run)
    new = {row.label_id for row in found.rows}
    own = [row for row in before if row.labeller == labeller]
    replaced = {row for row in own if row.label_id in new}
    rows = [row for row in before if row not in replaced] + found.rows
    positions = {row.label_id: position for position, row in enumerate(sample.rows)}
    labellers = list(dict.fromkeys(row.labeller for row in rows))
    rows.sort(key=lambda row: (labellers.index(row.labeller), positions.get(row.label_id, len(positions))))
    if found.rows:
        write_label_rows(run, rows)
    counts = Counter(label.label for label in read_labels(run).values())
    return LabelImport(
        taken=len(found.rows),
        replaced=len(replaced),
        kept=len(own) - len(replaced),
        blank=found.blank,
        lost_notes=found.lost_notes,
        sampled=len(sample.rows),
        by_label={word: counts[word] for word in LABEL_WORDS},
        agreements=tuple(_agreements(run, rows, sample)),
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
    with csv_file(path, _COLUMNS, by_hand=True) as file:
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
    """The answer of a row and its label, None if blank."""
    label_id = original_text(row.cells["label_id"]).strip()
    answer = sampled.get(label_id)
    if answer is None:
        raise BadInput(
            f"{path}:{row.line}: label_id: {one_line(label_id, 40) or 'a blank one'} is not in this run's sample"
        )
    given = original_text(row.cells["label"]).strip().lower()
    if given and given not in _WORD_OF:
        words = ", ".join(LABEL_WORDS)
        raise BadInput(
            f"{path}:{row.line}: label: {one_line(given, 40)!r} is not one of {words}; blank is not labelled"
        )
    return answer, _WORD_OF.get(given)


def _name(labeller: str) -> str:
    name = labeller.strip()
    if not name or len(name) > _LONGEST_NAME or has_control_character(name) or name != one_line(name):
        raise BadInput(f"--labeller: give the labeller's name in 1 to {_LONGEST_NAME} characters on one line")
    return name


def _agreements(run: Path, rows: Sequence[LabelRow], sample: LabelSample) -> list[Agreement]:
    by_labeller: dict[str, dict[str, LabelWord]] = {}
    for row in rows:
        by_labeller.setdefault(row.labeller, {})[row.label_id] = row.label
    if len(by_labeller) < 2:
        return []
    import numpy as np

    from evals.statistics.labels.agreement import kappa_interval

    drawn = {row.label_id: row for row in sample.rows}
    questions = _questions(run, [drawn[row.label_id].trial_id for row in rows if row.label_id in drawn])
    found: list[Agreement] = []
    for (first, labels), (second, other_labels) in combinations(by_labeller.items(), 2):
        shared = [label_id for label_id in labels if label_id in other_labels and label_id in drawn]
        if not shared:
            continue
        ours, theirs = ([each[label_id] for label_id in shared] for each in (labels, other_labels))
        asked = np.array([questions[drawn[label_id].trial_id] for label_id in shared], dtype=np.int64)
        weights = np.array([1 / drawn[label_id].probability for label_id in shared])
        kappa, over_all = kappa_interval(ours, theirs, asked), kappa_interval(ours, theirs, asked, weights)
        alike = sum(a == b for a, b in zip(ours, theirs, strict=True))
        found.append(Agreement(first, second, len(shared), alike, kappa and kappa.value, over_all))
    return found


def _questions(run: Path, trial_ids: Sequence[str]) -> dict[str, int]:
    """The number of the question of each trial; one that the run does not hold is a question of its own."""
    numbers: dict[str, int] = {}
    found: dict[str, int] = {}
    with Journal.read(run) as journal:
        for trial_id in dict.fromkeys(trial_ids):
            try:
                asked = journal.trial(trial_id).prompt_id
            except (KeyError, ValueError):
                asked = f"trial {trial_id}"
            found[trial_id] = numbers.setdefault(asked, len(numbers))
    return found
