"""Read YAML of users and from elsewhere: the one reader for all of it, with line numbers for errors.

A config is one mapping, with plain words as text. Question files are read as nodes (`evals.questions.question_parser`).
"""

from __future__ import annotations

import re
from io import TextIOWrapper
from pathlib import Path
from typing import Any, cast

import yaml
from yaml.composer import ComposerError

from evals.errors import BadInput
from evals.io.paths import open_file
from evals.text import one_line

MOST_CHARACTERS = 1 << 20
"""Characters of the longest text that is read."""
_MOST_VALUES = 100_000
_TOO_DEEP = "is not YAML that can be read: nested too deep"
_TAG = "tag:yaml.org,2002:"
_TAGS_READ = {f"{_TAG}{name}" for name in ("map", "seq", "str", "null")}
_LEADING_ZERO = re.compile(r"[+-]?0[0-9_]*[0-9]")


class TextLoader(yaml.SafeLoader):
    """Joins surrogate pairs, which are how JSON writes characters such as emoji, and refuses half of one."""

    def compose_scalar_node(self, anchor: Any) -> yaml.ScalarNode:
        node = super().compose_scalar_node(anchor)
        try:
            node.value = str(node.value).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            problem = "holds half of a surrogate pair; write the character itself"
            raise ComposerError(None, None, problem, node.start_mark) from None
        return node


class PlainLoader(TextLoader):
    """Keeps plain words as text (or null); YAML itself reads `off` as false and `2026` as a number."""


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def leading_zero_problem(text: str) -> str:
    """Why a whole number with a leading zero is not read, "" for any other text.

    YAML 1.1 reads `010` as octal 8, YAML 1.2 and most people as 10.
    """
    if not _LEADING_ZERO.fullmatch(text):
        return ""
    digits = text.replace("_", "")
    decimal = int(digits)
    octal = int(digits, 8) if set(digits) <= set("+-01234567") else decimal
    meant = f"{decimal}" if octal == decimal else f"{octal} or {decimal}"
    return f"begins with a zero, which YAML 1.1 reads as octal; write {meant}"


class YamlProblem(Exception):
    """Why a text is not read as YAML, and in which line (from 1)."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = line, problem


def compose(text: str, loader: type[TextLoader]) -> yaml.Node | None:
    """The nodes of the one document in `text`: nothing is built from them, and an alias is its anchor's node once more.

    Raises YamlProblem, for a text of more than `MOST_CHARACTERS`, too.
    """
    if len(text) > MOST_CHARACTERS:
        raise YamlProblem(1, f"is larger than {MOST_CHARACTERS >> 20} MiB, which no file of this kind is")
    try:
        return yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        details = [getattr(error, name, None) for name in ("context", "problem", "reason")]
        problem = ", ".join(str(part) for part in details if part) or "does not parse"
        line = mark.line + 1 if mark is not None else text[: getattr(error, "position", 0)].count("\n") + 1
        raise YamlProblem(line, f"is not YAML: {one_line(problem)}") from None
    except RecursionError:
        raise YamlProblem(1, _TOO_DEEP) from None


def read_mapping(file: Path, hint: str) -> tuple[dict[str, Any], yaml.MappingNode]:
    """The mapping in `file`, and its node, which has the lines. Raises BadInput; `hint` ends the error on its type.

    Values are mappings, lists, text and null. Other tags, such as !!int and !!merge, are refused, and so is a file
    whose aliases stand for more than `_MOST_VALUES` values.
    """
    try:
        with TextIOWrapper(open_file(file), encoding="utf-8") as opened:
            text = opened.read(MOST_CHARACTERS + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: is not UTF-8 text") from None
    try:
        node = compose(text, PlainLoader)
        _Bounds().check(node)
        fields: object = yaml.load(text, Loader=PlainLoader)  # noqa: S506  a safe loader's child
    except YamlProblem as problem:
        raise BadInput(f"{file}:{problem.line}: {problem.problem}") from None
    except yaml.YAMLError as error:  # what can be composed and not built, such as a mapping for a key
        mark = getattr(error, "problem_mark", None)
        said = one_line(str(getattr(error, "problem", None) or "does not parse"))
        raise BadInput(f"{file}:{mark.line + 1 if mark is not None else 1}: is not YAML: {said}") from None
    if not isinstance(node, yaml.MappingNode) or not isinstance(fields, dict):
        raise BadInput(f"{file}:1: must be a mapping{hint}")
    return {str(key): value for key, value in cast("dict[Any, Any]", fields).items()}, node


class _Bounds:
    """Checks the nodes of a document that is to be built: their tags, and how many values they stand for."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def check(self, node: yaml.Node | None) -> None:
        """Raises YamlProblem."""
        try:
            if node is not None:
                self._size(node)
        except RecursionError:
            raise YamlProblem(1, _TOO_DEEP) from None

    def _size(self, node: yaml.Node) -> int:
        """The values that a node stands for, with those of an alias at each of its places."""
        if id(node) in self._sizes:
            return self._sizes[id(node)]
        line = node.start_mark.line + 1
        if node.tag not in _TAGS_READ:
            tag = one_line(node.tag.removeprefix(_TAG), 60)
            raise YamlProblem(line, f"is not YAML that is read here: the tag !!{tag}; write the value without one")
        if id(node) in self._open:
            raise YamlProblem(line, "is not YAML that is read here: it holds itself")
        self._open.add(id(node))
        size = 1 + sum(self._size(child) for child in _children(node))
        self._open.discard(id(node))
        if size > _MOST_VALUES:
            raise YamlProblem(line, f"is not YAML that is read here: it stands for more than {_MOST_VALUES:,} values")
        self._sizes[id(node)] = size
        return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return cast("list[yaml.Node]", node.value)
    if isinstance(node, yaml.MappingNode):
        return [child for pair in cast("list[tuple[yaml.Node, yaml.Node]]", node.value) for child in pair]
    return []
