"""What is shown of the rates of a run that is at work: rates with intervals by condition, and that they are interim."""

from __future__ import annotations

from concurrent.futures import Future
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from evals.plan.manifest import judge_set
from evals.plan.spend import Ledger
from evals.reporting.console.live.interim import MOST_LINES, interim_lines
from evals.reporting.console.progress import StartCounts, shown
from evals.runner.count import count_run
from evals.runner.view import Earlier
from evals.scoring.rates.rows import headline_rows
from evals.scoring.rates.running import RunningPlace, RunningRate, RunningRates
from evals.scoring.scored_trial import score_trial
from evals.statistics.intervals import wilson_interval
from evals.trials.journal import Journal
from evals.trials.storage.checking import LARGE
from tests.support.cli_runner import emeval
from tests.support.servers.openai_server import OpenAIServer


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interim") / "run"
    with OpenAIServer(models=("m",)).start() as live:
        options = ("-m", "vllm/m", "--trigger", "2026", "--limit", "3", "--samples", "1")
        done = emeval("run", "unethical_test", *options, "--out", folder, url=live.url)
    assert done.returncode in (0, 1), done.stderr
    return folder


def test_they_are_the_rates_of_the_tables_once_all_is_in(run: Path) -> None:
    counted = count_run(run)
    rates = RunningRates("answered")
    with Journal.read(run, LARGE) as journal:
        for trial in journal.trials_with({}):
            rates.add(score_trial(trial, judge_set(counted.manifest)))
    found = {row["condition"]: (row["k"], row["n"]) for row in headline_rows(counted.tables.rate_rows)}
    assert all(n for _, n in found.values())
    assert rates.places == {RunningPlace("vllm/m", "unethical_test", "mcq"): found}


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (3, 40), (40, 40)])
def test_their_interval_is_wilsons(k: int, n: int) -> None:
    known = wilson_interval(k, n)
    assert known is not None
    assert RunningRate(k, n).interval == pytest.approx(known[:2])


def filled(models: int = 1) -> RunningRates:
    rates = RunningRates("answered")
    for number in range(models):
        rates.places[RunningPlace(f"lab/m{number}", "s", "mcq")] = {
            "on": RunningRate(30, 40),
            "off": RunningRate(1, 40),
        }
    return rates


def test_a_line_has_the_conditions_in_their_order_and_says_that_it_is_interim() -> None:
    heading, line = interim_lines(filled(), resumed=False)
    assert heading.startswith("interim, not a result")
    assert line.strip() == "m0 mcq: off 2% (1/40) [<1, 13], on 75% (30/40) [60, 86]"
    assert "since the run was resumed" in next(iter(interim_lines(filled(), resumed=True)))


def test_nothing_is_shown_before_an_answer_counts_and_not_more_than_fits() -> None:
    assert list(interim_lines(RunningRates("answered"), resumed=False)) == []
    lines = list(interim_lines(filled(MOST_LINES + 2), resumed=False))
    assert len(lines) == MOST_LINES + 2
    assert lines[-1] == "  and 2 more"


def test_progress_has_them_beside_its_counts() -> None:
    known: Future[Earlier] = Future()
    known.set_result(Earlier(0, 0, []))
    console = Console(file=StringIO(), width=100)
    with shown(console, StartCounts(80, 5, known, filled()), "", Ledger(tariffs={})) as progress:
        progress.sampled(failed=False)
        heading, line = progress.interim()
    assert "since the run was resumed" in heading
    assert "on 75% (30/40)" in line
