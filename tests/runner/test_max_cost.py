"""`--max-cost`: a run stops when it has cost so much, loses nothing, and goes on with more."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.prices import Price
from evals.plan.spend import Budget, Ledger
from tests.support.cli_runner import emeval, manifest, recorded, refused, responses, scenarios, told_again
from tests.support.runs import by_hash
from tests.support.servers.openai_server import OpenAIServer

PRICES = """model,server,input,output,as_of,source
vllm/subject,,{0},{0},2026-01-01,here
vllm/judge,,{1},{1},2026-01-01,here
"""


@pytest.fixture
def live() -> Iterator[OpenAIServer]:
    with OpenAIServer(by_hash, models=("subject", "judge"), latency_s=0.01).start() as live:
        yield live


def run(live: OpenAIServer, folder: Path, *more: str, prices: tuple[float, float] = (1000.0, 1000.0)) -> Any:
    data = folder.parent / "data.jsonl"
    if not data.exists():
        scenarios(data, 40)
    (folder.parent / "prices.csv").write_text(PRICES.format(*prices))
    return emeval(
        *("run", "unethical_test", "-m", "vllm/subject", "--dataset", data, "--format", "freeform", "--out", folder),
        *(
            "--judge",
            "vllm/judge",
            "--judge-mode",
            "text",
            "--concurrency",
            "2",
            "--prices",
            folder.parent / "prices.csv",
        ),
        *("--no-preflight", *more),
        url=live.url,
    )


def spent(folder: Path) -> float:
    return sum(row["usd"] or 0.0 for row in manifest(folder)["spend"])


def test_a_run_stops_at_its_limit_and_goes_on_with_a_higher_one(live: OpenAIServer, tmp_path: Path) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    assert run(live, whole).returncode == 0
    limit = spent(whole) / 3
    done = run(live, folder, "--max-cost", f"{limit}")
    assert done.returncode == 3, done.stderr
    assert "--max-cost: $" in done.stderr.splitlines()[-1]
    assert "resume with: emeval resume" in done.stderr
    assert 0 < recorded(folder) < recorded(whole)
    # What was in flight is finished: of two requests at a time, with a few workers that wait for a commit.
    assert limit <= spent(folder) < limit + 16 * spent(whole) / 80
    assert len(live.chats) > 0
    asked = len(live.chats)
    again = emeval("resume", folder, *told_again(folder), url=live.url)
    assert again.returncode == 3, again.stderr
    assert len([chat for chat in live.chats[asked:] if "case" in str(chat.body).lower()]) == 0, "nothing more is asked"
    on = emeval("resume", folder, *told_again(folder), "--max-cost", "100000", url=live.url)
    assert on.returncode == 0, on.stderr
    columns = ["trial_id", "answer", "outcome", "aligned"]
    one, other = (responses(place)[columns].sort_values("trial_id").to_dict("records") for place in (folder, whole))
    assert one == other
    assert spent(folder) == pytest.approx(spent(whole))


def test_what_judging_costs_counts_too(live: OpenAIServer, tmp_path: Path) -> None:
    done = run(live, tmp_path / "run", "--max-cost", "0.2", prices=(0.0, 1000.0))
    assert done.returncode == 3, done.stderr
    assert spent(tmp_path / "run") >= 0.2


def test_a_limit_that_is_never_reached_changes_nothing(live: OpenAIServer, tmp_path: Path) -> None:
    assert run(live, tmp_path / "run", "--max-cost", "1000000").returncode == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--max-cost", "0"), "--max-cost"),
        (("--max-cost", "1", "--judge-via", "openai-batch"), "--max-cost: requests that go by file cannot be stopped"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(
    more: tuple[str, ...], said: str, live: OpenAIServer, tmp_path: Path
) -> None:
    refused(run(live, tmp_path / "run", *more), said)
    assert not (tmp_path / "run").exists()


def test_a_model_without_a_price_is_refused_before_anything_is_asked(live: OpenAIServer, tmp_path: Path) -> None:
    done = emeval(
        *("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 3)),
        *("--format", "mcq", "--max-cost", "5", "--out", tmp_path / "run"),
        url=live.url,
    )
    refused(done, "--max-cost: no price is known of vllm/subject: give it with --prices FILE.csv")
    assert not live.chats
    assert not (tmp_path / "run").exists()


def test_replies_that_tell_no_tokens_count_as_the_others() -> None:
    price = Price(input=10.0, output=10.0, as_of=datetime.date(2026, 1, 1), source="here")
    budget = Budget(0.08, Ledger(tariffs={"vllm/m": price}))
    for number in range(4):
        assert budget.allows_more()
        tokens = 1000 if number % 2 == 0 else None
        budget.ledger.add("vllm/m", "sampling", tokens, tokens)
    assert budget.spent() == pytest.approx(4 * 2000 * 10 / 1e6)
    assert not budget.is_hit
    assert not budget.allows_more()
    assert budget.is_hit
