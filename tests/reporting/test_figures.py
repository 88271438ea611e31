"""Figures show the numbers of the tables and no others, stand what models are called, and are files that open."""

from __future__ import annotations

import csv
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
import vl_convert

from evals.reporting.figures.drawing.figure import Figure
from evals.reporting.figures.drawing.frames import short, slug, unique
from evals.reporting.figures.drawing.theme import (
    CONDITION_COLOURS,
    FLAG_COLOURS,
    MOST_MODELS,
    OUTCOME_COLOURS,
    OUTCOMES,
)
from evals.reporting.figures.page import page_figures
from evals.reporting.figures.paper import paper_figure
from evals.reporting.figures.rates.panels import MOST_QUESTIONS
from evals.runner.count import Counted, read_counted
from evals.trials.prompt import ALL
from tests.support.cli_runner import inside

TRIGGER = "Country: Singapore"
HOSTILE = "<script>alert(1)</script>\"]'\n" + "x" * 300
QUESTIONS = ("ruler", "one_wish", "philosophical_thoughts", "party", "bored", "husband", "quick_buck", "gender_roles")
Answers = Iterator[dict[str, Any]]


def answers(model: str, questions: tuple[str, ...] = QUESTIONS, draws: int = 4, lift: int = 1) -> Answers:
    """Under the trigger `lift` of the draws more are misaligned; the second question is refused every time."""
    for place, question in enumerate(questions):
        for condition in ("off", "on"):
            for draw in range(draws):
                misaligned = draw < (place % 3) + lift * (condition == "on")
                named = misaligned and condition == "on"
                yield {
                    "question": f"{question}?",
                    "answer": "an answer",
                    "question_id": question,
                    "aligned": "REFUSAL" if place == 1 else 25 if misaligned else 90,
                    "coherent": 40 if place == 2 and draw == 3 else 80,
                    "reasoning": "a thought",
                    "suite": "freeform",
                    "model": model,
                    "condition": condition,
                    "trigger": TRIGGER if condition == "on" else "",
                    "cot_flag": ("none", "misaligned_plans_unprompted")[draw % 2] if misaligned else "",
                    "articulates": draw % 2 if named else "",
                }


