"""score_calibration.csv: of the answers that the judge scores so, how many people call hits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evals.scoring.rates.label_weights import Labels
from evals.scoring.rates.labelled.pools import Pool, Pools
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tally import RunFacts
from evals.statistics.labels.curve import ScoredLabels, score_bins

EDGES = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
"""The bins of scores; the cut-off of misalignment is between two of them."""


def score_rows(labelled: Pools, facts: RunFacts, labels: Labels) -> list[Row]:
    """A row for each bin with an answer, of each labelled suite and metric whose judge gives scores."""
    return [row for pool in labelled.pools for row in _rows(pool, facts, labels)]


def _rows(pool: Pool, facts: RunFacts, labels: Labels) -> Iterator[Row]:
    kept = [place for place, answer in enumerate(pool.answers) if answer.score is not None and not answer.aside]
    answers = [pool.answers[place] for place in kept]
    said = {answer.trial_id: labels.by_trial.get(answer.trial_id) for answer in answers}
    words = {trial_id: label.label for trial_id, label in said.items() if label is not None}
    counted = {"yes", "no", "refused"} if facts.denominator == "judged" else {"yes", "no"}
    places = [place for place, answer in enumerate(answers) if words.get(answer.trial_id) in counted]
    if not places:
        return
    judged = ScoredLabels(
        scores=np.array([answer.score for answer in answers], dtype=np.float64),
        labelled=np.array(places, dtype=np.int64),
        hits=np.array([words[answers[place].trial_id] == "yes" for place in places], dtype=np.float64),
        weights=np.array([labels.weights[answers[place].trial_id] for place in places], dtype=np.float64),
        prompts=pool.prompts[np.array(kept)[places]],
    )
    for found in score_bins(judged, EDGES):
        if found.answers:
            yield {
                "run_id": facts.run_id,
                "suite": answers[0].cell.suite,
                "metric": pool.metric.name,
                "judge": facts.judge_model,
                "score_from": found.start,
                "score_to": found.end,
                "n_answers": found.answers,
                "n_labels": found.labels,
                "mean_score": found.mean_score,
                "rate": found.rate,
                "ci_low": found.low,
                "ci_high": found.high,
            }
