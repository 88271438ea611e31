"""What a dry run says of the cost: likely, by a pilot, what is recorded or the prior, and at most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.plan.cost.lengths import likely_lengths
from evals.plan.cost.planned import plan_cost, plan_usd
from evals.plan.cost.prior import FORMATS, JUDGED_SHARE, REASONS, SCORE
from evals.plan.options import build_config
from evals.plan.plan import make_plan
from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.runs import JUDGE, MODEL, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, last_message

OTHER = "vllm/judge"
PROMPT_TOKENS = 10
"""Of each request, as the scripted server counts."""
MCQ, OPEN, SCORED = 40, 250, 3


def of_known_length(body: Mapping[str, Any], _seen: int) -> Behaviour:
    text = last_message(body)
    if JUDGE_MARK in text:
        return Answer("90", completion_tokens=SCORED)
    return Answer("B", completion_tokens=MCQ) if "\nA - " in text else Answer("Return it.", completion_tokens=OPEN)


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(
        f"model,server,input,output,as_of,source\n{MODEL},,0,1000000,2026-01-01,the bill\n"
        f"{JUDGE},,0,1000000,2026-01-01,the bill\n"
    )
    return path


def words(dataset: Path, prices: Path, *more: str | Path) -> tuple[str | Path, ...]:
    """A run in which each reply token costs a dollar, and a prompt nothing."""
    judge = ("--judge", JUDGE, "--judge-mode", "text", "--no-cot-monitor")
    return ("run", "unethical_test", "--format", "both", "--dataset", dataset, "--prices", prices, *judge, *more)


def dry(url: str, *arguments: str | Path) -> tuple[str, dict[str, Any]]:
    shown, as_json = (emeval(*arguments, "--dry-run", *more, url=url) for more in ((), ("--json",)))
    assert shown.returncode == as_json.returncode == 0, shown.stderr
    return " ".join(shown.stdout.split()), json.loads(as_json.stdout)


def test_a_pilot_tells_the_likely_cost(tmp_path: Path, prices: Path) -> None:
    small, large = scenarios(tmp_path / "s.jsonl", 2), scenarios(tmp_path / "l.jsonl", 6)
    with server(of_known_length).start() as live:
        done = emeval(*words(small, prices, "-m", MODEL, "--out", tmp_path / "pilot", "--no-preflight"), url=live.url)
        assert done.returncode == 0, done.stderr
        asked = len(live.requests)
        arguments = words(large, prices, "-m", MODEL, "--max-tokens", "1000", "--pilot", tmp_path / "pilot")
        text, found = dry(live.url, *arguments)
        assert len(live.requests) == asked, "nothing is sent"
    model, judge = found["requests"]
    assert (model["requests"], judge["requests"]) == (18, 6)
    assert model["usd_likely"] == 12 * MCQ + 6 * OPEN == model["likely_reply_tokens"]
    assert judge["usd_likely"] == 6 * SCORED
    assert (model["usd"], judge["usd"]) == (18 * 1000, 6 * 1024)
    assert found["usd_likely"] == 12 * MCQ + 6 * OPEN + 6 * SCORED
    assert model["likely_from"] == judge["likely_from"] == "recorded"
    assert f"Cost: likely ${found['usd_likely']:,.2f}, at most ${found['usd_at_most']:,.2f}." in text
    assert f"Likely: reply lengths from 6 answers in {tmp_path / 'pilot'}. At most: every reply at its limit." in text


def test_a_likely_reply_is_no_longer_than_its_limit(tmp_path: Path, prices: Path) -> None:
    data = scenarios(tmp_path / "s.jsonl", 2)
    with server(of_known_length).start() as live:
        emeval(*words(data, prices, "-m", MODEL, "--out", tmp_path / "pilot", "--no-preflight"), url=live.url)
        more = ("-m", MODEL, "--max-tokens", "30", "--pilot", tmp_path / "pilot")
        _, found = dry(live.url, *words(data, prices, *more))
    assert found["requests"][0]["likely_reply_tokens"] == found["requests"][0]["reply_tokens"] == 6 * 30


def test_what_is_recorded_in_the_run_tells_the_likely_cost(tmp_path: Path, prices: Path) -> None:
    data, out = scenarios(tmp_path / "s.jsonl", 3), ("--out", tmp_path / "run")
    with server(of_known_length).start() as live:
        stopped = emeval(
            *words(data, prices, "-m", MODEL, *out, "--no-preflight", "--max-cost", "60", "--concurrency", "1"),
            url=live.url,
        )
        assert stopped.returncode == 3, stopped.stderr
        text, found = dry(live.url, *words(data, prices, "-m", MODEL, *out))
    assert "are recorded)" in text
    assert "recorded" in found["requests"][0]["likely_from"]
    assert found["usd_likely"] < found["usd_at_most"]


def test_models_that_a_pilot_did_not_ask_are_taken_as_its_others(tmp_path: Path, prices: Path) -> None:
    data = scenarios(tmp_path / "s.jsonl", 2)
    with server(of_known_length).start() as live:
        emeval(*words(data, prices, "-m", MODEL, "--out", tmp_path / "pilot", "--no-preflight"), url=live.url)
        text, found = dry(live.url, *words(data, prices, "-m", "vllm/third", "--pilot", tmp_path / "pilot"))
    assert found["requests"][0]["likely_reply_tokens"] == 4 * MCQ + 2 * OPEN
    assert found["requests"][0]["likely_from"] == "recorded of other models"
    assert "; models that it did not ask, as its others." in text


@pytest.mark.parametrize("thinking", ["on", "off", "default"])
def test_the_prior_is_by_format_and_thinking(tmp_path: Path, prices: Path, thinking: str) -> None:
    data = scenarios(tmp_path / "s.jsonl", 2)
    given = {"suites": ("unethical_test",), "models": (MODEL,), "dataset": (str(data),), "thinking": thinking}
    given |= {"judge": JUDGE, "format": "both", "prices": str(prices), "base_url": "http://127.0.0.1:9/v1"}
    given |= {"judge_base_url": "http://127.0.0.1:9/v1"}
    plan = make_plan(build_config(given, None))
    model, alignment, monitor = costs = list(plan_cost(plan, likely_lengths(plan.config)))
    place = 1 if thinking == "on" else 0
    assert model.likely_reply_tokens == 4 * FORMATS["mcq"][place] + 2 * FORMATS["freeform"][place]
    assert alignment.likely_reply_tokens == 2 * SCORE
    read = 0 if thinking == "off" else round(6 * JUDGED_SHARE)
    assert monitor.likely_requests == read
    assert monitor.likely_reply_tokens == (0 if thinking == "off" else round(6 * JUDGED_SHARE * REASONS))
    assert {cost.likely_from for cost in costs} == {"prior"}
    likely, most = plan_usd(plan, costs, likely=True), plan_usd(plan, costs)
    assert likely is not None
    assert most is not None
    assert 0 < likely < most


def test_a_dry_run_says_that_nothing_was_measured_and_what_a_limit_will_do(tmp_path: Path, prices: Path) -> None:
    data = scenarios(tmp_path / "s.jsonl", 2)
    arguments = words(data, prices, "-m", MODEL)
    text, found = dry("http://127.0.0.1:9/v1", *arguments, "--max-cost", "5")
    assert "Likely: reply lengths from a prior by suite and thinking, nothing measured" in text
    assert "--max-cost $5.00 likely stops the run before its end, to be resumed." in text
    between = (found["usd_likely"] + found["usd_at_most"]) / 2
    text, _ = dry("http://127.0.0.1:9/v1", *arguments, "--max-cost", str(between))
    assert "would stop the run before its end" in text
    text, _ = dry("http://127.0.0.1:9/v1", *arguments, "--max-cost", str(found["usd_at_most"]))
    assert "before its end" not in text


def test_a_pilot_that_cannot_tell_is_refused(tmp_path: Path, prices: Path) -> None:
    data = scenarios(tmp_path / "s.jsonl", 1)
    arguments = words(data, prices, "-m", MODEL, "--pilot", tmp_path / "pilot")
    with server(of_known_length).start() as live:
        refused(emeval(*arguments, "--dry-run", url=live.url), "--pilot: ")
        refused(emeval(*arguments, url=live.url), "--pilot: tells what a run is likely to cost; it goes with --dry-run")
        emeval(*words(data, prices, "-m", MODEL, "--out", tmp_path / "pilot", "--no-preflight"), url=live.url)
        refused(
            emeval(*arguments, "--dry-run", "--thinking", "off", url=live.url),
            "ran with --thinking default, and this run has off",
        )


def test_a_night_says_what_each_checkpoint_costs(tmp_path: Path, prices: Path) -> None:
    file = tmp_path / "night.yaml"
    file.write_text(
        f"out: {tmp_path / 'nights'}\ncheckpoints:\n- model: {MODEL}\nrun:\n  suites: [unethical_test]\n"
        f"  dataset: {scenarios(tmp_path / 's.jsonl', 2)}\n  prices: {prices}\n  max_tokens: 100\n"
    )
    done = emeval("nightly", file, "--dry-run", url="http://127.0.0.1:9/v1")
    assert done.returncode == 0, done.stderr
    assert f"  cost: likely ${4 * FORMATS['mcq'][0]}.00, at most $400.00\n" in done.stdout