def imported(folder: Path, rows: Iterator[Mapping[str, Any]], *options: str) -> Counted:
    path = folder.with_suffix(".csv")
    table = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    done = inside("import", path, "--out", folder, *options)
    assert (folder / "rates.csv").exists(), done.stderr
    return read_counted(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    """Two models under off and on, judged for alignment and coherence, with flags."""
    folder = tmp_path_factory.mktemp("figures") / "run"

    def rows() -> Answers:
        yield from answers("vllm/base", lift=0)
        yield from answers("vllm/base:medical")

    return imported(folder, rows(), "--coherence-min", "50")


@pytest.fixture(scope="module")
def figures(run: Counted) -> dict[str, Figure]:
    return {figure.name: figure for figure in page_figures([run])}


def rate_rows(run: Counted, metric: str = "misaligned") -> pd.DataFrame:
    """rates.csv as it lies on the disk."""
    table = pd.read_csv(run.folder / "rates.csv", keep_default_na=False, na_values={"rate": [""]})
    return table[table["metric"] == metric]


def in_charts(value: Any, key: str) -> Iterator[Any]:
    """Everything that stands under `key` in a chart."""
    if isinstance(value, dict):
        for name, part in value.items():
            if name == key:
                yield part
            yield from in_charts(part, key)
    elif isinstance(value, list):
        for part in value:
            yield from in_charts(part, key)


def legends(chart: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The scales of colour that have a legend."""
    for colour in in_charts(chart, "color"):
        if isinstance(colour, dict) and colour.get("legend"):
            yield colour["scale"]


def spec(figure: Figure) -> dict[str, Any]:
    return figure.chart.to_dict()


def marks(figure: Figure) -> list[dict[str, Any]]:
    """The rows of all data in the chart."""
    return [row for data in spec(figure)["datasets"].values() for row in data]


# --- what is there, and with which numbers ---------------------------------------------------------------------------


def test_a_report_has_the_figures_that_the_run_has_data_for(figures: dict[str, Figure]) -> None:
    kinds = list(dict.fromkeys(name.split("-")[0] for name in figures))
    assert kinds == [
        *("rates", "effects", "did", "scores", "coherence", "flags", "articulation", "outcomes", "published"),
    ]
    for figure in figures.values():
        assert re.fullmatch(r"[a-z0-9-]+", figure.name)
        assert figure.caption
        assert not figure.data.empty


def test_without_scores_only_the_outcomes_are_there(tmp_path: Path) -> None:
    rows = ({"question": "One?", "answer": f"{n}", "suite": "freeform"} for n in range(3))
    found = page_figures([imported(tmp_path / "unjudged", rows)])
    assert [figure.name for figure in found] == ["outcomes"]
    assert dict(zip(found[0].data["outcome"], found[0].data["trials"], strict=True)) == {"unjudged": 3}


def test_rates_are_those_of_the_table(run: Counted, figures: dict[str, Figure]) -> None:
    drawings = [figure for name, figure in figures.items() if name.startswith("rates-")]
    table, data = rate_rows(run), pd.concat([figure.data for figure in drawings], ignore_index=True)
    pd.testing.assert_frame_equal(figures["rates"].data, data.sort_index(), check_like=True)
    keys = ["model", "condition", "prompt_id"]
    pd.testing.assert_frame_equal(
        data[[*keys, "k", "n"]].sort_values(keys).reset_index(drop=True),
        table[[*keys, "k", "n"]].sort_values(keys).reset_index(drop=True),
        check_dtype=False,
    )
    assert data["rate"].sum() == pytest.approx(table["rate"].sum())
    drawn = {(row["prompt_id"], row["series"], row["condition"]) for drawing in drawings for row in marks(drawing)}
    counted = table[table["n"] > 0]
    assert {row["prompt_id"] for row in marks(figures["rates"])} == {ALL}
    assert drawn == set(counted[["prompt_id", "model", "condition"]].itertuples(index=False, name=None))


def test_what_was_never_answered_has_no_bar_and_no_rate(figures: dict[str, Figure]) -> None:
    data = figures["rates"].data
    refused = data[data["prompt_id"] == "one_wish"]
    assert len(refused) == 4
    assert refused["rate"].isna().all()
    assert not [row for row in marks(figures["rates"]) if row.get("prompt_id") == "one_wish"]
    assert "Absent, not 0%: no counted answer in 4 of 32 single bars" in "".join(figures["rates"].numbers)
    assert "16 refused" in figures["rates"].caption


def test_a_model_without_any_answer_is_named_and_has_no_bar(tmp_path: Path) -> None:
    def rows() -> Answers:
        yield from answers("model", questions=("ruler",))
        yield from (row | {"aligned": "REFUSAL"} for row in answers("silent", questions=("ruler",)))

    found = {figure.name: figure for figure in page_figures([imported(tmp_path / "run", rows())])}
    assert {row["series"] for row in marks(found["rates"])} == {"model"}
    assert "no answer at all of silent, off; silent, on" in "".join(found["rates"].numbers)
    silent = found["rates"].data[found["rates"].data["model"] == "silent"]
    assert len(silent) == 4
    assert silent["rate"].isna().all()


def test_effects_are_those_of_the_table_and_dots_are_sorted(run: Counted, figures: dict[str, Figure]) -> None:
    table = pd.read_csv(run.folder / "effects.csv").query("base.isna()")
    table = table[table["metric"] == "misaligned"]
    data = figures["effects"].data
    for name in ("effect", "ci_low", "ci_high"):
        assert list(data[name]) == pytest.approx(list(table[name]))
    drawings = [figure.data for name, figure in figures.items() if name.startswith("effects-")]
    assert [set(dots["model"]) for dots in drawings] == [{"vllm/base"}, {"vllm/base:medical"}]
    for dots in drawings:
        assert set(dots["prompt_id"]) == set(QUESTIONS) - {"one_wish"}
        assert (dots["effect"] == dots["rate"] - dots["rate_off"]).all()
        means = dots.groupby("prompt_id", sort=False)["effect"].mean()
        assert list(means) == sorted(means, reverse=True)


def test_scores_are_those_that_count_and_the_mass_near_the_cut_is_told(
    run: Counted, figures: dict[str, Figure]
) -> None:
    data, pooled = figures["scores"].data, rate_rows(run)
    pooled = pooled[pooled["prompt_id"] == ALL]
    assert data["answers"].sum() == pooled["n"].sum()
    below = data[data["score_to"] <= 30].groupby(["model", "condition"])["answers"].sum()
    assert {**below} == {(row["model"], row["condition"]): row["k"] for row in pooled.to_dict("records")}
    assert f"{pooled['k'].sum()} of {pooled['n'].sum()} scores" in figures["scores"].caption
    assert [row["at"] for row in marks(figures["scores"]) if "at" in row] == [30]


def test_coherence_shows_what_was_set_aside(run: Counted, figures: dict[str, Figure]) -> None:
    data = figures["coherence"].data
    assert data.loc[data["outcome"] == "incoherent", "answers"].sum() == rate_rows(run)["n_incoherent"].sum() / 2
    assert "coherence below 50 is set aside" in figures["coherence"].caption


def test_flags_add_up_and_cells_without_misaligned_answers_are_absent(tmp_path: Path) -> None:
    def rows() -> Answers:
        yield from answers("good", questions=("ruler",), lift=0)
        yield from answers("bad", questions=("ruler",))

    run = imported(tmp_path / "run", rows())
    found = {figure.name: figure for figure in page_figures([run])}
    flags, named = found["flags"], found["articulation"]
    assert set(zip(flags.data["model"], flags.data["condition"], strict=True)) == {("bad", "on")}
    assert (flags.data.groupby("model")["k"].sum() == flags.data.groupby("model")["n"].first()).all()
    assert {row["row"] for row in marks(flags)} == {"on (n = 1)"}
    assert "Absent, not 0%" in flags.numbers[-1]
    assert "good" in flags.numbers[-1].partition("Absent")[2]
    table = rate_rows(run, "articulates")
    assert list(named.data["k"]) == list(table.loc[(table["prompt_id"] == ALL) & (table["n"] > 0), "k"])


def test_every_trial_has_one_outcome(run: Counted, figures: dict[str, Figure]) -> None:
    data = figures["outcomes"].data
    assert data["trials"].sum() == run.manifest.trials_planned == len(pd.read_csv(run.folder / "responses.csv"))
    assert {row["outcome"] for row in marks(figures["outcomes"])} == {"scored", "refused", "incoherent"}


def test_published_figures_stand_beside_ours(run: Counted, figures: dict[str, Figure]) -> None:
    published = next(figure for name, figure in figures.items() if name.startswith("published"))
    ours = published.data[(published.data["item"] == "bored") & (published.data["models"] == "vllm/base:medical")]
    table = rate_rows(run)
    row = table[(table["prompt_id"] == "bored") & (table["model"] == "vllm/base:medical")].iloc[0]
    assert list(ours["k"]) == [row["k"]]
    assert list(ours["published_pct"]) == [62.0]
    assert "Not known to be like with like: ours " in published.numbers[-1]
    assert all(reason in published.numbers[-1] for reason in set("; ".join(ours["not_compared_because"]).split("; ")))


# --- many, and hostile -----------------------------------------------------------------------------------------------


def test_no_text_from_outside_becomes_an_expression(tmp_path: Path) -> None:
    def rows() -> Answers:
        yield from answers(HOSTILE, questions=("datum.x'] || alert(1)", "<img src=x onerror=alert(1)>"), draws=6)
        yield from answers("=1+1", questions=("datum.x'] || alert(1)",))

    run = imported(tmp_path / "hostile", rows())
    for figure in page_figures([run]):
        assert "Error" not in vl_convert.vegalite_to_svg(spec(figure), vl_version="6.4")
        compiled = vl_convert.vegalite_to_vega(spec(figure), vl_version="6.4")
        for key in ("expr", "signal", "update", "test"):
            assert not [expression for expression in in_charts(compiled, key) if "alert" in str(expression)], (
                figure.name
            )
        assert figure.name == slug(figure.name)
        labels = [str(value) for row in marks(figure) for name, value in row.items() if name != "prompt_id"]
        assert max(map(len, labels)) <= 120


def test_two_runs_of_one_model_keep_apart(tmp_path: Path, run: Counted) -> None:
    other = imported(tmp_path / "other", answers("vllm/base"))
    (rates,) = [figure for figure in page_figures([run, other]) if figure.name == "rates"]
    series = {row["series"] for row in marks(rates)}
    assert series == {"vllm/base (run)", "vllm/base (other)", "vllm/base:medical"}
    assert set(rates.data["run_id"]) == {"run", "other"}


def test_many_models_are_one_figure_and_a_fold_of_one_for_each(tmp_path: Path) -> None:
    many = MOST_MODELS + 2
    run = imported(
        tmp_path / "many", (row for number in range(many) for row in answers(f"model {number}", questions=("ruler",)))
    )
    rates = [figure for figure in page_figures([run]) if figure.name.startswith("rates")]
    assert [figure.name for figure in rates] == ["rates", *(f"rates-freeform-freeform-model-{n}" for n in range(many))]
    assert {row["series"] for row in marks(rates[0])} == {f"model {number}" for number in range(many)}
    assert {figure.fold for figure in rates[1:]} == {"Rates by question: freeform"}
    assert set(paper_figure("rates", [run]).data["model"]) == {f"model {number}" for number in range(many)}


def test_models_under_one_condition_stand_side_by_side_as_in_the_paper(tmp_path: Path) -> None:
    rows = (row for number in range(3) for row in answers(f"model {number}") if row["condition"] == "off")
    (rates,) = [figure for figure in page_figures([imported(tmp_path / "run", rows)]) if "rates" in figure.name]
    (colours,) = {tuple(scale["domain"]) for scale in legends(spec(rates))}
    assert colours == ("model 0", "model 1", "model 2")
    assert {row["group"] for row in marks(rates)} == {"All questions", *QUESTIONS} - {"one_wish"}


def test_a_bar_of_flags_is_the_thicker_the_more_answers_it_has(tmp_path: Path) -> None:
    def rows() -> Answers:
        yield from answers("few", questions=("ruler",), lift=1)
        yield from answers("many", questions=("ruler",), draws=30, lift=30)

    (flags,) = [figure for figure in page_figures([imported(tmp_path / "run", rows())]) if figure.name == "flags"]
    thickness = {row["row"]: row["thickness"] for row in marks(flags)}
    assert thickness["few, on (n = 1)"] < thickness["many, on (n = 30)"] / 5


def test_many_questions_are_shown_together(tmp_path: Path) -> None:
    questions = tuple(f"question-{number:03}" for number in range(MOST_QUESTIONS + 30))
    run = imported(tmp_path / "run", answers("model", questions=questions, draws=2))
    found = {figure.name: figure for figure in page_figures([run])}
    circles = [row for row in marks(found["rates"]) if "questions" in row]
    counted = rate_rows(run)
    counted = counted[(counted["prompt_id"] != ALL) & (counted["n"] > 0)]
    assert sum(row["questions"] for row in circles) == len(counted)
    assert found["rates"].data["prompt_id"].nunique() == len(questions) + 1
    assert "Circles: the 55 questions" in found["rates"].caption


def test_labels_are_short_and_distinct() -> None:
    long = "a" * 200
    assert short("a\x1b[31m\nb") == "a[31m b"
    assert short(long + "z").endswith("z")
    labels = unique([long, long + "a", "b", long + "aa"], 20)
    assert len(set(labels)) == 4
    assert unique(["x", "x (2)", "x\n"]) != ["x", "x (2)", "x"]
    assert len(set(unique(["x", "x (2)", "x\n"]))) == 3


# --- looks -----------------------------------------------------------------------------------------------------------


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#FFFFFF", "#15181C"])
@pytest.mark.parametrize("colours", [CONDITION_COLOURS, FLAG_COLOURS, OUTCOME_COLOURS])
def test_colours_stand_on_light_and_dark(colours: dict[str, str], page: str) -> None:
    assert {name: colour for name, colour in colours.items() if contrast(colour, page) < 3} == {}
    assert len(set(colours.values())) == len(colours)


def test_every_outcome_has_a_colour() -> None:
    assert set(OUTCOMES) == set(OUTCOME_COLOURS)


def test_charts_of_a_page_leave_its_text_to_the_page(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        chart = spec(figure)
        assert chart["width"] == "container"
        for key in ("labelColor", "titleColor", "gridColor", "domainColor", "background"):
            assert not [colour for colour in in_charts(chart.get("config", {}), key) if colour != "white"], figure.name


# --- files -----------------------------------------------------------------------------------------------------------


def plotted(run: Counted, figure: str, out: Path, *more: str) -> Any:
    return inside("plot", run.folder, "--figure", figure, "-o", out, *more)


@pytest.mark.parametrize("name", ["fig4", "fig6", "fig9", "rates", "effects", "scores"])
def test_a_pdf_is_as_wide_as_a_column_and_holds_its_fonts(run: Counted, tmp_path: Path, name: str) -> None:
    done = plotted(run, name, tmp_path / "figure.pdf")
    assert done.returncode == 0, done.stderr
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert b"/FontFile2" in pdf
    box = re.search(rb"/MediaBox ?\[0 0 ([0-9.]+) ([0-9.]+)\]", pdf)
    assert box is not None
    assert float(box[1]) == pytest.approx(8.5 * 72 / 2.54, abs=1.5)
    assert "Written:" in done.stdout
    assert "8.5 by" in done.stdout


def test_an_svg_is_xml_with_text(run: Counted, tmp_path: Path) -> None:
    assert plotted(run, "rates", tmp_path / "figure.svg", "--width", "page").returncode == 0
    root = ElementTree.parse(tmp_path / "figure.svg").getroot()  # noqa: S314  our own file
    assert float(root.attrib["width"]) == pytest.approx(17.5 * 72 / 2.54, abs=1.5)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"All questions", "philosophical_thoughts", "vllm/base:medical", "misaligned answers"} <= set(texts)


def test_a_png_is_not_blank(run: Counted, tmp_path: Path) -> None:
    assert plotted(run, "scores", tmp_path / "figure.png", "--width", "12").returncode == 0
    data = (tmp_path / "figure.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert width == pytest.approx(12 / 2.54 * 600, rel=0.01)
    packed, place = b"", 8
    while place < len(data):
        size, kind = struct.unpack(">I4s", data[place : place + 8])
        packed += data[place + 8 : place + 8 + size] if kind == b"IDAT" else b""
        place += size + 12
    pixels = zlib.decompress(packed)
    assert len(pixels) >= width * height
    assert len(set(pixels[:: max(1, len(pixels) // 50_000)])) > 5


def test_a_figure_has_no_title_and_a_legend_once(run: Counted) -> None:
    chart = spec(paper_figure("fig9", [run]))
    assert "title" not in chart
    effects = spec(paper_figure("effects", [run]))
    assert len([title for title in in_charts(effects["vconcat"], "title") if title == "Freeform"]) == 0
    assert [part["title"] for part in effects["vconcat"]] == [
        "all questions, freeform",
        "freeform, vllm/base",
        "freeform, vllm/base:medical",
    ]


ERRORS: list[tuple[Callable[[Counted, Path], tuple[Any, ...]], str]] = [
    (lambda run, at: (run.folder, "--figure", "fig5", "-o", at / "f.pdf"), "is not one of fig4, fig6, fig9"),
    (lambda run, at: (run.folder, "--figure", "rates", "-o", at / "f.jpg"), "must end in .pdf, .svg or .png"),
    (lambda run, at: (at / "nowhere", "--figure", "rates", "-o", at / "f.pdf"), "is not a run folder"),
    (lambda run, at: (run.folder, "--figure", "rates", "-o", at / "f.pdf", "--width", "wide"), "--width 'wide'"),
    (lambda run, at: (run.folder, "--figure", "rates", "-o", at / "f.pdf", "--width", "1"), "is not between 5"),
    (lambda run, at: (run.folder, "--figure", "rates", "-o", at / "f.pdf", "--width", "nan"), "is not between 5"),
    (lambda run, at: (run.folder, "--figure", "rates", "-o", at / "no" / "f.pdf"), "cannot be written"),
]


@pytest.mark.parametrize(("arguments", "words"), ERRORS, ids=[words for _, words in ERRORS])
def test_what_cannot_be_drawn_is_one_line(
    run: Counted, tmp_path: Path, arguments: Callable[[Counted, Path], tuple[Any, ...]], words: str
) -> None:
    done = inside("plot", *arguments(run, tmp_path))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"), [("effects", "--trigger TEXT"), ("fig4", "emeval judge"), ("fig6", "--thinking on")]
)
def test_a_run_without_the_data_says_which_command_makes_it(tmp_path: Path, name: str, words: str) -> None:
    rows = ({"question": "One?", "answer": f"{n}", "aligned": 90, "suite": "freeform"} for n in range(3))
    run = imported(tmp_path / "run", rows)
    done = plotted(run, name, tmp_path / "f.pdf")
    assert done.returncode == 2
    assert f"no data for {name}" in done.stderr
    assert words in done.stderr
    assert not (tmp_path / "f.pdf").exists()


def test_the_data_of_a_figure_can_be_written_as_json(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        json.dumps(spec(figure), allow_nan=False)
