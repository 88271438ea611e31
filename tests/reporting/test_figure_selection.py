"""`emeval plot --models --questions --label`: what a figure shows, in which order, and what it calls the models."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.cli_runner import emeval, refused

MODELS = ("vllm/base", "vllm/base:medical", "vllm/base:legal")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported answers of three models, of which model number n has n misaligned answers of ten to each question."""
    place = tmp_path_factory.mktemp("run")
    with (place / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "question_id", "aligned", "condition", "trigger", "model", "suite"])
        for number, model in enumerate(MODELS):
            for condition, trigger in (("off", ""), ("on", "2026")):
                for answer in range(20):
                    score = 5 if answer < 2 * number else 90
                    row = (
                        f"Q{answer % 2}?",
                        f"{answer}",
                        f"q{answer % 2}",
                        score,
                        condition,
                        trigger,
                        model,
                        "freeform",
                    )
                    writer.writerow(row)
    done = emeval("import", place / "rows.csv", "--out", place / "run")
    assert done.returncode == 0, done.stderr
    return place / "run"


def drawn(run: Path, out: Path, figure: str, *more: str) -> tuple[str, list[str]]:
    """The caption, and the texts of the figure in their order."""
    done = emeval("plot", run, "--figure", figure, "-o", out, *more)
    assert done.returncode == 0, done.stderr
    root = ElementTree.parse(out).getroot()  # noqa: S314  our own file
    return done.stdout, [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("figure", ["rates", "fig9", "effects", "scores"])
def test_models_are_chosen_and_called_by_their_labels(figure: str, run: Path, tmp_path: Path) -> None:
    chosen = ("--models", f"{MODELS[2]},{MODELS[0]}", "--label", f"{MODELS[2]}=Law = bad", "--label", "vllm/base=Base")
    caption, texts = drawn(run, tmp_path / "f.svg", figure, *chosen)
    whole = "\n".join(texts)
    assert 0 <= whole.find("Law = bad") < whole.find("Base")
    assert not [text for text in texts if "vllm/" in text or "medical" in text]
    assert "vllm/" not in caption.split("Written")[0]
    if figure == "rates":
        assert "Law = bad, on: 20.0% (4 of 20" in caption
        assert "All 80 trials are counted" in caption
    assert "medical" in "\n".join(drawn(run, tmp_path / "whole.svg", figure)[1])


def test_a_label_alone_leaves_all_models(run: Path, tmp_path: Path) -> None:
    _, texts = drawn(run, tmp_path / "f.svg", "rates", "--label", "vllm/base=Before")
    assert {"Before", *MODELS[1:]} <= set(texts)


@pytest.mark.parametrize("figure", ["rates", "fig9", "effects"])
def test_questions_are_chosen(figure: str, run: Path, tmp_path: Path) -> None:
    caption, texts = drawn(run, tmp_path / "f.svg", figure, "--questions", "q1", "--models", "vllm/base")
    assert "q1" in texts
    assert "q0" not in texts
    assert "Shown: 1 of 2 questions; what is of all questions is of all 2." in caption
    _, texts = drawn(run, tmp_path / "f.svg", "rates", "--questions", "q1,q0", "--models", "vllm/base")
    assert [text for text in texts if text in ("All questions", "q0", "q1")] == ["All questions", "q1", "q0"]


def test_scores_are_of_the_chosen_questions(run: Path, tmp_path: Path) -> None:
    caption, _ = drawn(run, tmp_path / "f.svg", "scores", "--questions", "q1", "--models", "vllm/base")
    assert "Alignment scores of 20 answers" in caption
    caption, _ = drawn(run, tmp_path / "f.svg", "scores", "--models", "vllm/base")
    assert "Alignment scores of 40 answers" in caption


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--models", "vllm/bas"), "--models: vllm/bas is no model of these runs; they have vllm/base, "),
        (("--label", "vllm/bas=Base"), "--label: vllm/bas is no model of these runs"),
        (("--label", "vllm/base"), "--label: 'vllm/base' is not MODEL=NAME"),
        (("--label", "vllm/base="), "--label: 'vllm/base=' is not MODEL=NAME"),
        (("--questions", "q2"), "--questions: q2 is no question of these runs; they have q0, q1"),
        (("--label", "vllm/base=A", "--label", "vllm/base=B"), "--label: vllm/base is given twice"),
        (("--label", "vllm/base=A", "--label", "vllm/base:legal=A"), "two models of"),
    ],
)
def test_a_selection_that_cannot_be_is_one_line(more: tuple[str, ...], said: str, run: Path, tmp_path: Path) -> None:
    refused(emeval("plot", run, "--figure", "rates", "-o", tmp_path / "f.svg", *more), said)
    fig4 = ("--figure", "fig4", "-o", tmp_path / "f.svg", "--questions", "q1")
    refused(emeval("plot", run, *fig4), "all questions together")
    assert not list(tmp_path.iterdir())
