"""The tables of a run that rest on labels, counted beside the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evals.scoring.rates.label_weights import Labels
from evals.scoring.rates.labelled.corrected import corrected_rows
from evals.scoring.rates.labelled.effects import corrected_effect_rows
from evals.scoring.rates.labelled.pools import read_pools
from evals.scoring.rates.labelled.scores import score_rows
from evals.scoring.rates.tables import Tables
from evals.scoring.rates.tally import RunFacts
from evals.trials.journal import Journal


def with_labels(tables: Tables, journal: Journal, folder: Path, facts: RunFacts, labels: Labels) -> Tables:
    """The tables of the run in `folder` with what its labels correct. Raises BadInput where they are of another run."""
    pools = read_pools(journal, folder, facts, labels)
    return replace(
        tables,
        corrected_rows=corrected_rows(pools, facts, labels, tables.rate_rows),
        corrected_effect_rows=corrected_effect_rows(pools, facts, labels, tables.rate_rows, tables.all_effect_rows),
        score_rows=score_rows(pools, facts, labels),
    )
