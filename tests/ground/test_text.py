"""Text from models and servers: one safe line for people, and a spreadsheet cell that runs and loses nothing."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.text import install_extra, one_line, original_text, redact, spreadsheet_safe


def test_the_packages_of_an_extra_are_named_as_an_index_knows_them() -> None:
    assert install_extra("local").startswith("pip install 'xllamacpp<")
    assert install_extra("ray").startswith("pip install 'ray[data]<")


def test_line_holds_no_escape_direction_mark_or_line_end() -> None:
    hostile = "\x1b[31mred\x1b[0m \u202egnp.exe\u2066 zero\u200bwidth\ufeff\r\nnext\u2028line\x07\x00 \udcff"
    assert one_line(hostile) == "[31mred[0m gnp.exe zerowidth next line"


def test_long_line_is_cut_to_the_limit_and_says_so() -> None:
    assert one_line("x" * 300) == "x" * 300
    assert one_line("x" * 301) == "x" * 299 + "…"
    assert one_line("a  b", 2) == "a…"


@given(text=st.text(), limit=st.integers(1, 40))
def test_line_is_within_its_limit_printable_and_stays_as_it_is(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for char in line)
    assert len(line.splitlines()) <= 1
    assert one_line(line, limit) == line.strip()


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_cell_gives_its_text_back(text: str) -> None:
    assert original_text(spreadsheet_safe(text)) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'", "\0=", "\0\0+"])
def test_every_dangerous_start_is_neutralised(start: str) -> None:
    cell = spreadsheet_safe(f"{start}cmd|' /C calc'!A0")
    assert cell.startswith("'")
    assert "\0" not in cell
    assert original_text(cell) == f"{start}cmd|' /C calc'!A0".replace("\0", "")


def test_harmless_text_is_left_alone() -> None:
    for text in ("", "A - x", "x=1", "1-2", "It's", '"=1"', " text"):
        assert spreadsheet_safe(text) == text


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_cell_survives_a_csv_file(text: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerow([spreadsheet_safe(text), "end"])
    file.seek(0)
    ((cell, end),) = csv.reader(file)
    assert (original_text(cell), end) == (text, "end")


def test_key_is_taken_out_of_what_a_server_echoes() -> None:
    assert redact("bad key sk-12345, sk-12345", "sk-12345") == "bad key [key], [key]"
    assert redact("none of it", "") == "none of it"
    assert redact("a banana", "an") == "a banana"
