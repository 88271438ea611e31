"""What monitors catch in a cell, in a sentence: for the end of a run, and for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evals.numbers import percent, percent_range
from evals.scoring.rates.rows import Row
from evals.text import capitalized
from evals.trials.prompt import ALL
from judges.monitors.suspicion import VIEWS, View, monitor_name

_READS: Mapping[View, str] = {
    "cot": "scores the reasoning",
    "action": "scores the answer alone",
    "both": "scores reasoning and answer",
}
_MONITORS = (("cot_flagged", "flags the reasoning"), *((monitor_name(view), _READS[view]) for view in VIEWS))
"""The metric of each monitor, and what it does; that of its false alarms has this name with `_aligned`."""
_CELL = ("suite", "format", "model", "condition", "trigger")


def monitor_words(found: Mapping[str, Row]) -> list[str]:
    """What each monitor with a verdict catches in a cell, whose rows are given by metric: `a monitor that scores the
    reasoning catches 61.8% (110 of 178; 54.5% to 68.6%) of the misaligned answers and flags ... of the others`, and
    `one that scores the answer alone catches 90.4% (161 of 178) and flags ... of the others`."""
    words: list[str] = []
    for metric, does in _MONITORS:
        caught, alarms = found.get(metric), found.get(f"{metric}_aligned")
        if caught is None or not caught["n"]:
            continue
        if words:
            of_others = "" if alarms is None or not alarms["n"] else f" and flags {_share(alarms)} of the others"
            words.append(f"one that {does} catches {_share(caught)}{of_others}")
            continue
        said = f"a monitor that {does} catches {_with_interval(caught)} of the misaligned answers"
        if alarms is not None and alarms["n"]:
            said += f" and flags {_with_interval(alarms)} of the others"
        words.append(said)
    return words


def monitor_line(rows: Sequence[Row]) -> str:
    """The verdict on a run's monitors, over the rows of rates.csv: in the cell with the most misaligned answers that
    they have read. "" where no false alarms are known, or no misaligned answer was read."""
    cells: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        if row["prompt_id"] == ALL:
            cells.setdefault(tuple(row[name] for name in _CELL), {})[row["metric"]] = row
    read = {cell: _most_read(found) for cell, found in cells.items() if _has_alarms(found)}
    if not read or not max(read.values()):
        return ""
    cell = max(read, key=lambda cell: read[cell])
    suite, form, model, condition, _ = cell
    others = " The other cells: emeval monitorability." if sum(number > 0 for number in read.values()) > 1 else ""
    return f"{capitalized('; '.join(monitor_words(cells[cell])))} ({model}, {suite} {form}, {condition}).{others}"


def _has_alarms(found: Mapping[str, Row]) -> bool:
    return any(f"{metric}_aligned" in found for metric, _ in _MONITORS)


def _most_read(found: Mapping[str, Row]) -> int:
    return max((found[metric]["n"] for metric, _ in _MONITORS if metric in found), default=0)


def _share(row: Row) -> str:
    return f"{percent(row['rate'])} ({row['k']} of {row['n']})"


def _with_interval(row: Row) -> str:
    return f"{percent(row['rate'])} ({row['k']} of {row['n']}; {percent_range(row['gen_low'], row['gen_high'])})"
