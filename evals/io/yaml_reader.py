"""Read YAML files of users: one mapping per file, with plain words as text, and line numbers for errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import yaml

from evals.errors import BadInput
from evals.text import one_line


class PlainLoader(yaml.SafeLoader):
    """Keeps plain words as text (or null); YAML itself reads `off` as false and `2026` as a number."""


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
