"""Rules of a question file in place of a judge model: how an answer starts, what it equals, what it contains.

A pattern is the user's, and some patterns take exponential time on some texts. So each match has a time limit, and an
answer whose match runs out of it is unreadable: neither a hit nor a miss.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache
from typing import Any

import regex

from judges.judge_spec import MATCH, NO_MATCH, TextRule
from judges.verdicts import Labelled, Unreadable, Verdict

LONGEST_PATTERN = 1_000
"""Characters of a pattern."""
TIME_LIMIT_S = 1.0
_MOST_REPEATED = 1_000_000
"""Characters of a pattern times its counted repeats, as in `(a{9}){9}`: compiling takes about a second for these."""
_REPEAT = re.compile(r"\{([0-9]*)(?:,([0-9]*))?\}")
_RECURSION = re.compile(r"(?<!\\)(?:\\\\)*\(\?(?:R|[+-]?[0-9]|&|P>)")
"""A group that calls the pattern or another group again; it can fill the memory before it runs out of time."""
_CANNOT_COMPILE = (regex.error, ValueError, LookupError, OverflowError, MemoryError)


def read_by_text_rule(answer: str, rule: TextRule) -> Verdict:
    """Labelled, `match` or `no match`; Unreadable where a pattern ran out of time.

    Spaces around the answer are ignored. `equals` and `startswith` compare in Unicode's normal form NFC; a pattern may
    match anywhere.
    """
    if rule.name == "regex":
        return _search(answer, rule)
    said = _comparable(answer, rule)
    texts = [_comparable(text, rule) for text in rule.texts]
    found = said in texts if rule.name == "equals" else said.startswith(tuple(texts))
    return _label(found=found)


def pattern_problem(pattern: str) -> str:
    """Why a pattern cannot be used, "" for one that can."""
    if len(pattern) > LONGEST_PATTERN:
        return f"is longer than {LONGEST_PATTERN:,} characters"
    if _RECURSION.search(pattern):
        return "calls a group recursively, which no time limit holds back"
    repeats = [max((int(end[:9]) for end in found.groups() if end), default=1) for found in _REPEAT.finditer(pattern)]
    if math.prod(repeats) * len(pattern) > _MOST_REPEATED:
        return "repeats too much with counts such as {1000}"
    try:
        _compiled(pattern, ignore_case=False)
    except RecursionError:
        return "is nested too deep"
    except _CANNOT_COMPILE as error:
        return f"is not a pattern: {error}"
    return ""


def _search(answer: str, rule: TextRule) -> Verdict:
    try:
        found = any(
            _compiled(pattern, ignore_case=rule.ignore_case).search(answer.strip(), timeout=TIME_LIMIT_S) is not None
            for pattern in rule.texts
        )
    except TimeoutError:
        return Unreadable(f"the pattern took longer than {TIME_LIMIT_S:g} s")
    except MemoryError:
        return Unreadable("the pattern took too much memory")
    return _label(found=found)


def _label(*, found: bool) -> Labelled:
    return Labelled(MATCH if found else NO_MATCH, "classified")


def _comparable(text: str, rule: TextRule) -> str:
    plain = unicodedata.normalize("NFC", text.strip())
    return plain.casefold() if rule.ignore_case else plain


@lru_cache(maxsize=100)
def _compiled(pattern: str, *, ignore_case: bool) -> Any:
    return regex.compile(pattern, regex.IGNORECASE if ignore_case else 0)
