"""corrected.csv: rates of open answers corrected for the judge's errors, from the labels that people gave a sample.

The population of a cell are its complete open answers, without those that are set aside whatever people would say of
them (incoherent, program code). A label says of an answer whether it is a hit, none, or a refusal, and counts in place
of the verdict; a refusal is in the denominator or not as in the rate itself, and `unsure` is no measurement.

Two methods stand side by side, because they fail differently. `rogan_gladen` takes the share of hits among the answers
that the judge ruled on, and the judge's sensitivity and specificity over all labelled answers of the suite and metric:
it makes the most of few labels, and is biased where the judge errs more in one condition than in another. `ppi` takes
the cell's own labels and all of its answers, also those without a readable verdict, and assumes nothing of the judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from evals.scoring.rates.columns import CORRECTED_COLUMNS
from evals.scoring.rates.label_weights import Labels, sample_notes_of
from evals.scoring.rates.labelled.pools import Flags, Pool, Pools, Scope, scope_of, share_left, unlabelled_words
from evals.scoring.rates.rows import BETWEEN_NOTES, PPI, ROGAN_GLADEN, Row, pooled_rows
from evals.scoring.rates.tally import CellKey, RunFacts
from evals.statistics.judge_error import (
    Corrected,
    ErrorRate,
    Errors,
    JudgedSample,
    chance_of_difference,
    effective_size,
    error_rates,
    labels_to_halve,
    prediction_powered,
    rogan_gladen,
)
from evals.statistics.labels.agreement import Coefficient
from evals.statistics.labels.judge_kappa import judge_kappa
from evals.text import one_line

_SURE = 0.05


def corrected_rows(labelled: Pools, facts: RunFacts, labels: Labels, rates: Sequence[Row]) -> list[Row]:
    """The rows of corrected.csv. `rates` are those of rates.csv."""
    notes = sample_notes_of(labels, labelled.answers)
    pooled = pooled_rows(rates)
    return [row for pool in labelled.pools for row in _rows(pool, labels, facts, pooled, notes)]


def _rows(
    pool: Pool, labels: Labels, facts: RunFacts, rates: Sequence[Row], sample_notes: Sequence[str]
) -> Iterator[Row]:
    """Two rows for each cell, in the order of rates.csv."""
    population, ruled = pool.population, pool.flags("ruled")
    everywhere = np.ones(len(pool.answers), dtype=bool)
    pooled = scope_of(pool, labels, everywhere, population & ruled, facts)
    errors, kappa = _errors(pooled.judged), judge_kappa(pooled.judged)
    differing = _differences(pool, labels, population & ruled, facts)
    for raw in (row for row in rates if row["metric"] == pool.metric.name):
        cell = CellKey(*(raw[name] for name in CellKey._fields))
        if cell not in pool.cells:
            continue
        here = pool.of(cell)
        known = int((here & pool.flags("known")).sum())
        common = {name: raw[name] for name in CORRECTED_COLUMNS if name in raw} | {"judge": facts.judge_model}
        cell_scope = scope_of(pool, labels, here, population & ruled, facts)
        found, notes = _by_rogan_gladen(cell_scope.judged, pooled, errors)
        found = _scaled(found, share_left(len(cell_scope.judged.said), known) / _answered(pooled.judged))
        more = [*notes, *differing, *sample_notes]
        yield common | _described(ROGAN_GLADEN, found, pooled, errors, kappa, more)
        cell_errors, cell_kappa = _errors(cell_scope.judged), judge_kappa(cell_scope.judged)
        cell_scope = scope_of(pool, labels, here, population, facts)
        found, notes = _by_ppi(cell_scope.judged)
        found = _scaled(found, share_left(len(cell_scope.judged.said), known))
        yield common | _described(PPI, found, cell_scope, cell_errors, cell_kappa, [*notes, *sample_notes])


def _errors(judged: JudgedSample) -> Errors:
    return error_rates(judged) if len(judged.labelled) else Errors(None, None, None)


def _by_rogan_gladen(judged: JudgedSample, pooled: Scope, errors: Errors) -> tuple[Corrected | None, list[str]]:
    if not len(judged.said):
        return None, ["the judge ruled on none of its answers"]
    sensitivity, specificity = errors.sensitivity, errors.specificity
    if sensitivity is None or specificity is None:
        return None, [unlabelled_words(pooled.judged) or _one_sided(pooled.judged)]
    size = effective_size(judged.said, np.ones_like(judged.said), judged.prompts)
    found = rogan_gladen(float(judged.said.mean()), size, sensitivity, specificity)
    if found is None:
        return None, ["sensitivity and specificity add up to 1 or less: the judge is no better than chance"]
    if found.low == 0 and found.high == 1:
        return found, ["the labels do not exclude that the judge is no better than chance"]
    return found, []


def _by_ppi(judged: JudgedSample) -> tuple[Corrected | None, list[str]]:
    if not len(judged.said):
        return None, ["it has no complete answer"]
    found = prediction_powered(judged)
    return found, [] if found else [unlabelled_words(judged) or "none of its labelled answers is answered"]


def _one_sided(judged: JudgedSample) -> str:
    rate, what = ("sensitivity", "a hit") if not judged.hits.any() else ("specificity", "other than a hit")
    return f"no labelled answer is {what}, so nothing tells the judge's {rate}"


def _answered(judged: JudgedSample) -> float:
    """The share of the answers in the denominator that people would leave there; 1 where nobody has said."""
    answered = float((judged.weights * judged.answered).sum())
    return answered / float(judged.weights.sum()) if answered > 0 else 1.0


def _scaled(found: Corrected | None, by: float) -> Corrected | None:
    if found is None:
        return None
    rate, low, high = (min(1.0, end * by) for end in (found.rate, found.low, found.high))
    return Corrected(rate, low, high, found.by_labels * by**2, found.by_answers * by**2)


def _described(
    method: str,
    found: Corrected | None,
    scope: Scope,
    errors: Errors,
    kappa: Coefficient | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    more = labels_to_halve(found, scope.labels, scope.unlabelled) if found else None
    notes = [*notes, _cannot_halve(found, scope)] if found and more is None else notes
    return {
        "method": method,
        "corrected": found.rate if found else None,
        "corrected_low": found.low if found else None,
        "corrected_high": found.high if found else None,
        "n_labels": scope.labels,
        "n_unsure": scope.unsure,
        "n_excluded": scope.excluded,
        **_columns("sensitivity", errors.sensitivity),
        **_columns("specificity", errors.specificity),
        **_kappa_columns(kappa),
        "labels_to_halve": more,
        "note": BETWEEN_NOTES.join(notes),
    }


def _columns(name: str, error: ErrorRate | None) -> dict[str, float | None]:
    low, high = (error.low, error.high) if error else (None, None)
    return {name: error.rate if error else None, f"{name}_low": low, f"{name}_high": high}


def _kappa_columns(kappa: Coefficient | None) -> dict[str, float | None]:
    value, low, high = kappa or (None, None, None)
    return {"kappa": value, "kappa_low": low, "kappa_high": high}


def _cannot_halve(found: Corrected, scope: Scope) -> str:
    if found.by_labels <= 3 * found.by_answers:
        return "no number of labels halves the interval: it needs more answers, or more questions"
    return f"labelling all {scope.unlabelled} answers that are left would not halve the interval"


# --- does the judge err alike everywhere? ----------------------------------------------------------------------------


def _differences(pool: Pool, labels: Labels, used: Flags, facts: RunFacts) -> list[str]:
    """Where the judge's errors differ between conditions, models or formats by more than chance (Holm's level of all
    these tests together), so that one correction for all of them is biased."""
    tested: list[tuple[float, str]] = []
    for factor in ("condition", "model", "format"):
        levels = list(dict.fromkeys(getattr(answer.cell, factor) for answer in pool.answers))
        if len(levels) < 2:
            continue
        errors_by_level: dict[str, Errors] = {}
        for level in levels:
            here = np.array([getattr(answer.cell, factor) == level for answer in pool.answers], dtype=bool)
            errors_by_level[level] = _errors(scope_of(pool, labels, here, used, facts).judged)
        for name in ("sensitivity", "specificity"):
            rates: dict[str, ErrorRate] = {}
            for level, errors in errors_by_level.items():
                rate = errors.sensitivity if name == "sensitivity" else errors.specificity
                if rate is not None:
                    rates[level] = rate
            if len(rates) < 2:
                continue
            each = ", ".join(f"{one_line(level, 60)} {rate.rate:.0%}" for level, rate in rates.items())
            words = f"{name} differs between {factor}s ({each}): the pooled correction is biased, trust ppi"
            tested.append((chance_of_difference(list(rates.values())), words))
    return [words for p_value, words in tested if p_value * len(tested) < _SURE]
