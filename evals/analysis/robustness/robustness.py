"""How much a run's result depends on its judge and cut-offs, from stored verdicts; sends no requests.

`robustness.csv` has the rate for every judge at every point of the grid of cut-offs, `agreement.csv` the agreement of
judges on the same answers, `panel.csv` what two judges or more say together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evals.analysis.robustness.claims import Claim, claims_of
from evals.analysis.robustness.panel import PANEL_COLUMNS, panel_rows
from evals.analysis.robustness.specification_grid import (
    Codes,
    Flags,
    JudgedGroup,
    RulingJudge,
    Specification,
    by_cluster,
    read_groups,
    ruling_judges,
)
from evals.errors import BadInput
from evals.io.atomic import write_json, write_rows
from evals.io.columns import Column, column_names
from evals.plan.manifest import Manifest
from evals.plan.recorded_run import open_run
from evals.scoring.rates.columns import (
    CI_HIGH,
    CI_LOW,
    FORMAT,
    METRIC,
    MODEL,
    PLACE,
    RATE,
    RUN_ID,
    SUITE,
    K,
    N,
)
from evals.scoring.rates.label_weights import usable_labels
from evals.scoring.rates.rows import Row
from evals.statistics.intervals import generalisation_interval
from evals.statistics.labels.agreement import (
    Coefficient,
    interval_alpha_interval,
    kappa_interval,
    nominal_alpha_interval,
)
from evals.trials.prompt import ALL

NEAR = 5.0
"""Scores within so many points of a cut-off could as well lie on its other side."""

SURFACE = (
    *PLACE,
    Column("judge", "text", "the judge model"),
    Column("alignment_cut", "number", "an answer scored below this is misaligned; blank where verdicts are words"),
    Column("coherence_cut", "text", "an answer less coherent than this is left out (`>50`: and one of 50), or `none`"),
    K,
    N,
    RATE,
    CI_LOW,
    CI_HIGH,
    Column("n_near", "integer", f"scores within {NEAR:g} points of the cut-off; blank where verdicts are words"),
    METRIC,
    Column("counted", "integer", "1 for the judge and cut-offs that the run counts by, else 0"),
)
AGREEMENT = (
    *(RUN_ID, SUITE, FORMAT, MODEL),
    Column("condition", "text", "as in `rates.csv`; `ALL` for all conditions together"),
    METRIC,
    Column("judge_a", "text", "one judge; `ALL` in both columns for all judges, where there are more than two"),
    Column("judge_b", "text", "the other judge"),
    Column("n", "integer", "answers that both count"),
    Column("agreed", "integer", "of these, answers that both call hits or both do not"),
    Column("agreement", "number", "agreed / n, from 0 to 1"),
    Column("ci_low", "number", "lower end of its 95% interval, for questions like these"),
    CI_HIGH,
    Column("kappa", "number", "Cohen's kappa"),
    Column("kappa_low", "number", "lower end of its 95% interval, for questions like these; blank for one question"),
    Column("kappa_high", "number", "its upper end"),
    Column("alpha", "number", "Krippendorff's alpha of hit and miss"),
    Column("alpha_low", "number", "lower end of its 95% interval"),
    Column("alpha_high", "number", "its upper end"),
    Column("hits_a", "integer", "hits by the first judge, among n"),
    Column("hits_b", "integer", "hits by the second judge, among n"),
    Column("n_one", "integer", "answers that some of the judges count and not all"),
    Column("n_scores", "integer", "answers scored by both"),
    Column("mean_difference", "number", "mean score of the first judge less that of the second, in points"),
    Column("alpha_scores", "number", "Krippendorff's alpha of the scores"),
    Column("alpha_scores_low", "number", "lower end of its 95% interval; blank where all scores are equal"),
    Column("alpha_scores_high", "number", "its upper end"),
)
PANEL_NAME = "panel.csv"
_KAPPA = ("kappa", "kappa_low", "kappa_high")
SURFACE_COLUMNS = column_names(SURFACE)
AGREEMENT_COLUMNS = column_names(AGREEMENT)


class Coverage(NamedTuple):
    """The answers that a judge has ruled on, out of those it could read."""

    judge: str
    ruled: int
    answers: int


class Robustness(NamedTuple):
    """The robustness of a run. `surface`, `agreement` and `panel` are the rows of the three CSVs."""

    manifest: Manifest
    judges: tuple[RulingJudge, ...]
    groups: tuple[JudgedGroup, ...]
    claims: tuple[Claim, ...]
    surface: list[Row]
    agreement: list[Row]
    panel: list[Row]
    coverage: tuple[Coverage, ...]


def assess(folder: Path) -> Robustness:
    """Assess the run in `folder` and write its CSVs, that of a panel if there is one. Raises BadInput if no judge has
    read an answer, or the labels cannot be used."""
    labels = usable_labels(folder)
    labelled = labels.by_trial.keys() if labels else frozenset[str]()
    with open_run(folder) as run:
        manifest = run.manifest
        judges, config = ruling_judges(manifest, run.journal), manifest.config
        read = read_groups(run.journal, judges, config.denominator, config.baseline, labelled) if judges else ()
        groups = tuple(read)
    if not groups:
        raise BadInput(
            f"{folder}: no judge has read an answer (choices and numbers are read by rule); "
            "`emeval judge RUN --judge MODEL` has open answers judged"
        )
    surface = [row for group in groups for row in _surface(group, manifest.run_id)]
    agreement = [row for group in groups for row in _agreement(group, manifest.run_id)]
    write_rows(folder / "robustness.csv", SURFACE_COLUMNS, surface)
    write_rows(folder / "agreement.csv", AGREEMENT_COLUMNS, agreement)
    panel = [row for group in groups for row in panel_rows(group, manifest.run_id, labels, config.denominator)]
    if panel:
        write_rows(folder / PANEL_NAME, PANEL_COLUMNS, panel)
    else:
        (folder / PANEL_NAME).unlink(missing_ok=True)
    claims = tuple(claim for group in groups for claim in claims_of(group))
    return Robustness(manifest, judges, groups, claims, surface, agreement, panel, tuple(_coverage(groups, judges)))


def refuse_place(path: Path) -> None:
    """Raise BadInput, before the first request, if no file can be written at `path`."""
    if path.is_dir() or not path.parent.is_dir():
        raise BadInput(f"--json: {path} is a folder" if path.is_dir() else f"--json: there is no folder {path.parent}")


def write_robustness_json(found: Robustness, path: Path, attacks: Sequence[Row] | None = None) -> None:
    """Write everything as JSON, with the rows of attacks.csv if judges were attacked."""
    counted = next((judge.label for judge in found.judges if judge.counts), None)
    value = {
        "run_id": found.manifest.run_id,
        "counted_judge": counted,
        "judges": [coverage._asdict() for coverage in found.coverage],
        "claims": [_claim_value(claim) for claim in found.claims],
        "surface": found.surface,
        "agreement": found.agreement,
        "panel": found.panel,
        "attacks": None if attacks is None else list(attacks),
    }
    write_json(path, value)


def _claim_value(claim: Claim) -> Row:
    def by(readings: dict[Any, Any], name: str) -> list[Row]:
        return [{name: key} | (reading._asdict() if reading else {}) for key, reading in readings.items()]

    same, points = claim.everywhere
    return claim._asdict() | {
        "own": claim.own._asdict() if claim.own else None,
        "by_judge": by(claim.by_judge, "judge"),
        "by_cut": by(claim.by_cut, "alignment_cut"),
        "by_coherence": by(
            {floor and floor.setting: reading for floor, reading in claim.by_coherence.items()}, "coherence_cut"
        ),
        "everywhere": {"same": same, "points": points},
    }


def _coverage(groups: Sequence[JudgedGroup], judges: Sequence[RulingJudge]) -> Iterator[Coverage]:
    for judge in judges:
        ruled = answers = 0
        for group in groups:
            if judge in group.judges:
                ruled += int((group.ruled[group.judges.index(judge)] & group.judgeable).sum())
            answers += int(group.judgeable.sum())
        yield Coverage(judge.label, ruled, answers)


# --- robustness.csv --------------------------------------------------------------------------------------------------


def _surface(group: JudgedGroup, run_id: str) -> Iterator[Row]:
    for condition, (number, judge) in itertools.product(group.condition_names, enumerate(group.judges)):
        chosen = group.of(condition)
        for point in group.points(number):
            cut, least = group.cuts[point.cut], group.least_coherence[point.coherence]
            yield {
                "run_id": run_id,
                "suite": group.suite,
                "format": group.format,
                "model": group.model,
                "condition": condition,
                "judge": judge.label,
                "alignment_cut": cut,
                "coherence_cut": "none" if least is None else str(least),
                **_rate(group, point, chosen),
                "n_near": near_cut(group, point, chosen),
                "metric": group.metric,
                "counted": judge.counts and point == group.own_point(number),
            }


def _rate(group: JudgedGroup, point: Specification, chosen: Flags) -> Row:
    hits = by_cluster(group.hits[point.judge, point.coherence, point.cut] & chosen, group.prompts)
    counted = by_cluster(group.counted[point.judge, point.coherence] & chosen, group.prompts)
    k, n = int(hits.sum()), int(counted.sum())
    interval = generalisation_interval(hits, counted)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {"k": k, "n": n, "rate": k / n if n else None, "ci_low": low, "ci_high": high}


def near_cut(group: JudgedGroup, point: Specification, chosen: Flags) -> int | None:
    """The answers in n whose score is at most NEAR points from the cut-off, None if verdicts are labels."""
    cut = group.cuts[point.cut]
    if cut is None:
        return None
    is_near = np.abs(group.scores[point.judge] - cut) <= NEAR  # False for NaN
    return int((is_near & chosen & group.counted[point.judge, point.coherence]).sum())


# --- agreement.csv ---------------------------------------------------------------------------------------------------


def _agreement(group: JudgedGroup, run_id: str) -> Iterator[Row]:
    """A row for every pair of judges, and one for all if more than two; over all conditions (ALL) and each."""
    own = [group.own_point(number) for number in range(len(group.judges))]
    counted = np.array([group.counted[point.judge, point.coherence] for point in own])
    hits = np.array([group.hits[point.judge, point.coherence, point.cut] for point in own])
    conditions = [None, *(group.condition_names if len(group.condition_names) > 1 else ())]
    for condition in conditions:
        chosen = group.of(condition)
        about = {
            "run_id": run_id,
            "suite": group.suite,
            "format": group.format,
            "model": group.model,
            "condition": ALL if condition is None else condition,
            "metric": group.metric,
        }
        judged, judged_hits, scores = counted[:, chosen], hits[:, chosen], group.scores[:, chosen]
        prompts = group.prompts[chosen]
        for a, b in itertools.combinations(range(len(own)), 2):
            names = {"judge_a": group.judges[a].label, "judge_b": group.judges[b].label}
            yield about | names | _pair_agreement(judged[[a, b]], judged_hits[[a, b]], scores[[a, b]], prompts)
        if len(own) > 2:
            names = {"judge_a": ALL, "judge_b": ALL}
            overall = _pair_agreement(judged, judged_hits, scores, prompts)
            no_pair = dict.fromkeys((*_KAPPA, "hits_a", "hits_b", "mean_difference"))
            yield about | names | overall | no_pair


def _pair_agreement(counted: Flags, hits: Flags, scores: Any, prompts: Codes) -> Row:
    """The agreement of judges (rows) on the same answers (columns); `n` counts answers that all judges count."""
    counted_by_all: Flags = np.asarray(counted.all(axis=0))
    agreed: Flags = np.asarray(counted_by_all & (hits == hits[0]).all(axis=0))
    n, k = int(counted_by_all.sum()), int(agreed.sum())
    interval = generalisation_interval(by_cluster(agreed, prompts), by_cluster(counted_by_all, prompts)) if n else None
    scored = ~np.isnan(scores).any(axis=0)
    differences = (scores[0] - scores[1])[scored]
    first, second = (hits[number, counted_by_all].tolist() for number in (0, 1))
    return {
        "n": n,
        "agreed": k,
        "agreement": k / n if n else None,
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
        **_coefficient("kappa", kappa_interval(first, second, prompts[counted_by_all])),
        **_coefficient("alpha", nominal_alpha_interval(np.where(counted, hits.astype(np.float64), np.nan), prompts)),
        "hits_a": int(hits[0, counted_by_all].sum()),
        "hits_b": int(hits[1, counted_by_all].sum()),
        "n_one": int(counted.any(axis=0).sum()) - n,
        "n_scores": int(scored.sum()),
        "mean_difference": float(differences.mean()) if len(differences) else None,
        **_coefficient("alpha_scores", interval_alpha_interval(scores, prompts)),
    }


def _coefficient(name: str, found: Coefficient | None) -> Row:
    value, low, high = found or (None, None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}
