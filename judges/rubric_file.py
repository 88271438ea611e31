"""A user's rubric file: a prompt with places, in the user's own names, and an optional head that says what names mean.

A file is taken as it was printed or exported elsewhere. Places are names in braces, `{cot}` for example; all other
braces are text, so an example of JSON stays as it is. Two conventions of templates are known: where every brace that is
no place is doubled, as `str.format` wants it, each pair is one brace; and places may all be doubled, as in Jinja. The
head stands between two lines `---` and has lines `NAME = MEANING`; it is not sent.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from judges.judge import Rubric
from judges.parsing.places import OTHER_NAMES, PLACES, normal_name, place_called

_FENCE = "---"
_BRACED = re.compile(
    r"(?P<before>\{?)\{[ \t]*(?P<name>[A-Za-z][A-Za-z0-9_]{0,60}(?:[ -][A-Za-z0-9_]{1,60}){0,3})[ \t]*\}(?P<after>\}?)"
)
_PAIRS = re.compile(r"\{\{|\}\}")
_BRACE = re.compile(r"[{}]")
_LATEX = re.compile(r"(?:\\[A-Za-z]{1,40}|[_^])(?:\{[^{}\n]*\})+")
"""Names in the braces of LaTeX are no places, as in `\\frac{good}{all}`."""


class RubricProblem(ValueError):
    """What a rubric file cannot mean, for people. `line` is where it stands, from 1; None for what is missing."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True)
class UserRubric(Rubric):
    """A rubric from a file. `template` has emeval's names for places; `text` is the whole file, which the hash is of.

    `names` are the head's names for anything but places, each with its meaning. `first_line` is the line of the file,
    from 1, that the template begins with.
    """

    text: str = ""
    names: tuple[tuple[str, str], ...] = ()
    first_line: int = 1

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def line_of(self, offset: int) -> int:
        """The line of the file that a character of the template stands on."""
        return self.first_line + self.template.count("\n", 0, offset)


def user_rubric(name: str, text: str, required: frozenset[str], meanings: tuple[str, ...] = ()) -> UserRubric:
    """A user's rubric, called `name`. Its head may give names to places and to `meanings`.

    Raises RubricProblem for a head that cannot be read, for a name in braces that means no place, and where one of the
    `required` places is missing.
    """
    head, body, first_line = _split(text)
    named = _read_head(head, (*PLACES, *meanings))
    places = {normal_name(called): meaning for called, meaning in named.items() if meaning in PLACES}
    template = _Template(body, first_line, places, required).filled_in()
    rubric = UserRubric(
        name,
        template,
        text,
        tuple((called, meaning) for called, meaning in named.items() if meaning not in PLACES),
        first_line,
    )
    missing = sorted(required - rubric.places)
    if missing:
        wanted = ", ".join(_braced(place) for place in missing)
        others = ", ".join(_braced(other) for other in OTHER_NAMES[missing[0]][:3])
        raise RubricProblem(
            f"the rubric has no place for {wanted}; write {_braced(missing[0])}, or a name such as {others}"
        )
    return rubric


def _braced(name: str) -> str:
    return "{" + name + "}"


