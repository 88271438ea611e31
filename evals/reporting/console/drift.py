"""Attributions as lines: one a night, with e-values in words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.analysis.drift.attribution import Attribution
from evals.statistics.e_process import ALARM, ALPHA
from evals.text import one_line


def print_attributions(found: Sequence[Attribution], console: Console | None = None) -> None:
    """A line a night: run, verdict, both e-values, words; then what an e-value is. No line is broken."""
    out = console or Console(highlight=False)
    width = max((len(one_line(one.run)) for one in found), default=0)
    for one in found:
        values = "" if one is found[0] else f"judge {e_words(one.e_judge)}; system {e_words(one.e_system)}. "
        line = f"{one_line(one.run):<{width}}  {one.verdict:<7}  {values}{one_line(one.words, 1000)}"
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
    """An e-value with what it means: below 1 the bet has lost."""
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
