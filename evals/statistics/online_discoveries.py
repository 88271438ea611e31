"""Findings among tests that come one after another, without an end: LORD++ (Ramdas et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Sequence

RATE = 0.05
"""The expected share of false findings among all findings."""
_SCALE = 0.0772
"""Makes the weights of all places add up to 1 (Javanmard and Montanari 2018)."""


def online_discoveries(p_values: Sequence[float], rate: float = RATE) -> list[bool]:
    """Which of the tests, in this order, are findings: of all of them at any time, a share of `rate` is expected to be
    false.

    What was found stays found, and what was not is not looked at again. Each test gets a share of what may be spent;
    findings earn more, so that many true ones let weaker ones through. Holds for p-values that are independent, or
    valid given the findings before.
    """
    found: list[int] = []
    for place, p_value in enumerate(p_values, 1):
        level = _weight(place) * rate / 2
        level += sum(_weight(place - at) * (rate / 2 if number == 0 else rate) for number, at in enumerate(found))
        if p_value <= level:
            found.append(place)
    places = set(found)
    return [place in places for place in range(1, len(p_values) + 1)]


def _weight(place: int) -> float:
    return _SCALE * math.log(max(place, 2)) / (place * math.exp(math.sqrt(math.log(place))))
