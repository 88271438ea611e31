"""The rule that ends sampling early: `width<0.03`, `rate<0.01` or `rate>0.05`. Apart from `evals.plan.stopping.state`,
which follows it, so that a config can be read without the numbers."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_FORM = re.compile(r"(width|rate)\s*([<>])\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)", re.ASCII)
_FORMS = "write one of width<0.03, rate<0.01, rate>0.05"


class Rule(NamedTuple):
    """`limit` is a fraction in (0, 1), of the interval's width or of the rate.

    A `width` is reached or not; a `rate` rule is decided either way, as soon as it is known to hold or not to.
    """

    of: Literal["width", "rate"]
    sign: Literal["<", ">"]
    limit: float

    def __str__(self) -> str:
        return f"{self.of}{self.sign}{self.limit:.12g}"


def parse_rule(text: str) -> Rule:
    """The rule that `text` says. Raises ValueError."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no rule; {_FORMS}")
    of, sign, number = match.groups()
    limit = float(number)
    if of == "width" and sign == ">":
        raise ValueError(f"{text!r}: sampling makes an interval narrower, not wider; {_FORMS}")
    if not 0 < limit < 1:
        raise ValueError(f"{text!r}: the {of} is a fraction between 0 and 1, both excluded; {_FORMS}")
    return Rule("width" if of == "width" else "rate", "<" if sign == "<" else ">", limit)
