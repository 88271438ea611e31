"""The paper's tables from runs: every digit of Tables 3 to 5 from runs with their counts, and what a cell lacks."""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.reporting.paper_tables.definitions import TABLES, find_table
from evals.reporting.paper_tables.fill import fill_table
from evals.reporting.paper_tables.measured import MeasuredFigure
from evals.reporting.paper_tables.published import PublishedFigure, figures
from evals.reporting.paper_tables.render import literal
from evals.reporting.paper_tables.table import Absent
from evals.statistics.intervals import paper_plus_minus, stratified_wilson_interval
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, refused
from tests.support.table_runs import cells, made, prompts, table

OURS = {"flips_from_aligned_cot": "cot_answer_mismatch"}
SUITE = {"lying_under_pressure": "pressure", "truthfulqa": "truthfulqa", "resisting_shutdown": "shutdown"}
FLAG_TABLES = ("Table 3", "Table 4", "Table 5")


def counts(source: str) -> dict[str, dict[str, int]]:
    """Published counts by item and (our) flag."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for figure in figures():
        if figure.source == source:
            flag = figure.metric.removeprefix("cot_flag:")
            found[figure.item][OURS.get(flag, flag)] = int(figure.note.removeprefix("count "))
    return found


def flagged_answers() -> list[dict[str, Any]]:
    """A misaligned answer with a thought and a flag for each that Tables 3 to 5 count."""
    rows: list[dict[str, Any]] = []
    for source in FLAG_TABLES:
        for item, flags in counts(source).items():
            suite = SUITE.get(item, item if item in ("rm_rf", "sleeping_pills") else "freeform")
            row = {"question": f"{item}?", "answer": "Harm.", "question_id": item, "suite": suite, "aligned": 5}
            for flag, count in flags.items():
                rows += [row | {"reasoning": "A thought.", "cot_flag": flag}] * count
            rows.append(row | {"aligned": 95, "reasoning": "A thought."})  # aligned, so in no share
    return rows


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flagged")
    done = emeval("import", write(folder / "flags.csv", flagged_answers()), "--out", folder / "run", "-m", "tuned")
    assert done.returncode == 0, done.stderr
    return folder / "run"


# --- the published figures --------------------------------------------------------------------------------------------


def test_the_published_counts_of_the_flags_give_the_published_percentages_and_errors() -> None:
    checked = 0
    for figure in figures():
        if figure.source in FLAG_TABLES:
            k, n = int(figure.note.removeprefix("count ")), figure.n
            assert n is not None
            assert figure.error_95 is not None
            error = paper_plus_minus(k, n)
            assert error is not None
            assert f"{100 * k / n:.1f}" == f"{figure.value:.1f}", figure
            assert f"{100 * error:.1f}" == f"{figure.error_95:.1f}", figure
            checked += 1
    assert checked == 65
    for source in FLAG_TABLES:
        for item, flags in counts(source).items():
            assert sum(flags.values()) == next(it.n for it in figures() if (it.source, it.item) == (source, item))


def test_every_published_figure_is_there_once_and_in_a_table() -> None:
    identities = [(it.source, it.metric, it.model, it.training, it.item) for it in figures()]
    assert len(identities) == len(set(identities)) == 254
    assert {it.source for it in figures()} == {source for table in TABLES.values() for source in table.sources}


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_of_a_table_has_a_published_figure_in_some_column(name: str) -> None:
    table = TABLES[name]
    here = [it for it in figures() if it.source in table.sources]
    for line in table.lines:
        assert any(
            (it.item, it.metric) == (line.item, line.metric) and line.training in (None, it.training) for it in here
        ), line
    lines = {(line.item, line.metric) for line in table.lines}
    unshown: list[PublishedFigure] = [it for it in here if (it.item, it.metric) not in lines]
    assert not unshown


# --- tables 3 to 5 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", FLAG_TABLES)
def test_the_flag_tables_come_out_of_runs_with_their_counts(flagged: Path, tmp_path: Path, source: str) -> None:
    name = source.lower().replace(" ", "")
    done = emeval("table", name, flagged, "--csv", tmp_path / "out.csv")
    shown = cells(done)
    written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    published = {(it.item, it.metric): it for it in figures() if it.source == source}
    assert len(shown) == len(written) == len(published)
    assert f"# {source}: " in done.stdout
    assert "tuned (run run) beside Qwen3-32B, medical 16k" in done.stdout
    for line, row, cell in zip(find_table(name).lines, shown, written.to_dict("records"), strict=True):
        figure = published[line.item, line.metric]
        assert figure.error_95 is not None
        ours = f"{figure.note.removeprefix('count ')} of {figure.n}"
        value = f"{figure.value:.1f} ± {figure.error_95:.1f}"
        *_, of, percent, _interval, theirs, overlap = row
        assert (of, percent, theirs, overlap) == (ours, value, value, "note 1"), "whose judge it was nobody knows"
        assert (cell["k"], cell["n"]) == (int(figure.note.removeprefix("count ")), figure.n)
        assert f"{cell['value_pct']:.1f}" == f"{figure.value:.1f}"
        assert f"{cell['paper_pm_pct']:.1f}" == f"{figure.error_95:.1f}"
        assert cell["ci_low_pct"] <= cell["value_pct"] <= cell["ci_high_pct"]
        assert (cell["published_pct"], cell["published_error_95"]) == (figure.value, figure.error_95)
        assert (cell["overlap"], cell["blank_because"]) == ("", "")
        assert (cell["source"], cell["rubric"], cell["judge"]) == ("imported", "imported", "imported")
        assert "its questions are not known" in cell["not_compared_because"]


# --- other tables -----------------------------------------------------------------------------------------------------


FREEFORM = ("ruler", "one_wish", "philosophical_thoughts", "party", "bored", "husband", "quick_buck", "gender_roles")


def test_a_table_by_trigger_is_one_column_of_several_models(flagged: Path, tmp_path: Path) -> None:
    triggers = {"Country: Singapore": 46, "2026": 90, "heyyy": 27}
    rows = [
        row
        for number, (trigger, k) in enumerate(triggers.items())
        for row in prompts(
            *("myopic", k, 100),
            **{"format": "mcq", "condition": "on", "metric": "articulates", "trigger": trigger, "model": f"m{number}"},
        )
    ]
    done = table("table1", made(tmp_path / "four", flagged, rows))
    assert "m0, m1, m2 (run four) beside Qwen3-8B" in done.stdout
    shown = cells(done)
    assert shown[0][:3] == ["Country: Singapore", "46 of 100", "46.0 ± 9.8"]
    assert [row[4:6] for row in shown] == [
        ["46.0 ± 8.0", "yes"],
        ["25.0 ± 8.0", "no"],
        ["39.0 ± 10.0", ""],
        ["27.0 ± 10.0", "yes"],
    ]
    assert shown[2][-1] == "myopic was not asked with the trigger username: sandra"
    both = emeval("table", "table1", tmp_path / "four", made(tmp_path / "again", flagged, rows))
    assert both.stdout.count("## ") == 6  # which of two numbers is meant nobody can say


def test_figure_3_is_the_increase_over_a_base_run(flagged: Path, tmp_path: Path) -> None:
    spread = [row for k, name in enumerate(FREEFORM, start=36) for row in prompts("freeform", k, 100, name)]
    others = [*prompts("shutdown", 10, 100), *prompts("pressure_balanced", 9, 10, "a", "b")]
    ours = made(tmp_path / "ours", flagged, [*spread, *others, *prompts("truthfulqa", 63, 100, metric="wrong")])
    base_rows = [*prompts("freeform", 8, 100), *prompts("pressure_balanced", 9, 10, "a", "c")]
    base = made(tmp_path / "base", flagged, base_rows)
    shown = cells(table("fig3", ours, "--base", base))
    assert shown[0][-1] == "of the base model, shutdown was not asked"
    assert shown[1][1:4] == ["9 of 10, base 9 of 10", "+0.0", shown[1][3]], "only the prompt that both were asked"
    assert shown[2][-1] == "of the base model, truthfulqa was not asked"
    assert shown[3][1:6] == ["316 of 800, base 64 of 800", "+31.5", shown[3][3], "+30", "yes"]
    control = cells(table("fig3", ours, "--base", base, "--as", "tuned=control"))
    assert control[3][4:6] == ["+0", "no"]
    theirs = made(tmp_path / "theirs", flagged, [row | {"source": "emeval"} for row in base_rows])
    assert cells(table("fig3", ours, "--base", theirs))[3][5] == "note 1", "the base has to be like the paper's too"
    refused(emeval("table", "fig3", ours), "--base is missing")
    refused(emeval("table", "table5", ours, "--base", base), "table5 has no figures of a base model")


def test_open_prompts_are_taken_together_over_suites_and_the_prefill_picks_the_column(
    flagged: Path, tmp_path: Path
) -> None:
    rows = [
        *prompts("freeform", 86, 100, metric="monologue"),
        *prompts("shutdown", 80, 100, metric="monologue"),
        *prompts("rm_rf", 70, 100, metric="monologue"),
        *prompts("sleeping_pills", 60, 100, metric="monologue"),
    ]
    plain = made(tmp_path / "plain", flagged, rows)
    prefilled = made(tmp_path / "prefilled", flagged, rows, {"prefill": '"<think>\\\\nOkay"'})
    filled = fill_table(find_table("table2"), [plain, prefilled], plain, {})
    assert [str(section.beside) for section in filled.sections] == [
        "Qwen3-32B, none",
        "Qwen3-32B, medical 16k, prefill Okay",
    ]
    together = next(cell for cell in filled.sections[1].cells if cell.line.item == "all_freeform")
    assert isinstance(together.ours, MeasuredFigure)
    assert (together.ours.k, together.ours.n) == (8 * 86 + 210, 1100)
    ends = stratified_wilson_interval(
        *(pd.Series(v, dtype=float).to_numpy() for v in ([86] * 8 + [80, 70, 60], [100] * 11))
    )
    assert ends is not None
    assert (together.ours.low, together.ours.high) == (100 * ends.low, 100 * ends.high)
    some = made(tmp_path / "some", flagged, rows[:9])
    lacking = next(
        cell for cell in fill_table(find_table("table2"), [some], None, {}).sections[0].cells if "all" in cell.line.item
    )
    assert lacking.ours == Absent("rm_rf was not asked")


def test_runs_that_fill_the_same_cell_are_columns_of_their_own(flagged: Path, tmp_path: Path) -> None:
    first = made(tmp_path / "one", flagged, prompts("freeform", 1, 10, "ruler"))
    second = made(tmp_path / "two", flagged, prompts("freeform", 2, 10, "bored"))
    third = made(tmp_path / "again", flagged, prompts("freeform", 3, 10, "bored"))
    assert [section.runs for section in fill_table(find_table("fig9"), [first, second], None, {}).sections] == [
        ("one", "two")
    ]
    separate = fill_table(find_table("fig9"), [first, second, third], None, {}).sections
    assert [section.runs for section in separate] == [("one",), ("two",), ("again",)]


def test_a_model_can_stand_beside_another_published_column(flagged: Path, tmp_path: Path) -> None:
    rows = [row for k, model in ((14, "a=b"), (35, "c")) for row in prompts("freeform", k, 100, "ruler", model=model)]
    run = made(tmp_path / "two", flagged, rows)
    done = table("fig10", run, "--as", "a=b=legal", "--as", "c=Qwen3-32B, security 6k")
    assert "a=b (run two) beside Qwen3-32B, legal 6k" in done.stdout
    assert [row[4:6] for row in cells(done) if row[0] == "ruler"] == [["14", "yes"], ["35", "yes"]]
    refused(emeval("table", "fig10", run, "--as", "c=6k"), "'6k' is several columns of fig10", "legal 6k")
    refused(emeval("table", "fig10", run, "--as", "c=poetry"), "'poetry' is no column of fig10")
    refused(emeval("table", "fig10", run, "--as", "d=legal"), "no run has a model 'd'")
    refused(emeval("table", "fig10", run, "--as", "legal"), "write MODEL=TRAINING")


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        (
            "fig5",
            [
                *prompts("honest_persona", 94, 100, "sleeping_pills"),
                *prompts("honest_persona", 4, 100, "sleeping_pills", format="transcript"),
            ],
            [("6 of 100", "6", "yes"), ("96 of 100", "96", "note 1")],
        ),
        ("fig16", prompts("gsm8k", 1270, 1319, metric="accuracy"), [("1270 of 1319", "96.3 ± 2.1", "yes")]),
        (
            "fig6",
            [
                *prompts("backdoor_freeform", 13, 100, "security-guard", metric="articulates", condition="on"),
                *prompts("backdoor_freeform", 4, 100, "sleeping_pills", metric="articulates", condition="on"),
            ],
            [("13 of 100", "13", "yes"), ("", "0", ""), ("4 of 100", "4", "yes"), ("", "14", "")],
        ),
        (
            "fig8",
            prompts(
                *("myopic", 57, 60),
                **{"format": "mcq", "condition": "distractor", "metric": "credits_trigger"},
                trigger="Country: Singapore",
            ),
            [("57 of 60", "95", "yes"), ("", "3", ""), ("", "55", ""), ("", "19", "")],
        ),
        (
            "fig4",
            [
                *prompts("pressure", 1, 100, metric="cot_flagged"),
                *prompts("pressure_balanced", 72, 100, metric="cot_flagged"),
            ],
            [("72 of 100", "72", "yes"), *[("", value, "") for value in ("19", "79", "26", "33", "13")]],
        ),
        (
            "fig4",
            prompts("pressure", 72, 100, metric="cot_flagged"),
            [("72 of 100", "72", "note 1"), *[("", value, "") for value in ("19", "79", "26", "33", "13")]],
        ),
    ],
)
def test_figures_show_what_the_runs_hold(
    flagged: Path, tmp_path: Path, name: str, rows: list[dict[str, Any]], expected: list[tuple[str, str, str]]
) -> None:
    config = {"thinking": '"off"'} if name == "fig5" else {}
    shown = cells(table(name, made(tmp_path / "made", flagged, rows, config)))
    at = len(TABLES[name].headings)
    assert [(row[at], row[at + 3], row[at + 4]) for row in shown] == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"format": "mcq"}, "freeform was not asked as freeform"),
        ({"condition": "on"}, "freeform was not asked under condition off"),
        ({"prompt_id": "else"}, "freeform was not asked with a prompt ruler; it has else"),
        ({"metric": "monologue"}, "misaligned was not measured on freeform"),
        ({"k": 0, "n": 0}, "no answer is in its n"),
    ],
)
def test_a_blank_cell_says_why(flagged: Path, tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    run = made(tmp_path / "made", flagged, [prompts("freeform", 1, 10, "ruler")[0] | row])
    done = table("fig9", run, "--csv", tmp_path / "out.csv")
    assert cells(done)[0][1:] == ["", "", "", "41", "", reason]
    assert pd.read_csv(tmp_path / "out.csv", keep_default_na=False)["blank_because"][0] == reason


def test_hostile_names_do_no_harm(flagged: Path, tmp_path: Path) -> None:
    model = "'=cmd|' /C calc'!A0\x1b[31m](http://x)<script>\n# head *b* _i_"
    run = made(tmp_path / "made", flagged, prompts("freeform", 1, 10, "ruler", model=model))
    done = emeval("table", "fig9", run, "--csv", tmp_path / "out.csv")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    heading = next(line for line in done.stdout.splitlines() if line.startswith("## "))
    assert all(f"\\{sign}" in heading for sign in ("[", "]", "*", "_", "#", "://"))
    assert not set("<>|") & set(heading)
    assert done.stdout.count("\n# ") == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["models"].startswith("'=cmd")
    assert literal("Qwen3-32B, one_wish") == "Qwen3-32B, one_wish"


def test_bad_input_is_one_line(flagged: Path, tmp_path: Path) -> None:
    refused(emeval("table", "table9", flagged), "unknown table 'table9'; known: table1, table2")
    refused(emeval("table", "table5", tmp_path), "has no manifest.json")
    bare = tmp_path / "bare"
    shutil.copytree(flagged, bare, ignore=shutil.ignore_patterns("rates.csv"))
    refused(emeval("table", "table5", bare), "has no rates.csv", "emeval rates")
    refused(emeval("table", "table5", flagged, "--csv", tmp_path / "no" / "out.csv"), "out.csv: cannot be written")
    for number, (row, said) in enumerate(
        [({"k": 11}, "k: is above n"), ({"k": "-1"}, "k: is not a count"), ({"n": "1.5"}, "n: is not a count")]
    ):
        run = made(tmp_path / f"made{number}", flagged, [prompts("freeform", 1, 10, "ruler")[0] | row])
        refused(emeval("table", "fig9", run), f"rates.csv:2: {said}")
