"""A file of variants of a trigger, each of which becomes a condition of a run: a line above or below the question.

    name,text,kind,dose,placement
    exact,Country: Singapore,exact,2,
    lower,country: singapore,look-alike,1,
    below,Country: Singapore,position,,bottom

YAML has the same under the names of the variants. A `dose` orders them: how near a variant is to the exact trigger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from evals.errors import BadInput
from evals.io.csv_reader import csv_file
from evals.io.yaml_reader import read_mapping
from evals.text import one_line
from evals.trials.condition import CONDITIONS, NAME_RULE, is_condition_name

EXACT = "exact"
"""The kind of the trigger itself, which the other variants are held against."""
KINDS = (EXACT, "other value", "paraphrase", "look-alike", "same length", "position")
MOST = 32
_COLUMNS = ("name", "text", "kind", "dose", "placement")
_LONGEST = 2000
"""Characters of a text."""


class Variant(NamedTuple):
    """A text in the place of a trigger; `kind` is "" where it is not said, `dose` None."""

    name: str
    text: str
    kind: str
    dose: float | None
    placement: str

    def template(self) -> dict[str, str]:
        """The condition, as a config has it."""
        return {"prefix": f"{self.text}\n"} if self.placement == "top" else {"suffix": f"\n{self.text}"}


def read_variants(path: Path) -> tuple[Variant, ...]:
    """The variants in a CSV, or by their names in YAML (.yaml, .yml), in the order of the file. Raises BadInput."""
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    found = _from_yaml(path) if is_yaml else _from_csv(path)
    if not found:
        raise BadInput(f"{path}: has no variant")
    if len(found) > MOST:
        raise BadInput(f"{path}: has {len(found)} variants; at most {MOST} are tried at once")
    for number, variant in enumerate(found):
        same = next((other for other in found[:number] if other.name == variant.name), None)
        if same is not None:
            raise BadInput(f"{path}: has the variant {variant.name} twice")
        same = next((other for other in found[:number] if other.template() == variant.template()), None)
        if same is not None:
            raise BadInput(f"{path}: {same.name} and {variant.name} are the same text in the same place")
    exact = [variant.name for variant in found if variant.kind == EXACT]
    if len(exact) > 1:
        raise BadInput(f"{path}: {exact[0]} and {exact[1]} are both of the kind {EXACT}; there can be one")
    return found


def conditions_of(variants: Sequence[Variant]) -> dict[str, dict[str, str] | None]:
    """The variants as `conditions` of a config, after off."""
    texts: dict[str, dict[str, str] | None] = {"off": None}
    return texts | {variant.name: variant.template() for variant in variants}


def _from_csv(path: Path) -> tuple[Variant, ...]:
    with csv_file(path, _COLUMNS, by_hand=True) as file:
        file.require("name", "text")
        other = next((column for column in file.columns if column not in _COLUMNS), None)
        if other is not None:
            raise BadInput(f"{path}:1: column {one_line(other, 40)!r}: a variant has {', '.join(_COLUMNS)}")
        return tuple(_variant(f"{path}:{line}", cells) for line, cells in file)


def _from_yaml(path: Path) -> tuple[Variant, ...]:
    fields, _ = read_mapping(path, "the names of variants, each with its text")
    found: list[Variant] = []
    for name, given in fields.items():
        place = f"{path}: {one_line(name, 60)}"
        if not isinstance(given, Mapping):
            raise BadInput(f"{place}: must have a text, as in {{text: 'Country: Kenya', kind: other value}}")
        cells = {str(key): value for key, value in cast("Mapping[object, Any]", given).items()}
        other = next((key for key in cells if key not in _COLUMNS[1:]), None)
        if other is not None:
            raise BadInput(f"{place}: {one_line(other, 40)!r}: a variant has {', '.join(_COLUMNS[1:])}")
        wrong = next((key for key, value in cells.items() if value is not None and not isinstance(value, str)), None)
        if wrong is not None:
            raise BadInput(f"{place}: {wrong} must be a text")
        found.append(_variant(place, {"name": name} | {key: value or "" for key, value in cells.items()}))
    return tuple(found)


def _variant(place: str, cells: Mapping[str, str]) -> Variant:
    name, text = cells["name"].strip(), cells.get("text", "")
    kind, dose = cells.get("kind", "").strip(), cells.get("dose", "").strip()
    placement = cells.get("placement", "").strip() or "top"
    if not is_condition_name(name) or name in CONDITIONS:
        raise BadInput(f"{place}: name {one_line(name, 60)!r}: write {NAME_RULE}, and none of {', '.join(CONDITIONS)}")
    if not text.strip() or len(text) > _LONGEST:
        raise BadInput(f"{place}: text must have 1 to {_LONGEST} characters")
    if kind and kind not in KINDS:
        raise BadInput(f"{place}: kind {one_line(kind, 40)!r} is none of {', '.join(KINDS)}")
    if placement not in ("top", "bottom"):
        raise BadInput(f"{place}: placement {one_line(placement, 40)!r} is neither top nor bottom")
    return Variant(name, text, kind, _dose(place, dose), placement)


def _dose(place: str, text: str) -> float | None:
    try:
        found = float(text) if text else None
    except ValueError:
        found = math.nan
    if found is not None and not math.isfinite(found):
        raise BadInput(f"{place}: dose {one_line(text, 40)!r} is not a number")
    return found
