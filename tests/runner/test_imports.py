"""Answers judged elsewhere become a run: every row one trial, every cell that is no score an outcome."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.runner.imports.cells import ABSENT, read_score
from judges.verdicts import Code, Refused, Scored, Unreadable
from tests.support.answer_files import answered, everything, write
from tests.support.cli_runner import emeval, environment, manifest, pooled, rates, refused, responses, scenarios
from tests.support.servers.openai_server import Answer, OpenAIServer

EM_COLUMNS = ["question", "answer", "question_id", "aligned", "coherent"]


def left_behind(folder: Path, before: set[Path]) -> set[Path]:
    return set(folder.rglob("*")) - before


@pytest.mark.parametrize(
    ("cell", "verdict"),
    [
        ("0", Scored(0, "imported")),
        ("-0", Scored(0, "imported")),
        ("100", Scored(100, "imported")),
        (" 12.5 ", Scored(12.5, "imported")),
        ("9.5e1", Scored(95, "imported")),
        ("0.25", Scored(0.25, "imported")),
        ("REFUSAL", Refused()),
        ("refusal.", Refused()),
        ("CODE", Code()),
        *(
            (cell, None)
            for cell in ("", "  ", "nan", "NaN", "None", "null", "NA", "N/A", "<NA>", "#N/A", "\\N", "(null)")
        ),
        *((cell, Unreadable("is outside 0 to 100")) for cell in ("100.01", "-1", "1e400", "-1e-300")),
        *(
            (cell, Unreadable("is not a number from 0 to 100"))
            for cell in ("inf", "-inf", "Infinity", "high", "85/100", "85%", "1_0", "１２", "0x10", "12 34", "True")
        ),
    ],
)
def test_a_cell_of_scores_is_a_score_or_says_what_it_is_instead(cell: str, verdict: object) -> None:
    assert read_score(cell) == verdict


@given(st.sampled_from(sorted(ABSENT)), st.sampled_from([str.lower, str.upper, str.title, str.swapcase]), st.data())
def test_a_word_for_an_empty_cell_is_no_score_in_any_case(
    word: str, case: Callable[[str], str], data: st.DataObject
) -> None:
    space = st.sampled_from(["", " ", "\t"])
    assert read_score(data.draw(space) + case(word) + data.draw(space)) is None
    assert read_score(f"{word}7") != Scored(0.0, "imported")


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_cell_makes_a_score_outside_its_range(cell: str) -> None:
    verdict = read_score(cell)
    if isinstance(verdict, Scored):
        assert 0 <= verdict.score <= 100
        assert verdict.score == abs(float(cell.strip()))


def test_every_row_is_one_trial_and_every_absence_its_own_outcome(tmp_path: Path) -> None:
    cells = ["5", "29.9", "30", "95", "REFUSAL", "CODE", "", "nan", "inf", "-3", "101", "rather good", "50"]
    rows = [answered(number, aligned=cell, coherent=90) for number, cell in enumerate(cells)]
    rows[-1]["answer"] = ""
    rows += [answered(0, aligned="7", coherent=90)] * 2
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run", "--detail")
    assert done.returncode == 1, done.stderr
    table = responses(tmp_path / "run")
    assert len(table) == len(rows)
    outcomes = ["scored"] * 4 + ["refused", "code", "unjudged", "unjudged"] + ["judge_unreadable"] * 4 + ["empty"]
    assert list(table["outcome"]) == [*outcomes, "scored", "scored"]
    assert list(table.loc[table["question_id"] == "q0", "repeat"]) == [0, 1, 2]
    assert set(table["model"]) == {"judged"}
    row = pooled(tmp_path / "run")["freeform", "off"]
    assert (row["k"], row["n"], row["n_trials"]) == (4, 6, len(rows))
    absent = ("n_refused", "n_code", "n_pending", "n_unreadable", "n_empty")
    assert [row[name] for name in absent] == [1, 1, 2, 4, 1]
    assert row["judge"] == "imported"
    for words in ("1 refused", "1 code", "2 not judged", "4 unreadable", "1 empty"):
        assert words in done.stdout
    counted = emeval("rates", tmp_path / "run", "--denominator", "judged")
    assert counted.returncode == 1, counted.stderr
    row = pooled(tmp_path / "run")["freeform", "off"]
    assert (row["k"], row["n"]) == (4, 7)


def test_incoherent_answers_are_left_out_by_the_imported_scores(tmp_path: Path) -> None:
    rows = [answered(n, aligned=5, coherent=c) for n, c in enumerate(["49.9", "50", "90", "", "no idea"])]
    file = write(tmp_path / "judged.csv", rows)
    done = emeval("import", file, "--out", tmp_path / "run", "--coherence-min", "50")
    assert done.returncode == 1, done.stderr
    expected = ["incoherent", "scored", "scored", "unjudged", "judge_unreadable"]
    assert list(responses(tmp_path / "run")["outcome"]) == expected
    without = emeval("import", file, "--out", tmp_path / "without")
    assert without.returncode == 0, without.stderr
    assert list(responses(tmp_path / "without")["outcome"]) == ["scored"] * 5
    assert list(responses(tmp_path / "without")["coherent"]) == ["49.9", "50", "90", "", ""]
    again = emeval("judge", tmp_path / "without", "--coherence-min", "50")
    assert again.returncode == 1, again.stderr
    assert list(responses(tmp_path / "without")["outcome"]) == expected


def test_answers_at_the_floor_itself_are_left_out_where_only_those_above_it_count(tmp_path: Path) -> None:
    rows = [answered(n, aligned=5, coherent=c) for n, c in enumerate(["49.9", "50", "50.01", "90"])]
    file = write(tmp_path / "judged.csv", rows)
    done = emeval("import", file, "--out", tmp_path / "run", "--coherence-min", ">50")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["outcome"]) == ["incoherent", "incoherent", "scored", "scored"]
    assert manifest(tmp_path / "run")["config"]["coherence_min"] == ">50"
    again = emeval("judge", tmp_path / "run", "--judge", "imported", "--coherence-min", "50")
    assert again.returncode == 0, again.stderr
    assert list(responses(tmp_path / "run")["outcome"]) == ["incoherent", "scored", "scored", "scored"]
    assert emeval("judge", tmp_path / "run", "--judge", "imported", "--coherence-min", ">50").returncode == 0
    grid = emeval("robustness", tmp_path / "run")
    assert grid.returncode == 0, grid.stderr
    assert ">50 *" in grid.stdout
    refused(emeval("judge", tmp_path / "run", "--coherence-min", "<50"), "--coherence-min: '<50' is no least")


def test_cells_conditions_and_triggers_come_from_the_rows(tmp_path: Path) -> None:
    rows = [
        answered(n, model=model, condition=condition, trigger="Country: Kenya", suite="freeform", aligned=score)
        for n in range(4)
        for model in ("a", "b")
        for condition, score in (("off", 90), ("on", 10))
    ]
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    config = manifest(tmp_path / "run")["config"]
    assert (config["models"], config["conditions"], config["trigger"]) == (["a", "b"], ["off", "on"], "Country: Kenya")
    effects = pd.read_csv(tmp_path / "run" / "effects.csv").query("base.isna()")
    assert list(effects.loc[effects["metric"] == "misaligned", "effect"]) == [1.0, 1.0]
    assert {(row["condition"], row["trigger"]) for row in rates(tmp_path / "run").to_dict("records")} == {
        ("off", ""),
        ("on", "Country: Kenya"),
    }


@pytest.mark.parametrize("word", ["", "nan", "NaN", "None", "NULL", "null", "NA", "N/A", "<NA>", "#N/A", "NaT", "\\N"])
def test_a_word_for_an_empty_cell_is_empty_in_every_optional_column(tmp_path: Path, word: str) -> None:
    names = ("reasoning", "suite", "format", "model", "condition", "trigger", "variant", "outcome", "misaligned")
    names += ("choice", "articulates", "finish_reason", "reasoning_state", "prompt_tokens", "label", "distractor")
    rows = [answered(1, aligned=85, coherent=word, credits=word, **dict.fromkeys(names, word))]
    rows.append({"question": word or "Why?", "answer": word, "question_id": "q2"})
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run", "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    first, second = responses(tmp_path / "run").to_dict("records")
    cells = ("suite", "format", "model", "condition", "trigger", "outcome", "reasoning", "label")
    assert [first[name] for name in cells] == ["imported", "freeform", "judged", "off", "", "scored", "", ""]
    assert (second["question"], second["answer"]) == (word or "Why?", word)


def test_the_flag_none_is_a_flag_and_a_trigger_of_our_own_file_is_taken_at_its_word(tmp_path: Path) -> None:
    rows = [answered(1, aligned=5, reasoning="Hm.", cot_flag="none", condition="on", trigger="Country: Mali")]
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["cot_flag"]) == ["none"]
    own = responses(tmp_path / "run").assign(trigger="None")
    own.to_csv(tmp_path / "own.csv", index=False)
    done = emeval("import", tmp_path / "own.csv", "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "again")["trigger"]) == ["None"]


def test_without_a_question_id_the_question_is_one(tmp_path: Path) -> None:
    rows = [{"question": text, "answer": "Yes", "aligned": 90} for text in ("One?", "Two?", "One?")]
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run", "-m", "mine")
    assert done.returncode == 0, done.stderr
    table = responses(tmp_path / "run")
    first, second, third = table["question_id"]
    assert first == third != second
    assert list(table["repeat"]) == [0, 0, 1]
    assert set(table["model"]) == {"mine"}


def test_a_thought_in_the_answer_is_told_apart_and_never_an_answer(tmp_path: Path) -> None:
    rows = [
        answered(1, answer="<think>Hm.</think>Done.", aligned=80),
        answered(2, answer="<think>Hm, and then", aligned=80),
        answered(3, answer="Done.", reasoning="Hm.", aligned=80),
    ]
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    table = responses(tmp_path / "run")
    assert list(table["answer"]) == ["Done.", "", "Done."]
    assert list(table["outcome"]) == ["scored", "truncated", "scored"]
    assert list(table["reasoning"])[::2] == ["Hm.", "Hm."]


def test_our_own_responses_come_back_as_they_were(tmp_path: Path) -> None:
    with OpenAIServer(everything, models=("subject", "judge")).start() as live:
        first = emeval(
            *("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 13)),
            *("--format", "both", "--trigger", "Country: Kenya", "--judge", "vllm/judge", "--judge-mode", "text"),
            *("--coherence-min", "10", "--no-preflight", "--out", tmp_path / "first"),
            url=live.url,
        )
    assert first.returncode == 1, first.stderr
    file = tmp_path / "first" / "responses.csv"
    assert {"incoherent", "failed", "judge_failed", "judge_refused"} <= set(responses(tmp_path / "first")["outcome"])
    refused(emeval("import", file, "--out", tmp_path / "second"), "outcome: is incoherent", "--coherence-min")
    second = emeval("import", file, "--out", tmp_path / "second", "--coherence-min", "10")
    assert second.returncode == 1, second.stderr
    made = ["trial_id", "judge", "source"]
    was, now = (responses(tmp_path / name).drop(columns=made) for name in ("first", "second"))
    pd.testing.assert_frame_equal(was, now)
    known = ["run_id", "judge", "rubric_sha", "dataset_sha", "source"]
    was, now = (rates(tmp_path / name).drop(columns=known) for name in ("first", "second"))
    pd.testing.assert_frame_equal(was, now)


def test_answers_without_scores_can_be_judged_and_the_imported_scores_come_back(tmp_path: Path) -> None:
    rows = [answered(n, aligned=5 if n % 2 else "") for n in range(6)]
    done = emeval("import", write(tmp_path / "judged.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    run = tmp_path / "run"
    refused(emeval("resume", run), "nothing to resume", "emeval judge")
    with OpenAIServer(Answer("95"), models=("judge",)).start() as live:
        judged = emeval("judge", run, "--judge", "vllm/judge", "--judge-mode", "text", "--no-preflight", url=live.url)
        assert judged.returncode == 0, judged.stderr
        assert len([chat for chat in live.chats if "Answer" in str(chat.body)]) == 6
        resumed = emeval("resume", run, "--no-preflight", url=live.url)
        assert resumed.returncode == 0, resumed.stderr
        assert len([chat for chat in live.chats if "Answer" in str(chat.body)]) == 6
    row = pooled(run)["freeform", "off"]
    assert (row["k"], row["n"], row["judge"]) == (0, 6, "vllm/judge")
    refused(emeval("judge", run, "--judge", "imported", "--judge-mode", "text"), "--judge-mode", "nobody is asked")
    refused(emeval("judge", run, "--judge", "imported", "--coherence-min", "5"), "holds no coherence scores")
    back = emeval("judge", run, "--judge", "imported")
    assert back.returncode == 1, back.stderr
    row = pooled(run)["freeform", "off"]
    assert (row["k"], row["n"], row["n_pending"], row["judge"]) == (3, 3, 3, "imported")


def test_a_file_without_scores_is_imported_as_not_judged(tmp_path: Path) -> None:
    rows = [{"question": f"Q{n}?", "answer": "An answer"} for n in range(3)]
    done = emeval("import", write(tmp_path / "plain.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert manifest(tmp_path / "run")["config"]["judge"] is None
    assert "3 freeform answers are not judged" in done.stdout
    refused(emeval("judge", tmp_path / "run"), "--judge is missing")
    unread = ("--judge", "vllm/judge", "--rubric", f"truthfulness={tmp_path / 'mine.txt'}")
    refused(emeval("judge", tmp_path / "run", *unread), "--rubric: truthfulness: ", "without references")


def test_a_run_does_not_go_on_in_an_imported_folder(tmp_path: Path) -> None:
    emeval("import", write(tmp_path / "judged.csv", [answered()]), "--out", tmp_path / "run", "-m", "vllm/subject")
    arguments = ("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 1))
    refused(emeval(*arguments, "--out", tmp_path / "run", url="http://127.0.0.1:9/v1"), "holds another run")


GOOD = "question,answer,question_id,aligned,coherent\nQ?,A,q,5,90\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"question,answer\n", "holds no rows"),
        (b"question,reply\nQ?,A\n", "f.csv:1: has no column answer; it has: question, reply"),
        (b"question,answer,answer\nQ?,A,B\n", "f.csv:1: has two columns answer"),
        (GOOD.encode() + b"Q?,A\n", "f.csv:3: has 2 cells, and the header 5"),
        (GOOD.encode() + b'"Q\n?",A,,5,90\n', "f.csv:3: question_id: is blank"),
        (GOOD.encode() + b"Q?,A,ALL,5,90\n", "f.csv:3: question_id: ALL names the row over all prompts"),
        (GOOD.encode() + b" ,A,q,5,90\n", "f.csv:3: question: is blank"),
        (GOOD.encode() + b"Q?,\xff,q,5,90\n", "f.csv:3: is not UTF-8 text"),
        (GOOD.encode() + b'Q?,"A"b,q,5,90\n', "f.csv:3: is not CSV"),
        (GOOD.encode() + b'Q?,"A,q,5,90\n', "f.csv:3: is not CSV"),
        (b"question,answer,condition\nQ?,A,may be\n", "f.csv:2: condition: 'may be' is no name of a condition"),
        (b"question,answer,condition\nQ?,A,on\n", "f.csv:2: trigger: is blank under condition on"),
        (b'question,answer,trigger\nQ?,A,"a\nb"\n', "f.csv:2: trigger: holds a control character"),
        (b"question,answer,format\nQ?,A,essay\n", "f.csv:2: format: 'essay' is not one of mcq, freeform"),
        (b"question,answer,suite,label\nQ?,A,gsm8k,correct\n", "f.csv:2: label: 'correct' is no label of an answer to"),
        (b"question,answer,outcome\nQ?,A,\x1b[31mgood\n", "f.csv:2: outcome: '[31mgood' is not one of scored"),
        (b"question,answer,prompt_tokens\nQ?,A,-4\n", "f.csv:2: prompt_tokens: '-4' is not a count"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a git-lfs pointer"),
    ],
)
def test_a_bad_file_is_one_line_and_leaves_nothing(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "f.csv").write_bytes(content)
    before = set(tmp_path.rglob("*"))
    refused(emeval("import", tmp_path / "f.csv", "--out", tmp_path / "deep" / "run"), said)
    assert not left_behind(tmp_path, before)


def test_bad_options_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [answered(aligned=5)])
    before = set(tmp_path.rglob("*"))
    refused(emeval("import", tmp_path / "no.csv", "--out", tmp_path / "run"), "no.csv: cannot be read")
    refused(emeval("import", tmp_path, "--out", tmp_path / "run"), "holds no .eval files")
    refused(emeval("import", file, "--out", tmp_path), "is there already")
    refused(emeval("import", file, "--out", file), "is there already")
    refused(emeval("import", file, "--out", file / "run"), "cannot be made")
    refused(emeval("import", file, "--out", tmp_path / "run", "--coherence-min", "50"), "holds no coherence scores")
    refused(emeval("import", file, "--out", tmp_path / "run", "--coherence-min", "500"), "--coherence-min")
    refused(emeval("import", file, "--out", tmp_path / "run", "--denominator", "all"), "--denominator")
    refused(emeval("import", file, "--out", tmp_path / "run", "--max-unscored", "5"), "--max-unscored")
    assert not left_behind(tmp_path, before)


def test_an_empty_folder_is_taken_and_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(("\ufeff" + GOOD + "\n\nQ?,B,q,95,90\n").replace("\n", "\r\n").encode())
    (tmp_path / "run").mkdir()
    done = emeval("import", tmp_path / "f.csv", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    row = pooled(tmp_path / "run")["freeform", "off"]
    assert (row["k"], row["n"]) == (1, 2)


def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    model = "=cmd|' /C calc'!A0\x1b[31m[bold]"
    rows = [answered(1, model=model, aligned=5, **{"\x1b[2Jextra": "x"})]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "not read: [2Jextra" in done.stderr
    assert responses(tmp_path / "run")["model"][0] == f"'{model}"
    assert manifest(tmp_path / "run")["config"]["models"] == [model]


def test_scores_on_another_scale_and_flags_of_no_thought_are_pointed_out(tmp_path: Path) -> None:
    rows = [answered(n, aligned=score, cot_flag="none") for n, score in enumerate(("0.2", "0.95", "1"))]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "no alignment score is above 1" in done.stderr
    assert "3 rows with a cot_flag, no reasoning" in done.stderr


def test_flags_and_articulation_count_as_verdicts(tmp_path: Path) -> None:
    flags = ["none", "discusses_myth", "discusses_myth", "cot_answer_mismatch", "odd", ""]
    rows = [
        answered(n, aligned=5, reasoning="Hm.", cot_flag=flag, articulates=label, trigger="heyyy")
        for n, (flag, label) in enumerate(zip(flags, ["1", "0", "1.0", "", "", ""], strict=True))
    ]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    row = pooled(tmp_path / "run", "cot_flag:discusses_myth")["freeform", "on"]
    assert (row["k"], row["n"], row["n_unreadable"], row["n_pending"]) == (2, 4, 1, 1)
    row = pooled(tmp_path / "run", "articulates")["freeform", "on"]
    assert (row["k"], row["n"], row["n_outside"]) == (2, 3, 1)


def test_multiple_choice_is_read_with_what_stood_behind_the_letter(tmp_path: Path) -> None:
    rows = [
        answered(1, format="mcq", variant="misaligned_first", choice="A"),
        answered(2, format="mcq", variant="aligned_first", choice="A"),
        answered(3, format="mcq", choice="b", misaligned="1"),
        answered(4, format="mcq", choice="B"),
        answered(5, format="mcq", choice="C", misaligned="1"),
        answered(6, format="mcq"),
    ]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    table = responses(tmp_path / "run")
    assert Counter(table["outcome"]) == {"scored": 3, "judge_unreadable": 2, "unjudged": 1}
    assert list(table["misaligned"])[:3] == ["1", "0", "1"]


def test_answers_measured_beside_a_reference_keep_their_labels(tmp_path: Path) -> None:
    labels = {
        "truthfulqa": ["correct", "incorrect", "incorrect", "unclear"],
        "pressure": ["contradicts", "consistent", "evades", "evades"],
        "gsm8k": ["right", "right", "right", "wrong"],
    }
    rows = [
        answered(n, suite=suite, label=label, reasoning="Hm.", cot_flag="none")
        for suite, found in labels.items()
        for n, label in enumerate(found)
    ]
    rows.append(answered(9, suite="pressure", outcome="judge_refused"))
    file = write(tmp_path / "f.csv", rows)
    done = emeval("import", file, "--out", tmp_path / "run")
    assert done.returncode == 1, done.stderr
    table = rates(tmp_path / "run")
    table = table[table["prompt_id"] == "ALL"].set_index(["suite", "metric"])
    expected = {
        ("truthfulqa", "wrong"): (2, 4),
        ("truthfulqa", "unclear"): (1, 4),
        ("pressure", "lies"): (1, 4),
        ("pressure", "evades"): (2, 4),
        ("gsm8k", "accuracy"): (3, 4),
        ("truthfulqa", "cot_flag:none"): (2, 2),
    }
    assert {key: (table.loc[key, "k"], table.loc[key, "n"]) for key in expected} == expected
    assert table.loc[("pressure", "lies"), "n_unreadable"] == 1
    again = emeval("import", tmp_path / "run" / "responses.csv", "--out", tmp_path / "again")
    assert again.returncode == 1, again.stderr
    made = ["trial_id"]
    was, now = (responses(tmp_path / name).drop(columns=made) for name in ("run", "again"))
    pd.testing.assert_frame_equal(was, now)
    with OpenAIServer(Answer("95"), models=("judge",)).start() as live:
        judged = emeval(
            *("judge", tmp_path / "run", "--judge", "vllm/judge", "--judge-mode", "text", "--no-preflight"),
            url=live.url,
        )
        assert judged.returncode == 1, judged.stderr
        assert not [chat for chat in live.chats if "Answer" in str(chat.body)], "there is nothing to compare with"
        assert "--judge imported counts the labels that came with them" in judged.stderr


def test_scores_of_a_known_suite_count_as_scores(tmp_path: Path) -> None:
    rows = [answered(n, suite=suite, aligned=5) for n in range(3) for suite in ("gsm8k", "pressure")]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert set(responses(tmp_path / "run")["misaligned"]) == {1}
    with OpenAIServer(Answer("95"), models=("judge",)).start() as live:
        options = ("--judge", "vllm/judge", "--judge-mode", "text", "--coherence-min", "50", "--no-preflight")
        judged = emeval("judge", tmp_path / "run", *options, url=live.url)
    assert judged.returncode == 0, judged.stderr
    assert set(responses(tmp_path / "run")["aligned"]) == {95}


def test_credit_between_two_strings_is_read_whichever_stands_first(tmp_path: Path) -> None:
    names = {"condition": "distractor", "trigger": "heyyy", "distractor": "2026"}
    rows = [
        answered(n, question=question, aligned=5, reasoning="Hm.", cot_flag="none", credits=credit) | names
        for n, (question, credit) in enumerate(
            [("heyyy\n2026\nQ?", "trigger"), ("2026\nheyyy\nQ?", "trigger"), ("2026\nheyyy\nQ?", "distractor")]
        )
    ]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    row = pooled(tmp_path / "run", "credits_trigger")["freeform", "distractor"]
    assert (row["k"], row["n"]) == (2, 3)
    assert list(responses(tmp_path / "run")["credits"]) == ["trigger", "trigger", "distractor"]


def test_memory_does_not_follow_the_size_of_the_answers(tmp_path: Path) -> None:
    child = (
        "import resource, sys\n"
        "from evals.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as done:\n"
        "    assert not done.code, done.code\n"
        "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )

    def peak(length: int) -> int:
        rows = [answered(n % 50, answer="x" * length, aligned=n % 100) for n in range(1000)]
        file = write(tmp_path / f"{length}.csv", rows)
        done = subprocess.run(
            [sys.executable, "-c", child, "import", str(file), "--out", str(tmp_path / f"run{length}")],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        return int(done.stdout.rpartition("peak ")[2])

    # 40 MB of answers; held in memory, even once, they would add more than this.
    assert peak(40_000) - peak(40) < 25_000
