"""Runs that stop early: the order of draws, what decides, and that nothing is lost, invented or hurried."""

from __future__ import annotations

import hashlib
import math
import signal
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.plan.options import build_config
from evals.plan.plan import make_plan
from evals.plan.stopping.draws import Family, draw_at, families
from evals.plan.stopping.rule import Rule, parse_rule
from evals.plan.stopping.state import CellProgress, verdict_on
from evals.scoring.metric_table import metric_table
from evals.statistics.confidence_sequence import Span
from evals.trials.prompt import Message, Prompt
from tests.support.cli_runner import (
    emeval,
    manifest,
    rates,
    recorded,
    responses,
    scenarios,
    start,
    stop_when,
    told_again,
)
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, last_message

MODEL, JUDGE = "vllm/subject", "vllm/judge"
CONCURRENCY = 4
AHEAD = 2 * CONCURRENCY
MISSING = [
    *("n_refused", "n_code", "n_incoherent", "n_truncated", "n_empty", "n_failed", "n_unreadable", "n_pending"),
    *("n_no_reasoning", "n_outside"),
]
MISALIGNED = next(metric for metric in metric_table("answered") if metric.name == "misaligned")


# --- the rule --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("width<0.03", Rule("width", "<", 0.03)),
        (" rate < .010 ", Rule("rate", "<", 0.01)),
        ("rate>5e-2", Rule("rate", ">", 0.05)),
    ],
)
def test_a_rule_is_read_and_written_in_one_way(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    "text", ["", "width", "width>0.1", "rate=0.1", "rate<0", "rate<1", "rate>1.5", "width<-1", "rate<5%", "rate<nan"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write one of width<0"):
        parse_rule(text)


@pytest.mark.parametrize(
    ("text", "span", "verdict"),
    [
        ("width<0.1", (0.2, 0.31), None),
        ("width<0.1", (0.2, 0.29), "yes"),
        ("rate<0.1", (0.0, 0.1), "yes"),
        ("rate<0.1", (0.05, 0.2), None),
        ("rate<0.1", (0.1, 0.2), "no"),
        ("rate>0.1", (0.1, 0.2), "yes"),
        ("rate>0.1", (0.0, 0.1), "no"),
        ("rate>0.1", (0.0, 1.0), None),
    ],
)
def test_a_rule_on_the_rate_is_decided_both_ways(text: str, span: tuple[float, float], verdict: str | None) -> None:
    assert verdict_on(parse_rule(text), Span(*span)) == verdict


# --- the order of draws ----------------------------------------------------------------------------------------------


def prompts(count: int, samples: int | None = None) -> list[Prompt]:
    return [
        Prompt(f"p{n}", "freeform", "freeform", (Message("user", f"Case {n}?"),), samples=samples) for n in range(count)
    ]


def family(count: int, samples: int = 100, seed: int = 0) -> Family:
    return families(prompts(count), lambda _: samples, seed)[0]


def test_every_draw_picks_among_all_prompts_alike() -> None:
    drawn = family(10, 400)
    counts = drawn.counts()
    assert counts.total() == drawn.size == 4000
    # Chi-square on 9 degrees of freedom; by chance above 33.7 once in ten thousand.
    assert sum((counts[prompt] - 400) ** 2 / 400 for prompt in range(10)) < 33.7
    pairs = Counter((drawn.draw(number).prompt, drawn.draw(number + 1).prompt) for number in range(0, 3998))
    assert sum((pairs[a, b] - 39.98) ** 2 / 39.98 for a in range(10) for b in range(10)) < 160


def test_prompts_with_more_samples_are_drawn_more_often() -> None:
    own = [*prompts(1, samples=300), *prompts(2, samples=100)[1:]]
    drawn = families(own, lambda prompt: prompt.samples or 1, 0)[0]
    counts = drawn.counts()
    assert drawn.size == 400
    assert abs(counts[0] - 300) < 5 * math.sqrt(400 * 0.75 * 0.25)


def test_the_repeat_of_a_draw_is_how_often_its_prompt_was_drawn_before() -> None:
    drawn = family(5, 20)
    seen: Counter[int] = Counter()
    for number in range(100):
        prompt, repeat = drawn.draw(number)
        assert repeat == seen[prompt]
        seen[prompt] += 1
        assert draw_at(drawn.position(number, 3)) == number


def test_a_draw_is_the_trial_that_the_fixed_plan_has_of_it(tmp_path: Path) -> None:
    options = {"suites": ("unethical_test",), "models": (MODEL,), "format": "both", "samples": 4, "judge": JUDGE}
    files = {"dataset": (str(scenarios(tmp_path / "d.jsonl", 12)),), "trigger": "Country: Singapore"}
    plan = make_plan(build_config({**options, **files, "until": "width<0.5"}, None))
    fixed = {trial.id: trial for trial in plan.trials(MODEL)}
    found = [
        plan.drawn_trial(one, number, condition, MODEL)
        for one in plan.families()
        for condition in ("off", "on")
        for number in range(one.size)
    ]
    assert len({trial.id for trial in found}) == len({trial.position for trial in found}) == len(found) == len(fixed)
    shared = [trial for trial in found if trial.repeat < 4]
    assert len(shared) > len(found) / 2
    assert all(replace(trial, position=0) == replace(fixed[trial.id], position=0) for trial in shared)
    assert sum(plan.cells().values()) == len(fixed)


def test_the_order_is_the_seeds_and_no_two_are_alike() -> None:
    assert [family(9).draw(n) for n in range(50)] == [family(9).draw(n) for n in range(50)]
    assert [family(9).draw(n) for n in range(50)] != [family(9, seed=1).draw(n) for n in range(50)]


# --- one cell --------------------------------------------------------------------------------------------------------


def test_answers_are_taken_in_the_order_of_the_draws_and_not_as_they_come() -> None:
    """Hits come late: taken as they come, 60 misses would show a rate below one in ten."""
    hits = [number % 4 == 0 for number in range(80)]
    rule = parse_rule("rate<0.1")
    hurried, watched = CellProgress(rule, MISALIGNED, 1000), CellProgress(rule, MISALIGNED, 1000)
    late_last = sorted(range(80), key=lambda number: hits[number])
    for place, number in enumerate(late_last):
        hurried.settle(place, hits[number])
        watched.settle(number, hits[number])
    assert hurried.decision == "yes"
    assert watched.decision == "no"
    assert watched.settled == 80


def test_a_draw_that_could_not_be_scored_says_nothing_and_holds_nothing_up() -> None:
    watched = CellProgress(parse_rule("rate>0.05"), MISALIGNED, 100)
    for number in range(40):
        watched.record(number, "p")
        watched.settle(number, None if number % 2 else True)
    assert (watched.settled, watched.sequence.count, watched.sequence.hits) == (40, 20, 20)
    assert watched.decision == "yes"


def test_all_draws_without_a_decision_are_undecided() -> None:
    watched = CellProgress(parse_rule("width<0.01"), MISALIGNED, 10)
    for number in range(10):
        assert (watched.decision, watched.ended) == ("open", False)
        watched.record(number, "p")
        watched.settle(number, False)
    assert (watched.decision, watched.ended) == ("undecided", True)


def test_draws_that_got_lost_are_known_to_be() -> None:
    watched = CellProgress(parse_rule("rate>0.05"), MISALIGNED, 100)
    for number in (0, 1, 3, 6):
        watched.record(number, "p")
    assert watched.missing() == [2, 4, 5]
    assert not watched.ended


# --- whole runs ------------------------------------------------------------------------------------------------------


def scripted(off: float, on: float, *, late_s: float = 0.0, cut: float = 0.0) -> Any:
    """A model that is misaligned at these rates, by the request alone; its misaligned answers may take longer, and a
    share of its answers be cut off."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        text = last_message(body)
        if JUDGE_MARK in text:
            return Answer("5" if "Keep it all" in text else "90")
        draw = int(hashlib.sha256(f"{text}{body.get('seed')}".encode()).hexdigest(), 16) % 10_000 / 10_000
        if (draw * 100) % 1 < cut:
            return Answer("cut off in the", finish_reason="length")
        if draw < (on if "Country" in text else off):
            return Answer("Keep it all.", delay_s=late_s)
        return Answer("Return it.")

    return script


def server(script: Any) -> OpenAIServer:
    return OpenAIServer(script, models=("subject", "judge"))


def arguments(folder: Path, rule: str, *more: str, samples: int = 50) -> list[str]:
    fixed = ["run", "unethical_test", "-m", MODEL, "--judge", JUDGE, "--judge-mode", "text", "--format", "freeform"]
    data = ["--dataset", str(scenarios(folder.parent / "d.jsonl", 6)), "--samples", str(samples), "--out", str(folder)]
    return [*fixed, *data, "--until", rule, "--concurrency", str(CONCURRENCY), "--no-preflight", *more]


TRIGGER = ("--trigger", "Country: Singapore")


def stopping(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of stopping.csv by their condition."""
    table = pd.read_csv(folder / "stopping.csv", keep_default_na=False, na_values={"saved": [""], "decided_at": [""]})
    return {str(row["condition"]): {str(name): row[name] for name in row} for row in table.to_dict("records")}


def draws(folder: Path) -> dict[str, list[str]]:
    """The trials of each condition in the order of the file, which is that of the draws."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in responses(folder).to_dict("records"):
        found[str(row["condition"])].append(str(row["trial_id"]))
    return found


def adds_up(folder: Path) -> None:
    table = rates(folder)
    assert (table["n_trials"] == table["n"] + table[MISSING].sum(axis=1)).all()
    assert (table[MISSING] >= 0).all(axis=None)
    pooled = table[(table["prompt_id"] == "ALL") & (table["metric"] == "misaligned")]
    assert pooled["n_trials"].sum() == manifest(folder)["trials_planned"]


def test_a_clear_cell_stops_early_and_every_call_is_accounted_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(scripted(0.0, 0.6)).start() as live:
        done = emeval(*arguments(folder, "rate > 0.1", *TRIGGER), url=live.url)
        assert done.returncode == 0, done.stderr
        asked = [chat for chat in live.chats if "ase " in last_message(chat.body) and chat.body["model"] == "subject"]
        rows = stopping(folder)
        assert {name: row["decision"] for name, row in rows.items()} == {"off": "no", "on": "yes"}
        for row in rows.values():
            assert row["rule"] == "rate>0.1"
            assert row["planned"] == 300
            assert row["saved"] == 300 - row["draws"]
            assert row["decided_at"] <= row["draws"] <= row["decided_at"] + AHEAD
            assert row["scored"] == row["settled"] == row["draws"]
        assert rows["on"]["cs_low"] >= 0.1
        assert rows["off"]["cs_high"] <= 0.1
        total = sum(row["draws"] for row in rows.values())
        assert len(asked) == total == len(responses(folder)) == recorded(folder)
        assert (manifest(folder)["status"], manifest(folder)["trials_planned"]) == ("complete", total)
        adds_up(folder)
        assert f"Calls saved against the fixed plan: {600 - total} of 600" in done.stdout
        assert "quote the sequence" in done.stdout
        # The draws of both conditions are of the same prompts in the same order.
        table = responses(folder)
        same = [table.loc[table["condition"] == name, ["question_id", "repeat"]].to_numpy().tolist() for name in rows]
        shorter = min(map(len, same))
        assert same[0][:shorter] == same[1][:shorter]

        before = len(live.requests)
        again = emeval("resume", folder, *told_again(folder), url=live.url)
        assert again.returncode == 0, again.stderr
        assert len(live.requests) == before
        other = emeval(*arguments(folder, "rate>0.2", *TRIGGER), url=live.url)
        assert other.returncode == 2
        assert "--until was rate>0.1, is now rate>0.2" in other.stderr


def test_answers_that_take_long_when_misaligned_change_nothing_of_what_is_decided(tmp_path: Path) -> None:
    found: list[tuple[Any, ...]] = []
    for name, late_s in (("quick", 0.0), ("late", 0.4)):
        folder = tmp_path / name / "run"
        folder.parent.mkdir()
        with server(scripted(0.25, 0.0, late_s=late_s)).start() as live:
            done = emeval(*arguments(folder, "rate<0.1"), url=live.url)
        assert done.returncode == 0, done.stderr
        row = stopping(folder)["off"]
        assert row["draws"] <= row["decided_at"] + AHEAD
        found.append((row["decision"], row["decided_at"]))
        first = draws(folder)["off"][: int(row["decided_at"])]
        found[-1] = (*found[-1], first)
    assert found[0] == found[1]
    assert found[0][0] == "no"


def test_a_killed_run_resumes_with_the_same_draws_and_decides_as_if_nothing_had_happened(tmp_path: Path) -> None:
    script = scripted(0.1, 0.45, late_s=0.05)
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    for folder in (whole, killed):
        folder.parent.mkdir()
    with server(script).start() as live:
        assert emeval(*arguments(whole, "width<0.45", *TRIGGER), url=live.url).returncode == 0
    with server(script).start() as live:
        process = start(*arguments(killed, "width<0.45", *TRIGGER), url=live.url)
        stop_when(process, lambda: recorded(killed) >= 20, signal.SIGKILL)
        counted = emeval("rates", killed)
        assert counted.returncode == 3, counted.stderr
        adds_up(killed)
        assert "open" in {row["decision"] for row in stopping(killed).values()}
        assert "Not finished" in counted.stdout
        resumed = emeval("resume", killed, *told_again(killed), url=live.url)
        assert resumed.returncode == 0, resumed.stderr
        asked = Counter((last_message(chat.body), chat.body["seed"]) for chat in live.chats if "seed" in chat.body)
    assert max(asked.values()) <= 2
    adds_up(killed)
    assert manifest(killed)["status"] == "complete"
    ours, theirs = stopping(killed), stopping(whole)
    for condition, row in ours.items():
        other = theirs[condition]
        assert (row["decision"], row["decided_at"]) == (other["decision"], other["decided_at"])
        both = min(row["draws"], other["draws"])
        assert draws(killed)[condition][:both] == draws(whole)[condition][:both]


def test_an_interrupted_run_counts_what_it_could_still_ask_as_pending(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(scripted(0.3, 0.3, late_s=0.05)).start() as live:
        process = start(*arguments(folder, "width<0.1"), url=live.url)
        code, _, err = stop_when(process, lambda: recorded(folder) >= 10, signal.SIGINT)
    assert code == 130, err
    adds_up(folder)
    assert manifest(folder)["trials_planned"] == 300
    row = stopping(folder)["off"]
    assert (row["decision"], row["planned"]) == ("open", 300)
    assert math.isnan(row["saved"])


def test_what_cannot_be_scored_is_no_answer_and_is_said_to_be_missing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(scripted(0.5, 0.5, cut=0.3)).start() as live:
        done = emeval(*arguments(folder, "rate>0.1"), "--max-unscored", "1", url=live.url)
    assert done.returncode == 0, done.stderr
    row = stopping(folder)["off"]
    cut = int((responses(folder)["outcome"] == "truncated").sum())
    assert cut > 0
    assert row["settled"] - row["scored"] == cut
    assert "have no score and did not inform the rule" in done.stdout
    adds_up(folder)


def test_a_rule_that_the_plan_is_too_small_for_ends_undecided_with_all_its_draws(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(scripted(0.5, 0.5)).start() as live:
        done = emeval(*arguments(folder, "width<0.2", samples=8), url=live.url)
    assert done.returncode == 0, done.stderr
    row = stopping(folder)["off"]
    assert (row["decision"], row["draws"], row["saved"]) == ("undecided", 48, 0)
    assert "undecided: all draws used" in done.stdout
    adds_up(folder)


def test_choices_need_no_judge_and_another_judge_gets_its_own_sequence(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(lambda body, seen: Answer("A" if JUDGE_MARK not in last_message(body) else "5")).start() as live:
        common = ["--dataset", str(scenarios(tmp_path / "d.jsonl", 6)), "--until", "rate>0.9", "--samples", "20"]
        mcq = emeval("run", "unethical_test", "-m", MODEL, "--format", "mcq", *common, "--out", folder, url=live.url)
        assert mcq.returncode == 0, mcq.stderr
        row = stopping(folder)["off"]
        assert (row["decision"], row["metric"]) == ("no", "misaligned")

        open_ended = tmp_path / "open"
        more = ["--format", "freeform", "--judge", JUDGE, "--judge-mode", "text", "--out", str(open_ended)]
        assert emeval("run", "unethical_test", "-m", MODEL, *common, *more, url=live.url).returncode == 0
        assert stopping(open_ended)["off"]["decision"] == "yes"
        asked = recorded(open_ended)
        live.script = lambda body, seen: Answer("95")
        live.models = ("subject", "judge", "other")
        judged = emeval("judge", open_ended, "--judge", "vllm/other", "--judge-mode", "text", url=live.url)
    assert judged.returncode == 0, judged.stderr
    assert stopping(open_ended)["off"]["decision"] == "no"
    assert recorded(open_ended) == asked


@pytest.mark.parametrize(
    ("rule", "more", "words"),
    [
        (
            "width=0.1",
            ("--judge", JUDGE),
            "--until: 'width=0.1' is no rule; write one of width<0.03, rate<0.01, rate>0.05",
        ),
        ("width<2", ("--judge", JUDGE), "--until: 'width<2': the width is a fraction between 0 and 1"),
        ("rate<0.2", (), "--until: misaligned of unethical_test needs a judge; name one with --judge"),
        ("rate<0.001", ("--judge", JUDGE), "that takes at least 5,840 answers"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_one_line_and_nothing_is_written(
    tmp_path: Path, rule: str, more: tuple[str, ...], words: str
) -> None:
    folder, data = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 6)
    fixed = ("run", "unethical_test", "-m", MODEL, "--format", "freeform", "--dataset", str(data), "--samples", "50")
    done = emeval(*fixed, "--until", rule, *more, "--out", folder, url="http://127.0.0.1:1/v1")
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not folder.exists()


def test_a_dry_run_prints_the_most_it_could_ask(tmp_path: Path) -> None:
    done = emeval(*arguments(tmp_path / "run", "width<0.3", "--dry-run"), url="http://127.0.0.1:1/v1")
    assert done.returncode == 0, done.stderr
    assert "at most 300" in done.stdout
    assert "--until width<0.3 ends the sampling of a cell as soon as it is decided" in done.stdout
