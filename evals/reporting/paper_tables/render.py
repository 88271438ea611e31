"""Render a filled table as Markdown and CSV. Names of models are untrusted and escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from evals.errors import BadInput
from evals.io.atomic import whole_file
from evals.io.columns import Column, column_names
from evals.io.csv_writer import csv_row
from evals.reporting.paper_tables.fill import Filled, FilledTable, Section
from evals.reporting.paper_tables.measured import MeasuredFigure
from evals.reporting.paper_tables.table import Absent
from evals.scoring.rates.columns import CONDITION, FORMAT, METRIC, TRIGGER, K, N
from evals.text import one_line

_MARKUP = re.compile(r"([\\`*\[\]<>#|~$&@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=www)\.)", re.IGNORECASE)
# Includes what would start an autolink, but not an underscore inside a word.
_UNSAFE_ALONE = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;"}
PAPER_TABLE = (
    Column("table", "text", "the table, as named on the command line"),
    Column("figure", "text", "where it stands in Chua et al. 2025"),
    Column("row", "text", "the headings of the row, separated by ` / `"),
    Column("column", "text", "the published column beside which these numbers stand; blank without one"),
    Column("models", "text", "the models under test"),
    Column("runs", "text", "the runs that were read"),
    Column("suites", "text", "the suites that were read"),
    Column("prompt_id", "text", "the only question that was read; blank for all"),
    *(FORMAT, CONDITION, TRIGGER, METRIC),
    Column("source", "text", "whose questions were asked, as in `rates.csv`; `official` also for a copy of that file"),
    Column(
        "rubric",
        "text",
        "whose rubrics decided: `paper` (a file named with --paper-rubric), `emeval`, `file` (another of your own), "
        "`imported`; blank where a rule decides, or nothing does",
    ),
    Column("judge", "text", "the judge models, or rules"),
    *(K, N),
    Column("base_k", "integer", "hits of the base model, where the table has points over it"),
    Column("base_n", "integer", "trials that they are among"),
    Column("value_pct", "number", "your number, in percent, or in points over the base model"),
    Column("paper_pm_pct", "number", "its ± as Chua et al. 2025 compute it"),
    Column(
        "ci_low_pct",
        "number",
        "lower end of its 95% interval, for questions like these (of one question: for new answers to it)",
    ),
    Column("ci_high_pct", "number", "its upper end"),
    Column("published_model", "text", "the model of the published figure"),
    Column("published_training", "text", "what that model was finetuned on"),
    Column("published_item", "text", "what the published figure is of"),
    Column("published_metric", "text", "what it counts"),
    Column("published_pct", "number", "the published figure, in percent or points"),
    Column("published_error_95", "number", "its error; blank where the paper gives none"),
    Column("published_n", "integer", "its n; blank where the paper gives none"),
    Column("published_note", "text", "what to know of it"),
    Column(
        "overlap", "text", "whether the two intervals overlap: `yes` or `no`; blank where one is missing or they differ"
    ),
    Column("not_compared_because", "text", "what differs from the paper: questions, rubric, judge, ..."),
    Column("blank_because", "text", "why there is no number of yours"),
)
CSV_COLUMNS = column_names(PAPER_TABLE)


def markdown(filled: FilledTable) -> str:
    """The table as Markdown, with a section for each column."""
    table = filled.table
    lines = [
        f"# {', '.join(table.sources)}: {table.title}",
        "",
        "Percentages"
        + (" are points over the base model" if table.over_base else "")
        + ": ours ± as the paper computes "
        "it, our 95% interval, and what Chua et al. 2025 published. Overlap: whether the two intervals do; where the "
        "paper gives no error, whether ours holds its figure. It is blank unless prompts, rubric and judge are the "
        "paper's.",
    ]
    if not filled.sections:
        lines += ["", "The runs hold no rates."]
    for section in filled.sections:
        lines += ["", f"## {_heading(section)}", ""]
        whose = _provenance(section)
        lines += [*([whose, ""] if whose else []), *_markdown_table(filled, section)]
        notes = _notes(section)
        if notes:
            lines += ["", *(f"- Note {number}: {_note(differences)}" for differences, number in notes.items())]
    return "\n".join(lines) + "\n"


def write_csv(filled: FilledTable, path: Path) -> None:
    """Write one row per cell, atomically. Raises BadInput if it cannot be written."""
    try:
        with whole_file(path) as file:
            file.write(csv_row(CSV_COLUMNS))
            for section in filled.sections:
                for cell in section.cells:
                    row = _csv_row(filled, section, cell)
                    file.write(csv_row((row.get(name) for name in CSV_COLUMNS), ".10g"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def literal(text: str) -> str:
    """Untrusted text on one line, escaped so that Markdown and a terminal show it literally."""
    return _MARKUP.sub(lambda match: _UNSAFE_ALONE.get(match[1]) or f"\\{match[1]}", one_line(text))


def _heading(section: Section) -> str:
    ours = f"{_listed(section.models)} (run {_listed(section.runs)})"
    if section.beside is None:
        return ours
    beside = ", ".join(part for part in (section.beside.model, section.beside.training) if part)
    return f"{ours} beside {literal(beside)}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(literal, names))


def _provenance(section: Section) -> str:
    """Whose questions, rubrics and judges the numbers of a section rest on, "" without a number."""
    known = [cell.provenance for cell in section.cells if isinstance(cell.ours, MeasuredFigure)]
    if not known:
        return ""
    parts = zip(("Questions", "Rubric", "Judge"), zip(*known, strict=True), strict=True)
    return " ".join(f"{name}: {literal(_distinct(texts)) or 'none'}." for name, texts in parts)


def _distinct(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(part for text in texts for part in text.split(", ") if part))


def _notes(section: Section) -> dict[tuple[str, ...], int]:
    """The numbers of the notes on cells that cannot be compared with the paper's, by what differs."""
    found = dict.fromkeys(cell.differences for cell in section.cells if cell.differences)
    return {differences: number for number, differences in enumerate(found, start=1)}


