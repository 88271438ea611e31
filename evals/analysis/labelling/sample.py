"""Draw a sample of a run's answers and write the files to label it: `emeval label sample`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from evals.analysis.labelling.label_items import label_item, to_label_csv
from evals.analysis.labelling.page import label_page
from evals.analysis.labelling.population import NOT_JUDGED, Candidate, candidates
from evals.analysis.labelling.stratified_sample import StratifiedSample, draw
from evals.errors import BadInput
from evals.plan.provenance import now
from evals.plan.recorded_run import open_run
from evals.scoring.labels import (
    FOLDER,
    LABELS_NAME,
    SAMPLE_NAME,
    LabelSample,
    read_label_rows,
    read_sample,
    write_sample,
)


class Sampled(NamedTuple):
    """A sample of `population` answers; `missing` trials of the run are not recorded yet."""

    sample: LabelSample
    drawn: StratifiedSample
    population: int
    missing: int


def sample_run(run: Path, n: int, seed: int, *, force: bool = False) -> Sampled:
    """Draw `n` answers of the run and write its folder `labels/`. If it raises BadInput, nothing has changed."""
    _refuse_replacing(run, force=force)
    with open_run(run) as recorded:
        manifest, journal = recorded.manifest, recorded.journal
        population = list(candidates(journal, manifest))
        _refuse_unjudged(run, population)
        drawn = draw(population, n, seed, manifest.run_id)
        items = [label_item(journal.trial(row.trial_id), row.label_id, row.metric) for row in drawn.rows]
        missing = manifest.trials_planned - journal.recorded()
    sample = LabelSample(
        run_id=manifest.run_id,
        seed=seed,
        created_at=now(),
        judge=manifest.config.judge or "",
        strata=tuple(facts for _, facts in drawn.strata),
        rows=drawn.rows,
    )
    write_sample(run, sample, to_label_csv(items), label_page(manifest.run_id, items))
    return Sampled(sample, drawn, len(population), missing)


def _refuse_replacing(run: Path, *, force: bool) -> None:
    path = run / FOLDER
    if read_label_rows(run):
        raise BadInput(f"{path / LABELS_NAME}: holds labels of the sample that is there; it is not drawn again")
    if read_sample(run) is not None and not force:
        raise BadInput(f"{path / SAMPLE_NAME}: a sample is there already; --force draws another in its place")


def _refuse_unjudged(run: Path, population: list[Candidate]) -> None:
    if not population:
        raise BadInput(f"{run} holds no complete open answers that a judge reads: there is nothing to label")
    if all(candidate.band.name == NOT_JUDGED for candidate in population):
        raise BadInput(f"{run}: no judge has read its answers; `emeval judge RUN --judge MODEL` first")
