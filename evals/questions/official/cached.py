"""The official datasets as they lie in the user's cache: what is there, and whether it is what was fetched.

`<cache>/official/<source>/<revision>/` holds a source's files under their names, and `lock.json`, which says of each
its size, sha256, where it came from and how it is trusted. Nothing here asks anybody; `evals.questions.official.fetch`
brings the files.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from evals.errors import BadInput
from evals.io.cache import cache_folder
from evals.io.hashes import file_sha256
from evals.questions.official.registry import SOURCES, MadeFile, OfficialSource

LOCK_NAME = "lock.json"
RECIPES = 1
"""Counts up when a recipe of `evals.questions.official.converters` changes what it writes: files made by an older
version are converted again."""

Trust = Literal["pinned", "first use", "made here"]


class Locked(BaseModel):
    """What lock.json says of one file. `origin` is an address or a folder, or the files it was made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str
    trust: Trust
    origin: str
    fetched: str
    recipes: int | None = None


class Lock(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    repository: str
    revision: str
    commit: str | None = None
    """The commit that the revision was when the first file came, where the revision is a branch."""
    files: dict[str, Locked] = {}


def find_source(name: str, registry: Mapping[str, OfficialSource] = SOURCES) -> OfficialSource:
    """The source called `name`. Raises BadInput that lists the known ones."""
    try:
        return registry[name]
    except KeyError:
        raise BadInput(f"unknown dataset {name!r}; known: {', '.join(registry)}") from None


def official_file(source: str, name: str, registry: Mapping[str, OfficialSource] = SOURCES) -> Path | None:
    """A file of a source in the cache, checked against its sha256; None where it was not fetched.

    Asks nobody. Raises BadInput where the file is there but is not what was fetched, and KeyError for a name that the
    source has not.
    """
    known = registry[source]
    file = known.find(name)
    if file is None:
        raise KeyError(f"{source} has no file {name}")
    folder = official_folder(known)
    path = folder / name
    if not path.is_file():
        return None
    entry = read_lock(folder, known).files.get(name)
    wrong = None
    if entry is None:
        wrong = f"is not in {LOCK_NAME}"
    elif file.sha256 not in (None, entry.sha256) or not is_file_with(path, entry.size, entry.sha256):
        wrong = "is not what was fetched (its sha256 differs)"
    elif isinstance(file, MadeFile) and entry.recipes != RECIPES:
        wrong = "was made by another version of emeval"
    if wrong:
        raise BadInput(f"{path}: {wrong}; run `emeval datasets fetch {source}` again")
    return path


def fetched_names(source: OfficialSource) -> list[str]:
    """The names of those of a source's files that are in the cache, unchecked."""
    return [name for name in source.names if (official_folder(source) / name).is_file()]


def official_folder(source: OfficialSource) -> Path:
    return cache_folder() / "official" / source.name / source.revision


def read_lock(folder: Path, source: OfficialSource) -> Lock:
    path = folder / LOCK_NAME
    try:
        return Lock.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Lock(repository=source.repository, revision=source.revision)
    except (OSError, ValidationError, ValueError):
        raise BadInput(f"{path}: cannot be read; delete {folder} to fetch and trust again") from None


def is_file_with(path: Path, size: int | None, sha256: str) -> bool:
    """Whether the file has that size, where it is known, and that sha256."""
    try:
        facts = path.stat()
        return size in (None, facts.st_size) and _known_sha256(path, facts.st_size, facts.st_mtime_ns) == sha256
    except OSError:
        return False


@functools.lru_cache(maxsize=64)
def _known_sha256(path: Path, _size: int, _changed: int) -> str:
    """Read once as long as it stays the same: a run asks for a file several times."""
    return file_sha256(path)
