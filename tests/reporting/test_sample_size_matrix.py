"""`emeval plan` for a pilot with several cells: one table with a row for each, which a narrow terminal can show."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from evals.analysis.sample_size.result import Bill, CellPlan, Goal, Option, Pilot, SizePlan
from evals.reporting.console.sample_size import print_sizes

BILL = Bill(1_200, 0, None, None, None, None)
WIDTH = Goal("width", 0.1)
ENOUGH = Option(1, 175, 358, BILL, BILL, 0.088, True, True)
TOO_FEW = Option(2, 1_335, None, BILL, None, 0.122, False)
PILOT = Pilot(8, 2.0, 1, 2, 16, 0.125, None, 0.125, 0.02, 0.42, 1.0, 0.0, 0.1, 0.0, True, False)


def cell(model: str, form: str, *options: Option, notes: tuple[str, ...] = ()) -> CellPlan:
    return CellPlan(
        *("suite", form, model, "on", None, "Country: Singapore", "misaligned", PILOT, 224, 0.05), options, notes
    )


CELLS = (
    cell("vllm/base", "freeform", ENOUGH, notes=("few hits",)),
    cell("vllm/tuned", "freeform", TOO_FEW, replace(TOO_FEW, samples=9), notes=("few hits",)),
    cell("vllm/tuned", "mcq", replace(ENOUGH, samples=5, cheapest=False), ENOUGH, notes=("no spread",)),
)


def shown(*cells: CellPlan, width: int = 80, detail: bool = False, goal: Goal = WIDTH) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_sizes(console, SizePlan("pilot", goal, cells, (), ()), detail=detail)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_several_cells_are_one_table_of_what_is_cheapest_for_each() -> None:
    lines = shown(*CELLS, width=100)
    assert lines[2:6] == [
        "suite · on · misaligned",
        "base   freeform   12% (2/16)      175 × 1 safe 358    1,200 calls   width  8.8",
        "tuned  freeform   12% (2/16)   1,335 × 2! safe none   1,200 calls   width 12.2",
        "tuned  mcq        12% (2/16)      175 × 1 safe 358    1,200 calls   width  8.8",
    ]


def test_what_several_cells_have_in_common_is_said_once_with_their_names() -> None:
    text = " ".join(shown(*CELLS))
    assert "base freeform, tuned freeform: few hits" in text
    assert "tuned mcq: no spread" in text
    assert "tuned freeform: The 224 questions available are too few" in text
    assert "! more questions than there are." in text
    alike = " ".join(shown(*(replace(one, notes=("few hits",)) for one in CELLS)))
    assert alike.count("few hits") == 1
    assert ": few hits" not in alike


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_terminal_is_too_narrow(width: int) -> None:
    hostile = replace(CELLS[0], model="vllm/\x1b[2J[bold]" + "a" * 90, condition="on\u202e")
    for line in shown(hostile, *CELLS, width=width):
        assert cell_len(line) <= width
        assert "\x1b" not in line
        assert "\u202e" not in line


def test_the_options_of_each_cell_are_shown_with_detail_and_of_a_single_one_without() -> None:
    tables = "\n".join(shown(*CELLS, detail=True))
    assert tables.count("cheapest") == 2 + 1  # in two of three tables, and in the legend of the matrix
    assert tables.count("Pilot: 12.5% (2 of 16; 8 questions × 2 samples)") == 3
    (single,) = CELLS[:1]
    for detail in (False, True):
        text = "\n".join(shown(single, detail=detail))
        assert "Pilot: 12.5% (2 of 16; 8 questions × 2 samples)" in text
        assert "questions of the safe plan" not in text


def test_an_effect_has_its_size_in_place_of_a_rate() -> None:
    measured = replace(PILOT, base_rate=0.1, estimate=0.03)
    lines = shown(*(replace(one, pilot=measured, baseline="off") for one in CELLS), goal=Goal("effect", 0.1), width=100)
    assert "on against off" in lines[2]
    assert lines[3].split()[:5] == ["base", "freeform", "+3", "175", "×"]
