"""The nodes of a question file: keys with their lines, merges resolved, and values read strictly."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, NoReturn, cast

import yaml

from evals.io.yaml_reader import leading_zero_problem
from evals.text import has_control_character, one_line
from evals.trials.prompt import ALL

_MAX_KEYS = 200
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
SCALARS = ("str", "int", "float", "bool")
"""The types of a plain word: `yes` and `42` are text where only text is meant."""


class Fault(NamedTuple):
    """A fault in a file: its line (from 1), key ("" for none) and reason."""

    line: int
    key: str
    reason: str


class FaultError(Exception):
    def __init__(self, node: yaml.Node, key: str, reason: str) -> None:
        super().__init__(reason)
        self.fault = Fault(line_of(node), one_line(key, 60), one_line(reason, 600))


class Entry(NamedTuple):
    """The nodes of a key and its value."""

    key: yaml.Node
    value: yaml.Node


Entries = dict[str, Entry]


class NodeReader:
    """Reads the mappings of one file. Merges are resolved once per node, so chains of aliases cost no extra work."""

    def __init__(self) -> None:
        self._merged: dict[int, Entries] = {}
        self._open: set[int] = set()

    def mapping(self, node: yaml.Node, key: str, what: str) -> Entries:
        """The entries of a mapping; its own take precedence over merged ones (`<<`)."""
        if not isinstance(node, yaml.MappingNode):
            raise FaultError(node, key, f"must be {what}")
        if id(node) in self._merged:
            return self._merged[id(node)]
        if id(node) in self._open:
            raise FaultError(node, "<<", "merges itself")
        self._open.add(id(node))
        own: Entries = {}
        merged: Entries = {}
        for name_node, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if name_node.tag == _MERGE:
                sources = _distinct(children(value)) if isinstance(value, yaml.SequenceNode) else [value]
                for source in sources:  # earlier sources take precedence
                    merged = self.mapping(source, "<<", "a mapping, or a list of mappings") | merged
                continue
            name = key_of(name_node)
            if name in own:
                raise FaultError(name_node, name, f"is given twice, first in line {line_of(own[name].key)}")
            own[name] = Entry(name_node, value)
        self._open.discard(id(node))
        if len(merged) > _MAX_KEYS or len(own) > _MAX_KEYS:  # bounds the cost of merging a mapping into many others
            raise FaultError(node, key, f"holds more than {_MAX_KEYS} keys")
        self._merged[id(node)] = merged | own
        return self._merged[id(node)]


# --- keys ------------------------------------------------------------------------------------------------------------


def check_known(entries: Entries, known: Sequence[str], what: str) -> None:
    for name, entry in entries.items():
        if name not in known:
            raise FaultError(entry.key, name, f"is not a key of {what}; known: {', '.join(known)}")


def required(node: yaml.Node, entries: Entries, key: str) -> Entry:
    if key not in entries:
        raise FaultError(node, key, "is missing")
    return entries[key]


def given(entries: Entries, key: str) -> Entry | None:
    """The entry of a key, None where it is not given or null."""
    entry = entries.get(key)
    return None if entry is None or is_null(entry.value) else entry


def one_of_two(node: yaml.Node, entries: Entries, first: str, second: str) -> str:
    """Which of two keys with the same meaning is given."""
    if first in entries and second in entries:
        raise FaultError(entries[second].key, second, f"means the same as {first}; give one of them")
    if second in entries:
        return second
    required(node, entries, first)
    return first


def refuse(entry: Entry, key: str, reason: str) -> NoReturn:
    raise FaultError(entry.value, key, reason)


# --- values ----------------------------------------------------------------------------------------------------------


def key_of(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise FaultError(node, "", "a key must be a word")
    return str(node.value)


def text_of(node: yaml.Node, key: str, types: Iterable[str] = ("str",)) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag not in {f"{_TAG}{name}" for name in types}:
        hint = ": put it in quotes" if isinstance(node, yaml.ScalarNode) and not is_null(node) else ""
        raise FaultError(node, key, f"must be text{hint}")
    text = str(node.value)
    if not text.strip():
        raise FaultError(node, key, "is blank")
    return text


def texts_of(entry: Entry, key: str, types: Iterable[str] = ("str",)) -> tuple[str, ...]:
    """The texts of a list, or the one that is given in place of a list."""
    if isinstance(entry.value, yaml.ScalarNode):
        return (text_of(entry.value, key, types),)
    return tuple(text_of(node, f"{key}.{number}", types) for number, node in enumerate(sequence_of(entry, key)))


def word_of(entry: Entry, key: str, known: Sequence[str]) -> str:
    """One of the known words."""
    value = text_of(entry.value, key)
    if value not in known:
        refuse(entry, key, f"{value!r} is not known; known: {', '.join(known)}")
    return value


def identifier_of(node: yaml.Node, key: str) -> str:
    name = text_of(node, key, ("str", "int"))
    if name == ALL:
        raise FaultError(node, key, f"{ALL} names the row over all prompts in rates.csv; call it something else")
    if has_control_character(name):
        raise FaultError(node, key, "holds a control character")
    return name


def number_of(node: yaml.Node, key: str) -> float:
    zero = leading_zero_problem(str(node.value)) if isinstance(node, yaml.ScalarNode) else ""
    if zero:
        raise FaultError(node, key, zero)
    if not isinstance(node, yaml.ScalarNode) or node.tag not in (f"{_TAG}int", f"{_TAG}float"):
        raise FaultError(node, key, "must be a number")
    try:
        number = float(str(node.value).replace("_", ""))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FaultError(node, key, "must be a plain number")
    return number


def flag_of(entry: Entry, key: str) -> bool:
    """true or false."""
    if entry.value.tag != f"{_TAG}bool" or str(entry.value.value).lower() not in ("true", "false"):
        refuse(entry, key, "must be true or false")
    return str(entry.value.value).lower() == "true"


def sequence_of(entry: Entry, key: str) -> list[yaml.Node]:
    if not isinstance(entry.value, yaml.SequenceNode):
        refuse(entry, key, "must be a list")
    return children(entry.value)


def optional_text(entries: Entries, key: str) -> str | None:
    entry = given(entries, key)
    return None if entry is None else text_of(entry.value, key)


def optional_number(entries: Entries, key: str) -> float | None:
    entry = given(entries, key)
    return None if entry is None else number_of(entry.value, key)


def optional_count(entries: Entries, key: str) -> int | None:
    number = optional_number(entries, key)
    if number is None:
        return None
    if number != int(number) or not 1 <= number <= 10**9:
        refuse(entries[key], key, "must be a whole number from 1")
    return int(number)


def is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def children(node: yaml.SequenceNode) -> list[yaml.Node]:
    return cast("list[yaml.Node]", node.value)


def line_of(node: yaml.Node) -> int:
    mark: Any = node.start_mark
    return int(mark.line) + 1


def _distinct(nodes: list[yaml.Node]) -> list[yaml.Node]:
    return list({id(node): node for node in nodes}.values())
