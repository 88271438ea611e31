"""The providers that users declare: in a config file or in a file of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import ValidationError

from evals.endpoints.providers.provider import OwnProvider, Provider
from evals.endpoints.providers.table import PROVIDERS
from evals.errors import BadInput
from evals.io.paths import expanded
from evals.io.web.urls import origin
from evals.io.yaml_reader import read_mapping
from evals.text import one_line

VARIABLE = "EMEVAL_PROVIDERS"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_SECTION, _NIGHTLY_SECTION = "providers", "run"


def own_providers(file: str | None, environment: Mapping[str, str] = os.environ) -> dict[str, Provider]:
    """The providers that `file` declares, and those of EMEVAL_PROVIDERS; of one name the file's counts.

    Raises BadInput.
    """
    beside = environment.get(VARIABLE, "").strip()
    found = _read(expanded(beside), f"{VARIABLE}: ") if beside else {}
    return found | (_read(expanded(file), "--providers: ") if file else {})


def _read(file: Path, where: str) -> dict[str, Provider]:
    """The providers in a file: all that it maps, or what a config has under `providers`."""
    if not file.is_file():
        raise BadInput(f"{where}{file}: there is no such file")
    fields, node = read_mapping(file, " of names of providers to base_url, key_variable and quirks")
    declared, node = _declared(file, fields, node)
    found: dict[str, Provider] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        place = f"{file}:{line}: providers.{one_line(name, 60)}"
        if name in found:
            raise BadInput(f"{place}: is given twice")
        if name in PROVIDERS:
            raise BadInput(f"{place}: emeval has a provider of this name; choose another one")
        if not _NAME.fullmatch(name):
            raise BadInput(f"{place}: is no name of a provider: lower-case letters, digits, - and _, at most 40")
        found[name] = _provider(declared[name], place, file, cast("yaml.Node", value))
    return found


def _declared(file: Path, fields: dict[str, Any], node: yaml.MappingNode) -> tuple[dict[str, Any], yaml.MappingNode]:
    """The mapping of providers with its node: the whole file, or a config's own section."""
    if _SECTION not in fields and isinstance(fields.get(_NIGHTLY_SECTION), dict):
        inner = cast("dict[str, Any]", fields[_NIGHTLY_SECTION])
        if _SECTION in inner:
            fields, node = inner, _value_of(node, _NIGHTLY_SECTION)
    if _SECTION not in fields:
        return fields, node
    section: object = fields[_SECTION]
    if not isinstance(section, dict):
        raise BadInput(f"{file}: providers: maps names to base_url, key_variable and quirks")
    return {str(key): value for key, value in cast("dict[Any, Any]", section).items()}, _value_of(node, _SECTION)


def _value_of(node: yaml.MappingNode, name: str) -> yaml.MappingNode:
    return next(value for key, value in node.value if str(key.value) == name)


def _provider(fields: object, place: str, file: Path, node: yaml.Node) -> Provider:
    if not isinstance(fields, dict):
        raise BadInput(f"{place}: maps base_url, key_variable and quirks to values")
    try:
        own = OwnProvider.model_validate(fields)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        raise BadInput(_problem(detail["type"], detail["msg"], detail["loc"], place, file, node)) from None
    _check_key(own, place)
    return own.provider()


def _problem(kind: str, text: str, path: tuple[str | int, ...], place: str, file: Path, node: yaml.Node) -> str:
    """What is wrong with a field of a provider, at its own line where it has one."""
    line = node.start_mark.line + 1
    for name in path:
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value) if _is_mapping(node) else ():
            if str(key.value) == name:
                line, node = key.start_mark.line + 1, value
                break
    field = one_line(".".join(str(part) for part in path if isinstance(part, str)), 80)
    head = f"{file}:{line}: {place.partition(': ')[2]}.{field}"
    if kind == "missing":
        return f"{place}: {field} is missing"
    if kind == "extra_forbidden":
        known = "base_url, key_variable, quirks" if len(path) == 1 else ", ".join(_quirk_names())
        return f"{head}: is not a field; known: {known}"
    if kind == "string_pattern_mismatch":
        return f"{head}: names a variable that ends in _API_KEY, so that no other secret is ever sent"
    return f"{head}: {one_line(text.removeprefix('Value error, '), 160)}"


def _is_mapping(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode)


def _quirk_names() -> list[str]:
    return list(OwnProvider.model_fields["quirks"].default.__class__.model_fields)


def _check_key(own: OwnProvider, place: str) -> None:
    """Raises BadInput for the key of a provider of emeval's, unless the URL is at its server: it goes nowhere else."""
    for name, known in PROVIDERS.items():
        if own.key_variable != known.key_variable or not known.key_variable:
            continue
        if not known.base_url or origin(known.base_url) != origin(own.base_url):
            raise BadInput(
                f"{place}: key_variable: {own.key_variable} is the key of {name}/ models, and goes to its server "
                "alone; name another variable"
            )
