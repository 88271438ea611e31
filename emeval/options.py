"""Options as users pass them to the Python API, in the form a config takes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, cast

from emeval.run_options import StrPath
from evals.errors import BadInput
from evals.plan.settings.run_settings import option_name


def checked(options: Mapping[str, object], known: type) -> dict[str, Any]:
    """`options` as a config takes them: paths as text, sequences as tuples. `known` is the TypedDict of those allowed.

    Raises BadInput for an unknown name, suggesting the nearest known name.
    """
    names = names_of(known)
    for name in options:
        if name not in names:
            raise BadInput(_unknown(name, names))
    return {name: plain(value) for name, value in options.items()}


def names_of(options: type) -> tuple[str, ...]:
    """The names in a TypedDict and its bases."""
    return tuple(options.__annotations__)


def plain(value: object) -> object:
    """An option's value in the form a config takes."""
    match value:
        case PathLike():
            return fspath(cast("PathLike[str]", value))
        case Mapping():
            return {judge: plain(file) for judge, file in cast("Mapping[str, object]", value).items()}
        case list() | tuple():
            return tuple(plain(member) for member in cast("Iterable[object]", value))
        case _:
            return value


def several(value: StrPath | Iterable[StrPath] | None) -> tuple[str, ...]:
    """A name or several names as a tuple; empty for None."""
    if value is None:
        return ()
    if isinstance(value, str | PathLike):
        return (fspath(value),)
    return tuple(fspath(name) for name in value)


def _unknown(name: str, names: Sequence[str]) -> str:
    written = {option_name(known).lstrip("-").replace("-", "_"): known for known in names}
    near = written.get(name) or next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)
    hint = f"; did you mean {near}?" if near else f"; known: {', '.join(names)}"
    return f"{name}: is not an option here{hint}"
