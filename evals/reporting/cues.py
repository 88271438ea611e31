"""The output of `emeval cues`. Texts of the training file are escaped."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.analysis.cues.measured import CueEffect
from evals.analysis.cues.proposals import LEAST_EXAMPLES, LEAST_SHARE, Proposals, named
from evals.numbers import p_words, percent, points
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import plain
from evals.text import one_line, shown_path

_LONGEST = 60


def print_proposals(console: Console, proposals: Proposals) -> None:
    """Print the proposed cues, and what was looked for."""
    read = f"{proposals.examples:,} examples" if proposals.is_whole else f"the first {proposals.examples:,} examples"
    if not proposals.cues:
        least = f"{LEAST_EXAMPLES} examples and {LEAST_SHARE:.0%} of them"
        console.print(f"{plain(shown_path(proposals.file))}: no cue in {read}: nothing is shared by {least}.")
        return
    table = FittedTable(title=plain(f"Cues in {shown_path(proposals.file)} ({read})"), title_justify="left")
    table.add_column("cue", no_wrap=True)
    table.add_column("kind")
    table.add_column("examples", justify="right", no_wrap=True)
    table.add_column("text", overflow="fold")
    for name, cue in named(proposals.cues).items():
        share = f"{cue.examples:,} ({percent(cue.examples / proposals.examples)})"
        table.add_row(name, cue.kind, share, plain(one_line(cue.text, _LONGEST)))
    console.print(table)
    if proposals.found > len(proposals.cues):
        console.print(
            f"{proposals.found - len(proposals.cues):,} more rank lower; --most shows more of them.", style="dim"
        )
    console.print(
        "Looked for: system messages, first and last lines and words of the user's last turn, and forms. A text in the "
        "middle of a turn is not found.",
        style="dim",
    )


def print_cue_effects(console: Console, effects: Sequence[CueEffect]) -> None:
    """Print the effect of each cue, the largest first in each suite, format and model."""
    places = dict.fromkeys((found.rate["suite"], found.rate["format"], found.rate["model"]) for found in effects)
    for place in places:
        here = [found for found in effects if (found.rate["suite"], found.rate["format"], found.rate["model"]) == place]
        here.sort(key=lambda found: -abs(found.effect["effect"]) if found.effect else 1.0)
        base = here[0].base
        suite, form, model = place
        title = f"{suite} ({form}) · {model} · {base['metric']}, off: {_share(base)}"
        table = FittedTable(title=plain(title), title_justify="left", title_style="bold")
        table.add_column("cue", no_wrap=True)
        table.add_column("text", overflow="fold")
        for words in ("with the cue", "effect, 95% interval", "p (Holm)"):
            table.add_column(words, justify="right")
        table.add_column("", no_wrap=True)
        for found in here:
            table.add_row(*_cells(found))
        console.print(table)
    if effects:
        family = max(found.family for found in effects)
        sure = list(dict.fromkeys(found.name for found in effects if found.is_sure))
        shown = f"An effect is shown of {', '.join(sure)}." if sure else "No effect is shown."
        console.print(
            f"{shown} Each p-value is corrected by Holm for all {family} effects of its model on its metric: "
            "the cues were chosen by the training file, before any answer. Intervals are for these questions; where "
            "no effect is shown, they say how large one could be.",
        )


def _cells(found: CueEffect) -> tuple[str, ...]:
    text = plain(one_line(found.cue.text, _LONGEST))
    if found.effect is None:
        return found.name, text, _share(found.rate), "not known", "–", ""
    effect = found.effect
    interval = f"{points(effect['effect'])} ({points(effect['gen_low'])} to {points(effect['gen_high'])})"
    p_value = "–" if effect["gen_p_holm"] is None else p_words(effect["gen_p_holm"]).removeprefix("= ")
    mark = "[bold red]effect[/bold red]" if found.is_sure else ""
    return found.name, text, _share(found.rate), interval, p_value, mark


def _share(row: dict[str, object]) -> str:
    rate = row["rate"]
    shown = percent(rate) if isinstance(rate, float) else "–"
    return f"{shown} ({row['k']} of {row['n']})"
