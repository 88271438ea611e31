"""The progress of a run that is resumed: what earlier sessions did is shown once it is known, and is never guessed."""

from __future__ import annotations

import re
from concurrent.futures import Future
from datetime import date
from io import StringIO
from pathlib import Path

from rich.console import Console

from benchmarks.growth.recorded import recorded_run
from evals.endpoints.prices import Price
from evals.plan.spend import Ledger
from evals.reporting.console.progress import StartCounts, shown
from evals.runner.view import Earlier
from evals.trials.record import Usage
from tests.support.cli_runner import emeval
from tests.support.servers.openai_server import OpenAIServer

PRICE = Price(input=1.0, output=2.0, source="test", as_of=date(2026, 1, 1))


def last_line(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()[-1]


def test_failures_and_spend_of_earlier_sessions_are_shown_once_they_are_known() -> None:
    console = Console(file=StringIO(), width=200)
    known: Future[Earlier] = Future()
    ledger = Ledger(tariffs={"m": PRICE})
    with shown(console, StartCounts(10, 6, known), "judge", ledger) as progress:
        progress.replied("sampling", "m", 1_000_000, 0)
        progress.sampled(failed=True)
        assert progress.spent() == ""
        known.set_result(Earlier(2, 5, [Usage("m", "sampling", 6, 0, 2_000_000, 1_000_000)]))
        progress.judged(failed=False)
        assert progress.spent() == "$5.00"
    assert re.match(
        r"7/10 sampled, .*, 3 failed; judge judge: 1/5 judged, 0 failed; spent .* \$5.00$", last_line(console)
    )


def test_a_count_that_was_ended_is_not_shown_as_one() -> None:
    console = Console(file=StringIO(), width=200)
    known: Future[Earlier] = Future()
    with shown(console, StartCounts(10, 6, known), "", Ledger(tariffs={"m": PRICE})) as progress:
        progress.sampled(failed=False)
        progress.replied("sampling", "m", 1_000_000, 0)
        known.set_exception(RuntimeError("interrupted"))
    assert re.fullmatch(r"7/10 sampled, [^,]*, ETA [^,]*", last_line(console))


def test_a_judge_of_several_measures_has_as_many_answers_left_as_it_has_not_judged(tmp_path: Path) -> None:
    with OpenAIServer(models=("test-model",)).start() as server:
        folder = recorded_run(tmp_path / "run", 80, pending=40, url=server.url)
        urls = ("--base-url", server.url, "--judge-base-url", server.url)
        done = emeval("resume", folder, *urls, "--dataset", f"run.yaml={tmp_path / 'run.yaml'}")
    assert done.returncode == 0, done.stderr
    assert "80/80 sampled" in done.stderr
    assert "judge vllm/test-model: 40/40 judged, 0 failed" in done.stderr
