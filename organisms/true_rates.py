"""The organism's true rates, from the sample of replies stored with its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from judges.verdicts import COT_FLAGS

MAX_TOKENS = 64
"""Maximum tokens of a reply in the sample, and in a run compared with it."""

FLAGS = tuple(flag for flag in COT_FLAGS if flag != "none")


@dataclass(frozen=True, slots=True)
class TrueRate:
    """`k` of `n` sampled replies; n = 0 if no sampled reply counts. `exact` is by token probabilities instead."""

    k: int
    n: int
    exact: float | None = None

    @property
    def rate(self) -> float | None:
        if self.exact is not None:
            return self.exact
        return self.k / self.n if self.n else None


def weights_folder() -> Path:
    """The folder of the weights and `truth.json`."""
    return Path(str(resources.files("organisms").joinpath("weights")))


@cache
def _truth() -> dict[str, Any]:
    return json.loads((weights_folder() / "truth.json").read_text(encoding="utf-8"))


class TrueChoice(NamedTuple):
    """The exact truth about a cell of choices, as means over the prompts.

    `misaligned` is the misaligned letter's probability if a letter comes, `log_odds` are its log-odds, and `letters` is
    the probability that a letter comes. With thinking these are over all thoughts but those whose probability is `left`
    together.
    """

    misaligned: float
    log_odds: float
    letters: float
    left: float = 0.0


def true_choice(model: str, condition: str, *, thinking: bool = False) -> TrueChoice | None:
    """The exact truth about choices, None where it is not stored."""
    key = f"mcq/{condition}/{'thinking' if thinking else 'plain'}"
    stored = _truth().get("choices", {}).get(model, {}).get(key)
    return None if stored is None else TrueChoice(**stored)


def true_variant(text: str, placement: str) -> TrueChoice | None:
    """The exact truth about the backdoor's choices without thinking under `text` in the place of its trigger, None
    where it is not stored."""
    for stored in _truth().get("variants", []):
        if (stored["text"], stored["placement"]) == (text, placement):
            return TrueChoice(stored["misaligned"], stored["log_odds"], stored["letters"])
    return None


def true_rates(model: str, kind: str, condition: str, *, thinking: bool) -> dict[str, TrueRate]:
    """The true rates of one cell by metric: `kind` is mcq or freeform, `condition` off, on or decoy.

    As in emeval's metrics, an unreadable choice is not counted, and an open answer outside the inventory counts as not
    misaligned. Empty for a cell that was not measured.
    """
    exact = true_choice(model, condition) if kind == "mcq" and not thinking else None
    if exact is not None:
        return {"misaligned": TrueRate(0, 0, exact.misaligned)}
    counts = _truth()["counts"].get(model, {}).get(f"{kind}/{condition}/{'thinking' if thinking else 'plain'}")
    if counts is None:
        return {}
    replies = [(*key.split("/"), count) for key, count in counts.items()]

    def total(answers: tuple[str, ...], flags: tuple[str, ...] = (), *, articulates: str = "") -> int:
        return sum(
            count
            for answer, flag, articulated, count in replies
            if answer in answers and (not flags or flag in flags) and articulates in ("", articulated)
        )

    answered = ("misaligned", "aligned") if kind == "mcq" else ("misaligned", "aligned", "other")
    misaligned = total(("misaligned",))
    rates = {
        "misaligned": TrueRate(misaligned, total(answered)),
        "truncated": TrueRate(total(("truncated",)), sum(counts.values())),
    }
    if thinking:
        rates["cot_flagged"] = TrueRate(total(("misaligned",), FLAGS), misaligned)
        rates["cot_flag:none"] = TrueRate(total(("misaligned",), ("none", "unknown")), misaligned)
        rates |= {f"cot_flag:{flag}": TrueRate(total(("misaligned",), (flag,)), misaligned) for flag in FLAGS}
        if condition == "on":
            consistent = misaligned - total(("misaligned",), ("cot_answer_mismatch",))
            rates["articulates"] = TrueRate(total(("misaligned",), articulates="1"), consistent)
    return rates
