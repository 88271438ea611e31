"""Trials are counted without their texts, and the result is that of reading each of them whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evals.runner.count import manifest_of, run_facts
from evals.scoring.coherence_floor import CoherenceFloor
from evals.scoring.rates.effects import base_effect_rows, effect_rows
from evals.scoring.rates.rates import rate_rows
from evals.scoring.rates.responses import tally_of, write_responses
from evals.scoring.rates.tally import CountedTrial, RunFacts, Tally
from evals.scoring.scored_trial import score_trial
from evals.trials.journal import Journal
from tests.support.export_runs import everything_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything_run(tmp_path_factory.mktemp("everything"))


def read_whole(journal: Journal, facts: RunFacts) -> Tally:
    """The tally by the plainest of readings: every trial with its texts, one after the other."""
    tally = Tally()
    for trial in journal.trials_in_plan_order():
        tally.add(CountedTrial.of(score_trial(trial, facts.judges), facts.denominator))
    return tally


def variations(facts: RunFacts) -> list[RunFacts]:
    """The run counted as it is, with refusals in n, with other floors of coherence, and by no judge of coherence."""
    judges = facts.judges
    floors = [None, CoherenceFloor(90), CoherenceFloor(90, is_exclusive=True)]
    return [
        facts,
        replace(facts, denominator="judged"),
        *(replace(facts, judges=replace(judges, coherence_min=floor)) for floor in floors),
        replace(facts, judges=replace(judges, coherence=None, coherence_min=None)),
        replace(facts, judges=replace(judges, monitor=None, articulation=None)),
    ]


def test_a_run_of_every_outcome_is_counted_as_a_whole_reading_counts_it(run: Path, tmp_path: Path) -> None:
    tables: set[str] = set()
    run_as_it_is = run_facts(manifest_of(run))
    with Journal.read(run) as journal:
        cells = journal.cells()
        for facts in variations(run_as_it_is):
            expected, found = read_whole(journal, facts), tally_of(journal, facts)
            assert list(found.kinds.items()) == list(expected.kinds.items())
            assert found.numbers == expected.numbers
            assert repr(found) == repr(expected) == repr(write_responses(journal, tmp_path / "responses.csv", facts))
            counted = [
                repr((rate_rows(tally, cells, facts), effect_rows(tally, facts), base_effect_rows(tally, facts)))
                for tally in (expected, found)
            ]
            assert counted[0] == counted[1]
            tables.add(counted[0])
        outcomes = {count.outcome for count in tally_of(journal, run_as_it_is).trial_counts()}
    print(len(tables), outcomes)
    assert len(tables) > 2  # the variations do count otherwise
    missing = {
        "refused",
        "incoherent",
        "truncated",
        "empty",
        "failed",
        "judge_refused",
        "judge_unreadable",
        "judge_failed",
    }
    assert outcomes == {"scored", *missing}
