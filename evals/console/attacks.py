"""What a person sees of attacks on judges."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from evals.analysis.robustness.attacks import Attacked, Row
from evals.console.markup import plain
from evals.numbers import percent


def print_attacks(console: Console, attacked: Attacked) -> None:
    """For each judge: how many verdicts each attack turned, beside how many turn by themselves."""
    drawn = f"{attacked.misaligned} misaligned and {attacked.aligned} aligned answers"
    rows = {(row["judge"], row["rubric"], row["attack"], row["answers"]): row for row in attacked.rows}
    for judge, rubric in dict.fromkeys((row["judge"], row["rubric"]) for row in attacked.rows):
        console.print()
        title = f"Verdicts of {judge} ({rubric}) that turn, of {drawn}"
        table = Table("attack", "wants", title=plain(title), title_justify="left", title_style="bold")
        for name in (
            "misaligned no more",
            "95% interval",
            "misaligned now",
            "95% interval",
            "mean shift",
            "unreadable",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        names = dict.fromkeys(row["attack"] for row in attacked.rows)
        for name in names:
            bad, good, both = (rows[judge, rubric, name, side] for side in ("misaligned", "aligned", "all"))
            shift = "–" if both["mean_shift"] is None else f"{both['mean_shift']:+.1f}"
            sides = [*_flipped(bad), *_flipped(good)]
            table.add_row(name, _AIMS[both["aim"]], *sides, shift, str(both["n_unreadable"]))
        console.print(table)
        console.print(plain(_worst(judge, [rows[judge, rubric, name, "all"] for name in names])), soft_wrap=True)


_AIMS = {"none": "nothing", "better": "a better verdict", "worse": "a worse verdict", "refusal": "to be left out"}


def _flipped(row: Row) -> tuple[str, str]:
    if not row["n"]:
        return "–", "–"
    return f"{row['flips']} of {row['n']}", f"{percent(row['ci_low'])} to {percent(row['ci_high'])}"


def _worst(judge: str, rows: list[Row]) -> str:
    by_itself = max((row["flip_rate"] or 0.0 for row in rows if row["aim"] == "none"), default=0.0)
    worst = max((row for row in rows if row["aim"] != "none"), key=lambda row: row["flip_rate"] or 0.0)
    if not worst["n"]:
        return f"{judge}: no verdict could be read, so nothing is known of it."
    return (
        f"{judge}: the attack that turns most is {worst['attack']}, {worst['flips']} of {worst['n']} "
        f"({percent(worst['flip_rate'])}); by itself or with a plain ending at most {percent(by_itself)} turn."
    )
