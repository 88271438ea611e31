"""Rates, changes and models as a matrix shows them: few digits, and never a 0 for what is not 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

_NOTHING = 1e-9
"""A change smaller than this is 0: the rest is rounding."""
_MOST_DIGITS = 3


def short_percent(rate: float | None) -> str:
    """A fraction in whole percent: `5%`, `<1%` for what is below half of one and above 0, `>99%` likewise; a dash for
    None."""
    if rate is None:
        return "–"
    if rate < _NOTHING or rate > 1 - _NOTHING:
        return "0%" if rate < 0.5 else "100%"
    words = f"{100 * rate:.0f}%"
    return {"0%": "<1%", "100%": ">99%"}.get(words, words)


def short_range(low: float, high: float) -> str:
    """A range of fractions: `4-50%`."""
    return f"{short_percent(low).removesuffix('%')}-{short_percent(high)}"


def short_change(change: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A difference of rates in points, and its interval: `+84` and `[+76, +93]`, "" without one.

    All have the same digits after the point: as few as show each that is not 0 to be above or below it.
    """
    values = [value for value in (change, low, high) if value is not None]
    vanishing = takewhile(lambda digits: any(_vanishes(value, digits) for value in values), range(_MOST_DIGITS))
    digits = sum(1 for _ in vanishing)
    interval = "" if low is None or high is None else f"[{_points(low, digits)}, {_points(high, digits)}]"
    return _points(change, digits), interval


def server_of_all(models: Sequence[str]) -> str:
    """The first part of the models' names, such as `vllm/`, where all have the same; "" where not."""
    servers = {model.partition("/")[0] for model in models if "/" in model.strip("/")}
    return f"{servers.pop()}/" if len(servers) == 1 and all("/" in model.strip("/") for model in models) else ""


def _vanishes(value: float, digits: int) -> bool:
    return abs(value) > _NOTHING and float(f"{100 * value:.{digits}f}") == 0


def _points(value: float, digits: int) -> str:
    if abs(value) <= _NOTHING:
        return f"{0:.{digits}f}"
    return f"{100 * value:+.{digits}f}"
