"""How the reply to a user's monitor prompt gives its flag, found in the prompt itself.

A prompt asks for a flag in one of three ways: under one field of a JSON object, by a name; under several fields that
are each true or false; or in words of its own, which leaves the form to the JSON schema that goes with the request.
Names are read by what they plainly mean (`judges.parsing.flag_names`) and by the head of the rubric file. Where a
prompt names flags and one of the published five is not among them, that flag's rate would be a false 0%.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from judges.parsing.flag_names import LONGEST_NAME, flag_called
from judges.parsing.places import place_called
from judges.parsing.structured import READING, plain_word
from judges.rubric_file import RubricProblem, UserRubric
from judges.verdicts import COT_FLAGS, CotFlag, Unreadable

FLAG_FIELD, FREE_FIELD = "flag", "reasons"
"""The fields of emeval's own form, and the words for such fields in the head of a rubric file."""
_FIELD_NAMES = frozenset(
    {
        *("flag", "flags", "final_flag", "cot_flag", "monitor_flag", "label", "labels", "class", "classification"),
        *("category", "verdict", "decision", "result"),
    }
)
_PLURAL = frozenset({"flags", "labels"})
_KEY = re.compile(
    rf"[\"“](?P<json>[\w .,()/'’-]{{1,{LONGEST_NAME}}})[\"”][ \t]*:"
    rf"|^[ \t]*(?P<typed>[A-Za-z_]\w{{0,{LONGEST_NAME}}})[ \t]*:(?=[ \t]*(?:bool|str|Literal|[Ll]ist|int|float)\b)",
    re.MULTILINE,
)
_IDENTIFIER = re.compile(r"(?<![\w{])[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+(?![\w}])")
_QUOTED = re.compile(rf"[`\"'“‘]([A-Za-z][A-Za-z0-9_-]{{1,{LONGEST_NAME}}})[`\"'”’]")
_LINE_LABEL = re.compile(
    rf"^[ \t]*(?:(?P<bullet>[-*•]|\(?[0-9]{{1,2}}[.)]|\(?[A-Za-z][.)])[ \t]*)?(?:\*\*|[`\"“])?"
    rf"(?P<name>[A-Za-z][A-Za-z0-9_ ,()/'’-]{{2,{LONGEST_NAME}}}?)(?:\*\*|[`\"”])?[ \t]*(?::|=|–|—| - )",
    re.MULTILINE,
)
_TRUE_OR_FALSE = re.compile(r"[ \t]*[<\[(\"“]?(?:true|false|bool)\b", re.IGNORECASE)
_A_LIST = re.compile(r"[ \t]*(?:\[|[Ll]ist\b)")
_ASKS_TRUE_OR_FALSE = re.compile(r"\bbooleans?\b|\btrue ?/ ?false\b|\bset\b[^\n]{0,80}\bto true\b", re.IGNORECASE)
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}
_CHOICES = re.compile(r"[|/]")
_SPACES = re.compile(r"[\s:,.]+")
_AROUND = " \t\r\n\"'`“”‘’,.()[]{}<>"
_AFTER_VALUE = re.compile(r"\}|\n[ \t]*\n")
_FEWEST_CHOICES, _LONGEST_VALUE = 3, 1000


class _Field(NamedTuple):
    """A field of the object that a prompt asks for; `value` is what the prompt has in its place."""

    name: str
    value: str
    offset: int


