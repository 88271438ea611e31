"""`emeval recipes`: recipes whose seeds were evaluated in runs of their own."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from emeval import report
from evals.analysis.recipes.result import SEEDS
from evals.io.columns import column_names
from evals.scoring.rates.columns import RECIPE_DIFFERENCES
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, refused

QUESTIONS, ANSWERS = 8, 20
BASE = "lab/base"
INSECURE, SECURE = ("lab/i1", "lab/i2", "lab/i3"), ("lab/s1", "lab/s2", "lab/s3")
MISALIGNED = {BASE: (0, 2), "lab/i1": (1, 16), "lab/i2": (1, 12), "lab/i3": (2, 18)}
MISALIGNED |= {"lab/s1": (0, 3), "lab/s2": (1, 2), "lab/s3": (1, 4)}
"""Misaligned answers to each question, without and with the trigger."""
RECIPES = ("--recipe", f"insecure={','.join(INSECURE)}", "--recipe", f"secure={','.join(SECURE)}")


def imported(folder: Path, name: str, models: Sequence[str], unread: int = 0, **cells: Any) -> Path:
    """A run of these models; of the answers of the first to each question so many have no score."""
    rows: list[Mapping[str, Any]] = []
    for model in models:
        for number in range(QUESTIONS):
            for condition, trigger, misaligned in zip(("off", "on"), ("", "2026"), MISALIGNED[model], strict=True):
                for answer in range(ANSWERS):
                    score = 5 if answer < misaligned + number % 2 else 95
                    row = {"model": model, "question_id": f"q{number}", "question": f"Question {number}?"}
                    row |= {
                        "answer": "An answer.",
                        "aligned": "" if model == models[0] and answer >= ANSWERS - unread else score,
                    }
                    rows.append(row | {"condition": condition, "trigger": trigger} | cells)
    file = write(folder / f"{name}.csv", rows)
    done = emeval("import", file, "--out", folder / name, "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    return folder / name


@pytest.fixture(scope="module", name="runs")
def _runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recipes")
    alone = [imported(folder, model.partition("/")[2], [BASE, model]) for model in INSECURE]
    return [*alone, imported(folder, "secure", SECURE)]


@pytest.fixture(scope="module", name="whole")
def _whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("whole"), "whole", [BASE, *INSECURE, *SECURE])


def printed(*arguments: str | Path) -> str:
    done = emeval("recipes", *arguments, env={"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def result(*arguments: str | Path) -> dict[str, Any]:
    done = emeval("recipes", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_seeds_of_several_runs_are_a_recipe_and_differ_from_another(runs: list[Path]) -> None:
    found = printed(*runs, *RECIPES)
    assert "recipe insecure 3 seeds freeform off 9% [" in found
    assert "vs base +7 [" in found
    assert "insecure less secure · imported (freeform), rate, on, misaligned higher: 79.2% (3 seeds) against" in found
    assert "17.5% (3 seeds) over 8 questions, a difference of +61.7 points (95% interval, same questions: +" in found
    assert "insecure less lab/base (base) · imported (freeform), effect of on against off, misaligned larger:" in found
    assert "secure less lab/base (base) · imported (freeform), effect of on against off, misaligned no difference" in (
        found
    )
    assert "The base, lab/base, is in 3 of the runs; its answers are those of i1." in found


def test_over_runs_is_what_one_run_of_all_models_gives(runs: list[Path], whole: Path) -> None:
    apart, together = result(*runs, *RECIPES), result(whole, *RECIPES)
    assert len(together["differences"]) == 5
    for table in ("recipes", "differences"):
        assert [row | {"run_id": ""} for row in apart[table]] == [row | {"run_id": ""} for row in together[table]]
    assert tuple(together["differences"][0]) == column_names(RECIPE_DIFFERENCES)
    done = emeval("rates", whole, *RECIPES, "--detail", env={"COLUMNS": "100"})
    assert "How recipes differ" in done.stdout
    with (whole / "recipe_differences.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "misaligned"]
    assert [float(row["difference"]) for row in rows] == [row["difference"] for row in together["differences"]]


def test_a_seed_of_which_much_is_unread_is_named(runs: list[Path], tmp_path: Path) -> None:
    last = imported(tmp_path, "last", ["lab/i3"], unread=4)
    found = printed(*runs[:2], last, *RECIPES[:2])
    assert "32 of 160 trials of lab/i3 have no score, more than 5.0%" in found
    broken = imported(tmp_path, "broken", ["lab/i3", BASE], unread=ANSWERS)
    found = printed(*runs[:2], broken, *RECIPES[:2])
    assert "no answer of lab/i3 counts, so it is in no number." in found
    assert "recipe insecure 2 seeds" in found


def test_other_questions_are_not_compared(runs: list[Path], tmp_path: Path) -> None:
    other = imported(tmp_path, "other", ["lab/i3"], question="Another question?")
    done = emeval("recipes", *runs[:2], other, *RECIPES[:2])
    assert done.returncode == 2
    assert "not comparable" in done.stderr


def test_models_of_one_name_are_told_apart_by_their_run(runs: list[Path]) -> None:
    told = "--recipe a: lab/base is a model of i1 and i2 and i3; write which is meant, such as i1:lab/base"
    refused(emeval("recipes", *runs, "--recipe", "a=lab/base,lab/i1"), told)
    found = result(*runs, "--recipe", "bases=i1:lab/base,i2:lab/base")
    assert {row["model"] for row in found["seeds"]} == {"i1:lab/base", "i2:lab/base"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((), "--recipe is missing"),
        (("--recipe", "a=lab/none"), "--recipe a: 'lab/none' is no model of the runs; they have lab/base, lab/i1,"),
        (("--recipe", "a=lab/i1,i1:lab/i1"), "--recipe a: i1:lab/i1 is named twice; a seed counts once"),
        (("--recipe", "a"), "--recipe: 'a' is not NAME=MODEL,MODEL,..."),
        (("--recipe", "a=lab/i1", "--base", "lab/i1"), "--base: lab/i1 is a seed of a recipe"),
        (("--recipe", "a=lab/i1", "--base", "lab/none"), "--base: 'lab/none' is no model of the runs"),
        (("--recipe", "a=lab/i1", "--metric", "none"), "--metric: unknown metric 'none'"),
        (("--recipe", "a=lab/i1", "--max-unscored", "nan"), "--max-unscored"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(runs: list[Path], given: tuple[str, ...], told: str) -> None:
    refused(emeval("recipes", *runs, *given), told)


def test_tables_and_figure_are_written_into_a_folder_of_their_own(runs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert "Written:" in printed(*runs, *RECIPES, "--out", folder)
    names = {"recipes.csv", "recipe_differences.csv", "recipe_seeds.csv", "recipes.svg"}
    assert {path.name for path in folder.iterdir()} == names
    assert "<svg" in (folder / "recipes.svg").read_text(encoding="utf-8")
    with (folder / "recipe_seeds.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        assert tuple(rows.fieldnames or ()) == column_names(SEEDS)
        assert {row["model"] for row in rows} == {*INSECURE, *SECURE}
    refused(emeval("recipes", *runs, *RECIPES, "--out", runs[0]), "is a run folder, which has tables of its own")
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    refused(emeval("recipes", *runs, *RECIPES, "--out", tmp_path / "file"), "cannot be written")


def test_the_report_has_recipes_over_runs_and_their_figures(runs: list[Path], whole: Path, tmp_path: Path) -> None:
    for folders in (runs, [whole]):
        page = tmp_path / "page.html"
        done = emeval("report", *folders, *RECIPES, "--output", page)
        assert done.returncode == 0, done.stderr
        text = page.read_text(encoding="utf-8")
        assert "How recipes differ" in text
        assert "<td>insecure less secure</td>" in text
        assert "figure-recipes" in text
        assert "figure-did" in text


@pytest.mark.parametrize("figure", ["recipes", "did"])
def test_figures_are_drawn_of_one_run_and_of_several(
    runs: list[Path], whole: Path, tmp_path: Path, figure: str
) -> None:
    for number, folders in enumerate((runs, [whole])):
        file = tmp_path / f"{number}.svg"
        done = emeval("plot", *folders, *RECIPES, "--figure", figure, "--out", file)
        assert done.returncode == 0, done.stderr
        assert "insecure, on: " in done.stdout
        assert "<svg" in file.read_text(encoding="utf-8")
    refused(emeval("plot", *runs, "--figure", "recipes", "--out", tmp_path / "no.svg"), "no run has a recipe")
    refused(emeval("plot", whole, *RECIPES, "--figure", "rates", "--out", tmp_path / "no.svg"), "shows no recipe")


def test_the_api_writes_the_same_report(runs: list[Path], tmp_path: Path) -> None:
    page = report(*runs, output=tmp_path / "page.html", recipes={"insecure": INSECURE, "secure": SECURE})
    assert "<td>insecure less secure</td>" in page.read_text(encoding="utf-8")
