"""panel.csv: what several judges of the same answers say together, with labels of some answers and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from evals.analysis.robustness.specification_grid import Flags, JudgedGroup, Scores
from evals.io.columns import Column, column_names
from evals.scoring.rates.columns import METRIC, PLACE
from evals.scoring.rates.label_weights import Labels
from evals.scoring.rates.rows import Row
from evals.statistics.judge_error import JudgedSample
from evals.statistics.labels.panels import LatentClasses, latent_classes, panel_rate

PANEL = (
    *PLACE,
    METRIC,
    Column("judges", "integer", "judges with verdicts on these answers"),
    Column("n", "integer", "answers that one of them counts"),
    Column("mean_rate", "number", "the mean over answers of the share of their judges that call them hits"),
    Column("ppi", "number", "the rate corrected by labels, with the panel's mean as predictor (PPI++); blank without"),
    Column("ppi_low", "number", "lower end of its 95% interval, for questions like these"),
    Column("ppi_high", "number", "its upper end"),
    Column("n_labels", "integer", "labels that it rests on: yes, no and refused"),
    Column(
        "latent",
        "number",
        "the rate without labels if judges err independently, and alike under every condition (a latent class model); "
        "blank where the verdicts cannot tell it",
    ),
    Column("latent_low", "number", "lower end of its 95% interval, for questions like these, on that assumption"),
    Column("latent_high", "number", "its upper end"),
    Column("latent_errors", "text", "each judge's sensitivity and specificity on that assumption"),
    Column("note", "text", "why one of the two is blank"),
)
PANEL_COLUMNS = column_names(PANEL)


class _Panel(NamedTuple):
    """The answers that a judge counts: which they are, each judge's verdict (NaN where it has none), their mean."""

    used: Flags
    verdicts: Scores
    mean: Scores


def panel_rows(group: JudgedGroup, run_id: str, labels: Labels | None, denominator: str) -> Iterator[Row]:
    """A row for each condition of a group with two judges or more."""
    if len(group.judges) < 2:
        return
    panel = _panel(group)
    numbers = group.conditions[panel.used]
    found = latent_classes(panel.verdicts, numbers, group.prompts[panel.used])
    for number, condition in enumerate(group.condition_names):
        here = numbers == number
        if not here.any():
            continue
        sample = _sample(group, panel, here, labels, denominator) if labels else None
        corrected = panel_rate(sample) if sample is not None and len(sample.labelled) else None
        rate = found.rates[number] if found else None
        notes = [] if corrected or labels is None else ["too few labels for PPI++"]
        notes += [] if found else [_unknown(group)]
        yield {
            "run_id": run_id,
            "suite": group.suite,
            "format": group.format,
            "model": group.model,
            "condition": condition,
            "metric": group.metric,
            "judges": len(group.judges),
            "n": int(here.sum()),
            "mean_rate": float(panel.mean[here].mean()),
            "ppi": corrected.rate if corrected else None,
            "ppi_low": corrected.low if corrected else None,
            "ppi_high": corrected.high if corrected else None,
            "n_labels": len(sample.labelled) if sample is not None else 0,
            "latent": rate.rate if rate else None,
            "latent_low": rate.low if rate else None,
            "latent_high": rate.high if rate else None,
            "latent_errors": _errors(group, found),
            "note": "; ".join(notes),
        }


def _panel(group: JudgedGroup) -> _Panel:
    own = [group.own_point(number) for number in range(len(group.judges))]
    counted = np.array([group.counted[point.judge, point.coherence] for point in own])
    hits = np.array([group.hits[point.judge, point.coherence, point.cut] for point in own])
    used: Flags = np.asarray(counted.any(axis=0))
    verdicts = np.where(counted, hits.astype(np.float64), np.nan)[:, used]
    return _Panel(used, verdicts, np.nanmean(verdicts, axis=0) if used.any() else np.empty(0))


def _sample(group: JudgedGroup, panel: _Panel, here: Flags, labels: Labels, denominator: str) -> JudgedSample:
    """The answers of a condition with the panel's mean, and their labels that are a measurement."""
    places = np.flatnonzero(panel.used)[here]
    place_of = {int(place): number for number, place in enumerate(places)}
    found = sorted(
        (place_of[place], trial_id)
        for place, trial_id in group.labelled
        if place in place_of and trial_id in labels.weights and labels.by_trial[trial_id].metric == group.metric
    )
    words = [labels.by_trial[trial_id].label for _, trial_id in found]
    return JudgedSample(
        said=panel.mean[here],
        counted=np.ones(len(places)),
        prompts=group.prompts[places],
        labelled=np.array([place for place, _ in found], dtype=np.int64),
        hits=np.array([word == "yes" for word in words], dtype=np.float64),
        answered=np.array([word != "refused" or denominator == "judged" for word in words], dtype=np.float64),
        weights=np.array([labels.weights[trial_id] for _, trial_id in found], dtype=np.float64),
    )


def _unknown(group: JudgedGroup) -> str:
    if len(group.judges) == 2 and len(group.condition_names) < 2:
        return "two judges under one condition do not show which of them errs"
    return "the verdicts do not show how often the judges err"


def _errors(group: JudgedGroup, found: LatentClasses | None) -> str:
    if found is None:
        return ""
    errors = zip(group.judges, found.sensitivity, found.specificity, strict=True)
    return "; ".join(f"{judge.label}: {finds:.0%}, {rejects:.0%}" for judge, finds, rejects in errors)