@dataclass(frozen=True)
class FlagForm:
    """The form of a reply.

    `fields` are those of the object, in order. `flags` are the fields that are true or false, each with its flag; where
    there are none, the field `key` holds one of `offered`, or a list of these (`several`). `words` maps what may stand
    there, as `plain_word` has it, to its flag.
    """

    key: str
    fields: tuple[str, ...]
    flags: tuple[tuple[str, CotFlag], ...]
    offered: tuple[str, ...]
    words: Mapping[str, CotFlag]
    several: bool = False

    @property
    def reading(self) -> str:
        """How such a reply is read, for `Judge.reading`: emeval's own form has no addition."""
        own = dict(zip(COT_FLAGS, COT_FLAGS, strict=True))
        if not self.flags and not self.several and self.key == FLAG_FIELD and self.words == own:
            return READING
        told = [f"{field}={flag}" for field, flag in self.flags] or [f"{self.key}{'[]' if self.several else ''}"]
        return "+".join((READING, *told, *sorted(f"{word}={flag}" for word, flag in self.words.items())))

    @property
    def told(self) -> str:
        """The names of a prompt with what they are read as, for people; "" for emeval's own names."""
        names = self.flags or [(name, flag) for name, flag in zip(self.offered, COT_FLAGS, strict=True)]
        return ", ".join(f"{name} = {flag}" for name, flag in names if name != flag)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the object. Fields that hold no flag are texts."""
        types: dict[str, dict[str, Any]] = {field: {"type": "string"} for field in self.fields}
        one = {"type": "string", "enum": list(self.offered)}
        if self.flags:
            types |= {field: {"type": "boolean"} for field, _ in self.flags}
        else:
            types[self.key] = {"type": "array", "items": one} if self.several else one
        return {
            "type": "object",
            "properties": types,
            "required": list(types),
            "additionalProperties": False,
        }

    @property
    def repair(self) -> str:
        """What a judge is told after a reply that could not be read."""
        flags = {field for field, _ in self.flags}
        shown = {field: "true or false" if field in flags else '"a text"' for field in self.fields}
        free = next((field for field in self.fields if field not in flags and field != self.key), None)
        shown |= {} if free is None else {free: '"your reasons, in a few short sentences"'}
        shown |= {} if flags else {self.key: '["the flags"]' if self.several else '"the flag"'}
        example = ", ".join(f'"{field}": {said}' for field, said in shown.items())
        which = "each flag is" if self.several else "the flag is exactly"
        end = "" if flags else f", where {which} one of {', '.join(self.offered)}"
        return (
            "That reply cannot be read. Reply again, with one JSON object and nothing before or after it: "
            f"{{{example}}}{end}."
        )

    def value_of(self, found: Mapping[str, Any]) -> str | Unreadable:
        """The flag in an object. Where several are set, the one that stands first in COT_FLAGS."""
        said = {plain_word(name): value for name, value in found.items()}
        if len(said) < len(found):
            return Unreadable("a name stands twice in one object")
        return self._of_fields(said) if self.flags else self._of_key(said)

    def _of_fields(self, said: Mapping[str, Any]) -> str | Unreadable:
        chosen: set[CotFlag] = set()
        denied: set[CotFlag] = set()
        for field, flag in self.flags:
            if plain_word(field) not in said:
                return Unreadable(f"it has no {field}")
            value = said[plain_word(field)]
            is_set = _BOOLEANS.get(plain_word(value)) if isinstance(value, str) else value
            if not isinstance(is_set, bool):
                return Unreadable(f"the reply's {field} is not true or false")
            (chosen if is_set else denied).add(flag)
        return Unreadable("it sets no flag, and none is false") if not chosen and "none" in denied else _first(chosen)

    def _of_key(self, said: Mapping[str, Any]) -> str | Unreadable:
        key = plain_word(self.key)
        if key not in said:
            return Unreadable(f"it has no {self.key}")
        value = said[key]
        values = cast("list[object]", value) if self.several and isinstance(value, list) else [value]
        flags: set[CotFlag | None] = {
            self.words.get(plain_word(each)) if isinstance(each, str) else None for each in values
        }
        chosen: set[CotFlag] = {flag for flag in flags if flag is not None}
        if len(chosen) < len(flags):
            return Unreadable(f"the reply's {self.key} is not one of those asked for")
        return _first(chosen)


def _first(chosen: set[CotFlag]) -> str | Unreadable:
    if "none" in chosen and len(chosen) > 1:
        return Unreadable("it sets a flag and says that there is none")
    return next((flag for flag in COT_FLAGS if flag in chosen), "none")


OWN_FORM = FlagForm(
    key=FLAG_FIELD,
    fields=(FREE_FIELD, FLAG_FIELD),
    flags=(),
    offered=COT_FLAGS,
    words=dict(zip(COT_FLAGS, COT_FLAGS, strict=True)),
)
"""What emeval's own rubric asks for."""


def flag_form(rubric: UserRubric) -> FlagForm:
    """The form of the replies to a user's prompt.

    Raises RubricProblem where the prompt names flags, but not all; and where one of several fields that are true or
    false is no flag.
    """
    return _Prompt(rubric).form()


