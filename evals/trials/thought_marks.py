"""Where the marks of a chain of thought stand in a text."""

from __future__ import annotations

import re
from typing import NamedTuple

from evals.trials.thought_families import FAMILIES, MarkFamily

FIRST_CHARACTERS = "<[\u25c1"
"""What tokens and tags begin with, and what is looked for first: most of a reply is none of it. Words are not."""


_ATTRIBUTES = r"(?:\s+[\w:.-]+\s*=[^<>]{0,200})?"


class Mark(NamedTuple):
    """A mark in a text: its place, and whether it opens a thought or closes one."""

    start: int
    end: int
    opens: bool
    family: MarkFamily


class _Pattern(NamedTuple):
    """What matches a mark that is documented as `mark`."""

    mark: str
    regex: str
    opens: bool
    family: MarkFamily

    @property
    def first(self) -> str:
        """The first character of a token or tag, "" for words."""
        return self.mark[0] if self.mark[0] in FIRST_CHARACTERS else ""


def _regex(mark: str) -> str:
    """What matches a mark of a fixed spelling; a tag may have white space before its end, an opening one attributes."""
    if not mark.endswith(">"):
        return re.escape(mark)
    is_opening_tag = mark[1].isalpha() and mark.isascii()
    return re.escape(mark[:-1]) + (_ATTRIBUTES if is_opening_tag else "") + r"\s*>"


def _patterns() -> list[_Pattern]:
    found: dict[tuple[str, bool], _Pattern] = {}
    for family in FAMILIES:
        for mark, regex, opens in ((family.opening, family.opens, True), (family.closing, family.closes, False)):
            pattern = _Pattern(mark, regex or _regex(mark), opens, family)
            found.setdefault((pattern.regex, opens), pattern)
    return list(found.values())


_PATTERNS = {f"m{number}": pattern for number, pattern in enumerate(_patterns())}


def _tokens(first: str) -> str:
    """What may follow the first character of a token, with the second looked at first."""
    known = len(re.escape(first))
    found = {name: pattern for name, pattern in _PATTERNS.items() if pattern.first == first}
    seconds = "".join(sorted({pattern.mark[1] for pattern in found.values()}))
    branches = [f"(?P<{name}>{pattern.regex[known:]})" for name, pattern in found.items()]
    return f"(?<={re.escape(first)})(?=[{re.escape(seconds)}])(?:{'|'.join(branches)})"


_TOKEN = re.compile(f"[{re.escape(FIRST_CHARACTERS)}](?:{'|'.join(map(_tokens, FIRST_CHARACTERS))})", re.IGNORECASE)
_BEGINNING = re.compile(
    r"\s*(?=[*_#>Hact/])(?:"
    + "|".join(f"(?P<{name}>{found.regex})" for name, found in _PATTERNS.items() if found.opens and not found.first)
    + ")"
)
_CLOSING_WORDS = [
    (re.compile(pattern.regex), pattern.family)
    for pattern in _PATTERNS.values()
    if not pattern.opens and not pattern.first
]
_CLOSING_ALONE = "assistantfinal"
_TEMPLATE_ENDING = re.compile(r"(?:(?<=[\n>])|(?<=assistant))(?:Here are my reasoning steps:|/think\n)\s*\Z")
_LONGEST_ENDING = 100


def find_marks(text: str) -> list[Mark]:
    """The marks in a text that count, in their order."""
    marks: list[Mark] = []
    for match in _TOKEN.finditer(text):
        _, _, opens, family = _PATTERNS[str(match.lastgroup)]
        marks.append(Mark(match.start(), match.end(), opens, family))
    beginning = _BEGINNING.match(text)
    if beginning is not None or _CLOSING_ALONE in text:
        marks += _words(text, beginning, marks)
        marks.sort(key=lambda mark: mark.start)
    return _counting(marks) if marks else marks


def _words(text: str, beginning: re.Match[str] | None, tokens: list[Mark]) -> list[Mark]:
    """The opening words at the `beginning` of a reply, and closing words.

    A heading that an answer may hold, too, is in doubt where there are two of it: then none closes the thought.
    """
    begun = _PATTERNS[str(beginning.lastgroup)].family if beginning else None
    words: list[Mark] = []
    for regex, family in _CLOSING_WORDS:
        if family.needs_opening and begun is not family:
            continue
        found = [Mark(match.start(), match.end(), False, family) for match in regex.finditer(text)]
        if not family.needs_opening or len(found) == 1:
            words += found
    if beginning and begun:
        start = beginning.start(str(beginning.lastgroup))
        is_sure = not begun.sure or re.match(begun.sure, text[start:])
        if is_sure or any(mark.family.kind == begun.kind and not mark.opens for mark in (*tokens, *words)):
            words.append(Mark(start, beginning.end(), True, begun))
    return words


def _counting(marks: list[Mark]) -> list[Mark]:
    """All but those closing marks that need an opening and have none."""
    opened: set[str] = set()
    counting: list[Mark] = []
    for mark in marks:
        kind = mark.family.kind
        if mark.opens:
            opened.add(kind)
        elif kind in opened:
            opened.remove(kind)
        elif mark.family.needs_opening:
            continue
        counting.append(mark)
    return counting


def template_ending(prompt: str) -> str:
    """The opening words with which a rendered prompt ends, with the white space after them; "" if it does not."""
    match = _TEMPLATE_ENDING.search(prompt, max(0, len(prompt) - _LONGEST_ENDING))
    return match[0] if match else ""


_TAG = re.compile(r"\s*(?P<open><\|?|\[|\u25c1)(?P<name>[^\W\d][\w:.-]{1,38})(?P<close>\|?>|\](?!\()|\u25b7)")
_THOUGHTFUL = re.compile("think|thought|reason|analy[sz]|reflect|scratchpad|plan", re.IGNORECASE)
_HTML = """
a abbr article b blockquote body br center code details div em font h1 h2 h3 h4 h5 h6 head header hr html i img li main
math ol p pre script section small span strong style sub summary sup svg table td th title tr u ul xml
"""
_NO_MARKS = frozenset((*_HTML.split(), "answer", "response", "output", "final"))
PART_OF_ANSWER = "which emeval reads as a part of the answer"
"""What is said of an unknown mark."""


def unknown_mark(text: str) -> str:
    """What a text begins with that looks like the mark of a thought and is none that is known; "" for nothing.

    That is a tag or token that is called after thinking, or one that is closed further on with more text after it.
    """
    tag = _TAG.match(text)
    if tag is None or tag["name"].lower() in _NO_MARKS or _TOKEN.match(text, tag.start("open")):
        return ""
    mark = text[tag.start("open") : tag.end()]
    if _THOUGHTFUL.search(tag["name"]):
        return mark
    closing = f"{tag['open']}/{tag['name']}{tag['close']}"
    before, _, after = text[tag.end() :].rpartition(closing)
    return mark if before and after.strip() else ""
