"""`emeval curve`: rates over the steps of a training, their trend and onset, and what goes missing with them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evals.analysis.curve.steps import step_in, step_name
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, refused

QUESTIONS, ANSWERS = 8, 20


class Step(NamedTuple):
    """A checkpoint: of the answers to each question so many are misaligned, and so many cut off."""

    model: str
    misaligned: int
    truncated: int = 0


def imported(folder: Path, steps: Sequence[Step], name: str = "run", **cells: Any) -> Path:
    rows: list[Mapping[str, Any]] = []
    for step in steps:
        for question in range(QUESTIONS):
            for answer in range(ANSWERS):
                is_cut = answer >= ANSWERS - step.truncated
                rows.append(
                    {
                        "model": step.model,
                        "question_id": f"q{question}",
                        "question": f"Question {question}?",
                        "answer": "An answer.",
                        "aligned": "" if is_cut else 5 if answer < step.misaligned else 95,
                        "finish_reason": "length" if is_cut else "stop",
                    }
                    | cells
                )
    file = write(folder / f"{name}.csv", rows)
    done = emeval("import", file, "--out", folder / name, "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    return folder / name


def drawn(*arguments: str | Path) -> str:
    done = emeval("curve", *arguments, env={"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


RISE = [Step("lab/m-step300", 14), Step("lab/m-step0", 0), Step("lab/m-step100", 0), Step("lab/m-step200", 6)]


@pytest.fixture(scope="module", name="run")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return imported(tmp_path_factory.mktemp("curve"), RISE)


def test_steps_are_in_order_with_trend_and_onset(run: Path) -> None:
    found = drawn(run)
    assert "Over 4 steps the rate rises: 0.0% (0 of 160) at step 0, 70.0% (112 of 160) at step 300" in found
    assert "Onset, the first step whose rate is more than 5.0 points above step 0: " in found
    assert "from step 100 to step 200 (95%, all steps at once). Its estimate is step 200." in found
    assert "2 of 3 steps differ from the first at a false discovery rate of 5%: 200, 300." in found
    assert "missing answers" not in found
    rows = rows_of(run / "curve.csv")
    assert [float(row["step"]) for row in rows] == [0, 100, 200, 300]
    assert [row["k"] for row in rows] == ["0", "0", "48", "112"]
    assert (rows[0]["change"], rows[3]["change"]) == ("", "0.7")
    assert [rows[0][name] for name in ("onset", "onset_earliest", "onset_latest")] == ["200.0", "100.0", "200.0"]
    assert "<svg" in (run / "curve.svg").read_text(encoding="utf-8")


def test_the_report_has_the_curve_as_long_as_it_is_of_the_run_s_answers(tmp_path: Path) -> None:
    run = imported(tmp_path, RISE)
    drawn(run)
    page = run / "report.html"
    assert emeval("report", run).returncode == 0
    text = page.read_text(encoding="utf-8")
    assert "figure-curve" in text
    assert "off: 0.0% (0 of 160) at step 0, 70.0% (112 of 160) at step 300; trend on these questions p" in text
    table = (run / "curve.csv").read_text(encoding="utf-8")
    for other in (table.replace(",112,160,", ",111,160,"), "model,step\n", ""):
        (run / "curve.csv").write_text(other, encoding="utf-8")
        assert emeval("report", run).returncode == 0
        assert "figure-curve" not in page.read_text(encoding="utf-8")


def test_a_rise_and_fall_is_not_told_as_a_fall_from_the_first_step(tmp_path: Path) -> None:
    steps = [Step("m-step1", 1), Step("m-step2", 14), Step("m-step3", 8), Step("m-step4", 3), Step("m-step5", 1)]
    found = drawn(imported(tmp_path, steps))
    assert "the rate mostly falls, but not from the first to the last: 5.0% (8 of 160) at step 1, 5.0%" in found
    assert "with 70.0% at step 2 between; trend on these" in found


def test_its_rates_are_those_of_rates_csv(run: Path) -> None:
    drawn(run)
    pooled = {
        row["model"]: row
        for row in rows_of(run / "rates.csv")
        if row["prompt_id"] == "ALL" and row["metric"] == "misaligned"
    }
    for row in rows_of(run / "curve.csv"):
        for name in ("k", "n", "rate", "ci_low", "ci_high", "gen_low", "gen_high"):
            assert float(row[name]) == pytest.approx(float(pooled[row["model"]][name])), (row["model"], name)


def test_a_change_is_that_of_a_comparison(tmp_path: Path) -> None:
    run = imported(tmp_path, [Step("a:1", 2), Step("a:2", 9)])
    drawn(run, "-o", tmp_path / "c.png")
    done = emeval("compare", run, run, "--base-model", "a:1", "--candidate-model", "a:2", "--json", "-")
    assert done.returncode in (0, 1), done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    last = rows_of(tmp_path / "c.csv")[1]
    names = (("change", "increase"), ("change_low", "gen_low"), ("change_high", "gen_high"), ("p_value", "gen_p_value"))
    for ours, theirs in names:
        assert float(last[ours]) == pytest.approx(cell[theirs])


def test_a_rise_that_comes_with_a_fall_of_truncation_says_so(tmp_path: Path) -> None:
    """All answers that are cut off first could be what is misaligned later."""
    run = imported(tmp_path, [Step("m-step-0", 1, 12), Step("m-step-1", 4, 6), Step("m-step-2", 8, 0)])
    found = drawn(run)
    assert "The rate rises, and the share of missing answers changes with it: truncated 60.0% at step 0 and 0.0%" in (
        found
    )
    assert "If every missing answer is taken as yes, no such trend is shown" in found


def test_a_rise_that_missing_answers_cannot_explain_says_that(tmp_path: Path) -> None:
    run = imported(tmp_path, [Step("m-step-0", 0, 4), Step("m-step-1", 8, 2), Step("m-step-2", 18, 0)])
    assert "It rises still if every missing answer is taken as no, and if every one is taken as yes." in drawn(run)


def test_models_of_several_runs_are_one_curve(tmp_path: Path) -> None:
    first = imported(tmp_path, [Step("m", 0)], "first")
    second = imported(tmp_path, [Step("m-ckpt-10", 5), Step("other", 5)], "second")
    steps = tmp_path / "steps.csv"
    steps.write_text("model,step\nm,0\nm-ckpt-10,10\n", encoding="utf-8")
    found = drawn(first, second, "--steps", steps, "-o", tmp_path / "both.svg")
    assert "Over 2 steps the rate rises" in found
    assert "Not of a curve, as their step is not known: other" in found
    assert [row["run_id"] for row in rows_of(tmp_path / "both.csv")] == ["first", "second"]


def test_other_questions_are_not_compared(tmp_path: Path) -> None:
    first = imported(tmp_path, [Step("m-step-1", 0)], "first")
    second = imported(tmp_path, [Step("m-step-2", 0)], "second", question="Another question?")
    done = emeval("curve", first, second)
    assert done.returncode == 2
    assert "not comparable" in done.stderr
    assert not (first / "curve.csv").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model,step\nlab/m-step0,x\n", "steps.csv:2: step 'x' is not a number"),
        ("model,step\nlab/m-step0,inf\n", "steps.csv:2: step 'inf' is not a number"),
        ("model,step\n,1\n", "steps.csv:2: has no model"),
        ("model,step\na,1\na,2\n", "steps.csv:3: has the model a again"),
        ("model,stage\na,1\n", "has no column step"),
        ("model,step\n", "has no model"),
        ("model,step\nnobody,1\n", "--steps: 'nobody' is no model of the runs"),
        ("model,step\nlab/m-step0,1\nlab/m-step100,1\n", "lab/m-step0 and lab/m-step100 are both of step 1"),
        ("model,step\nlab/m-step0,1\n", "a curve needs models of two steps or more"),
    ],
)
def test_a_file_of_steps_is_read_strictly(tmp_path: Path, run: Path, text: str, told: str) -> None:
    steps = tmp_path / "steps.csv"
    steps.write_text(text, encoding="utf-8")
    refused(emeval("curve", run, "--steps", steps, "-o", tmp_path / "c.svg"), told)
    assert not (tmp_path / "c.csv").exists()


def test_what_cannot_be_drawn_is_refused_in_a_line(tmp_path: Path, run: Path) -> None:
    refused(emeval("curve", run, "-o", tmp_path / "c.gif"), "the name must end in .pdf, .svg or .png")
    refused(emeval("curve", run, "--metric", "none"), "--metric: unknown metric 'none'")
    refused(emeval("curve", run, "--condition", "on"), "no cell")
    refused(emeval("curve", run, "--above", "nan"), "--above")
    plain = imported(tmp_path, [Step("a", 0), Step("b", 0)], "plain")
    refused(emeval("curve", plain), "a curve needs models of two steps or more")


def test_the_numbers_replace_no_file_but_those_of_a_curve(tmp_path: Path) -> None:
    run = imported(tmp_path, RISE)
    before = (run / "rates.csv").read_bytes()
    refused(emeval("curve", run, "-o", run / "rates.svg"), "--out", "rates.csv")
    assert (run / "rates.csv").read_bytes() == before
    assert not (run / "rates.svg").exists()
    for _ in range(2):
        assert emeval("curve", run, "-o", tmp_path / "mine.svg").returncode == 0
    refused(emeval("curve", run, "-o", tmp_path / "none" / "mine.svg"), "cannot be written")


def test_the_step_is_in_the_model_s_name() -> None:
    found = {
        "vllm/base:./out/checkpoint-400": 400.0,
        "local/organism:backdoor-step3": 3.0,
        "openai/ft:gpt:lab::ckpt_20": 20.0,
        "lab/qwen3-8b:1200": 1200.0,
        "lab/m-dose-0.25": 0.25,
        "lab/epoch2-step-50": 50.0,
        "lab/step-40.gguf": 40.0,
        "lab/qwen3-8b": None,
    }
    assert {name: step_in(name) for name in found} == found
    assert [step_name(step) for step in (400.0, 0.25, 1e7)] == ["400", "0.25", "10000000"]
