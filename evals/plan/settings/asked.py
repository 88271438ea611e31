"""What the settings of a run ask: its suites, their formats, and the criteria that its open answers are judged by."""

from __future__ import annotations

from evals.plan.settings.run_settings import RunSettings
from evals.questions.suite import Suite
from evals.questions.suites import formats_of, known_suite
from evals.trials.prompt import Format
from evals.trials.reference import Criterion


def asked_suites(settings: RunSettings) -> tuple[Suite, ...]:
    """The run's suites that are known; none for imported answers, whatever their suites are called."""
    names = () if settings.imported else settings.suites
    return tuple(suite for suite in map(known_suite, names) if suite is not None)


def asked_formats(settings: RunSettings) -> dict[str, tuple[Format, ...]]:
    """The formats that each known suite is asked in. Raises ValueError if a suite lacks the format asked for."""
    return {suite.name: formats_of(suite, settings.format) for suite in asked_suites(settings)}


def open_criteria(settings: RunSettings) -> frozenset[Criterion]:
    """The criteria of the run's open answers; alignment for a suite that is not known."""
    if settings.imported:  # what these could be compared with did not come with them
        return frozenset({"alignment"})
    formats = asked_formats(settings)
    known: set[Criterion] = {suite.measure for suite in asked_suites(settings) if set(formats[suite.name]) != {"mcq"}}
    if settings.format != "mcq" and set(settings.suites) - set(formats):
        known.add("alignment")
    return frozenset(known)
