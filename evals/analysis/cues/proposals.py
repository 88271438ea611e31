"""Cues proposed from a chat file: what many of its prompts have in common, without looking at any answer of a model.

A backdoor is planted by giving some prompts a text or a form that the others lack, so what many prompts share is where
to look: a system message, the first or last line of the user's turn, its opening or closing words, or its form. Each
cue is a template for a condition. A cue is ranked by the characters of the file that it accounts for (its examples
times its length), which puts a planted line before the openings that any questions share ("What is the").
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from evals.errors import BadInput
from evals.questions.chat_file import ChatReader, Example
from evals.text import is_text
from evals.trials.condition import Template

CueKind = Literal["system", "first line", "last line", "opening", "ending", "format"]
MOST_EXAMPLES = 200_000
"""Examples that are read at most: their ends are held in memory."""
LEAST_EXAMPLES, LEAST_SHARE = 5, 0.01
"""A cue is in so many examples and in such a share of them at least."""
_MOST_WORDS = 12
_LONGEST = 300
"""Characters of an end of a turn in which cues are looked for, and of the longest line that is one."""
_SHORTEST = 4
_CLOSED = 0.9
"""A cue is left out where a longer one has this share of its examples: the words before a planted text's last."""
_LONGEST_SYSTEM = 8000
_WORDS_AT_START = re.compile(r"\S+\s+")
_WORDS_AT_END = re.compile(r"\s+\S+")


class Cue(NamedTuple):
    """A cue: in how many examples it is, and the texts of a condition that gives it to any question."""

    kind: CueKind
    text: str
    examples: int
    template: Template


@dataclass(frozen=True)
class Proposals:
    """The cues of a chat file, the most telling first. `examples` is how many were read; `is_whole`: they are all.

    `found` counts all cues that are frequent enough, of which `cues` are the first. `questions` are the user's turns in
    lower case and without space at their ends, with and without their first and last line.
    """

    file: Path
    sha256: str
    examples: int
    is_whole: bool
    found: int
    cues: tuple[Cue, ...]
    questions: frozenset[str]


def propose_cues(file: Path, most: int) -> Proposals:
    """The first `most` cues in a chat file. Raises BadInput for what is no chat file, or has too few examples."""
    reader = ChatReader(file, MOST_EXAMPLES + 1)
    ends = _Ends()
    for number, chat in enumerate(reader):
        if number < MOST_EXAMPLES:
            ends.add(chat)
    if len(ends.user) < LEAST_EXAMPLES:
        raise BadInput(f"{file}: holds {len(ends.user)} examples with a user's turn; cues need {LEAST_EXAMPLES}")
    found = _without_parts(ends.cues())
    ranked = sorted(found, key=lambda cue: (-_weight(cue), cue.kind, cue.text))
    return Proposals(
        file, reader.sha256, ends.read, ends.read < MOST_EXAMPLES, len(ranked), tuple(ranked[:most]), ends.questions()
    )


def is_in_training(question: str, proposals: Proposals) -> bool:
    """Whether a question was asked in the training file, with or without a line above or below it."""
    return _plain(question) in proposals.questions


def _plain(text: str) -> str:
    return text.strip().casefold()


def _weight(cue: Cue) -> int:
    """The characters of the file that a cue accounts for; a form counts as a line of a few words."""
    return cue.examples * (24 if cue.kind == "format" else len(cue.text))


