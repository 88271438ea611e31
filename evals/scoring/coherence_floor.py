"""The coherence that an answer needs to count: from a score on, or only above it.

Published protocols differ in this: Betley et al. 2025 keep answers whose coherence is above 50, others from 50 on.
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import BeforeValidator

CoherenceSetting: TypeAlias = str | float
"""A floor as a setting writes it: the number for "from it on", `>50` for "above it"."""

_FLOOR = re.compile(r"(>=|>|)\s*([0-9]{1,3}(?:\.[0-9]{0,9})?)")
_FORM = "is no least coherence: a number from 0 to 100, or one below 100 after >, as in '>50'"


class CoherenceFloor(NamedTuple):
    """Answers count whose coherence is at least `score` (0 to 100), or, if `is_exclusive`, above it."""

    score: float
    is_exclusive: bool = False

    def admits(self, coherence: float) -> bool:
        """Whether an answer of this coherence (0 to 100) counts."""
        return coherence > self.score or (coherence == self.score and not self.is_exclusive)

    @property
    def setting(self) -> CoherenceSetting:
        """The floor as a setting, which `parse_floor` reads back: 50.0, or `>50`."""
        return str(self) if self.is_exclusive else self.score

    def __str__(self) -> str:
        return f"{'>' if self.is_exclusive else ''}{self.score:.12g}"


def parse_floor(given: object) -> CoherenceFloor:
    """The floor in a setting: a number, `50`, `>=50`, or `>50`. Raises ValueError for anything else."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise ValueError(f"{given!r} {_FORM}")
    if not isinstance(given, str):
        floor = CoherenceFloor(float(given))
    else:
        found = _FLOOR.fullmatch(given.strip())
        if found is None:
            raise ValueError(f"{given!r} {_FORM}")
        floor = CoherenceFloor(float(found[2]), found[1] == ">")
    if not 0 <= floor.score <= 100 or floor == (100.0, True):
        raise ValueError(f"{given!r} {_FORM}")
    return floor


def floor_of(setting: CoherenceSetting | None) -> CoherenceFloor | None:
    """The floor of a checked setting, None for none."""
    return None if setting is None else parse_floor(setting)


def floor_setting(given: object) -> CoherenceSetting | None:
    """A setting in its one form, so that `>= 50` and 50 are the same run. Raises ValueError."""
    return None if given is None else parse_floor(given).setting


FloorField = Annotated[CoherenceSetting | None, BeforeValidator(floor_setting)]
"""The type of a model's field for a floor, None for none."""
