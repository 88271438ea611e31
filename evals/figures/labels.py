"""Short labels for what comes from outside: models, triggers, questions. No two of a figure are the same."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

from evals.text import one_line

_Value = TypeVar("_Value", bound=Hashable)

LONGEST = 40
_NO_SLUG = re.compile(r"[^a-z0-9]+")


def short(text: str, limit: int = LONGEST) -> str:
    """`text` on one line, with its middle left out where it is longer than `limit`: names differ at their ends."""
    flat = one_line(text, 100_000)
    if len(flat) <= limit:
        return flat or "(no name)"
    tail = limit // 2
    return f"{flat[: limit - tail - 1]}…{flat[-tail:]}"


def unique(texts: Sequence[str], limit: int = LONGEST) -> list[str]:
    """A short label for each of `texts`, which are distinct; where two would look the same they are numbered."""
    labels: list[str] = []
    taken: Counter[str] = Counter()
    for text in texts:
        label = short(text, limit)
        taken[label] += 1
        while label in labels:
            label = f"{short(text, limit)} ({taken[short(text, limit)]})"
            taken[short(text, limit)] += 1
        labels.append(label)
    return labels


def slug(*parts: str) -> str:
    """Letters a-z, digits and hyphens, for a file name or the id of an element."""
    plain = unicodedata.normalize("NFKD", "-".join(parts)).encode("ascii", "ignore").decode().lower()
    return _NO_SLUG.sub("-", plain).strip("-")[:60].strip("-")


def distinct(values: Iterable[_Value]) -> list[_Value]:
    return list(dict.fromkeys(values))
