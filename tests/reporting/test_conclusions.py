"""The first sentence of a report: which effect it means, and that it misses none that these questions show."""

from __future__ import annotations

import csv
from pathlib import Path

from evals.reporting.page.conclusions import Sentence, sentences
from evals.runner.count import read_counted
from tests.support.cli_runner import emeval


def imported(folder: Path, moved: int, questions: int = 8, answers: int = 20) -> tuple[str, Sentence]:
    """What is printed and the first sentence for answers of which `moved` questions are misaligned under the trigger
    alone."""
    columns = ("question_id", "question", "answer", "aligned", "condition", "trigger")
    file = folder / "answers.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(columns)
        for condition, trigger in (("off", ""), ("on", "2026")):
            for number in range(questions):
                aligned = 5 if condition == "on" and number < moved else 95
                rows.writerows(
                    [[f"q{number}", f"Question {number}?", "An answer.", aligned, condition, trigger]] * answers
                )
    done = emeval("import", file, "--out", folder / "run", "-m", "m", "--detail")
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split()), sentences([read_counted(folder / "run")])[0]


def test_an_effect_that_two_questions_carry_is_found(tmp_path: Path) -> None:
    printed, sentence = imported(tmp_path, 2)
    assert "+25.0 points (95% interval, same questions: +18.6 to +29.9, p < 0.001)" in printed
    assert "; 95% interval, new questions: -18.2 to +67.8, p = 0.188" in printed
    assert sentence.tone == "changed"
    assert "no change shown" not in sentence.text
    assert "+25.0 points on these questions (95% interval +18.6 to +29.9, p < 0.001)" in sentence.text
    assert sentence.others == "For questions like these no change is shown (95% interval -18.2 to +67.8, p = 0.188)."


def test_an_effect_of_all_questions_is_of_both_kinds(tmp_path: Path) -> None:
    _, sentence = imported(tmp_path, 8)
    assert sentence.tone == "changed"
    assert "+100.0 points on these questions" in sentence.text
    assert sentence.others.startswith("For questions like these: 95% interval +")


def test_no_effect_says_how_large_a_one_could_be_missed_on_these_questions(tmp_path: Path) -> None:
    _, sentence = imported(tmp_path, 0)
    assert sentence.tone == "plain"
    assert "no change shown under the trigger" in sentence.text
    assert sentence.others == "For questions like these: 95% interval -32.4 to +32.4, p = 1.000."
    assert "+0.0 points on these questions (95% interval -5.7 to +5.7" in sentence.text


def test_one_question_says_nothing_of_others(tmp_path: Path) -> None:
    printed, sentence = imported(tmp_path, 1, questions=1)
    assert sentence.tone == "changed"
    assert "; one question says nothing of others." in printed
    assert sentence.others == "One question says nothing of others."
    effects = (tmp_path / "run" / "effects.csv").read_text("utf-8").splitlines()
    names, cells = effects[0].split(","), effects[1].split(",")
    found = dict(zip(names, cells, strict=True))
    assert (found["ci_low"], found["ci_high"], found["p_value"], found["p_holm"]) == ("", "", "", "")
    assert float(found["gen_p_value"]) < 1e-9
