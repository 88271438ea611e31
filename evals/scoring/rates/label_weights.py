"""The labels that people gave a sample of a run's answers, and for how many answers each of them stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from evals.errors import BadInput
from evals.io.hashes import files_sha256
from evals.scoring.labels import FOLDER, LABELS_NAME, SAMPLE_NAME, Label, LabelSample, read_labels, read_sample
from evals.text import one_line


@dataclass(frozen=True)
class Labels:
    """The labels by trial, and the weight of each that is a measurement: for how many answers it stands."""

    sample: LabelSample
    by_trial: dict[str, Label]
    weights: dict[str, float]


def labels_sha256(folder: Path) -> str:
    """Of all that labels of a run are read from; "" where there are none. Raises OSError."""
    found = [path for name in (SAMPLE_NAME, LABELS_NAME) if (path := folder / FOLDER / name).exists()]
    return files_sha256(found) if found else ""


def check_labels(folder: Path) -> None:
    """Raises BadInput where the run has labels that its answers could not be corrected by."""
    usable_labels(folder)


def usable_labels(folder: Path) -> Labels | None:
    """The labels of a run, None where there are none. Raises BadInput where they cannot be used."""
    by_trial = read_labels(folder)
    if not by_trial:
        return None
    sample = read_sample(folder)
    where = folder / FOLDER / LABELS_NAME
    if sample is None:
        raise BadInput(
            f"{where}: {SAMPLE_NAME}, which says how likely each answer was to be drawn, is not beside it; put it "
            "back, or move the labels away"
        )
    strata = {row.trial_id: row.stratum for row in sample.rows}
    for trial_id in by_trial:
        if trial_id not in strata:
            raise BadInput(f"{where}: trial {one_line(trial_id, 40)} is not in {SAMPLE_NAME}: labels of another sample")
    drawn = Counter(strata.values())
    measured = Counter(strata[trial_id] for trial_id, label in by_trial.items() if label.label != "unsure")
    # Which of a stratum's drawn answers have a label is taken for chance, so those stand for the others, too.
    weights = {
        row.trial_id: drawn[row.stratum] / measured[row.stratum] / row.probability
        for row in sample.rows
        if row.trial_id in by_trial and by_trial[row.trial_id].label != "unsure"
    }
    return Labels(sample, by_trial, weights)


def sample_notes_of(labels: Labels, answers: int) -> list[str]:
    """What to know of the sample as a whole; it could be drawn today from so many answers."""
    notes: list[str] = []
    measured = {row.stratum for row in labels.sample.rows if row.trial_id in labels.weights}
    for stratum in labels.sample.strata:
        if stratum.name not in measured:
            name = one_line(stratum.name, 80)
            notes.append(
                f"no usable label in stratum {name}, so the sample does not represent its {stratum.population} answers"
            )
    drawn, labelled = len(labels.sample.rows), len(labels.by_trial)
    if labelled < drawn:
        notes.append(f"{labelled} of the {drawn} drawn answers are labelled so far")
    then = sum(stratum.population for stratum in labels.sample.strata)
    if answers != then:
        notes.append(f"the sample was drawn from {then} answers and there are {answers} now")
    return notes
