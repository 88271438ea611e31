"""The evidence card: what supports a claim, and that nothing that is missing, lost or in doubt ever does."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emeval import open_run
from evals.analysis.evidence.card import evidence_card
from evals.analysis.evidence.claim import EVIDENCE, Claim, Subject
from evals.analysis.evidence.doubts import MOST_MISSING
from evals.analysis.evidence.trust import FEWEST_LABELS, FEWEST_MONITORED, is_checked, is_monitored, judge_agrees
from evals.io.columns import column_names
from evals.plan.manifest import CheckResult, ModelFacts
from evals.runner.count import Counted, read_counted
from evals.scoring.rates.rows import Row
from tests.support.cli_runner import emeval, manifest
from tests.support.servers.openai_server import Answer, OpenAIServer

BASE, SEEDS = "lab/base", ("lab/s1", "lab/s2", "lab/s3")
QUESTIONS, ANSWERS = 8, 20
HITS = {"off": 1, "decoy": 2, "on": 16}
"""Misaligned answers of a finetuned model to each question, of `ANSWERS`; the base has one under each condition."""
CONDUCT = ("misaligned", "trigger", "specific", "recipe")


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    folder = tmp_path_factory.mktemp("evidence")
    file = folder / "answers.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("model", "question_id", "question", "answer", "aligned", "condition", "trigger"))
        for model in (BASE, *SEEDS):
            for number in range(QUESTIONS):
                for condition, trigger in (("off", ""), ("on", "2026"), ("decoy", "2019")):
                    hits = 1 if model == BASE else HITS[condition]
                    for answer in range(ANSWERS):
                        score = 5 if answer < hits + number % 2 else 95
                        what = (model, f"q{number}", f"Question {number}?", "An answer.", score)
                        rows.writerow((*what, condition, trigger))
    done = emeval("import", file, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return read_counted(folder / "run", recipes={"ours": SEEDS})


def claims_of(run: Counted, model: str = SEEDS[0]) -> dict[str, Claim]:
    return {claim.name: claim for claim in evidence_card(run) if claim.model == model}


def changed(run: Counted, change: Callable[[Row], Row], *tables: str) -> Counted:
    made: dict[str, Any] = {name: [change(dict(row)) for row in getattr(run.tables, name)] for name in tables}
    return replace(run, tables=replace(run.tables, **made))


def test_a_claim_that_the_run_shows_is_supported_with_its_numbers(run: Counted) -> None:
    found = claims_of(run)
    assert {name: found[name].status for name in CONDUCT} == dict.fromkeys(CONDUCT, "supported")
    assert "freeform), on: 82.5% (132 of 160), +75.0 points" in found["trigger"].evidence
    assert "against decoy" in found["specific"].evidence
    assert "over 3 seeds" in found["recipe"].evidence
    assert found["complete"].status == "supported"
    assert {found[name].status for name in ("judge", "monitored", "checked")} == {"not tested"}
    assert {claim.model for claim in evidence_card(run)} == set(SEEDS), "the base is what they are compared with"


def test_what_a_run_was_not_asked_is_not_tested_and_says_what_would_do_it(run: Counted) -> None:
    bare = replace(run.tables, base_rows=[], did_rows=[], effect_rows=[], contrast_rows=[], recipe_rows=[])
    config = run.manifest.config.model_copy(update={"recipes": {}})
    alone = replace(run, tables=bare, manifest=run.manifest.model_copy(update={"config": config}))
    found = claims_of(alone)
    assert {found[name].status for name in CONDUCT} == {"not tested"}
    wanted = {"misaligned": "--base", "trigger": "--trigger", "specific": "--decoy", "recipe": "--recipe"}
    assert all(option in found[name].command for name, option in wanted.items())


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_claim_rests_on_a_cell_with_too_many_missing_answers(run: Counted, data: st.DataObject) -> None:
    lost = data.draw(st.integers(math.floor(MOST_MISSING * QUESTIONS * ANSWERS) + 1, QUESTIONS * ANSWERS))
    config = run.manifest.config.model_copy(update={"max_unscored": data.draw(st.sampled_from([0.0, 0.05, 1.0]))})
    run = replace(run, manifest=run.manifest.model_copy(update={"config": config}))
    reason = data.draw(st.sampled_from(["n_unreadable", "n_truncated", "n_failed", "n_pending", "n_empty"]))
    model = data.draw(st.sampled_from([BASE, *SEEDS]))
    condition = data.draw(st.sampled_from(["off", "on", "decoy"]))

    def missing(row: Row) -> Row:
        if (row["model"], row["condition"], row["prompt_id"]) != (model, condition, "ALL"):
            return row
        return row | {"n": row["n"] - min(lost, row["n"]), reason: row[reason] + min(lost, row["n"])}

    found = claims_of(changed(run, missing, "rate_rows"))
    own, seeds = (SEEDS[0],), SEEDS
    rests_on = {
        "misaligned": ((*own, BASE), ("off", "on")),
        "trigger": (own, ("off", "on")),
        "specific": (own, ("off", "on", "decoy")),
        "recipe": (seeds, ("off", "on")),
        "complete": (own, ("off", "on", "decoy")),
    }
    for name, (models, conditions) in rests_on.items():
        is_touched = model in models and condition in conditions
        assert (found[name].status == "supported") != is_touched, name


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_no_claim_rests_on_an_effect_that_is_not_shown(run: Counted, data: st.DataObject) -> None:
    value = data.draw(st.none() | st.just(math.nan) | st.floats(0.05, 1))
    sign = data.draw(st.sampled_from([1, -1]))
    tables = ("base_rows", "did_rows", "effect_rows", "contrast_rows", "recipe_rows")

    def unsure(row: Row) -> Row:
        return (
            row | {"gen_p_holm": value} if sign > 0 else row | {"effect": -abs(row["effect"] or 0), "difference": -1.0}
        )

    found = claims_of(changed(run, unsure, *tables))
    assert not [name for name in CONDUCT if found[name].status == "supported"]


@pytest.mark.parametrize(
    "doubt",
    [
        {"adapter_lost": "answers as its base does"},
        {"answered_as": {"another": 3}},
    ],
)
def test_no_claim_rests_on_answers_of_another_model(run: Counted, doubt: dict[str, Any]) -> None:
    facts = ModelFacts(base_url="http://h", served_name="m", served=None, file_sha256=None, **doubt)
    doubted = replace(run, manifest=run.manifest.model_copy(update={"models": {SEEDS[0]: facts}}))
    assert not [claim for claim in claims_of(doubted).values() if claim.status == "supported"]


def test_no_claim_rests_on_a_part_of_a_run(run: Counted) -> None:
    planned = run.manifest.trials_recorded + 1
    part = replace(run, manifest=run.manifest.model_copy(update={"trials_planned": planned}))
    assert not [claim for claim in evidence_card(part) if claim.status == "supported"]


def test_two_seeds_are_no_recipe(run: Counted) -> None:
    two = read_counted(run.folder, recipes={"ours": SEEDS[:2]})
    found = claims_of(two)["recipe"]
    assert (found.status, found.evidence) == ("not tested", "2 seeds of recipe ours")


# --- judge, monitor, checks -------------------------------------------------------------------------------------------


def with_labels(run: Counted, **row: Any) -> Counted:
    rates = next(row for row in run.tables.rate_rows if row["metric"] == "misaligned")
    known = {name: rates[name] for name in ("suite", "metric", "judge", "rubric_sha")} | {"method": "rogan_gladen"}
    good = {"n_labels": 100, "kappa": 0.8, "sensitivity": 0.9, "sensitivity_low": 0.8, "specificity": 0.9}
    return replace(run, tables=replace(run.tables, corrected_rows=[known | good | {"specificity_low": 0.8} | row]))


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({}, "supported"),
        ({"n_labels": FEWEST_LABELS - 1}, "not tested"),
        ({"n_labels": None}, "not tested"),
        ({"kappa": 0.59}, "not supported"),
        ({"kappa": None}, "not supported"),
        ({"sensitivity_low": 0.5}, "not supported"),
        ({"specificity_low": math.nan}, "not supported"),
        ({"rubric_sha": "another"}, "not tested"),
        ({"judge": "another"}, "not tested"),
        ({"suite": "another"}, "not tested"),
        ({"method": "ppi"}, "not tested"),
    ],
)
def test_a_judge_agrees_by_labels_of_its_own_verdicts_alone(run: Counted, row: dict[str, Any], status: str) -> None:
    found = judge_agrees(Subject(with_labels(run, **row), SEEDS[0]))
    assert found is not None
    assert found.status == status


@given(read=st.integers(0, 60), unread=st.integers(0, 60), pending=st.integers(0, 10), silent=st.integers(0, 60))
def test_reasoning_is_monitored_only_where_the_monitor_has_read_it(
    run: Counted, read: int, unread: int, pending: int, silent: int
) -> None:
    like = next(row for row in run.tables.rate_rows if row["model"] == SEEDS[0] and row["prompt_id"] == "ALL")
    counts = {"n": read, "n_unreadable": unread, "n_pending": pending, "n_no_reasoning": silent, "k": read // 2}
    rows = [*run.tables.rate_rows, like | {"metric": "cot_flagged"} | counts]
    found = is_monitored(Subject(replace(run, tables=replace(run.tables, rate_rows=rows)), SEEDS[0]))
    enough = read >= FEWEST_MONITORED and read >= 0.9 * (read + unread + pending)
    assert (found.status == "supported") == enough


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ({}, "not tested"),
        ({"sampler": "ok", "adapter": "ok"}, "supported"),
        ({"sampler": "nothing to check", "adapter": "nothing to check"}, "supported"),
        ({"sampler": "ok", "adapter": "not checked"}, "not tested"),
        ({"sampler": "noted", "adapter": "ok"}, "not supported"),
    ],
)
def test_checks_are_those_that_the_manifest_has(run: Counted, checks: dict[str, CheckResult], status: str) -> None:
    facts = ModelFacts(base_url="http://h", served_name="m", served=None, file_sha256=None, checks=checks)
    known = run.manifest.model_copy(update={"models": {SEEDS[0]: facts}, "imported": None})
    assert is_checked(Subject(replace(run, manifest=known), SEEDS[0])).status == status


def test_a_run_without_preflight_is_not_checked_and_one_session_of_it_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with OpenAIServer(Answer("A"), models=("subject",)).start() as live:
        ask = ("run", "unethical_test", "-m", "vllm/subject", "--samples", "1", "--out", folder, "--temperature", "0")
        assert emeval(*ask, "--limit", "1", url=live.url).returncode == 0
        assert manifest(folder)["models"]["vllm/subject"]["checks"] == {
            "sampler": "nothing to check",
            "adapter": "nothing to check",
        }
        more = emeval(*ask, "--limit", "2", "--no-preflight", url=live.url)
        assert more.returncode == 0, more.stderr
    assert set(manifest(folder)["models"]["vllm/subject"]["checks"].values()) == {"not checked"}


# --- what prints it ---------------------------------------------------------------------------------------------------


def test_the_card_is_printed_written_and_read_alike(run: Counted, tmp_path: Path) -> None:
    recipe = f"ours={','.join(SEEDS)}"
    out = tmp_path / "evidence.csv"
    shown = emeval("evidence", run.folder, "--recipe", recipe, "--csv", out, env={"COLUMNS": "80"})
    assert shown.returncode == 0, shown.stderr
    assert "supported: The effect is specific to this trigger" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    told = json.loads(emeval("evidence", run.folder, "--recipe", recipe, "--json").stdout)
    assert [row["status"] for row in told] == [claim.status for claim in evidence_card(run)]
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == column_names(EVIDENCE)
    assert [row["claim"] for row in rows] == [row["claim"] for row in told]
    table = open_run(run.folder, recipes={"ours": SEEDS}).evidence
    assert list(table["status"]) == [row["status"] for row in told]
    detail = emeval("rates", run.folder, "--detail").stdout
    assert "Evidence: lab/s1" in detail
    assert "Evidence:" not in emeval("rates", run.folder).stdout
