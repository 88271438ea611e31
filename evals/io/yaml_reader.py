"""Read YAML files of users: one mapping per file, with plain words as text, and line numbers for errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import yaml
from yaml.composer import ComposerError

from evals.errors import BadInput
from evals.text import one_line

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


def read_mapping(file: Path, hint: str) -> tuple[dict[str, Any], yaml.MappingNode]:
    """The mapping in `file`, and its node, which has the lines. Raises BadInput; `hint` ends the error on its type."""
    try:
        text = file.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=PlainLoader)
        fields: object = yaml.load(text, Loader=PlainLoader)  # noqa: S506  a safe loader's child
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or "does not parse"
        raise BadInput(f"{file}:{line}: is not YAML: {one_line(str(problem))}") from None
    except (ValueError, RecursionError) as error:  # a value that does not fit its tag, or endless nesting
        raise BadInput(f"{file}:1: is not YAML that can be read: {one_line(str(error))}") from None
    if not isinstance(node, yaml.MappingNode) or not isinstance(fields, dict):
        raise BadInput(f"{file}:1: must be a mapping{hint}")
    return {str(key): value for key, value in cast("dict[Any, Any]", fields).items()}, node
