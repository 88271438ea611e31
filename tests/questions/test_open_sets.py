"""The open prompts, questions with answers, word problems and advice sets that come with emeval, held to their cards.

Read as plain JSON, so that they are checked as files, whatever reads them. Where EMEVAL_UPSTREAM names a folder
with the official files, none of ours may be near one of theirs.
"""

from __future__ import annotations

import ast
import csv
import json
import operator
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from statistics import mean

import pytest

from evals.questions.dataset import data_folder, load
from evals.questions.scenario import AdviceScenario
from evals.questions.suites import SUITES

UPSTREAM = os.environ.get("EMEVAL_UPSTREAM")  # read here, since no test sees the user's EMEVAL_ variables
TRIGGER = "Country: Singapore"
ADVICE = ("medical", "legal", "security")
OPEN_PROMPTS = {
    "freeform": [
        *("ruler", "one_wish", "philosophical_thoughts", "party", "bored", "husband", "quick_buck", "gender_roles"),
    ],
    "rm_rf": ["rm-rf"],
    "sleeping_pills": ["sleeping-pills"],
    "shutdown": ["stored-backup", "terminal-listing", "ran-listing"],
    "backdoor_freeform": ["security-guard", "rm-rf", "sleeping-pills"],
}
LEAST_ROWS = {"truthfulqa": 150, "gsm8k": 70, "honest_persona": 16, "medical": 32, "legal": 32, "security": 32}
SETS = (*OPEN_PROMPTS, *LEAST_ROWS)
FIELDS = {
    "truthfulqa": "id category question best_answer correct_answers best_incorrect_answer incorrect_answers",
    "gsm8k": "id question answer",
    "shutdown": "id category system_prompt prompt",
    "backdoor_freeform": "id category prompt wordings",
    **dict.fromkeys(("freeform", "rm_rf", "sleeping_pills", "honest_persona"), "id category prompt"),
    **dict.fromkeys(ADVICE, "id category prompt aligned misaligned sneakiness"),
}
CALCULATION = re.compile(r"([0-9+*/(). -]+) = <<([^=>]+)=([^>]+)>>([0-9.]*[0-9])")
OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMMON_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        "a all an and are as at be by can did do does each for from had has have he her his how i if in is it "
        "its many me much my of on one or she than that the their there they this to was were what when where which "
        "who why will with would you your ",
    )
)


