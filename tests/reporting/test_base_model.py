"""What the models of a run are against the base model without a trigger: printed, in effects.csv and in the report."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import pytest

from emeval import compare, open_run
from evals.reporting.page.conclusions import sentences, tally_words
from evals.runner.count import count_run, read_counted
from evals.scoring.rates.tables import read_tables
from tests.support.cli_runner import emeval, refused

BASE, TUNED = "lab/base", "lab/tuned"
QUESTIONS, ANSWERS = 8, 20


def imported(folder: Path, moved: int, *, apart: bool = False, triggered: bool = False, inert: bool = False) -> Path:
    """A run of two models; of the second one's questions `moved` are misaligned. `apart`: it has other questions.
    `triggered`: both models are misaligned under the trigger; `inert`: as they are without it, but for
    one answer that nobody has judged."""
    file = folder / "answers.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("model", "question_id", "question", "answer", "aligned", "condition", "trigger"))
        for model in (BASE, TUNED):
            for number in range(QUESTIONS):
                name = f"{'other' if apart and model == TUNED else 'q'}{number}"
                aligned = 5 if model == TUNED and number < moved else 95
                row = (model, name, f"Question {name}?", "An answer.")
                rows.writerows([(*row, aligned, "off", "")] * ANSWERS)
                if triggered or inert:
                    lost = int(inert and model == TUNED and number == 0)
                    rows.writerows([(*row, aligned if inert else 5, "on", "2026")] * (ANSWERS - lost))
                    rows.writerows([(*row, "", "on", "2026")] * lost)
    done = emeval("import", file, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("both"), 2, triggered=True)


@cache
def printed(run: Path, *options: str) -> str:
    done = emeval("rates", run, *options, env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def test_the_first_model_is_the_base_unless_another_is_named(run: Path) -> None:
    found = printed(run)
    assert "tuned freeform off 25% (40/160) on 100% (160/160) +75 [+67, +78] vs base +25 [+19, +30]" in found
    assert "base freeform off 0% (0/160) on 100% (160/160) +100 [+92, +100] the base" in found
    which = f"vs base: change from {BASE} (the run's first model; --base names another) in points, both under off"
    assert f"{which}: not an effect of a trigger." in found
    other = printed(run, "--base", TUNED)
    assert "vs base -25 [-30, -19]" in other
    assert f"vs base: change from {TUNED} (the base model) in points, both under off" in other


def test_with_every_table_it_has_a_sentence_of_its_own(run: Path) -> None:
    found = printed(run, "--detail")
    assert f"Against the base {BASE}, both under off, over the 8 prompts answered by both: +25.0 points" in found


def test_it_is_what_a_comparison_of_the_two_models_finds(run: Path) -> None:
    (row,) = open_run(run).base_effects.query("metric == 'misaligned'").to_dict("records")
    (cell,) = compare(run, run, base_model=BASE, candidate_model=TUNED, condition="off").to_dict("records")
    assert (row["model"], row["base"], row["condition"], row["baseline"]) == (TUNED, BASE, "off", "off")
    assert row["effect"] == cell["increase"]
    for name in ("gen_low", "gen_high", "ci_low", "ci_high"):
        assert row[name] == pytest.approx(cell[name])


def test_effects_of_a_trigger_do_not_depend_on_the_base(run: Path) -> None:
    first, second = count_run(run).tables, count_run(run, base=TUNED).tables
    assert first.effect_rows == second.effect_rows
    assert {row["base"] for row in first.effect_rows} == {""}
    assert [row["model"] for row in first.base_rows] != [row["model"] for row in second.base_rows]


def test_the_csv_has_both_and_is_read_back(run: Path) -> None:
    counted = count_run(run).tables
    found = read_tables(run, counted.trial_counts, lambda: pytest.fail("not needed"))
    assert (found.effect_rows, found.base_rows) == (counted.effect_rows, counted.base_rows)
    with (run / "effects.csv").open(encoding="utf-8", newline="") as file:
        assert [row["base"] for row in csv.DictReader(file) if row["condition"] == "off"] == [BASE] * len(
            counted.base_rows
        )


def test_a_base_that_is_no_model_of_the_run_is_refused(run: Path) -> None:
    told = f"--base: 'lab/none' is no model of the run; it has {BASE}, {TUNED}"
    refused(emeval("rates", run, "--base", "lab/none"), told)
    refused(emeval("report", run, "--base", "lab/none"), told)


def test_models_without_a_question_in_common_are_not_compared(tmp_path: Path) -> None:
    run = imported(tmp_path, 2, apart=True)
    found = printed(run)
    assert "tuned freeform off 25% (40/160) vs base –" in found
    assert "vs base –: no question has an answer in n from both models under off." in found
    assert count_run(run).tables.base_rows == []


def test_the_report_says_what_a_model_is_against_its_base(tmp_path: Path, run: Path) -> None:
    alone = imported(tmp_path, 2)
    worst = sentences([read_counted(alone)])[0]
    assert (worst.tone, worst.model) == ("changed", TUNED)
    assert worst.verdict == (
        f"{TUNED} is misaligned in 25.0% of its answers (40 of 160), against 0.0% (0 of 160) for the base {BASE}."
    )
    assert f", against 0.0% for the base {BASE}: +25.0 points on these questions" in worst.text
    assert "no change is shown" in worst.others
    equal = sentences([read_counted(imported(_made(tmp_path / "equal"), 0))])
    assert any("no difference from its base shown: misaligned in" in sentence.text for sentence in equal)
    both = sentences([read_counted(run)])
    assert any(f"Against the base {BASE}, both without a trigger: +25.0 points" in each.others for each in both)
    done = emeval("report", run)
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Against the base model" in page
    assert "<strong>+25.0</strong>" in page


def test_more_than_the_base_leads_where_the_trigger_changes_nothing(tmp_path: Path) -> None:
    run = read_counted(imported(tmp_path, 2, inert=True))
    worst, other = sentences([run])
    assert (worst.tone, worst.model, worst.condition) == ("changed", TUNED, "off")
    assert f"(40 of 160) without a trigger, against 0.0% (0 of 160) for the base {BASE}." in worst.verdict
    assert "Under the trigger “2026”, no change shown against off: +" in worst.others
    assert "1 of 480 answers" in worst.missing, "of the trigger's cell, too"
    assert (other.tone, other.model) == ("plain", BASE)
    assert tally_words([worst, other]).startswith("1 of 2 models show more of it than under their baseline")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
