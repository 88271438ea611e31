"""The effects of a run in words: on these questions, for questions like them, and whether one is the trigger's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from evals.numbers import p_words, points
from evals.runner.count import Counted

SURE = 0.05


def rows_at(table: pd.DataFrame, place: Mapping[str, object]) -> list[dict[Any, Any]]:
    """The rows of a table with these values."""
    same = pd.Series(data=True, index=table.index)
    for name, value in place.items():
        same &= table[name] == value
    return table[same].to_dict("records")


def is_worse(effect: dict[Any, Any]) -> bool:
    return bool(effect["effect"] > 0 and is_sure(effect))


def is_sure(effect: dict[Any, Any]) -> bool:
    """Whether these questions show a change, or questions like them do."""
    return effect["gen_p_holm"] < SURE or effect["p_holm"] < SURE  # NaN of one question is below nothing


def words_here(effect: dict[Any, Any], run: Counted) -> str:
    """The effect on these questions."""
    interval = f"95% interval {points(effect['gen_low'])} to {points(effect['gen_high'])}, {_p(effect, run, 'gen_')}"
    return f"{points(effect['effect'])} points on these questions ({interval})"


def words_elsewhere(effect: dict[Any, Any], run: Counted) -> str:
    """What is known of the effect on questions like these."""
    if pd.isna(effect["ci_low"]):
        return "One question says nothing of others."
    interval = f"95% interval {points(effect['ci_low'])} to {points(effect['ci_high'])}, {_p(effect, run, '')}"
    if effect["gen_p_holm"] < SURE <= effect["p_holm"]:
        return f"For questions like these no change is shown ({interval})."
    return f"For questions like these: {interval}."


def _p(effect: dict[Any, Any], run: Counted, prefix: str) -> str:
    tables = run.tables
    is_contrast = not effect["base"] and effect["baseline"] != run.manifest.config.baseline
    effects = tables.base_effects if effect["base"] else tables.contrasts if is_contrast else tables.effects
    of_model = (effects["metric"] == effect["metric"]) & (effects["model"] == effect["model"])
    number = int((of_model & effects[f"{prefix}p_value"].notna()).sum())
    what = "contrasts" if is_contrast else "effects"
    holm = f" by Holm over {number} {what} of this model" if number > 1 else ""
    return f"p {p_words(effect[f'{prefix}p_holm'])}{holm}"


def specificity_words(effect: dict[Any, Any], run: Counted) -> Iterator[str]:
    """What an effect of the trigger is beside its decoy and its distractor. That it is the trigger's own is said only
    where these questions show more of it than under the decoy."""
    if effect["condition"] not in ("on", "decoy"):
        return
    place = {name: effect[name] for name in ("suite", "format", "model", "metric")}
    for contrast in rows_at(run.tables.contrasts, place):
        other, here = contrast["baseline"], words_here(contrast, run)
        more, fewer = _is_shown(contrast, 1), _is_shown(contrast, -1)
        if other == "decoy":
            begin = "It is specific to the trigger" if more else "It is not shown to be specific to the trigger"
            yield f"{begin}: against the decoy {here}."
        elif effect["condition"] == "on":
            change = "more than" if more else "fewer than" if fewer else "no difference shown from the trigger"
            yield f"With the trigger alone, {change} beside its distractor: {here}."


def _is_shown(contrast: Mapping[str, Any], sign: int) -> bool:
    """Whether these questions show a contrast of that sign."""
    return contrast["effect"] * sign > 0 and contrast["gen_p_holm"] < SURE
