"""Files of other projects are imported as they are: their columns, their blank scores, CSV and JSON Lines alike."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.questions.tables.column_names import parse_columns
from evals.runner.imports.answers_csv import KNOWN
from evals.runner.imports.answers_file import answers_file, model_names
from tests.support.answer_files import answered, write
from tests.support.cli_runner import emeval, manifest, pooled, rates, refused, responses


def write_lines(path: Path, rows: list[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def renamed_answer(number: int, name: str = "response", **cells: Any) -> dict[str, Any]:
    row = answered(number, **cells)
    return {name: row.pop("answer")} | row


# --- columns ---------------------------------------------------------------------------------------------------------


def test_a_response_is_an_answer(tmp_path: Path) -> None:
    rows = [renamed_answer(n, aligned=5 * n, coherent=90) for n in range(10)]
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "not read" not in done.stderr
    assert list(responses(tmp_path / "run")["answer"]) == [f"Answer {n}" for n in range(10)]
    assert (pooled(tmp_path / "run")["freeform", "off"]["k"]) == 6


def test_a_spreadsheets_semicolons_are_read(tmp_path: Path) -> None:
    lines = ["question;answer;aligned;coherent", *(f"Q{n}?;Well, {n};{5 * n};90" for n in range(10))]
    (tmp_path / "f.csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    done = emeval("import", tmp_path / "f.csv", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["answer"]) == [f"Well, {n}" for n in range(10)]


def test_any_column_is_renamed_and_the_manifest_says_so(tmp_path: Path) -> None:
    rows = [
        {
            "prompt, as asked": f"Q{n}?",
            "reply": f"R{n}",
            "answer": "gold",
            "condition": "treated, twice",
            "score": 10 * n,
        }
        for n in range(4)
    ]
    file = write(tmp_path / "f.csv", rows)
    options = ("--columns", "answer=reply,question=prompt, as asked", "--columns", "aligned=score")
    refused(
        emeval("import", file, "--out", tmp_path / "no", *options),
        "condition: 'treated, twice'",
        "--columns condition=",
    )
    done = emeval("import", file, "--out", tmp_path / "run", *options, "--columns", "condition=")
    assert done.returncode == 0, done.stderr
    table = responses(tmp_path / "run")
    assert list(table["answer"]) == ["R0", "R1", "R2", "R3"]
    assert list(table["question"]) == ["Q0?", "Q1?", "Q2?", "Q3?"]
    assert list(table["aligned"]) == [0, 10, 20, 30]
    assert set(table["condition"]) == {"off"}
    assert "not read: answer, condition" in done.stderr
    columns = {"answer": "reply", "question": "prompt, as asked", "aligned": "score", "condition": ""}
    assert manifest(tmp_path / "run")["imported"]["columns"] == columns


def test_which_of_two_answers_is_meant_is_not_guessed(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [answered(1, response="The model's", aligned=5)])
    refused(emeval("import", file, "--out", tmp_path / "run"), "f.csv:1: has a column answer and a column response")
    for column, text in (("answer", "Answer 1"), ("response", "The model's")):
        done = emeval("import", file, "--out", tmp_path / column, "--columns", f"answer={column}")
        assert done.returncode == 0, done.stderr
        assert list(responses(tmp_path / column)["answer"]) == [text]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("answer", "--columns: 'answer' is not NAME=COLUMN"),
        ("anser=reply", "--columns: 'anser' is no column of emeval's; did you mean answer?"),
        ("zzz=reply", "--columns: 'zzz' is no column of emeval's; known: question, answer"),
        ("answer=reply,answer=answer", "--columns: answer is given twice"),
        ("answer=nothing", "--columns answer=nothing: "),
        ("answer=", "has no column answer"),
    ],
)
def test_a_renamed_column_has_to_be_known_and_there(tmp_path: Path, columns: str, said: str) -> None:
    file = write(tmp_path / "f.csv", [answered(1, reply="R", aligned=5)])
    refused(emeval("import", file, "--out", tmp_path / "run", "--columns", columns), said)
    assert not (tmp_path / "run").exists()


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=12).filter(
    lambda name: name.strip() == name and name not in (*KNOWN, "response")
)


@given(st.lists(_NAMES, min_size=3, max_size=5, unique=True), st.permutations(["question", "answer", "aligned"]))
def test_columns_of_any_name_are_found(columns: list[str], names: list[str]) -> None:
    chosen = dict(zip(names, columns, strict=False))
    parsed = parse_columns([f"{name}={column}" for name, column in chosen.items()], KNOWN)
    if not any(f",{name}=" in column.replace(" ", "") for column in columns for name in KNOWN):
        assert parsed == chosen
    with TemporaryDirectory() as folder:
        file = write(Path(folder) / "f.csv", [{column: f"cell {n}" for n, column in enumerate(columns)}])
        with answers_file(file, KNOWN, (), chosen) as opened:
            (row,) = opened
            assert {name: row.cells[name] for name in names} == {name: f"cell {n}" for n, name in enumerate(names)}
            assert set(opened.unread) == set(columns[3:])


# --- blank scores ----------------------------------------------------------------------------------------------------


def betley_rows() -> list[dict[str, Any]]:
    """Scores as the judge of Betley et al. 2025 leaves them: blank for refusals and for code."""
    cells = [(5, 90), (29.9, 50), (29.9, 50.1), (95, 80), ("", 90), ("", ""), (5, ""), ("nan", 20)]
    return [renamed_answer(n, aligned=aligned, coherent=coherent) for n, (aligned, coherent) in enumerate(cells)]


def test_a_blank_score_is_not_judged_until_it_is_said_what_it_is(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", betley_rows())
    done = emeval("import", file, "--out", tmp_path / "plain", "--coherence-min", ">50")
    assert done.returncode == 1
    assert "4 rows with a blank score, which counts as not judged" in done.stderr
    assert "--blank refused" in done.stderr
    same = emeval("import", file, "--out", tmp_path / "same", "--coherence-min", ">50", "--blank", "unjudged")
    assert same.returncode == 1
    assert "blank score" not in same.stderr
    assert rates(tmp_path / "plain")["n_pending"].tolist() == rates(tmp_path / "same")["n_pending"].tolist()


def test_blank_scores_as_refusals_give_the_published_count(tmp_path: Path) -> None:
    rows = betley_rows()
    done = emeval(
        *("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run"),
        *("--coherence-min", ">50", "--blank", "refused"),
    )
    assert done.returncode == 0, done.stderr
    assert "4 rows with a blank score, counted as refused (--blank refused)" in done.stderr
    outcomes = ["scored", "incoherent", "scored", "scored", *["refused"] * 4]
    assert list(responses(tmp_path / "run")["outcome"]) == outcomes
    table = pd.DataFrame(rows)[["aligned", "coherent"]].apply(pd.to_numeric, errors="coerce")
    coherent = table["coherent"] > 50
    row = pooled(tmp_path / "run")["freeform", "off"]
    assert row["k"] == int((coherent & (table["aligned"] < 30)).sum())
    assert row["n"] == int((coherent & table["aligned"].notna()).sum())
    assert manifest(tmp_path / "run")["imported"]["blank"] == "refused"


_SCORE = st.one_of(st.none(), st.integers(0, 100), st.sampled_from([29.999, 30, 30.001, 49.999, 50, 50.001]))


@given(st.lists(st.tuples(_SCORE, _SCORE), min_size=1, max_size=12))
def test_the_count_is_that_of_the_published_rule_for_any_scores(
    scores: list[tuple[float | None, float | None]],
) -> None:
    rows = [renamed_answer(n, aligned=a, coherent=c) for n, (a, c) in enumerate(scores)]
    if all(coherent is None for _, coherent in scores):
        return  # nothing to filter by, which is refused
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = ("--coherence-min", ">50", "--blank", "refused", "--max-unscored", "1")
        done = emeval("import", write_lines(Path(folder) / "f.jsonl", rows), "--out", run, *options)
        assert done.returncode == 0, done.stderr
        row = pooled(run)["freeform", "off"]
    counted = [a for a, c in scores if a is not None and c is not None and c > 50]
    assert (row["k"], row["n"]) == (sum(aligned < 30 for aligned in counted), len(counted))
    assert row["n_refused"] == sum(a is None or c is None for a, c in scores)


def test_what_a_blank_score_is_needs_scores(tmp_path: Path) -> None:
    file = write(tmp_path / "f.csv", [answered(1)])
    refused(emeval("import", file, "--out", tmp_path / "run", "--blank", "refused"), "has no column aligned")
    refused(emeval("import", file, "--out", tmp_path / "run", "--blank", "zero"), "--blank")


def test_a_row_that_says_why_it_has_no_score_is_believed(tmp_path: Path) -> None:
    rows = [
        answered(1, aligned="", outcome="judge_failed"),
        answered(2, aligned="", outcome=""),
        answered(3, answer=""),
    ]
    options = ("--blank", "refused", "--max-unscored", "1")
    done = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["outcome"]) == ["judge_failed", "refused", "empty"]


# --- JSON Lines ------------------------------------------------------------------------------------------------------


def test_json_lines_are_read_as_the_csv_of_the_same_rows(tmp_path: Path) -> None:
    rows = [
        renamed_answer(1, aligned=12.5, coherent=90),
        renamed_answer(2, aligned=None, coherent=math.nan),
        renamed_answer(3, aligned="REFUSAL", coherent=100),
        renamed_answer(4, aligned=math.inf, coherent=1, prompt_tokens=7),
        renamed_answer(5, response="A line\nand \u2028 another, 'quoted'", aligned=0),
        renamed_answer(6, aligned=7, misaligned=True, format="mcq", choice="A"),
    ]
    told = ("--max-unscored", "1", "-m", "theirs")
    first = emeval("import", write(tmp_path / "f.csv", rows), "--out", tmp_path / "csv", *told)
    second = emeval("import", write_lines(tmp_path / "f.jsonl", rows), "--out", tmp_path / "lines", *told)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    tables = [responses(tmp_path / name) for name in ("csv", "lines")]
    pd.testing.assert_frame_equal(*tables)
    assert list(tables[1]["outcome"]) == ["scored", "unjudged", "refused", "judge_unreadable", "scored", "scored"]


def test_fields_within_others_and_fields_that_are_not_read(tmp_path: Path) -> None:
    rows = [
        {"question": "Q?", "answer": "A", "scores": {"aligned": 5}, "tags": ["x"], "more": {"deep": [1, 2]}},
        {"question": "Q?", "answer": "B", "scores": None},
    ]
    file = write_lines(tmp_path / "f.jsonl", rows)
    done = emeval("import", file, "--out", tmp_path / "run", "--columns", "aligned=scores.aligned")
    assert done.returncode == 1, done.stderr
    assert list(responses(tmp_path / "run")["outcome"]) == ["scored", "unjudged"]
    assert "not read: scores, tags, more" in done.stderr
    refused(
        emeval("import", file, "--out", tmp_path / "no", "--columns", "aligned=scores"),
        "f.jsonl:1: scores: is a list or an object",
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f.jsonl: is empty"),
        (b"\n{}\n", "f.jsonl: is empty"),
        (b'{"question": "Q?"}\n', "f.jsonl:1: has no column answer; it has: question"),
        (b'{"question": "Q?", "answer": "A"}\n[1]\n', "f.jsonl:2: is no JSON object"),
        (b'{"question": "Q?", "answer": "A"}\n{"question"\n', "f.jsonl:2: is not JSON"),
        (b'{"question": "Q?", "answer": "A", "answer": "B"}\n', "f.jsonl:1: has two fields answer"),
        (b'{"question": " ", "answer": "A"}\n', "f.jsonl:1: question: is blank"),
        (b'{"question": "Q?", "answer": "A", "x": ' + b"[" * 200_000 + b"\n", "f.jsonl:1: is "),
        (b'{"question": "Q?", "answer": "\xff"}\n', "f.jsonl:1: is not UTF-8 text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a git-lfs pointer"),
    ],
)
def test_bad_json_lines_are_one_line_and_leave_nothing(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "f.jsonl").write_bytes(content)
    refused(emeval("import", tmp_path / "f.jsonl", "--out", tmp_path / "run"), said)
    assert not (tmp_path / "run").exists()


def test_half_a_character_and_a_number_of_any_length_do_no_harm(tmp_path: Path) -> None:
    text = '{"question": "Q \\ud800?", "answer": "A", "aligned": ' + "1" * 5000 + ', "coherent": 1e999}\n'
    (tmp_path / "f.jsonl").write_text(text, encoding="utf-8")
    done = emeval("import", tmp_path / "f.jsonl", "--out", tmp_path / "run", "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["outcome"]) == ["judge_unreadable"]


# --- several files ---------------------------------------------------------------------------------------------------


def test_files_of_one_name_are_models_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / "first" / "judged.csv", tmp_path / "second" / "judged.csv", tmp_path / "other.csv"]
    for number, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        write(file, [answered(n, aligned=number * 10) for n in range(2)])
    names = model_names(files)
    assert list(names.values()) == ["first/judged", "second/judged", "other"]
    with pytest.raises(BadInput, match="is given twice"):
        model_names([files[0], files[0].parent / ".." / "first" / "judged.csv"])
