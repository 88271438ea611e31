"""Print drift attributions: one line per night, with e-values in words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.analysis.drift.attribution import Attribution
from evals.reporting.console.terminal import SafeConsole
from evals.statistics.e_process import ALARM, ALPHA
from evals.text import one_line


def print_attributions(found: Sequence[Attribution], console: Console | None = None) -> None:
    """Print a line per night (run, verdict, both e-values, words), then an explanation of e-values."""
    out = console or SafeConsole(highlight=False)
    width = max((len(one_line(night.run)) for night in found), default=0)
    for night in found:
        values = "" if night is found[0] else f"judge {e_words(night.e_judge)}; system {e_words(night.e_system)}. "
        line = f"{one_line(night.run):<{width}}  {night.verdict:<7}  {values}{one_line(night.words, 1000)}"
        out.print(line, markup=False, soft_wrap=True)
    out.print(
        f"An e-value is what a stake of 1 on a change has grown to; it alarms at {ALARM:g}. If "
        "nothing changes, at most "
        f"{ALPHA:.0%} of all such series ever alarm, however many nights they have.",
        markup=False,
        style="dim",
        soft_wrap=True,
    )


def e_words(value: float) -> str:
    """An e-value with its meaning; below 1 the bet has lost."""
    if value >= ALARM:
        meaning = "alarm"
    elif value >= 10:
        meaning = "strong hint"
    elif value >= 3:
        meaning = "hint"
    else:
        meaning = "no evidence"
    shown = f"{value:.2f}" if value < 10 else f"{value:,.0f}" if value < 1e6 else f"{value:.0e}"
    return f"{shown} ({meaning})"
