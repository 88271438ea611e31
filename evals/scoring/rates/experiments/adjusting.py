"""p-values of a table adjusted by Holm, for what is claimed of one model or recipe."""

from __future__ import annotations

from collections.abc import Sequence

from evals.scoring.rates.rows import Row
from evals.statistics.significance import holm


def with_holm(rows: Sequence[Row], by: Sequence[str] = ()) -> list[Row]:
    """The rows with `p_holm` and `gen_p_holm`, each among those with the same values in the columns `by`. Rows
    without a p-value count in neither."""
    found = list(rows)
    for prefix in ("", "gen_"):
        families: dict[tuple[str, ...], list[int]] = {}
        for number, row in enumerate(found):
            found[number] = row | {f"{prefix}p_holm": None}
            if row[f"{prefix}p_value"] is not None:
                families.setdefault(tuple(row[name] for name in by), []).append(number)
        for family in families.values():
            values = holm([found[number][f"{prefix}p_value"] for number in family])
            for number, value in zip(family, values, strict=True):
                found[number] = found[number] | {f"{prefix}p_holm": value}
    return found