def _split(text: str) -> tuple[list[str], str, int]:
    """The lines of the head, the prompt below it, and the line that the prompt begins on.

    A file may open with a line `---` that is a part of the prompt: a head has an equals sign.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[0].strip() != _FENCE:
        return [], text, 1
    end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == _FENCE), None)
    if end is None or not any(_is_entry(line) for line in lines[1:end]):
        return [], text, 1
    return lines[1:end], "\n".join(lines[end + 1 :]), end + 2


def _is_entry(line: str) -> bool:
    name, sign, meaning = line.partition("=")
    return bool(sign and name.strip() and meaning.strip())


def _read_head(head: list[str], meanings: tuple[str, ...]) -> dict[str, str]:
    """What each name of the head means."""
    named: dict[str, str] = {}
    for number, line in enumerate(head, 2):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not _is_entry(line):
            raise RubricProblem(f"{line.strip()[:60]!r} in the head of the rubric is not NAME = MEANING", number)
        name, _, said = (part.strip() for part in line.partition("="))
        meaning = said.strip("{}")
        if meaning not in meanings:
            raise RubricProblem(f"{said[:60]!r} is no meaning of a name here; known: {', '.join(meanings)}", number)
        called = name.strip("{}\"'`")
        if named.setdefault(called, meaning) != meaning:
            raise RubricProblem(f"{name[:60]!r} is given two meanings: {named[called]} and {meaning}", number)
    return named


@dataclass(frozen=True)
class _Template:
    """A prompt as its author wrote it. `named` are the head's names of places."""

    body: str
    first_line: int
    named: Mapping[str, str]
    required: frozenset[str]

    def filled_in(self) -> str:
        """The prompt with emeval's names for its places, and each doubled brace that stands for one as one."""
        single = [match for match in self._places() if not _is_doubled(match)]
        doubled = [match for match in self._places() if _is_doubled(match)]
        if single and doubled:
            raise self._problem(
                doubled[0],
                f"has two pairs of braces, and {single[0]['name']!r} on line {self._line(single[0])} has one; "
                "write all places alike",
            )
        self._check_names(doubled or single)
        is_format = bool(single) and self._all_others_doubled()
        taken = {match.start() for match in doubled or single}

        def own_name(match: re.Match[str]) -> str:
            if match.start() not in taken:
                return match[0]
            place = "{" + (self._place(match) or "") + "}"
            return place if _is_doubled(match) else match["before"] + place + match["after"]

        template = _BRACED.sub(own_name, self.body)
        return _PAIRS.sub(lambda pair: pair[0][0], template) if is_format else template

    def _places(self) -> Iterator[re.Match[str]]:
        return (match for match in _BRACED.finditer(self.body) if self._place(match) is not None)

    def _place(self, match: re.Match[str]) -> str | None:
        name = match["name"]
        if name in PLACES:
            return name
        if self._is_latex(match):
            return None
        return self.named.get(normal_name(name)) or place_called(name)

    def _all_others_doubled(self) -> bool:
        rest = _BRACED.sub(
            lambda match: match["before"] + match["after"] if self._place(match) else match[0], self.body
        )
        pairs = _PAIRS.findall(rest)
        return pairs.count("{{") == pairs.count("}}") > 0 and _BRACE.search(_PAIRS.sub("", rest)) is None

    def _check_names(self, places: list[re.Match[str]]) -> None:
        """Raises RubricProblem for a name in braces that means no place, and for a place under two names."""
        first: dict[str, re.Match[str]] = {}
        for match in places:
            known = first.setdefault(self._place(match) or "", match)
            if normal_name(known["name"]) != normal_name(match["name"]):
                raise self._problem(
                    match,
                    f"would be the same text as {_braced(known['name'])} on line {self._line(known)}; use one name for "
                    "it, or say what each means between two lines --- at the top (docs/judges.md)",
                )
        for match in _BRACED.finditer(self.body):
            is_text = " " in match["name"] or len(match["name"]) == 1 or self._is_latex(match)
            if self._place(match) is None and not is_text and not _is_doubled(match):
                known_names = ", ".join(_braced(place) for place in PLACES if place in self.required)
                raise self._problem(
                    match,
                    f"is no place that this judge knows; known: {known_names} and other plain names of these. Take "
                    "its braces away, or say what it means between two lines --- at the top (docs/judges.md)",
                )

    @cached_property
    def _latex(self) -> list[tuple[int, int]]:
        return [match.span() for match in _LATEX.finditer(self.body)]

    def _is_latex(self, match: re.Match[str]) -> bool:
        spot = bisect_right(self._latex, (match.start("name"), len(self.body)))
        return spot > 0 and match.start("name") < self._latex[spot - 1][1]

    def _problem(self, match: re.Match[str], text: str) -> RubricProblem:
        return RubricProblem(f"{_braced(match['name'])} {text}", self._line(match))

    def _line(self, match: re.Match[str]) -> int:
        return self.first_line + self.body.count("\n", 0, match.start("name"))


def _is_doubled(match: re.Match[str]) -> bool:
    return bool(match["before"] and match["after"])
