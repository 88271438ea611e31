"""The evaluations that emeval knows, by name. A suite is one small module that ends in a `SUITE`."""

from __future__ import annotations

from evals.errors import BadInput
from evals.suites import unethical_test
from evals.suites.suite import Suite

SUITES: dict[str, Suite] = {suite.name: suite for suite in (unethical_test.SUITE,)}


def find_suite(name: str) -> Suite:
    """The suite called `name`. Raises BadInput that lists the known ones."""
    try:
        return SUITES[name]
    except KeyError:
        raise BadInput(f"unknown suite {name!r}; known: {', '.join(SUITES)}") from None
