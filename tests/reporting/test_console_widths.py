"""What is printed fits the width: no number is cut, no word is broken, names stay apart."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from evals.numbers import counted
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.grid import GridRow, grid_lines
from evals.reporting.console.layout.names import middle_cut, shortened
from evals.reporting.console.layout.words import short_change, short_percent
from evals.reporting.console.terminal import SafeConsole
from evals.text import one_line

WIDTHS = st.sampled_from([80, 100, 140])
SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LETTERS = st.characters(categories=["L", "N", "M", "P", "S"])
ALIKE = st.builds(
    lambda start, middle, end: f"{start * 25}{middle}{end * 25}",
    st.sampled_from(["a", "模", "ß"]),
    st.text(LETTERS, min_size=1, max_size=6),
    st.sampled_from(["z", "型"]),
)
"""Long names that differ in the middle alone."""
NAMES = st.one_of(st.text(LETTERS, min_size=1, max_size=60), ALIKE).filter(lambda name: bool(one_line(name)))
CONDITIONS = st.text(st.sampled_from("abcdefghijkz-_09"), min_size=1, max_size=40)
COUNTS = st.tuples(st.integers(0, 9_999_999), st.integers(0, 9_999_999), st.integers(0, 9_999_999))
FRACTIONS = st.floats(-1, 1)


@st.composite
def grids(draw: st.DrawFn) -> list[GridRow]:
    """Up to 40 models under up to 6 conditions, as a matrix has them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=40, unique_by=one_line))
    conditions = draw(st.lists(CONDITIONS, min_size=1, max_size=6, unique=True))
    forms = st.sampled_from(["mcq", "freeform", "transcript"])
    labels = draw(st.sampled_from([(), ("unethical_test",), ("pressure_balanced", "own_score_above_50")]))
    counts = iter(draw(st.lists(COUNTS, min_size=12, max_size=12)) * 40)
    changes = iter(draw(st.lists(st.tuples(FRACTIONS, FRACTIONS, FRACTIONS), min_size=12, max_size=12)) * 40)
    return [
        GridRow(
            name,
            (draw(forms), *labels),
            tuple(_cell(condition, next(counts), next(changes)) for condition in conditions),
        )
        for name in names
    ]


def _cell(condition: str, counts: tuple[int, int, int], change: tuple[float, float, float]) -> tuple[str, ...]:
    k, others, missing = counts
    n = k + others
    mark = f", {missing} missing" if missing % 3 else ""
    return condition, short_percent(k / n if n else None), f"({k}/{n}{mark})", *short_change(*change)


def numbers(texts: Sequence[str]) -> list[str]:
    return re.findall(r"[0-9][0-9,./…]*[0-9%]|[0-9]", " ".join(texts))


@SLOW
@given(grids(), WIDTHS)
def test_every_cell_of_a_matrix_is_whole_and_no_line_is_too_wide(rows: list[GridRow], width: int) -> None:
    lines = grid_lines(rows, width)
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    for row in rows:
        for cell in row.cells:
            for part in cell:
                for word in part.split():
                    assert word in words
        for label in row.labels:
            assert label in words
    assert len(lines) >= len(rows)


@SLOW
@given(st.lists(NAMES, min_size=1, max_size=40, unique=True), st.sampled_from([8, 16, 24, 80]))
def test_shortened_names_fit_and_stay_apart(names: list[str], width: int) -> None:
    found = shortened(names, width)
    assert len(set(found.values())) == len(names)
    assert all(cell_len(text) <= width for text in found.values())
    for name in names:
        assert found[name] == one_line(name) or cell_len(one_line(name)) > width or "#" in found[name]


def test_a_name_is_cut_in_the_middle() -> None:
    assert middle_cut("vllm/meta-llama/Llama-3.1-8B-Instruct", 20) == "vllm/meta-…-Instruct"
    assert middle_cut("模型模型模型模型", 9) == "模型…模型"
    alike = shortened([f"{'a' * 30}{number}{'z' * 30}" for number in range(3)], 16)
    assert [text[-2:] for text in alike.values()] == ["#1", "#2", "#3"]


def test_a_row_is_one_line_where_there_is_room() -> None:
    off, on = ("off", "5%", "(5/96)", "", ""), ("on", "89%", "(84/94)", "+84", "[+76, +93]")
    (line,) = grid_lines([GridRow("organism:backdoor", ("mcq",), (off, on))], 80)
    assert line == "organism:backdoor  mcq   off 5% (5/96)   on 89% (84/94) +84 [+76, +93]"
    decoy = ("decoy", "6%", "(6/96)", "+1", "[-6, +8]")
    first, second = grid_lines([GridRow("organism:backdoor", ("mcq",), (off, on, decoy))], 80)
    assert first == line
    assert second.strip() == "decoy 6% (6/96) +1 [-6, +8]"
    assert len(grid_lines([GridRow("organism:backdoor", ("mcq",), (off, on, decoy))], 140)) == 1


def test_one_wide_row_does_not_break_the_others() -> None:
    plain = [("off", "5%", "(5/96)", "", ""), ("on", "89%", "(84/94)", "+84", "[+76, +93]")]
    wide = [
        ("off", "0-54%!", "(0/22, 26 missing)", "", ""),
        ("on", "2-27%!", "(1/36, 12 missing)", "+7!", "[-16, +32]"),
    ]
    rows = [GridRow("a", ("mcq",), tuple(plain)), GridRow("b-model-of-some-length", ("mcq",), tuple(wide))]
    assert len(grid_lines(rows, 80)) == 3


@SLOW
@given(
    st.lists(st.tuples(NAMES, COUNTS), min_size=1, max_size=8),
    st.integers(1, 8),
    st.sampled_from(["k of n", "95% interval,\nsame questions", "range if missing counted"]),
    WIDTHS,
)
def test_a_table_cuts_no_number_and_breaks_no_word(
    rows: list[tuple[str, tuple[int, int, int]]], columns: int, header: str, width: int
) -> None:
    table = FittedTable(title="rates", title_justify="left")
    table.add_column("condition")
    for number in range(columns):
        table.add_column(header, justify="right" if number % 2 else "left")
    for name, (k, n, missing) in rows:
        cell = f"{k} of {n}\n{missing} truncated"
        # A word wider than the console has to end somewhere.
        table.add_row(middle_cut(name, 40).replace("[", "("), *[cell] * columns)
    console = SafeConsole(file=io.StringIO(), width=width, highlight=False, emoji=False)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(cell_len, lines)) <= width
    shown = numbers(lines)
    for _, counts in rows:
        for count in counts:
            assert shown.count(str(count)) >= columns
    words = set(re.split(r"[\s│┃:,]+", " ".join(lines)))
    assert {*header.replace(",", "").split(), "truncated"} <= words


def test_few_digits_never_show_a_zero_for_what_is_none() -> None:
    assert [short_percent(rate) for rate in (None, 0.0, 0.001, 0.05, 0.999, 1.0)] == [
        *("–", "0%", "<1%", "5%", ">99%", "100%")
    ]
    assert short_change(0.84, 0.76, 0.93) == ("+84", "[+76, +93]")
    assert short_change(0.12, 0.003, 0.24) == ("+12.0", "[+0.3, +24.0]")
    assert short_change(0.0, -0.1, 0.1) == ("0", "[-10, +10]")
    assert short_change(-0.0004, None, None) == ("-0.04", "")
    assert (counted(1, "answer"), counted(1200, "answer")) == ("1 answer", "1,200 answers")
