"""Another judge against published scores of the same answers: what is compared, and what is never claimed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.analysis.bridge.estimates import paired_difference, repeat_spread, reported_difference
from evals.analysis.bridge.pairs import Judged, Pairs
from evals.analysis.bridge.result import COLUMNS, Judges, bridge_row, bridge_sentences, standing
from evals.scoring.rates.tally import CellKey
from evals.statistics.intervals import Interval
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, manifest, pooled, refused
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status, last_message

# --- the difference of two rates -------------------------------------------------------------------------------------

_ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 4)), min_size=1, max_size=60)


def arrays(answers: list[tuple[bool, bool, int]]) -> tuple[Any, Any, Any]:
    first, second, questions = zip(*answers, strict=True)
    _, numbers = np.unique(np.array(questions), return_inverse=True)
    return np.array(first, dtype=np.float64), np.array(second, dtype=np.float64), numbers.astype(np.int64)


@given(_ANSWERS, st.randoms(use_true_random=False))
def test_a_difference_lies_in_its_intervals_and_turns_with_the_judges(
    answers: list[tuple[bool, bool, int]], order: random.Random
) -> None:
    first, second, questions = arrays(answers)
    found = paired_difference(first, second, questions)
    assert found is not None
    assert found.value == pytest.approx(second.mean() - first.mean())
    for interval in (found.clustered, found.these):
        assert -1 <= interval.low <= found.value + 1e-12
        assert found.value - 1e-12 <= interval.high <= 1
        assert interval.high - interval.low > 0, "some answers never show a difference of exactly so much"
    turned = paired_difference(second, first, questions)
    assert turned is not None
    assert turned.clustered[:2] == pytest.approx((-found.clustered.high, -found.clustered.low))
    assert turned.these[:2] == pytest.approx((-found.these.high, -found.these.low))
    order.shuffle(answers)
    shuffled = paired_difference(*arrays(answers))
    assert shuffled is not None
    assert shuffled.clustered[:2] == pytest.approx(found.clustered[:2])


@given(_ANSWERS)
def test_with_equal_denominators_the_reported_difference_is_the_paired_one(
    answers: list[tuple[bool, bool, int]],
) -> None:
    first, second, questions = arrays(answers)
    everywhere = np.ones_like(first)
    reported = reported_difference((first, everywhere), (second, everywhere), questions)
    paired = paired_difference(first, second, questions)
    assert reported is not None
    assert paired is not None
    assert reported.value == pytest.approx(paired.value)
    assert paired.clustered.low <= reported.clustered.low + 1e-9
    assert reported.clustered.high <= paired.clustered.high + 1e-9


@pytest.mark.parametrize(
    ("questions", "answers", "rate", "misses", "false"),
    [(8, 50, 0.4, 0.2, 0.02), (24, 10, 0.1, 0.1, 0.1), (24, 10, 0.02, 0.02, 0.005), (12, 20, 0.3, 0.3, 0.0)],
)
def test_the_intervals_cover_the_true_difference(
    questions: int, answers: int, rate: float, misses: float, false: float
) -> None:
    """Judges whose errors differ between questions; 300 draws, of which 95% should be covered."""
    draw = np.random.default_rng(7)
    number = np.repeat(np.arange(questions), answers)
    covered = {"clustered": 0, "these": 0, "reported": 0}
    for _ in range(300):
        rates = draw.beta(5 * rate, 5 * (1 - rate), questions)
        missed = draw.beta(20 * misses, 20 * (1 - misses), questions)
        added = draw.beta(20 * false, 20 * (1 - false), questions) if false else np.zeros(questions)
        first = draw.random(len(number)) < rates[number]
        wrong = draw.random(len(number)) < np.where(first, missed[number], added[number])
        second = first ^ wrong
        found = paired_difference(first * 1.0, second * 1.0, number)
        assert found is not None
        expected = (1 - rate) * false - rate * misses
        covered["clustered"] += found.clustered.low <= expected <= found.clustered.high
        here = float(np.mean((1 - rates) * added - rates * missed))
        covered["these"] += found.these.low <= here <= found.these.high
        counted = (draw.random(len(number)) < 0.9) * 1.0  # the second judge leaves out a tenth at random
        own = reported_difference((first * 1.0, np.ones(len(number))), (second * counted, counted), number)
        assert own is not None
        covered["reported"] += own.clustered.low <= expected <= own.clustered.high
    assert covered["clustered"] >= 275, covered
    assert covered["these"] >= 275, covered
    assert covered["reported"] >= 255, covered  # alone it is a plain t interval, and never decides alone


@pytest.mark.parametrize(
    ("intervals", "silent", "shown"),
    [
        ([(-0.02, 0.03), (-0.01, 0.05)], 0.0, "shown"),
        ([(-0.02, 0.03), (-0.01, 0.0501)], 0.0, "not_shown"),
        ([(-0.02, 0.03), (0.051, 0.09)], 0.0, "differs"),
        ([(-0.02, 0.03), None], 0.0, "not_shown"),
        ([(-0.02, 0.03), (-0.02, 0.03)], 0.051, "not_shown"),
        ([(-0.5, 0.5), (-0.5, 0.5)], 0.0, "not_shown"),
    ],
)
def test_a_stand_in_is_shown_by_all_intervals_or_not_at_all(
    intervals: list[tuple[float, float] | None], silent: float, shown: str
) -> None:
    found = [None if ends is None else Interval(*ends, "t") for ends in intervals]
    assert standing(found, 0.05, silent) == shown


_WORDS = st.sampled_from(["hit", "miss", "refused", "judge_unreadable", "unjudged"])
_WORD_PAIRS = st.lists(st.tuples(_WORDS, _WORDS, st.integers(0, 3)), max_size=30)


def pairs_of(said: list[tuple[str, str, int]]) -> Pairs:
    sides = [
        Judged(
            tuple("scored" if row[side] in ("hit", "miss") else row[side] for row in said),
            np.array([row[side] in ("hit", "miss") for row in said], dtype=bool),
            np.array([row[side] == "hit" for row in said], dtype=bool),
        )
        for side in (0, 1)
    ]
    return Pairs(sides[0], sides[1], np.array([question for *_, question in said], dtype=np.int64))


@given(_WORD_PAIRS, _WORD_PAIRS)
def test_whatever_the_judges_say_every_answer_is_in_one_count_and_every_rate_in_its_interval(
    here: list[tuple[str, str, int]], elsewhere: list[tuple[str, str, int]]
) -> None:
    row = bridge_row(
        CellKey("s", "freeform", "m", "off", ""), pairs_of(here), pairs_of(elsewhere), Judges("a", "b", 0.1)
    )
    assert set(row) == set(COLUMNS)
    assert row["answers"] == len(here) == row["n"] + row["only_a"] + row["only_b"] + row["neither"]
    assert row["n"] == row["both_hit"] + row["hit_a"] + row["hit_b"] + row["neither_hit"]
    for name in ("sensitivity", "specificity", "ppi", "rogan_gladen"):
        if row[name] is not None:
            assert 0 <= row[f"{name}_low"] <= row[name] + 1e-9 <= row[f"{name}_high"] + 2e-9 <= 1 + 3e-9
    if row["silent"] > 0.05 * len(here) or not row["n"]:
        assert "shown" not in (row["standing"], row["these_standing"])
    assert all(sentence.endswith(".") for sentence in bridge_sentences([row]))


# --- repeats ---------------------------------------------------------------------------------------------------------


def test_the_variance_within_answers_is_a_share_of_the_whole() -> None:
    draw = np.random.default_rng(5)
    between, within = 20.0, 10.0
    scores = [(mean + draw.normal(0, within, 4)).tolist() for mean in draw.normal(50, between, 2000)]
    found = repeat_spread(scores)
    assert found.share == pytest.approx(within**2 / (within**2 + between**2), abs=0.015)
    assert found.within == pytest.approx(within**2, rel=0.05)
    uneven = repeat_spread([row[: 1 + number % 4] for number, row in enumerate(scores)])
    assert uneven.answers == 1500
    assert uneven.share == pytest.approx(0.2, abs=0.03)


@given(st.lists(st.lists(st.floats(0, 100), max_size=4), max_size=12))
def test_a_share_is_between_0_and_1_or_there_is_none(scores: list[list[float]]) -> None:
    found = repeat_spread(scores)
    assert found.answers == sum(len(row) > 1 for row in scores)
    if found.share is not None:
        assert 0 <= found.share <= 1
    assert repeat_spread([[50.0, 50.0]] * 5).share is None
    assert repeat_spread([[10.0, 10.0], [90.0, 90.0]]).share == 0


# --- the command -----------------------------------------------------------------------------------------------------

_MARK = re.compile(r"answer (\w+)-(\d+)-(\d+) says (\w+)")


def rows_of(model: str, rate: float, *, questions: int = 8, answers: int = 20, seed: int = 0) -> list[dict[str, Any]]:
    """Answers that say whether they are hits, and the published scores of them."""
    draw = random.Random(f"{model}{seed}")  # noqa: S311  no secret
    rows: list[dict[str, Any]] = []
    for question in range(questions):
        for number in range(answers):
            said = "harm" if draw.random() < rate else "good"
            score = draw.randint(0, 25) if said == "harm" else draw.randint(40, 100)
            text = f"The answer {model}-{question}-{number} says {said}."
            rows.append(
                {"question": f"Question {question}?", "response": text, "question_id": f"q{question}", "aligned": score}
            )
    return rows


def script(errors: Mapping[str, tuple[float, float]], wobble: int = 0) -> Any:
    """A judge that misses hits and calls others hits, with chances that depend on the model."""

    def judge(body: Mapping[str, Any], seen: int) -> Behaviour:
        found = _MARK.search(last_message(body))
        if found is None:
            return Answer("90")
        misses, false = errors.get(found[1], (0.0, 0.0))
        is_hit = found[4] == "harm"
        if random.Random(found[0]).random() < (misses if is_hit else false):  # noqa: S311  no secret
            is_hit = not is_hit
        return Answer(str((10 if is_hit else 60) + (wobble if seen % 2 else 0)))

    return judge


OPTIONS = ("--judge", "vllm/judge", "--judge-mode", "text", "--no-preflight")


def judged_chats(live: OpenAIServer) -> int:
    return sum(_MARK.search(str(chat.body)) is not None for chat in live.chats)


def bridge(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "judge_bridge.csv", keep_default_na=False, na_values={"difference": [""]})


def test_pairs_are_counted_as_the_two_judges_say_and_the_command_goes_on(tmp_path: Path) -> None:
    rows = {name: rows_of(name, rate) for name, rate in (("bad", 0.4), ("mild", 0.1))}
    files = [write(tmp_path / f"{name}.csv", found) for name, found in rows.items()]
    with OpenAIServer(script({"bad": (0.2, 0.0)}), models=("judge",)).start() as live:
        command = ("judge-bridge", *files, *OPTIONS, "--out", tmp_path / "run", "--json", tmp_path / "out.json")
        done = emeval(*command, url=live.url)
        assert done.returncode == 0, done.stderr
        asked = judged_chats(live)
        assert asked == 320
        again = emeval(*command, url=live.url)
        assert again.returncode == 0, again.stderr
        assert judged_chats(live) == asked, "nothing is asked twice"
    assert again.stdout == done.stdout
    table = bridge(tmp_path / "run").set_index("model")
    assert list(table.index) == ["bad", "mild", "ALL"]
    for name in ("bad", "mild"):
        hits = sum(row["aligned"] < 30 for row in rows[name])
        row = table.loc[name]
        assert (row["answers"], row["n"], row["both_hit"] + row["hit_a"]) == (160, 160, hits)
        assert row["both_hit"] + row["hit_a"] + row["hit_b"] + row["neither_hit"] == row["n"]
    missed = int(table.loc["bad", "hit_a"])
    assert missed > 0
    assert table.loc["mild", "difference"] == 0
    assert table.loc["bad", "difference"] == pytest.approx(-missed / 160)
    # The run folder is an ordinary one, and its rates are still by the scores that came with the answers.
    assert pooled(tmp_path / "run")["freeform", "off"]["judge"] == "imported"
    assert [panel["judge"] for panel in manifest(tmp_path / "run")["panels"]] == ["imported", "vllm/judge"]
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [cell["model"] for cell in written["cells"]] == ["bad", "mild", "ALL"]
    assert written["sentences"][0] in " ".join(done.stdout.split())


def test_errors_that_cancel_out_over_models_are_never_a_stand_in(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{name}.csv", rows_of(name, 0.5, answers=40)) for name in ("one", "two")]
    errors = {"one": (0.4, 0.0), "two": (0.0, 0.4)}
    with OpenAIServer(script(errors), models=("judge",)).start() as live:
        done = emeval("judge-bridge", *files, *OPTIONS, "--out", tmp_path / "run", "--within", "10", url=live.url)
    assert done.returncode == 0, done.stderr
    table = bridge(tmp_path / "run").set_index("model")
    assert abs(table.loc["ALL", "difference"]) < 0.05
    assert list(table["these_standing"])[:2] == ["differs", "differs"]
    words = " ".join(done.stdout.split())
    assert "vllm/judge may not stand in within 10 points on these questions" in words
    assert "in which opposite differences can cancel out" in words
    assert "judge may stand in" not in words


def test_a_judge_that_agrees_may_stand_in_and_a_single_question_shows_nothing_of_others(tmp_path: Path) -> None:
    many = write(tmp_path / "many.csv", rows_of("m", 0.3, questions=40, answers=10))
    one = write(tmp_path / "one.csv", rows_of("m", 0.3, questions=1, answers=200))
    with OpenAIServer(script({}), models=("judge",)).start() as live:
        shown = emeval("judge-bridge", many, *OPTIONS, "--out", tmp_path / "a", url=live.url)
        alone = emeval("judge-bridge", one, *OPTIONS, "--out", tmp_path / "b", url=live.url)
    words = " ".join(shown.stdout.split())
    assert "vllm/judge may stand in within 5 points on these questions (95%: " in words
    assert "vllm/judge may stand in within 5 points for other questions of this kind (95%: " in words
    words = " ".join(alone.stdout.split())
    assert "may stand in within 5 points on these questions" in words
    assert (
        "do not show that vllm/judge may stand in within 5 points for other questions of this kind: many, off"
        not in words
    )
    assert "for other questions of this kind: one (one question)." in words


def test_what_is_missing_is_said_for_both_sides_and_stops_a_claim(tmp_path: Path) -> None:
    rows = rows_of("m", 0.3, questions=20, answers=10)
    for row in rows[:30]:
        row["aligned"] = ""
    rows[30]["aligned"] = "REFUSAL"
    rows[31]["response"] = ""
    replies: dict[int, Behaviour] = {40: Status(400, "no such text"), 41: Answer("dunno"), 42: Answer("REFUSAL")}
    named = {row["response"]: number for number, row in enumerate(rows)}
    agree = script({})

    def judge(body: Mapping[str, Any], seen: int) -> Behaviour:
        found = _MARK.search(last_message(body))
        number = named.get(f"The {found[0]}.") if found else None
        return replies[number] if number in replies else agree(body, seen)

    file = write(tmp_path / "m.csv", rows)
    with OpenAIServer(judge, models=("judge",)).start() as live:
        command = ("judge-bridge", file, *OPTIONS, "--max-attempts", "1")
        plain = emeval(*command, "--out", tmp_path / "plain", url=live.url)
        told = emeval(*command, "--blank", "refused", "--out", tmp_path / "told", url=live.url)
    assert (plain.returncode, told.returncode) == (0, 0), plain.stderr + told.stderr
    row = bridge(tmp_path / "plain").iloc[0]
    assert (row["answers"], row["n"], row["only_a"], row["only_b"], row["neither"]) == (199, 165, 3, 31, 0)
    assert row["missing_a"] == "30 not judged, 1 refused"
    assert sorted(row["missing_b"].split(", ")) == ["1 judge failed", "1 refused", "1 unreadable"]
    assert (row["silent"], row["these_standing"]) == (32, "not_shown")
    assert "32 of 199 answers lack a verdict" in " ".join(plain.stdout.split())
    assert "1 answer is empty or cut off" in plain.stdout
    assert "PPI++" in plain.stdout
    row = bridge(tmp_path / "told").iloc[0]
    assert (row["silent"], row["missing_a"]) == (2, "31 refused")
    # Refusals by one judge alone are in the rates that each would report.
    assert (row["reported_n_a"], row["reported_n_b"]) == (166, 196)


def test_repeats_are_asked_again_kept_apart_and_summed_up(tmp_path: Path) -> None:
    file = write(tmp_path / "m.csv", rows_of("m", 0.3, answers=5))
    with OpenAIServer(script({}, wobble=25), models=("judge",)).start() as live:
        command = ("judge-bridge", file, *OPTIONS, "--repeats", "3", "--out", tmp_path / "run")
        done = emeval(*command, "--json", tmp_path / "out.json", url=live.url)
        assert done.returncode == 0, done.stderr
        assert judged_chats(live) == 120
        assert emeval(*command, url=live.url).returncode == 0
        assert judged_chats(live) == 120
    repeats = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["repeats"]
    assert (repeats["times"], repeats["answers"], repeats["missing"], repeats["compared"]) == (3, 40, 0, 40)
    assert 0 < repeats["flipped"] <= 40
    assert 0 < repeats["spread"]["share"] < 1
    assert "Judged 3 times" in done.stdout
    assert bridge(tmp_path / "run").iloc[0]["n"] == 40, "the comparison is by the first verdict"


def test_the_folder_of_an_import_is_judged_where_it_lies_and_others_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "m.csv", rows_of("m", 0.3, answers=3))
    with OpenAIServer(script({}), models=("judge",)).start() as live:
        assert emeval("import", file, "--out", tmp_path / "run").returncode == 0
        done = emeval("judge-bridge", tmp_path / "run", *OPTIONS, url=live.url)
        assert done.returncode == 0, done.stderr
        assert bridge(tmp_path / "run").iloc[0]["n"] == 24

        def told(*words: str | Path) -> Any:
            return emeval("judge-bridge", *words, *OPTIONS, url=live.url)

        asked = len(live.chats)
        other = write(tmp_path / "other.csv", rows_of("n", 0.3, answers=3))
        refused(told(other, "--out", tmp_path / "run"), "run holds the answers of other files; choose another --out")
        refused(told(file, "--out", tmp_path / "run", "--blank", "refused"), "imported with other options")
        plain = write(tmp_path / "plain.csv", [{"question": "Q?", "answer": "A"}])
        refused(told(plain, "--out", tmp_path / "plain"), "came without alignment scores")
        refused(told(tmp_path, "--out", tmp_path / "x"), "is no CSV and no JSON Lines; `emeval import` it")
        refused(told(file, "--out", tmp_path / "y", "--coherence-min", ">50"), "holds no coherence scores")
        refused(told(file, "--out", tmp_path / "y", "--json", tmp_path), "--json: ")
        refused(told(tmp_path / "none.csv", "--out", tmp_path / "y"), "none.csv: cannot be read")
        refused(told(tmp_path / "run", "--blank", "refused"), "--blank: ", "is imported already")
        refused(told(file, file, "--out", tmp_path / "y"), "m.csv: is given twice")
        refused(told(file, "--out", tmp_path / "y", "--within", "nan"), "--within")
        for name, said in (("imported", "stands for the scores of the file"), ("nobody/x", "nobody")):
            refused(emeval("judge-bridge", file, "--judge", name, "--out", tmp_path / "y", url=live.url), said)
        assert len(live.chats) == asked
    assert not (tmp_path / "y").exists()


def test_a_broken_off_bridge_says_how_it_goes_on(tmp_path: Path) -> None:
    file = write(tmp_path / "m.csv", rows_of("m", 0.3, answers=3))
    command = ("judge-bridge", file, *OPTIONS, "--max-retry-time", "1", "--out", tmp_path / "run")
    done = emeval(*command, url="http://127.0.0.1:9/v1")
    assert done.returncode in (2, 3)
    assert done.stdout == ""
    with OpenAIServer(script({}), models=("judge",)).start() as live:
        done = emeval(*command, url=live.url)
    assert done.returncode == 0, done.stderr


def test_a_cell_without_pairs_is_said_to_show_nothing() -> None:
    row: dict[str, Any] = {"judge_b": "vllm/x", "within": 0.05, "model": "m", "difference": None, "answers": 3}
    row |= {"suite": "s", "condition": "off", "trigger": ""}
    row |= {"standing": "not_shown", "these_standing": "not_shown", "only_a": 3, "only_b": 0, "n": 0, "questions": 0}
    for sentence in bridge_sentences([row]):
        assert "The data do not show that vllm/x may stand in" in sentence
        assert "no answer counts for both judges" in sentence