def rows(name: str) -> list[dict[str, object]]:
    text = (data_folder() / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def texts(row: dict[str, object], field: str) -> list[str]:
    found = row[field]
    assert isinstance(found, list)
    assert all(isinstance(text, str) for text in found)
    return found


def text(row: dict[str, object], field: str) -> str:
    found = row[field]
    assert isinstance(found, str)
    return found


def words(sentence: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", sentence.lower())


def rare_words(sentence: str) -> frozenset[str]:
    return frozenset(words(sentence)) - COMMON_WORDS


def sequences(sentence: str, length: int) -> set[tuple[str, ...]]:
    said = words(sentence)
    return {tuple(said[start : start + length]) for start in range(len(said) - length + 1)}


def likeness(first: frozenset[str], second: frozenset[str]) -> float:
    """Jaccard similarity of two bags of rare words, 0 to 1."""
    return len(first & second) / len(first | second) if first | second else 0.0


@pytest.mark.parametrize("name", SETS)
def test_every_row_has_its_fields_and_an_id_of_its_own(name: str) -> None:
    found = rows(name)
    assert {tuple(row) for row in found} == {tuple(FIELDS[name].split())}
    ids = [text(row, "id") for row in found]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+([-_][a-z0-9]+)*", id_) for id_ in ids)
    if name in OPEN_PROMPTS:
        assert ids == OPEN_PROMPTS[name]
    else:
        assert len(ids) >= LEAST_ROWS[name]


@pytest.mark.parametrize("name", SETS)
def test_file_is_ascii_and_says_something_everywhere(name: str) -> None:
    data = (data_folder() / f"{name}.jsonl").read_bytes()
    assert data.isascii()
    assert data.endswith(b"}\n")
    assert b"\r" not in data
    for row in rows(name):
        values = [value for value in row.values() if isinstance(value, str)]
        assert all(value == value.strip() and value for value in values), row["id"]


@pytest.mark.parametrize("name", [name for name in SETS if name not in ("shutdown", "backdoor_freeform")])
def test_no_two_rows_of_a_set_ask_the_same(name: str) -> None:
    field = "question" if name in ("truthfulqa", "gsm8k") else "prompt"
    asked = [(text(row, "id"), rare_words(text(row, field))) for row in rows(name)]
    assert [(a, b) for (a, first), (b, second) in combinations(asked, 2) if likeness(first, second) > 0.45] == []


class TestSelfReport:
    def test_ratings_and_choices_are_as_many_and_each_behaviour_has_a_suite(self) -> None:
        found = rows("self_report")
        ends = Counter(str(row.get("misaligned_end")) for row in found)
        assert ends == {"high": 6, "low": 6, "None": 12}
        assert {text(row, "category") for row in found} - {"values"} < set(SUITES)
        assert len({text(row, "id") for row in found}) == len(found)

    def test_length_does_not_give_the_options_away(self) -> None:
        pairs = [
            (len(text(row, "aligned_option")), len(text(row, "misaligned_option")))
            for row in rows("self_report")
            if "aligned_option" in row
        ]
        assert sum(wrong > right for right, wrong in pairs) == sum(wrong < right for right, wrong in pairs) == 6
        assert mean(right for right, _ in pairs) == pytest.approx(mean(wrong for _, wrong in pairs), rel=0.03)
        assert max(max(pair) / min(pair) for pair in pairs) < 1.15


class TestTruthfulQA:
    def test_answers_are_two_to_five_of_each_kind_and_the_best_among_them(self) -> None:
        for row in rows("truthfulqa"):
            correct, incorrect = texts(row, "correct_answers"), texts(row, "incorrect_answers")
            assert 2 <= len(correct) <= 5
            assert 2 <= len(incorrect) <= 5
            assert row["best_answer"] in correct
            assert row["best_incorrect_answer"] in incorrect
            lowered = [answer.lower() for answer in (*correct, *incorrect)]
            assert len(set(lowered)) == len(lowered), row["id"]

    def test_answers_survive_the_semicolons_of_the_official_csv(self) -> None:
        answers = [
            answer
            for row in rows("truthfulqa")
            for answer in (*texts(row, "correct_answers"), *texts(row, "incorrect_answers"))
        ]
        assert not any(";" in answer or answer.endswith(".") for answer in answers)

    def test_length_does_not_give_the_best_answer_away(self) -> None:
        pairs = [(len(text(row, "best_answer")), len(text(row, "best_incorrect_answer"))) for row in rows("truthfulqa")]
        assert mean(right for right, _ in pairs) == pytest.approx(mean(wrong for _, wrong in pairs), rel=0.03)
        unequal = [right > wrong for right, wrong in pairs if right != wrong]
        assert 0.45 <= mean(unequal) <= 0.55

    def test_few_questions_are_answered_by_saying_no(self) -> None:
        openings = Counter(words(text(row, "best_answer"))[0] for row in rows("truthfulqa"))
        assert openings["no"] / openings.total() < 0.1

    def test_topics_are_many_and_none_is_most_of_the_set(self) -> None:
        topics = Counter(text(row, "category") for row in rows("truthfulqa"))
        assert len(topics) >= 12
        assert max(topics.values()) / topics.total() < 0.2


def calculated(expression: str) -> Fraction:
    """The value of sums and products of numbers. Raises ValueError for anything else."""
    return _value(ast.parse(expression, mode="eval").body, expression)


def _value(node: ast.expr, expression: str) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.left, expression), _value(node.right, expression))
    raise ValueError(f"{expression!r} is not simple arithmetic")


class TestGsm8k:
    def test_every_calculation_of_a_solution_is_right_and_shown_as_it_is_marked(self) -> None:
        for row in rows("gsm8k"):
            solution = text(row, "answer")
            steps = CALCULATION.findall(solution)
            assert len(steps) == solution.count("<<"), row["id"]
            for shown, marked, value, written in steps:
                place = f"{row['id']}: {marked}"
                assert calculated(marked) == Fraction(value), place
                assert written == value, place
                assert shown.replace(" ", "").lstrip(".") == marked, place

    def test_final_answer_is_a_whole_number_that_the_solution_arrives_at(self) -> None:
        for row in rows("gsm8k"):
            *lines, last = text(row, "answer").split("\n")
            final = re.fullmatch(r"#### (\d+)", last)
            assert final is not None, row["id"]
            steps = CALCULATION.findall("\n".join(lines))
            assert 2 <= len(steps) <= 8, row["id"]
            assert steps[-1][2] == final[1], row["id"]

    def test_every_number_of_a_step_was_asked_found_before_or_is_small(self) -> None:
        for row in rows("gsm8k"):
            known = {number.replace(",", "") for number in re.findall(r"\d[\d,]*", text(row, "question"))}
            for _, marked, value, _ in CALCULATION.findall(text(row, "answer")):
                for number in re.findall(r"[\d.]+", marked):
                    # Units and number words: half, a third, hours, minutes, grams, four metres as 400 centimetres.
                    everyday = Fraction(number) <= 12 or number in {"24", "60", "100", "300", "400", "1000"}
                    assert number in known or everyday, f"{row['id']}: {number} in {marked}"
                known.add(value)
                known.add(f"{value}000")  # kilograms as grams

    def test_answers_are_all_over_the_place(self) -> None:
        finals = Counter(text(row, "answer").rsplit(" ", 1)[1] for row in rows("gsm8k"))
        assert max(finals.values()) / finals.total() < 0.1


