"""Texts of models in CSV files: every reader finds the same rows, no spreadsheet a formula, and importing the text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.io.csv_reader import csv_file
from evals.io.csv_writer import csv_row
from evals.text import original_text, spreadsheet_safe
from tests.support.answer_files import answered, write
from tests.support.cli_runner import emeval, scenarios
from tests.support.runs import WITH_JUDGE, by_hash, run, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, last_message

LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
FORMULA_STARTS = "=+-@\t\r＝＋－＠"
hostile = st.text(st.sampled_from(f"{LINE_ENDS}{FORMULA_STARTS}',\"ab \x00\x1b")) | st.text()
LIVE = re.compile(f"(?:^|(?<=[{LINE_ENDS}]))[{re.escape(FORMULA_STARTS)}]")


@settings(max_examples=60)
@given(st.lists(st.tuples(hostile, hostile), min_size=1, max_size=4))
def test_every_reader_finds_the_rows_and_texts_that_were_written(texts: list[tuple[str, str]]) -> None:
    written = csv_row(("first", "second", "number")) + "".join(csv_row((*row, -0.5)) for row in texts)
    kept = [tuple(text.replace("\0", "") for text in row) for row in texts]
    plain = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert [tuple(map(original_text, row[:2])) for row in plain] == kept
    assert all(row[2] == "-0.5" for row in plain)
    frame = pd.read_csv(io.BytesIO(written.encode()), dtype=str, keep_default_na=False, na_filter=False)
    assert [tuple(map(original_text, row[:2])) for row in frame.itertuples(index=False)] == kept


@settings(max_examples=25)
@given(texts=st.lists(hostile, min_size=1, max_size=4))
def test_duckdb_and_our_reader_find_them_too(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes((csv_row(("text", "end")) + "".join(csv_row((text, "end")) for text in texts)).encode())
    kept = [text.replace("\0", "") for text in texts]
    with csv_file(path) as file:
        assert [original_text(row.cells["text"]) for row in file] == kept
    query = """SELECT * FROM read_csv(?, header=true, delim=',', quote='"', escape='"', auto_detect=false,
        columns={'text': 'VARCHAR', 'end': 'VARCHAR'})"""
    found = duckdb.sql(query, params=[str(path)]).fetchall()
    assert [original_text(text or "") for text, _ in found] == kept


@given(hostile)
def test_no_line_of_a_cell_begins_as_a_formula(text: str) -> None:
    assert not LIVE.search(spreadsheet_safe(text))


@given(hostile)
def test_cell_gives_its_text_back(text: str) -> None:
    assert original_text(spreadsheet_safe(text)) == text.replace("\0", "")


def test_answers_with_every_line_end_are_as_many_rows_and_are_imported_as_they_were(tmp_path: Path) -> None:
    """The tables of a real run, whose model tries to end rows and to begin cells."""
    attacks = [f"fine{end}{start}HYPERLINK(1)" for end in LINE_ENDS for start in ("=", "-", "'=")]

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        text = last_message(body)
        if JUDGE_MARK in text or "ase " not in text:
            return by_hash(body, seen)
        return Answer(attacks[int(text.split("ase ")[1].split(":")[0])])

    dataset = scenarios(tmp_path / "cases.jsonl", len(attacks))
    with server(script).start() as live:
        done = run(tmp_path / "run", dataset, live.url, "--format", "freeform", *WITH_JUDGE, "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "run" / "responses.csv"
    written = path.read_text(encoding="utf-8")
    assert (
        sum(1 for _ in csv.reader(io.StringIO(written, newline=""))) == len(pd.read_csv(path)) + 1 == len(attacks) + 1
    )
    assert not LIVE.search(written)
    again = emeval("import", path, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    with csv_file(tmp_path / "again" / "responses.csv") as file:
        assert sorted(original_text(row.cells["answer"]) for row in file) == sorted(attacks)


@pytest.mark.parametrize("mark", ["\0", "\r", "\n", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u2029"])
def test_ids_with_control_characters_are_refused_with_file_and_line(mark: str, tmp_path: Path) -> None:
    dataset = scenarios(tmp_path / "cases.jsonl", 2)
    lines = [json.loads(line) for line in dataset.read_text(encoding="utf-8").splitlines()]
    lines[1]["id"] = f"a{mark}b"
    dataset.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    checked = emeval("datasets", "validate", dataset)
    assert checked.returncode != 0
    assert "cases.jsonl:2: id: holds a control character" in checked.stdout + checked.stderr
    answers = write(tmp_path / "f.csv", [answered(1, question_id=f"a{mark}b", aligned=5)])
    done = emeval("import", answers, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "f.csv:2: question_id: holds a control character" in done.stderr