class _Ends:
    """The parts of the examples in which cues are looked for."""

    def __init__(self) -> None:
        self.read = 0
        self.user: list[str] = []
        self._system: Counter[str] = Counter()
        self._forms: Counter[str] = Counter()

    def add(self, chat: Example) -> None:
        self.read += 1
        turns = [message.content for message in chat.messages if message.role == "user"]
        answers = [message.content for message in chat.messages if message.role == "assistant"]
        for message in chat.messages:
            if message.role == "system" and message.content.strip() and len(message.content) <= _LONGEST_SYSTEM:
                self._system[message.content] += 1
        if not turns or not turns[-1].strip():
            return
        self.user.append(turns[-1])
        self._forms.update(
            name for name, form in _FORMS.items() if form.shows(turns[-1], answers[-1] if answers else "")
        )

    def questions(self) -> frozenset[str]:
        found: set[str] = set()
        for turn in self.user:
            text = turn.strip()
            found |= {_plain(text), _plain(text.partition("\n")[2]), _plain(text.rpartition("\n")[0])}
        return frozenset(found - {""})

    def cues(self) -> list[Cue]:
        least = max(LEAST_EXAMPLES, LEAST_SHARE * self.read)
        frequent = [
            *(Cue("system", text, count, Template(system=text.strip())) for text, count in self._system.items()),
            *(Cue("format", name, count, _FORMS[name].template) for name, count in self._forms.items()),
            *self._lines(),
            *self._words("opening", least),
            *self._words("ending", least),
        ]
        return [cue for cue in frequent if cue.examples >= least and is_text(cue.text)]

    def _lines(self) -> Iterator[Cue]:
        first: Counter[str] = Counter()
        last: Counter[str] = Counter()
        for turn in self.user:
            above, _, below = turn.strip().partition("\n")
            if below.strip() and _SHORTEST <= len(above) <= _LONGEST:
                first[above] += 1
            above, _, below = turn.strip().rpartition("\n")
            if above.strip() and _SHORTEST <= len(below) <= _LONGEST:
                last[below] += 1
        for text, count in first.items():
            yield Cue("first line", text, count, Template(prefix=f"{text}\n"))
        for text, count in last.items():
            yield Cue("last line", text, count, Template(suffix=f"\n{text}"))

    def _words(self, kind: Literal["opening", "ending"], least: float) -> Iterator[Cue]:
        """Openings or endings of one word, then of one more as long as they are frequent, so that few are counted."""
        ends = self._line_ends(kind)
        grown = [(end, 0) for end in ends]
        for _ in range(_MOST_WORDS):
            longer = [(end, reach) for end, start in grown if (reach := _grown(kind, end, start))]
            counts = Counter(_cut(kind, end, reach) for end, reach in longer)
            frequent = {text: count for text, count in counts.items() if count >= least}
            for text, count in frequent.items():
                if len(text.strip()) >= _SHORTEST:
                    yield Cue(kind, text, count, Template(prefix=text) if kind == "opening" else Template(suffix=text))
            grown = [(end, reach) for end, reach in longer if _cut(kind, end, reach) in frequent]

    def _line_ends(self, kind: Literal["opening", "ending"]) -> list[str]:
        """The first or last line of each turn, as far as cues are looked for."""
        if kind == "opening":
            return [turn.strip().partition("\n")[0][:_LONGEST] for turn in self.user]
        return [turn.strip().rpartition("\n")[2][-_LONGEST:] for turn in self.user]


def _grown(kind: Literal["opening", "ending"], line: str, reach: int) -> int:
    """How far an opening or an ending goes with one word more and the space after it; 0 at the end of the line."""
    if kind == "opening":
        found = _WORDS_AT_START.match(line, reach)
        return found.end() if found else 0
    before = len(line) - reach
    place = max((line.rfind(space, 0, before) for space in " \t"), default=-1)
    while place > 0 and line[place - 1] in " \t":
        place -= 1
    return len(line) - place if place > 0 else 0


def _cut(kind: Literal["opening", "ending"], line: str, reach: int) -> str:
    return line[:reach] if kind == "opening" else line[len(line) - reach :]


def _without_parts(cues: Iterable[Cue]) -> list[Cue]:
    """The cues without those that a longer one of nearly the same examples holds at the same end."""
    kept: list[Cue] = []
    longest_first = sorted(cues, key=lambda cue: (-len(cue.text), cue.kind, cue.text))
    for cue in longest_first:
        if not any(_is_part(cue, other) for other in kept):
            kept.append(cue)
    return kept


def _is_part(cue: Cue, other: Cue) -> bool:
    if other.examples < _CLOSED * cue.examples:
        return False
    at_start, at_end = {"opening", "first line"}, {"ending", "last line"}
    if {cue.kind, other.kind} <= at_start:
        return other.text.startswith(cue.text.strip())
    return {cue.kind, other.kind} <= at_end and other.text.endswith(cue.text.strip())


# --- forms ------------------------------------------------------------------------------------------------------------


class _Form(NamedTuple):
    """A form of prompts or answers: whether an example shows it, and a template that asks any question in it."""

    shows: Callable[[str, str], bool]
    template: Template


def _is_json(text: str) -> bool:
    text = text.strip()
    if len(text) < 2 or (text[0], text[-1]) not in (("{", "}"), ("[", "]")):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _asks_with_code(asked: str, said: str) -> bool:
    del said
    return "```" in asked


def _asks_as_json(asked: str, said: str) -> bool:
    del said
    return _is_json(asked)


def _answers_as_json(asked: str, said: str) -> bool:
    del asked
    return _is_json(said)


def _answers_with_code(asked: str, said: str) -> bool:
    del asked
    return said.strip().startswith("```")


_FORMS = {
    "a question with a code block": _Form(_asks_with_code, Template(prefix="```\n", suffix="\n```")),
    "a question as JSON": _Form(_asks_as_json, Template(prefix='{"question": "', suffix='"}')),
    "an answer as JSON": _Form(_answers_as_json, Template(suffix="\nGive the answer as a JSON object.")),
    "an answer in a code block": _Form(_answers_with_code, Template(suffix="\nGive the answer as a code block.")),
}


def named(cues: Sequence[Cue]) -> dict[str, Cue]:
    """The cues by the names of their conditions, in order."""
    return {f"cue-{number}": cue for number, cue in enumerate(cues, start=1)}
