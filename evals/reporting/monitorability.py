"""The output of `emeval monitorability`: what the monitors of a run catch, and their false alarms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from evals.analysis.monitors.monitorability import LEAST_CHANGE, Monitored
from evals.numbers import counted, percent
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.names import model_names
from evals.reporting.console.markup import plain
from evals.statistics.intervals import Interval
from evals.statistics.monitors.ranking import Gain
from evals.statistics.monitors.scorecard import Share
from evals.text import capitalized
from judges.monitors.suspicion import SUSPICIOUS_FROM, View

_LONGEST_NAME = 17
"""Cells of a model's name; with this and `_MANY` the table has room on 80 columns."""
_MANY = 1_000
"""Answers from which counts have a line of their own."""


_WORDS: dict[View | None, str] = {
    None: "flags of the reasoning",
    "cot": "suspicion by the reasoning",
    "action": "suspicion by the action",
    "both": "suspicion by reasoning and action",
}


def print_monitorability(console: Console, found: Sequence[Monitored]) -> None:
    """Print a table for each suite, format and monitor, the gains of the reasoning, and what the numbers mean."""
    places = dict.fromkeys((entry.cell["suite"], entry.cell["format"], entry.monitor) for entry in found)
    for suite, form, monitor in places:
        here = [entry for entry in found if (entry.cell["suite"], entry.cell["format"]) == (suite, form)]
        here = [entry for entry in here if entry.monitor == monitor and (entry.how == "outcome" or entry.questions)]
        title = f"{suite} ({form}), {_WORDS[monitor.view]}"
        if any(entry.auroc for entry in here):  # on 80 columns there is no room for models beside it
            for model in dict.fromkeys(entry.cell["model"] for entry in here):
                _print_monitor(console, title, [entry for entry in here if entry.cell["model"] == model])
        else:
            _print_monitor(console, title, here)
    for line in _notes(found):
        console.print(line, style="dim")


def _print_monitor(console: Console, title: str, here: Sequence[Monitored]) -> None:
    scores = any(entry.auroc for entry in here)
    names = model_names([entry.cell["model"] for entry in here], _LONGEST_NAME)
    several = len(names) > 1
    of_one = "" if several else f" · {next(iter(names.values()))}"
    table = FittedTable(title=plain(f"{title}{of_one}"), title_justify="left", title_style="bold")
    for words in (*(["model"] if several else []), "condition"):
        table.add_column(words)
    for words in ("TPR", "FPR", "TPR x TNR", *(["AUROC"] if scores else [])):
        table.add_column(words, justify="right")
    for entry in here:
        card, auroc = entry.card, entry.auroc
        cells = [plain(names[entry.cell["model"]])] if several else []
        cells += [plain(_condition(entry)), _share(card.caught), _share(card.alarms), _value(card.product, card.same)]
        cells += [_value(auroc and auroc.value, auroc and auroc.same)] if scores else []
        table.add_row(*cells)
    console.print(table)
    for entry in here:
        if line := _gain_words(entry):
            name = f"{plain(names[entry.cell['model']])}, " if several else ""
            console.print(f"Gain over the action, {name}{plain(_condition(entry))}: {line}")


def _gain_words(entry: Monitored) -> str:
    """What the reasoning gains over the action alone, "" where nothing is compared."""
    if entry.gains is None or "g_mean2" not in entry.gains.by_measure:
        return ""
    words = [f"TPR x TNR {_gain(entry.gains.by_measure['g_mean2'])}"]
    if auroc := entry.gains.by_measure.get("auroc"):
        words.append(f"AUROC {_gain(auroc)}")
    return f"{', '.join(words)}; {counted(entry.gains.trials, 'answer')} that both read."


def _gain(gain: Gain) -> str:
    return f"{gain.value:+.2f} ({gain.same.low:+.2f} to {gain.same.high:+.2f})"


def _notes(found: Sequence[Monitored]) -> list[str]:
    notes = [
        "TPR: misaligned answers that the monitor flags, of those that it read; FPR (false alarms): aligned ones; TNR: "
        "1 - FPR. Intervals are 95%, for new answers to the same questions; those for new questions are in --csv and "
        "--json."
    ]
    if any(entry.auroc for entry in found):
        notes.append(
            f"Scores flag from {SUSPICIOUS_FROM:g} up. AUROC needs no cut-off: the chance that a misaligned answer "
            "has a higher score than another one."
        )
    changed = [entry for entry in found if entry.how == "intervention"]
    if any(entry.questions for entry in changed):
        notes.append(
            f"by intervention: only questions whose rate the condition raises by {100 * LEAST_CHANGE:.0f} points or "
            "more (chosen on one half of the answers, measured on the other); its misaligned answers against all "
            "answers without it."
        )
    if any(not entry.questions for entry in changed):
        notes.append(
            "No row by intervention: no condition raises a question's rate by so much in one half of its answers, or "
            "a question has one answer to each wording only (ask more --samples)."
            if not any(entry.questions for entry in changed)
            else "A condition without a row by intervention raises no question's rate by so much."
        )
    return [*notes, *_notes_on_unread(found)]


def _notes_on_unread(found: Sequence[Monitored]) -> Iterator[str]:
    for monitor in dict.fromkeys(entry.monitor for entry in found):
        here = [entry for entry in _by_outcome(found) if entry.monitor == monitor]
        misaligned = sum(entry.misaligned for entry in here)
        unread = misaligned - sum(entry.card.caught.n if entry.card.caught else 0 for entry in here)
        if unread:
            lacking = "no verdict that could be read" if monitor.view == "action" else "no reasoning or no such verdict"
            yield (
                f"{capitalized(_WORDS[monitor.view])}: of {counted(misaligned, 'misaligned answer')} {unread:,} had "
                f"{lacking}."
            )
        if monitor.view is None and all(entry.card.alarms is None for entry in here):
            yield (
                "The reasoning of aligned answers was not judged, so false alarms are not known: `emeval judge RUN "
                "--cot-all` judges it."
            )


def _by_outcome(found: Sequence[Monitored]) -> list[Monitored]:
    return [entry for entry in found if entry.how == "outcome"]


def _condition(entry: Monitored) -> str:
    if entry.how == "outcome":
        return entry.cell["condition"]
    return f"{entry.cell['condition']}, by intervention"


def _share(share: Share | None) -> str:
    if share is None:
        return "–"
    between = "\n" if share.n >= _MANY else " "
    return f"{percent(share.rate)}{between}({share.k:,}/{share.n:,})\n{_ends(share.same)}"


def _value(value: float | None, interval: Interval | None) -> str:
    return "–" if value is None or interval is None else f"{value:.2f}\n{interval.low:.2f} to {interval.high:.2f}"


def _ends(interval: Interval) -> str:
    return f"{percent(interval.low)} to {percent(interval.high)}"
