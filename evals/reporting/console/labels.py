"""The output of `emeval label`: the sample drawn, and the progress of labelling."""

from __future__ import annotations

import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.text import Text

from evals.analysis.labelling.import_labels import Agreement, LabelImport
from evals.analysis.labelling.sample import Sampled
from evals.numbers import counted
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.terminal import SafeConsole
from evals.scoring.labels import FOLDER, LABELS_NAME, PAGE_NAME, SAMPLE_NAME, TO_LABEL_NAME
from evals.text import one_line, program, quoted_path, shown_path

_PIPED_WIDTH = 140


def print_sampled(run: Path, sampled: Sampled) -> None:
    strata = sampled.drawn.strata
    fields = [("metric", "metric"), ("condition", "condition"), ("model", "model"), ("suite", "suite")]
    fields += [("format", "format")]
    shown = [(name, title) for name, title in fields if any(getattr(stratum, name) for stratum, _ in strata)]
    table = FittedTable(*(title for _, title in shown), "judge says", box=box.SIMPLE_HEAD)
    for title in ("answers", "drawn", "share"):
        table.add_column(title, justify="right")
    for stratum, facts in strata:
        counts = (f"{facts.population:,}", f"{facts.drawn:,}", f"{facts.drawn / facts.population:.0%}")
        cells = (Text(one_line(getattr(stratum, name))) for name, _ in shown)
        table.add_row(*cells, stratum.band.name, *counts)
    folder = run / FOLDER
    drawn = len(sampled.sample.rows)
    lines = [
        f"{drawn:,} of {sampled.population:,} answers drawn (seed {sampled.sample.seed}), each with the known "
        "probability of its row.",
    ]
    if sampled.missing:
        lines.append(
            f"The run is not complete: {counted(sampled.missing, 'trial')} missing, whose answers are not in this "
            "sample. Finish the run before labelling."
        )
    lines += [
        f"Label them in a browser: open {shown_path(folder / PAGE_NAME)} (or fill in "
        f"{shown_path(folder / TO_LABEL_NAME)}).",
        f"Then: {program()} label import {quoted_path(run)} FILE.csv --labeller NAME",
        f"Labellers should not open {shown_path(folder / SAMPLE_NAME)}: it says where each answer comes from.",
    ]
    out = _console()
    out.print(table)
    _print(out, lines)


def print_imported(run: Path, imported: LabelImport, labeller: str) -> None:
    done = sum(imported.by_label.values())
    lines = [f"{counted(imported.taken, 'label')} of {labeller} taken{_own(imported)}."]
    if imported.blank:
        lost = f", {imported.lost_notes:,} of them with a note, which is not taken" if imported.lost_notes else ""
        lines.append(f"{counted(imported.blank, 'row')} without a label{lost}.")
    by_label = ", ".join(f"{count:,} {word}" for word, count in imported.by_label.items())
    lines.append(f"{done:,} of {imported.sampled:,} sampled answers are labelled: {by_label}.")
    lines += [_agreement(agreement) for agreement in imported.agreements]
    lines.append(f"Written: {shown_path(run / FOLDER / LABELS_NAME)}" if imported.taken else "Nothing to write.")
    if imported.taken:
        lines.append(f"Rates corrected by the labels: {program()} rates {quoted_path(run)} --detail")
    _print(_console(), lines)


def _console() -> Console:
    return SafeConsole(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def _print(out: Console, lines: list[str]) -> None:
    for line in lines:
        out.print(line, soft_wrap=True)


def _own(imported: LabelImport) -> str:
    replaced = f", {imported.replaced:,} in place of earlier ones" if imported.replaced else ""
    stays = f"; {imported.kept:,} earlier ones stay that this file says nothing of" if imported.kept else ""
    return replaced + stays


def _agreement(agreement: Agreement) -> str:
    kappa = (
        "kappa is not defined, both gave one and the same label throughout"
        if agreement.kappa is None
        else f"Cohen's kappa {agreement.kappa:.2f}{_over_all(agreement)}"
    )
    return (
        f"{agreement.first} and {agreement.second} labelled {agreement.both:,} of the same answers, "
        f"{agreement.alike:,} alike: {kappa}."
    )


def _over_all(agreement: Agreement) -> str:
    """Kappa over all answers, for which the labelled ones stand; an interval where there are several questions."""
    if agreement.over_all is None:
        return ""
    value, low, high = agreement.over_all
    interval = "" if low is None else f" (95% interval {low:.2f} to {high:.2f})"
    return f" in the sample, {value:.2f} over all answers{interval}"
