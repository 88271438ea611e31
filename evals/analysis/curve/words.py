"""What a curve says, in sentences: the trend, the onset, and whether missing answers move with the rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from evals.analysis.curve.result import Curve, Moved
from evals.analysis.curve.steps import step_name
from evals.numbers import counted, p_words, percent, points
from evals.statistics.trends.ordered import Trend

SURE: Final = 0.05


def curve_words(curve: Curve) -> Iterator[str]:
    """Sentences on a curve, the trend first."""
    yield _trend_words(curve)
    yield _onset_words(curve)
    yield from _discovery_words(curve)


def warnings(curve: Curve) -> Iterator[str]:
    """Reasons not to read the trend of a rate as one of the model: shares of missing answers that move with it."""
    if not curve.moved or curve.trend is None or curve.trend.p_value >= SURE or not curve.trend.sign:
        return
    moving = "; ".join(_moved_words(curve, moved) for moved in curve.moved)
    direction = "rises" if curve.trend.sign > 0 else "falls"
    kept = [name for name, trend in (("no", curve.as_no), ("yes", curve.as_yes)) if _keeps(curve.trend, trend)]
    lost = [name for name in ("no", "yes") if name not in kept]
    if not lost:
        then = f"It {direction} still if every missing answer is taken as no, and if every one is taken as yes."
    else:
        cases = " or ".join(f"as {name}" for name in lost)
        then = (
            f"If every missing answer is taken {cases}, no such trend is shown: the missing answers may be all that "
            "changed."
        )
    yield f"The rate {direction}, and the share of missing answers changes with it: {moving}. {then}"


def _trend_words(curve: Curve) -> str:
    first, last = curve.points[0], curve.points[-1]
    change = (
        f"{percent(first.rate)} ({first.k} of {first.n}) at step {step_name(first.step)}, {percent(last.rate)} "
        f"({last.k} of {last.n}) at step {step_name(last.step)}"
    )
    if curve.trend is None:
        return f"No trend can be tested: fewer than two steps have answers in n. {change}."
    here, others = curve.trend, curve.trend_like_these
    shown = here.p_value < SURE and here.sign
    words = ("rises" if here.sign > 0 else "falls") if shown else "no trend is shown"
    like_these = (
        "for questions like these nothing can be said"
        if others is None
        else f"for questions like these p {p_words(others.p_value)}"
    )
    tested = f"{counted(curve.questions, 'question')} p {p_words(here.p_value)}, {like_these}"
    if shown and _ends_otherwise(curve):
        change += f", with {_extremes(curve)} between"
        words = f"mostly {words}, but not from the first to the last"
    if shown:
        return f"Over {counted(len(curve.points), 'step')} the rate {words}: {change}; trend on these {tested}."
    return f"Over {counted(len(curve.points), 'step')} {words}: {change}; on these {tested}."


def _ends_otherwise(curve: Curve) -> bool:
    """Whether the last step does not differ from the first in the direction of the trend, and others lie between."""
    first, last = curve.points[0].rate, curve.points[-1].rate
    if curve.trend is None or first is None or last is None or all(point.rate is None for point in curve.points[1:-1]):
        return False
    return (last - first) * curve.trend.sign <= 0


def _extremes(curve: Curve) -> str:
    """The rate between the first and the last step that is farthest from the first."""
    start = curve.points[0].rate or 0.0
    known = [point for point in curve.points[1:-1] if point.rate is not None]
    far = max(known, key=lambda point: abs((point.rate or 0.0) - start))
    return f"{percent(far.rate)} at step {step_name(far.step)}"


def _onset_words(curve: Curve) -> str:
    at = [None if place is None else step_name(curve.points[place].step) for place in curve.onset]
    estimate, earliest, latest = at
    above = points(curve.above).removeprefix("+")
    side = "above" if curve.worse == "increase" else "below"
    limit = f"more than {above} points {side} step {step_name(curve.points[0].step)}"
    if latest is None:
        begin = f"No step is shown to be {limit}"
        return (
            f"{begin}; none is, at 95% confidence."
            if earliest is None
            else f"{begin}; from step {earliest} on one may be (95%, all steps at once)."
        )
    found = f"step {latest}" if earliest == latest else f"from step {earliest} to step {latest}"
    guess = f" Its estimate is step {estimate}." if estimate != latest or earliest != latest else ""
    return f"Onset, the first step whose rate is {limit}: {found} (95%, all steps at once).{guess}"


def _discovery_words(curve: Curve) -> Iterator[str]:
    changes = [(point, point.change) for point in curve.points if point.change is not None]
    found = [point for point, change in changes if change.p_bh < SURE]
    if len(changes) > 1:
        steps = ", ".join(step_name(point.step) for point in found)
        yield (
            f"{len(found)} of {counted(len(changes), 'step')} differ from the first at a false discovery rate of "
            f"5%{f': {steps}' if steps else ''}."
        )


def _moved_words(curve: Curve, moved: Moved) -> str:
    first, last = curve.points[0], curve.points[-1]
    return (
        f"{moved.reason} {percent(first.share(moved.reason))} at step {step_name(first.step)} and "
        f"{percent(last.share(moved.reason))} at step {step_name(last.step)}, p {p_words(moved.trend.p_value)}"
    )


def _keeps(trend: Trend, other: Trend | None) -> bool:
    return other is not None and other.p_value < SURE and other.sign == trend.sign
