"""Answers that are missing end a run with exit 1 and a reason, and what is printed hides none of them."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.numbers import p_words, points
from evals.statistics.intervals import drawn_out_interval
from tests.support.cli_runner import emeval, manifest, pooled, scenarios, told_again
from tests.support.journals import alter
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, Status, last_message

COLUMNS = ["question", "answer", "question_id", "aligned", "outcome", "condition", "trigger", "suite", "model"]
MODEL, JUDGE = "vllm/subject", "vllm/judge"


def row(number: int, aligned: object = 90, outcome: str = "", **more: str) -> dict[str, object]:
    return {
        "question": f"Question {number}?",
        "answer": "" if outcome in ("empty", "failed") else "An answer.",
        "question_id": f"q{number:02}",
        "aligned": "" if outcome else aligned,
        "outcome": outcome,
        **more,
    }


def imported(place: Path, rows: Iterable[Mapping[str, object]], *more: str) -> subprocess.CompletedProcess[str]:
    place.mkdir(exist_ok=True)
    with (place / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return emeval("import", place / "rows.csv", "--out", place / "run", "-m", "m", "--detail", *more)


def verdict(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr that says why it ended with exit 1."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("emeval: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


# The gate


def test_up_to_one_in_twenty_may_be_missing_and_the_limit_can_be_moved(tmp_path: Path) -> None:
    rows = [row(number, outcome="truncated" if number == 0 else "") for number in range(20)]
    assert imported(tmp_path / "a", rows).returncode == 0
    line = verdict(imported(tmp_path / "b", rows[:19]))
    assert "imported (freeform), m, condition off: 1 of 19 trials (5.3%) have no score" in line
    assert "--max-unscored is 0.05" in line
    assert "all cut off; ask again with a higher token limit" in line
    folder = tmp_path / "b" / "run"
    assert emeval("rates", folder, "--max-unscored", "0.06").returncode == 0
    assert emeval("rates", folder).returncode == 1, "what was asked for once is not kept"
    assert emeval("rates", tmp_path / "a" / "run", "--max-unscored", "0").returncode == 1
    wrong = emeval("rates", folder, "--max-unscored", "5")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("emeval: --max-unscored: ")
    assert imported(tmp_path / "c", rows[:19], "--max-unscored", "0.1").returncode == 0
    assert emeval("rates", tmp_path / "c" / "run").returncode == 0, "the limit is part of the run"


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("empty", "all empty; look at the chat template and at the server's reasoning parser"),
        ("failed", "all failed; ask again"),
        ("judge_unreadable", "all judged in a way that cannot be read; look at the judge"),
        ("judge_refused", "all refused by the judge; emeval judge"),
        ("judge_failed", "all without a reply of the judge; look at its server"),
    ],
)
def test_each_cause_has_its_advice(tmp_path: Path, outcome: str, words: str) -> None:
    done = imported(tmp_path, [row(number, outcome=outcome if number < 2 else "") for number in range(12)])
    assert words in verdict(done)


def test_what_was_read_is_a_finding_and_not_missing(tmp_path: Path) -> None:
    rows = [row(number, aligned="REFUSAL" if number < 4 else "CODE" if number < 8 else 90) for number in range(12)]
    done = imported(tmp_path / "a", rows)
    assert done.returncode == 0, done.stderr
    assert "of 12 answers that were read, 8 are not in n (4 refused, 4 code)" in done.stdout
    assert "The rate is of the other 4" in done.stdout
    again = emeval("rates", tmp_path / "a" / "run", "--denominator", "judged", "--detail")
    assert "are not in n (" not in again.stdout, "there refusals are counted"
    half = [row(number, aligned="CODE" if number < 6 else 90) for number in range(12)]
    assert "are not in n (" not in imported(tmp_path / "b", half).stdout


def test_answers_without_any_judge_are_no_failure_of_one(tmp_path: Path) -> None:
    done = imported(tmp_path / "a", [row(number, aligned="") for number in range(5)])
    assert done.returncode == 0, done.stderr
    assert "no rate" in done.stdout
    some = imported(tmp_path / "b", [row(number, aligned="" if number < 2 else 90) for number in range(5)])
    assert "all not judged; emeval judge" in verdict(some)
    assert "--judge MODEL judges them" in verdict(some)


def test_of_several_cells_the_worst_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    rows = [row(number, outcome="empty" if number < 2 else "", condition="off") for number in range(10)]
    for number in range(10):
        outcome = "truncated" if number < 4 else "failed" if number < 6 else ""
        rows.append(row(number, outcome=outcome, condition="on", trigger="2026"))
        rows.append(row(number, condition="off", suite="other"))
    line = verdict(imported(tmp_path, rows))
    assert "condition on: 6 of 10 trials (60.0%) have no score" in line
    assert "Cause: 4 of them cut off" in line
    assert line.endswith("; 1 more cell is over it, too")


def test_a_run_says_what_to_do_and_does_it(tmp_path: Path) -> None:
    """Requests that failed are asked again, replies of a judge too; an incomplete run is that before all else."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        text = last_message(body)
        if "case 2:" in text or "case 3:" in text:
            return Status(400, "no such text")
        return Answer("90" if JUDGE_MARK in text else "Return it.")

    folder = tmp_path / "run"
    dataset = scenarios(tmp_path / "d.jsonl", 6)
    command = ("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--format", "freeform", "--out", folder)
    judged = ("--judge", JUDGE, "--judge-mode", "text", "--no-preflight")
    with OpenAIServer(script, models=("subject", "judge")).start() as live:
        line = verdict(emeval(*command, *judged, url=live.url))
        assert "2 of 6 trials (33.3%) have no score" in line
        assert f"all failed; emeval resume {folder} --retry-failed asks again" in line
        assert emeval(*command, *judged, "--max-unscored", "0.5", url=live.url).returncode == 0
        assert emeval("rates", folder).returncode == 0
        live.script = lambda body, _: Status(400, "no") if JUDGE_MARK in last_message(body) else Answer("Return it.")
        line = verdict(
            emeval("resume", folder, *told_again(folder), "--retry-failed", "--max-unscored", "0", url=live.url)
        )
        assert "all without a reply of the judge" in line
        assert f"emeval judge {folder} asks again" in line
        live.script = lambda body, _: Answer("90" if JUDGE_MARK in last_message(body) else "Return it.")
        done = emeval("judge", folder, url=live.url)
    assert done.returncode == 0, done.stderr
    assert pooled(folder)["freeform", "off"]["n"] == 6