def _note(differences: tuple[str, ...]) -> str:
    return f"not compared with the paper, because the run {literal('; '.join(differences))}."


def _markdown_table(filled: FilledTable, section: Section) -> Iterator[str]:
    headings = [*filled.table.headings, "k of n", "ours", "95% interval", "published", "overlap"]
    blanks = any(isinstance(cell.ours, Absent) for cell in section.cells)
    if blanks:
        headings.append("blank because")
    yield _row(headings)
    yield _row(["---"] * len(filled.table.headings) + ["--:"] * 4 + [":-:"] + ["---"] * blanks)
    notes = _notes(section)
    before: tuple[str, ...] = ()
    for cell in section.cells:
        labels = cell.line.headings
        shown = [
            "" if labels[: level + 1] == before[: level + 1] and level + 1 < len(labels) else literal(label)
            for level, label in enumerate(labels)
        ]
        before = labels
        reason = literal(cell.ours.reason) if isinstance(cell.ours, Absent) else ""
        overlap = f"note {notes[cell.differences]}" if cell.differences else _overlap(cell)
        yield _row([*shown, *_ours(cell.ours), _published(cell), overlap, *([reason] if blanks else [])])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ours(ours: MeasuredFigure | Absent) -> list[str]:
    if isinstance(ours, Absent):
        return ["", "", ""]
    counts = f"{ours.k} of {ours.n}"
    if ours.base_n is not None:
        return [
            f"{counts}, base {ours.base_k} of {ours.base_n}",
            f"{ours.value:+.1f}",
            f"{ours.low:+.1f} to {ours.high:+.1f}",
        ]
    return [counts, _plus_minus(ours.value, ours.paper_pm), f"{ours.low:.1f} to {ours.high:.1f}"]


def _plus_minus(value: float, error: float | None) -> str:
    return f"{value:.1f}" if error is None else f"{value:.1f} ± {error:.1f}"


def _published(cell: Filled) -> str:
    figure = cell.published
    if figure is None:
        return ""
    if figure.is_approximate:
        return f"about {figure.value:g}"
    if figure.error_95 is not None:
        return _plus_minus(figure.value, figure.error_95)
    return f"{figure.value:+g}" if figure.metric.endswith("_pp") else f"{figure.value:g}"


def _overlap(cell: Filled) -> str:
    return {True: "yes", False: "no", None: ""}[cell.overlaps]


def _csv_row(filled: FilledTable, section: Section, cell: Filled) -> dict[str, str | float | None]:
    place, figure = cell.line.place, cell.published
    row = {
        "table": filled.table.name,
        "figure": ", ".join(filled.table.sources),
        "row": " / ".join(cell.line.headings),
        "column": _heading_text(section),
        "models": ", ".join(section.models),
        "runs": ", ".join(section.runs),
        "suites": ", ".join(cell.ours.suites if isinstance(cell.ours, MeasuredFigure) else place.suites),
        "prompt_id": place.prompt or "",
        "format": place.format,
        "condition": place.condition,
        "trigger": place.trigger or "",
        "metric": place.metric,
        "not_compared_because": "; ".join(cell.differences),
        **cell.provenance._asdict(),
    }
    if figure is not None:
        row |= {
            "published_model": figure.model,
            "published_training": figure.training,
            "published_item": figure.item,
            "published_metric": figure.metric,
            "published_note": figure.note,
        }
    texts = {name: one_line(text, 1000) for name, text in row.items()} | {"overlap": _overlap(cell)}
    if isinstance(cell.ours, Absent):
        texts["blank_because"] = one_line(cell.ours.reason)
    return texts | _numbers(cell)


def _heading_text(section: Section) -> str:
    return str(section.beside) if section.beside is not None else ""


def _numbers(cell: Filled) -> dict[str, float | None]:
    ours, figure = cell.ours, cell.published
    numbers: dict[str, float | None] = {}
    if isinstance(ours, MeasuredFigure):
        numbers |= {"k": ours.k, "n": ours.n, "base_k": ours.base_k, "base_n": ours.base_n, "value_pct": ours.value}
        numbers |= {"paper_pm_pct": ours.paper_pm, "ci_low_pct": ours.low, "ci_high_pct": ours.high}
    if figure is not None:
        numbers |= {"published_pct": figure.value, "published_error_95": figure.error_95, "published_n": figure.n}
    return numbers