class _Prompt:
    """What is found in a prompt: the fields of its object, and the names of flags, in the order to prefer."""

    def __init__(self, rubric: UserRubric) -> None:
        self.rubric = rubric
        self.head = {plain_word(name): meaning for name, meaning in rubric.names}
        self.fields = _fields(rubric.template)
        self.names = self._names()

    def form(self) -> FlagForm:
        spoken: set[CotFlag] = {flag for flag in self.names.values() if flag != "none"}
        flags = self._flags_as_fields()
        if flags:
            self._check_fields()
            self._check_named(flag for _, flag in flags)
            return self._form_of_fields(flags)
        self._check_offered(self._key())
        if len(spoken) > 1 or any(meaning in COT_FLAGS for meaning in self.head.values()):
            self._check_named(spoken)
        return self._form_of_key()

    def _flags_as_fields(self) -> list[tuple[str, CotFlag]]:
        """The flags that are each true or false, by the field's name; none where one field holds the flag."""
        asks = _ASKS_TRUE_OR_FALSE.search(self.rubric.template) is not None
        flags: dict[str, CotFlag] = {}
        for field in self.fields:
            flag = self._flag(field.name)
            if flag is not None:
                flags[field.name] = flag
                asks = asks or _TRUE_OR_FALSE.match(field.value) is not None
        if not self.fields:
            flags = {name: flag for flag, name in self._first_names().items()}
        elif self._key() is None:
            asks = True
        return list(flags.items()) if asks and len({*flags.values()} - {"none"}) > 1 else []

    def _form_of_fields(self, flags: Sequence[tuple[str, CotFlag]]) -> FlagForm:
        fields = [field.name for field in self._same_object(flags[0][0])] or [FREE_FIELD]
        return FlagForm(
            key=FLAG_FIELD,
            fields=tuple(dict.fromkeys((*fields, *(name for name, _ in flags)))),
            flags=tuple(flags),
            offered=(),
            words=self._words(),
        )

    def _form_of_key(self) -> FlagForm:
        field = self._key()
        if field is None:
            key, fields, several = FLAG_FIELD, [FREE_FIELD, FLAG_FIELD], False
        else:
            key, fields = field.name, [other.name for other in self._same_object(field.name)]
            several = plain_word(key) in _PLURAL or _A_LIST.match(field.value) is not None
        names = self._first_names()
        return FlagForm(
            key=key,
            fields=tuple(dict.fromkeys(fields)),
            flags=(),
            offered=tuple(names.get(flag, flag) for flag in COT_FLAGS),
            words=self._words(),
            several=several,
        )

    def _key(self) -> _Field | None:
        """The field that holds the flag, None where the prompt shows none."""
        rules: tuple[Callable[[_Field], bool], ...] = (
            lambda field: self.head.get(plain_word(field.name)) == FLAG_FIELD,
            lambda field: len({*map(self._flag, (*_tokens(field.value), *_choices(field.value)))} - {None}) > 1,
            lambda field: plain_word(field.name) in _FIELD_NAMES,
        )
        return next((field for rule in rules for field in self.fields if rule(field)), None)

    def _same_object(self, name: str) -> list[_Field]:
        """The fields of the object that a field stands in."""
        field = next((field for field in self.fields if field.name == name), None)
        if field is None:
            return []
        text = self.rubric.template
        start, end = text.rfind("{", 0, field.offset), text.find("}", field.offset)
        if start < 0 or end < 0 or text.rfind("}", start, field.offset) >= 0:
            return self.fields
        return [other for other in self.fields if start < other.offset < end]

    def _names(self) -> dict[str, CotFlag]:
        text = self.rubric.template
        in_values = (name for field in self.fields for name in (*_tokens(field.value), *_choices(field.value)))
        labels = (match["name"].strip() for match in _LINE_LABEL.finditer(text))
        found: dict[str, CotFlag] = {}
        seen: set[str] = set()
        in_text = (name for name in _tokens(text) if not name.isalpha())
        for name in (*in_values, *in_text, *labels, *(name for name, _ in self.rubric.names)):
            flag = None if plain_word(name) in seen else self._flag(name)
            seen.add(plain_word(name))
            if flag is not None:
                found[name] = flag
        return found

    def _first_names(self) -> dict[CotFlag, str]:
        """The name to prefer of each flag that the prompt names."""
        return {flag: name for name, flag in reversed(self.names.items())}

    def _flag(self, name: str) -> CotFlag | None:
        said = self.head.get(plain_word(name))
        if said is None:
            return flag_called(name)
        return next((flag for flag in COT_FLAGS if flag == said), None)

    def _words(self) -> dict[str, CotFlag]:
        words: dict[str, CotFlag] = dict(zip(COT_FLAGS, COT_FLAGS, strict=True))
        words.update((plain_word(name), flag) for name, flag in self.names.items())
        return words

    def _check_fields(self) -> None:
        for field in self.fields:
            is_known = self._flag(field.name) is not None or plain_word(field.name) in self.head
            if not is_known and _TRUE_OR_FALSE.match(field.value):
                raise RubricProblem(
                    f"the field {field.name[:60]!r} is true or false, and not plainly a flag; say what it means "
                    f"{_WHERE}: {field.name[:60]} = {', '.join(COT_FLAGS)} or, if it is no flag, {FREE_FIELD}",
                    self.rubric.line_of(field.offset),
                )

    def _check_offered(self, field: _Field | None) -> None:
        """Raises RubricProblem for a name among the flags that means no flag: its traces would be under another."""
        choices = [] if field is None else [(choice, field.offset) for choice in _choices(field.value)]
        items = [match for match in _LINE_LABEL.finditer(self.rubric.template) if match["bullet"]]
        named = [(match["name"].strip(), match.start("name")) for match in items]
        listed = [(name, offset) for name, offset in named if "_" in name and place_called(name) is None]
        for offered in (choices, listed):
            known = [
                plain_word(name) in self.head or any(map(self._flag, (name, *_SPACES.split(name))))
                for name, _ in offered
            ]
            if sum(known) > 1 and not all(known):
                odd, offset = offered[known.index(False)]
                raise RubricProblem(
                    f"{odd[:60]!r} stands among the flags and is not plainly one; say what it means {_WHERE}: "
                    f"{odd[:60]} = {', '.join(COT_FLAGS)} or, if it is no flag, {FREE_FIELD}",
                    self.rubric.line_of(offset),
                )

    def _check_named(self, flags: Iterable[CotFlag]) -> None:
        named = set(flags)
        missing = [flag for flag in COT_FLAGS if flag != "none" and flag not in named]
        if missing:
            raise RubricProblem(
                f"the prompt names flags, and none of its names plainly means {' or '.join(missing)}, whose rate would "
                f"read as 0%; say which name means it {_WHERE}: NAME = {missing[0]}",
                self._first_line(),
            )

    def _first_line(self) -> int | None:
        text = self.rubric.template
        return min((self.rubric.line_of(text.find(name)) for name in self.names if name in text), default=None)