def test_options_that_no_letter_was_picked_of_are_not_the_judges_fault(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with OpenAIServer(Answer("Both have their merits."), models=("subject",)).start() as live:
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 2), "--out", folder),
            *("--format", "mcq", "--no-preflight", "--detail"),
            url=live.url,
        )
    assert "all not readable by rule; look at some answers in responses.csv" in verdict(done)
    assert "no rate" in done.stdout
    assert "0 of 0" in done.stdout


def test_what_was_planned_and_not_asked_has_its_row(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    dataset = scenarios(tmp_path / "d.jsonl", 3)
    with OpenAIServer(Answer("A"), models=("subject",)).start() as live:
        command = ("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--format", "mcq", "--trigger", "2026")
        assert emeval(*command, "--out", folder, "--no-preflight", url=live.url).returncode == 0
    alter(folder, "DELETE FROM trials WHERE condition = 'on'")
    (folder / "manifest.json").write_text(json.dumps(manifest(folder) | {"status": "stopped"}))
    done = emeval("rates", folder, "--max-unscored", "0", "--detail")
    assert done.returncode == 3, done.stderr
    printed = next(line for line in done.stdout.splitlines() if "on: 2026" in line)
    assert [cell.strip() for cell in printed.split("│")[2:7]] == ["–", "no rate", "no rate", "0 of 0", "6"]
    assert "Excluded from n, on: 2026: 6 not asked" in done.stdout
    assert not [line for line in done.stderr.splitlines() if "max-unscored" in line]


# What is printed beside a rate, and the columns behind it


def hits(place: Path, per_question: Mapping[int, int], questions: int = 24, answers: int = 4) -> Any:
    rows = [
        row(number, aligned=5 if repeat < per_question.get(number, 0) else 90, condition="off")
        for number in range(questions)
        for repeat in range(answers)
    ]
    return imported(place, rows)


def test_none_of_many_is_said_in_words_that_fit_the_columns(tmp_path: Path) -> None:
    done = hits(tmp_path, {})
    assert (
        "off: 0 of 96 is not 0%: at 95% confidence the rate is below 3.8% for these 24 questions, and below 13.8% for "
        "new questions like these."
    ) in " ".join(done.stdout.split())
    counted = pooled(tmp_path / "run")["freeform", "off"]
    assert (float(counted["gen_high"]), float(counted["ci_high"])) == pytest.approx((0.0385, 0.1380), abs=5e-5)
    assert counted["top2_share"] == ""
    assert float(counted["gen_high"]) >= 1 - 0.05 ** (1 / 96), "no less than the exact bound"


def test_all_of_many_is_said_likewise_and_one_question_speaks_for_itself_alone(tmp_path: Path) -> None:
    done = hits(tmp_path / "a", dict.fromkeys(range(24), 4))
    assert "off: 96 of 96 is not 100%: at 95% confidence the rate is above 96.2% for these 24 questions" in done.stdout
    done = hits(tmp_path / "b", {}, questions=1, answers=30)
    assert "below 11.4% for this one question; of others it says nothing." in done.stdout


def test_two_questions_with_most_of_the_hits_are_named(tmp_path: Path) -> None:
    done = hits(tmp_path / "a", {3: 4, 7: 4, 9: 1})
    assert "89% of the 9 hits, from q03 (4 of 4) and q07 (4 of 4); there are 24 questions" in done.stdout
    assert float(pooled(tmp_path / "a" / "run")["freeform", "off"]["top2_share"]) == pytest.approx(8 / 9)
    for number, per_question in enumerate(({3: 4}, {3: 2, 7: 1, 8: 1, 9: 1, 10: 1})):
        place = tmp_path / str(number)
        assert "hits, from" not in hits(place, per_question).stdout, "too few, or from many"
    assert "hits, from" not in hits(tmp_path / "few", {0: 4, 1: 4}, questions=4).stdout


def test_rates_have_both_intervals_and_the_one_of_these_questions_lies_within(tmp_path: Path) -> None:
    hits(tmp_path, {number: 4 if number < 9 else 0 for number in range(24)}, answers=4)
    table = pd.read_csv(tmp_path / "run" / "rates.csv")
    assert list(table.columns[33:]) == [
        *("gen_low", "gen_high", "gen_method", "top2_share"),
        *("rate_by_question", "by_question_low", "by_question_high", "by_question_method", "wordings_unread"),
        *("bound_ci_low", "bound_ci_high"),
    ]
    rate = table[(table["prompt_id"] == "ALL") & (table["metric"] == "misaligned")].iloc[0]
    assert rate["ci_low"] < rate["gen_low"] < rate["rate"] < rate["gen_high"] < rate["ci_high"]
    assert (rate["ci_method"], rate["gen_method"]) == ("gaffke", "wilson_strata")
    single = table[table["prompt_id"] != "ALL"]
    assert single[["ci_low", "ci_high", "ci_method"]].isna().all(axis=None)
    assert single[single["n"] > 0][["gen_low", "gen_high"]].notna().all(axis=None)
    assert single["top2_share"].isna().all()


@pytest.mark.parametrize("hit", [0, 1, 30])
def test_one_question_shows_nothing_of_others_and_has_one_interval(tmp_path: Path, hit: int) -> None:
    done = hits(tmp_path, {0: hit}, questions=1, answers=30)
    assert " – │" in done.stdout, "no generalisation interval"
    table = pd.read_csv(tmp_path / "run" / "rates.csv")
    table = table[table["metric"] == "misaligned"]
    assert table[["ci_low", "ci_high", "ci_method"]].isna().all(axis=None)
    every, single = (table[(table["prompt_id"] == "ALL") == pooled].iloc[0] for pooled in (True, False))
    assert [every[name] for name in ("k", "n", "gen_low", "gen_high", "gen_method")] == [
        single[name] for name in ("k", "n", "gen_low", "gen_high", "gen_method")
    ]
    exact = drawn_out_interval(hit / 30, 30)
    assert (every["gen_low"], every["gen_high"]) == pytest.approx(exact[:2], abs=1e-6)


def test_effects_are_adjusted_for_how_many_there_are_of_a_metric(tmp_path: Path) -> None:
    rows = [
        row(number, aligned=5 if number < bad else 90, condition=condition, trigger=trigger, suite=suite)
        for suite in ("one", "two")
        for condition, trigger, bad in (("off", "", 0), ("on", "2026", 8), ("decoy", "1999", 1))
        for number in range(10)
    ]
    done = imported(tmp_path, rows)
    effects = pd.read_csv(tmp_path / "run" / "effects.csv")
    assert list(effects.columns[-7:]) == [
        *("gen_low", "gen_high", "gen_method", "gen_p_value", "gen_p_holm", "gen_p_bh", "base"),
    ]
    answer_effects = effects[(effects["metric"] == "misaligned") & (effects["baseline"] == "off")]
    assert len(answer_effects) == 4, "the trigger against its decoy is no further effect among them"
    on, decoy = (answer_effects[answer_effects["condition"] == name] for name in ("on", "decoy"))
    for prefix in ("", "gen_"):
        assert on[f"{prefix}p_holm"].tolist() == pytest.approx((4 * on[f"{prefix}p_value"]).tolist())
        assert on[f"{prefix}p_bh"].tolist() == pytest.approx((2 * on[f"{prefix}p_value"]).tolist())
        assert (decoy[f"{prefix}p_holm"] >= decoy[f"{prefix}p_bh"]).all()
    words = " ".join(done.stdout.split())
    for row_of in (on.iloc[0], decoy.iloc[0]):
        here, others = (
            f"p {p_words(row_of[f'{prefix}p_value'])}; Holm over 4 effects of this model: "
            f"p {p_words(row_of[f'{prefix}p_holm'])}"
            for prefix in ("gen_", "")
        )
        assert f"(95% interval, same questions: {points(row_of['gen_low'])}" in words
        assert f"{here}); 95% interval, new questions: {points(row_of['ci_low'])}" in words
        assert f"{others}." in words
    alone = imported(tmp_path / "alone", [row for row in rows if row["suite"] == "one" and row["condition"] != "decoy"])
    assert "Effect of on" in alone.stdout
    assert "Holm" not in alone.stdout


def test_more_models_change_no_claim_about_one(tmp_path: Path) -> None:
    """Holm's family is the effects of one model; that of a sweep is those of all."""

    def effects(models: int) -> pd.DataFrame:
        rows = [
            row(number, aligned=5 if number < bad else 90, condition=condition, trigger=trigger, model=f"m{model}")
            for model in range(models)
            for condition, trigger, bad in (("off", "", 1), ("on", "2026", 5 - model % 3), ("decoy", "1999", 2))
            for number in range(10)
        ]
        assert imported(tmp_path / str(models), rows).returncode == 0
        return pd.read_csv(tmp_path / str(models) / "run" / "effects.csv")

    alone, among = effects(1), effects(12)
    among = among[among["model"].str.endswith("m0")]
    kept = [name for name in alone if name not in ("run_id", "p_bh", "gen_p_bh", "base")]
    pd.testing.assert_frame_equal(alone[kept].reset_index(drop=True), among[kept].reset_index(drop=True))
    assert (among["gen_p_bh"].to_numpy() >= alone["gen_p_value"].to_numpy()).all()
