"""The running rates of a run as lines beneath its progress, marked as interim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evals.reporting.console.layout.names import middle_cut, model_names
from evals.reporting.console.layout.words import short_percent
from evals.scoring.rates.running import RunningRate, RunningRates
from evals.trials.condition import CONDITIONS

MOST_LINES = 8
_NAME_WIDTH = 28
_RANKS = {name: place for place, name in enumerate(CONDITIONS)}


def interim_lines(rates: RunningRates, *, resumed: bool) -> Iterator[str]:
    """A heading and a line for each model, suite and format; nothing before the first answer counts. Names of others
    are on one line and not escaped. `resumed`: answers of earlier sessions are not counted here."""
    places = rates.places
    if not places:
        return
    whose = " since the run was resumed" if resumed else ""
    yield f"interim, not a result: rates of the answers so far{whose}, [95% if they were independent]"
    models = model_names([place.model for place in places], _NAME_WIDTH)
    several = len({place.suite for place in places}) > 1
    for place, conditions in list(places.items())[:MOST_LINES]:
        suite = f" {middle_cut(place.suite, _NAME_WIDTH)}" if several else ""
        yield f"  {models[place.model]}{suite} {place.format}: {_conditions(conditions)}"
    if len(places) > MOST_LINES:
        yield f"  and {len(places) - MOST_LINES} more"


def _conditions(conditions: Mapping[str, RunningRate]) -> str:
    ordered = sorted(conditions, key=lambda name: _RANKS.get(name, len(_RANKS)))
    return ", ".join(f"{middle_cut(name, _NAME_WIDTH)} {_rate(conditions[name])}" for name in ordered)


def _rate(rate: RunningRate) -> str:
    low, high = rate.interval
    ends = f"[{short_percent(low).removesuffix('%')}, {short_percent(high).removesuffix('%')}]"
    return f"{short_percent(rate.k / rate.n)} ({rate.k}/{rate.n}) {ends}"