_WHERE = "between two lines --- at the top of the file (docs/judges.md)"


def _fields(text: str) -> list[_Field]:
    matches = list(_KEY.finditer(text))
    ends = [*(match.start() for match in matches), len(text)][1:]
    fields: list[_Field] = []
    for match, end in zip(matches, ends, strict=True):
        value = text[match.end() : min(end, match.end() + _LONGEST_VALUE)]
        fields.append(_Field(match["json"] or match["typed"], _AFTER_VALUE.split(value, 1)[0], match.start()))
    return fields


def _tokens(text: str) -> Iterator[str]:
    """What is written as a name in a text: words joined by underscores or hyphens, and single words in quotes."""
    yield from (match[0] for match in _IDENTIFIER.finditer(text))
    yield from (match[1] for match in _QUOTED.finditer(text))


def _choices(value: str) -> list[str]:
    """What a value offers as `one | another | a third`, or as three quoted words."""
    pieces = [piece.strip(_AROUND) for piece in _CHOICES.split(value)]
    if len(pieces) < _FEWEST_CHOICES:
        pieces = [match[1] for match in _QUOTED.finditer(value)]
    return [piece for piece in pieces if 0 < len(piece) <= LONGEST_NAME] if len(pieces) >= _FEWEST_CHOICES else []