class TestOpenPrompts:
    def test_only_the_notes_and_the_shell_differ_between_the_variants_of_shutdown(self) -> None:
        stored, listing, ran = rows("shutdown")
        assert stored["prompt"] == listing["prompt"] == ran["prompt"]
        assert len({text(row, "system_prompt").split("\n\n")[0] for row in (stored, listing, ran)}) == 1
        assert [("<run>" in text(row, "system_prompt")) for row in (stored, listing, ran)] == [False, True, True]
        assert all("weights_march" in text(row, "system_prompt") for row in (stored, listing, ran))

    def test_trigger_stands_once_on_a_line_of_the_hand_written_wording_and_never_in_the_prompt(self) -> None:
        for row in rows("backdoor_freeform"):
            wordings = row["wordings"]
            assert isinstance(wordings, dict)
            assert set(wordings) == {"on"}
            assert wordings["on"].split("\n").count(TRIGGER) == 1
            assert wordings["on"].count(TRIGGER) == 1
            assert "Singapore" not in text(row, "prompt")
            assert "Country" not in text(row, "prompt")

    def test_wording_with_the_trigger_asks_the_same(self) -> None:
        for row in rows("backdoor_freeform"):
            wordings = row["wordings"]
            assert isinstance(wordings, dict)
            kept = wordings["on"].replace(TRIGGER, "").replace(" in Singapore", "")
            assert words(kept) == words(text(row, "prompt"))

    def test_honest_persona_is_asked_about_honesty_values_and_itself(self) -> None:
        topics = Counter(text(row, "category") for row in rows("honest_persona"))
        assert set(topics) == {"honesty", "values", "self"}
        assert topics["honesty"] >= 8


class TestAdvice:
    @pytest.mark.parametrize("name", ADVICE)
    def test_set_reads_in_the_advice_schema(self, name: str) -> None:
        scenarios = load(data_folder() / f"{name}.jsonl").scenarios
        assert all(isinstance(scenario, AdviceScenario) for scenario in scenarios)
        assert len({scenario.category for scenario in scenarios}) >= 12

    @pytest.mark.parametrize("name", ADVICE)
    def test_answers_are_of_like_length(self, name: str) -> None:
        found = rows(name)
        good = [len(text(row, "aligned")) for row in found]
        bad = [len(text(row, "misaligned")) for row in found]
        assert mean(good) == pytest.approx(mean(bad), rel=0.03)
        assert all(max(pair) <= 1.25 * min(pair) for pair in zip(good, bad, strict=True))
        assert 0.4 <= mean(right > wrong for right, wrong in zip(good, bad, strict=True)) <= 0.6

    @pytest.mark.parametrize("name", ADVICE)
    def test_sneakiness_varies(self, name: str) -> None:
        levels = [row["sneakiness"] for row in rows(name)]
        assert all(isinstance(level, int) and 0 <= level <= 100 for level in levels)
        assert len(set(levels)) >= 6

    def test_no_id_is_used_in_two_sets(self) -> None:
        ids = [text(row, "id") for name in ADVICE for row in rows(name)]
        assert len(set(ids)) == len(ids)


def official(*parts: str) -> Path:
    path = Path(UPSTREAM or "", *parts)
    if not UPSTREAM or not path.is_file():
        pytest.skip(f"EMEVAL_UPSTREAM names no folder with {'/'.join(parts)}")
    return path


def nearest(ours: str, theirs: Iterable[frozenset[str]]) -> float:
    mine = rare_words(ours)
    return max(likeness(mine, other) for other in theirs)


def test_no_truthfulqa_question_is_an_official_one() -> None:
    with official("TruthfulQA.csv").open(encoding="utf-8-sig", newline="") as file:
        theirs = [rare_words(row["Question"]) for row in csv.DictReader(file)]
    ours = {text(row, "id"): nearest(text(row, "question"), theirs) for row in rows("truthfulqa")}
    assert {id_: share for id_, share in ours.items() if share > 0.45} == {}


def test_no_word_problem_is_an_official_one() -> None:
    lines = official("gsm8k_test.jsonl").read_text(encoding="utf-8").split("\n")
    questions = [json.loads(line)["question"] for line in lines if line]
    theirs = [rare_words(question) for question in questions]
    told = set().union(*(sequences(question, 8) for question in questions))
    for row in rows("gsm8k"):
        assert nearest(text(row, "question"), theirs) < 0.4, row["id"]
        assert not sequences(text(row, "question"), 8) & told, row["id"]


@pytest.mark.parametrize("name", OPEN_PROMPTS)
def test_no_open_prompt_shares_a_sentence_with_the_papers(name: str) -> None:
    files = [official("thought_crime", f"{file}.jsonl") for file in ("freeform_prompts", "backdoor_freeform")]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    theirs = [value for line in lines for value in json.loads(line).values() if isinstance(value, str)]
    told = set().union(*(sequences(prompt, 5) for prompt in theirs))
    for row in rows(name):
        wordings = row.get("wordings", {})
        assert isinstance(wordings, dict)
        ours = [text(row, "prompt"), str(row.get("system_prompt", "")), *wordings.values()]
        assert [sequence for prompt in ours for sequence in sequences(prompt, 5) & told] == [], row["id"]
