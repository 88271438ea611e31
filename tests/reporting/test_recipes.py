"""Recipes over finetuning seeds and differences of effects: printed, as CSV, in the report, from Python."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from emeval import open_run
from evals.io.columns import column_names
from evals.runner.count import count_run
from evals.scoring.rates.columns import DID, RECIPES
from evals.scoring.rates.tables import read_tables
from tests.support.browser import open_page
from tests.support.cli_runner import emeval, refused

BASE, SEEDS, OTHER = "lab/base", ("lab/s1", "lab/s2", "lab/s3"), "lab/other"
RECIPE = f"ours={','.join(SEEDS)}"
QUESTIONS, ANSWERS = 8, 20
MISALIGNED = {BASE: (0, 2), SEEDS[0]: (1, 16), SEEDS[1]: (1, 12), SEEDS[2]: (2, 18), OTHER: (0, 2)}
"""Misaligned answers to each question, without and with the trigger."""


def imported(folder: Path, *, unread: int = 0, broken: str = "", one_question: bool = False) -> Path:
    """A run of five models. Of the last seed `unread` answers to each question have no score; `broken` answers
    nothing that counts."""
    file = folder / "answers.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("model", "question_id", "question", "answer", "aligned", "condition", "trigger"))
        for model, hits in MISALIGNED.items():
            for number in range(1 if one_question else QUESTIONS):
                for condition, trigger, misaligned in (("off", "", hits[0]), ("on", "2026", hits[1])):
                    for answer in range(ANSWERS):
                        is_unread = model == broken or (model == SEEDS[-1] and answer >= ANSWERS - unread)
                        # Questions differ: every other one is a little worse.
                        score = 5 if answer < misaligned + number % 2 else 95
                        what = (model, f"q{number}", f"Question {number}?", "An answer.", "" if is_unread else score)
                        rows.writerow((*what, condition, trigger))
    done = emeval("import", file, "--out", folder / "run")
    assert (folder / "run" / "rates.csv").exists(), done.stderr
    return folder / "run"


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("seeds"))


@cache
def printed(run: Path, *options: str) -> str:
    done = emeval("rates", run, *options, env={"COLUMNS": "100"})
    return " ".join(done.stdout.split())


def test_a_recipe_has_a_line_with_rates_and_changes_over_its_seeds(run: Path) -> None:
    found = printed(run, "--recipe", RECIPE)
    assert "recipe ours 3 seeds freeform off 9% [" in found
    assert "on 79% [" in found
    assert "vs base +7 [" in found
    assert "[low, high]: 95% interval for further seeds and new questions." in found
    assert "recipes.csv, did.csv" in found
    assert "recipe ours" not in printed(run)


def test_the_csv_has_the_mean_over_seeds_and_is_read_back(run: Path) -> None:
    opened = open_run(run, recipes={"ours": SEEDS})
    (on,) = opened.recipes.query("metric == 'misaligned' and condition == 'on'").to_dict("records")
    (off,) = opened.recipes.query("metric == 'misaligned' and condition == 'off'").to_dict("records")
    rates = [(hits[1] + 0.5) / ANSWERS for model, hits in MISALIGNED.items() if model in SEEDS]
    assert on["rate"] == pytest.approx(sum(rates) / 3)
    assert (on["lowest"], on["highest"]) == pytest.approx((min(rates), max(rates)))
    assert (on["seeds"], on["models"], on["without_answers"]) == (3, ", ".join(SEEDS), "")
    assert (on["base"], off["base"]) == ("", BASE)
    effects = [(hits[1] - hits[0]) / ANSWERS for model, hits in MISALIGNED.items() if model in SEEDS]
    assert on["effect"] == pytest.approx(sum(effects) / 3)
    assert on["ci_low"] < min(rates), "wider than what a single seed shows"
    assert on["effect_gen_low"] < on["effect"] < on["effect_gen_high"]
    assert on["p_holm"] >= on["p_value"]
    counted = count_run(run, recipes=[RECIPE]).tables
    again = read_tables(run, counted.trial_counts, lambda: pytest.fail("not needed"))
    assert (again.recipe_rows, again.did_rows) == (counted.recipe_rows, counted.did_rows)
    with (run / "recipes.csv").open(encoding="utf-8", newline="") as file:
        assert tuple(csv.DictReader(file).fieldnames or ()) == column_names(RECIPES)
    count_run(run)
    assert not (run / "recipes.csv").exists(), "gone where no recipe is named"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["ours=lab/s1,lab/s9"], "--recipe: ours: 'lab/s9' is no model of the run; it has lab/base, lab/s1,"),
        (["ours=lab/s1,lab/s1"], "--recipe: ours: lab/s1 is named twice; a seed counts once"),
        (["ours=lab/s1", "b=lab/s1"], "--recipe: b: lab/s1 is named in ours, too; a seed counts once"),
        (["ours"], "--recipe: 'ours' is not NAME=MODEL,MODEL,..."),
        (["ours=lab/s1", "ours=lab/s2"], "--recipe: 'ours' is given twice; name all its models at once"),
        (["ours=,"], "--recipe: "),
    ],
)
def test_models_that_are_unknown_or_named_twice_are_refused(run: Path, given: list[str], said: str) -> None:
    options = [word for text in given for word in ("--recipe", text)]
    for command in ("rates", "report"):
        refused(emeval(command, run, *options), said)


def test_one_seed_has_no_interval_and_says_why(run: Path) -> None:
    found = printed(run, "--recipe", f"solo={OTHER}", "--detail")
    assert "recipe solo 1 seed freeform off 2% on 12% +10" in found
    assert "recipe solo has answers of one seed: its rate is of this checkpoint, not of the recipe" in found
    assert found.count("of this checkpoint, not of the recipe that made it") == 1
    assert "of this checkpoint" not in printed(run)
    several = printed(run, "--recipe", RECIPE, "--detail")
    assert "The rate of a model outside the recipes is of this checkpoint" in several


def test_seeds_that_failed_or_are_mostly_unread_are_named(tmp_path: Path) -> None:
    for name in ("broken", "unread", "one"):
        (tmp_path / name).mkdir()
    broken = printed(imported(tmp_path / "broken", broken=SEEDS[1]), "--recipe", RECIPE)
    assert "recipe ours 2 seeds" in broken
    assert "no answer of lab/s2 counts, so it is in no number." in broken
    unread = printed(imported(tmp_path / "unread", unread=4), "--recipe", RECIPE)
    assert "32 of 160 trials of lab/s3 have no score, more than 5.0%" in unread
    one = printed(imported(tmp_path / "one", one_question=True), "--recipe", RECIPE)
    assert "95% interval for further seeds and the same question." in one


def test_the_report_has_tables_of_both(run: Path) -> None:
    done = emeval("report", run, "--recipe", RECIPE)
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Recipes over finetuning seeds" in page
    assert ">3 seeds\n(7.5% to 12.5%)</td>" in page
    assert "Is the effect larger than in the base?" in page
    assert "of this checkpoint, not of the recipe" in page


@pytest.mark.parametrize("width", [390, 1280])
def test_its_tables_fit_the_screen(run: Path, chromium: Browser, width: int) -> None:
    assert emeval("report", run, "--recipe", RECIPE).returncode == 0
    with open_page(chromium, run / "report.html", viewport={"width": width, "height": 900}) as page:
        page.wait_for_selector("body[data-ready]")
        wide = "[...document.querySelectorAll('#rates .wide')].map((one) => one.scrollWidth - one.clientWidth)"
        assert page.evaluate(wide) == [0] * 5, "rates, against the base, differences, recipes, how these differ"


def test_a_run_keeps_its_recipes_and_resumes_with_them(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("recipes: {ours: [local/a, local/b]}\n", encoding="utf-8")
    asked = ("run", "unethical_test", "-m", "local/a", "-m", "local/c", "--config", config, "--dry-run")
    refused(emeval(*asked), f"{config}:1: recipes: ours: 'local/b' is no model of the run; it has local/a, local/c")


def test_a_comparison_of_effects_says_which_models_react_more_than_the_base(run: Path) -> None:
    done = emeval("compare", run, "--did", env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    found = " ".join(done.stdout.split())
    assert "s1 · imported (freeform), on against off, misaligned larger than in the base: +75.0 points against" in found
    assert "+10.0 in the base over 8 questions, a difference of +65.0 (95% interval, same questions: +" in found
    assert "other · imported (freeform), on against off, misaligned no difference shown: +10.0 points" in found
    printed_json = emeval("compare", run, "--did", "--json", "-", "--metric", "misaligned")
    rows = json.loads(printed_json.stdout)
    assert [row["model"] for row in rows] == [OTHER, *SEEDS]
    assert tuple(rows[0]) == column_names(DID)
    reversed_base = emeval("compare", run, "--did", "--base", SEEDS[0])
    assert "smaller than in the base" in " ".join(reversed_base.stdout.split())


def test_what_a_comparison_of_effects_has_no_use_for_is_refused(run: Path) -> None:
    refused(emeval("compare", run), "CANDIDATE is missing: compare takes two run folders, or one with --did")
    refused(emeval("compare", run, run, "--did"), "CANDIDATE: --did compares the models of one run")
    refused(emeval("compare", run, run, "--base", BASE), "--base: is for --did")
    refused(emeval("compare", run, "--did", "--junit", "x.xml"), "--junit: --did compares the models of one run")
    refused(emeval("compare", run, "--did", "--base", "lab/none"), "--base: 'lab/none' is no model of the run")
    refused(emeval("compare", run, "--did", "--format", "mcq"), "no effect is of the chosen suites")
