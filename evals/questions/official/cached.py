"""The official datasets in the user's cache, checked against what was fetched.

`<cache>/official/<source>/<revision>/` holds the files of a source, and `lock.json` with the size, sha256, origin and
trust of each. No network access here; `evals.questions.official.fetch` downloads the files.
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
from evals.io.paths import MOST_TEXT, read_file
from evals.questions.official.registry import SOURCES, MadeFile, OfficialSource

LOCK_NAME = "lock.json"
RECIPES = 1
"""The version of the recipes in `evals.questions.official.converters`; files of older versions are remade."""

Trust = Literal["pinned", "first use", "made here"]


class LockEntry(BaseModel):
    """The entry of a file in lock.json. `origin` is a URL, a folder, or the files that it was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    sha256: str
    trust: Trust
    origin: str
    fetched: str
    recipes: int | None = None


class Lock(BaseModel):
    """The content of lock.json."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    repository: str
    revision: str
    commit: str | None = None
    """The commit of the revision at the first download, if the revision is a branch."""
    files: dict[str, LockEntry] = {}


def find_source(name: str, registry: Mapping[str, OfficialSource] = SOURCES) -> OfficialSource:
    """The source `name`. Raises BadInput with the known ones."""
    try:
        return registry[name]
    except KeyError:
        raise BadInput(f"unknown dataset {name!r}; known: {', '.join(registry)}") from None


def official_file(source: str, name: str, registry: Mapping[str, OfficialSource] = SOURCES) -> Path | None:
    """A file of a source in the cache, checked against its sha256; None if it is not fetched.

    Raises BadInput if the file is not what was fetched, and KeyError if the source has no such file.
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
    elif file.sha256 not in (None, entry.sha256) or not has_sha256(path, entry.size, entry.sha256):
        wrong = "is not what was fetched (its sha256 differs)"
    elif isinstance(file, MadeFile) and entry.recipes != RECIPES:
        wrong = "was made by another version of emeval"
    if wrong:
        raise BadInput(f"{path}: {wrong}; run `emeval datasets fetch {source}` again")
    return path


def fetched_names(source: OfficialSource) -> list[str]:
    """The names of the source's files in the cache, unchecked."""
    return [name for name in source.names if (official_folder(source) / name).is_file()]


def official_folder(source: OfficialSource) -> Path:
    return cache_folder() / "official" / source.name / source.revision


def read_lock(folder: Path, source: OfficialSource) -> Lock:
    path = folder / LOCK_NAME
    try:
        return Lock.model_validate_json(read_file(path, MOST_TEXT))
    except FileNotFoundError:
        return Lock(repository=source.repository, revision=source.revision)
    except (OSError, ValidationError, ValueError):
        raise BadInput(f"{path}: cannot be read; delete {folder} to fetch and trust again") from None


def has_sha256(path: Path, size: int | None, sha256: str) -> bool:
    """Whether the file has this sha256, and this size unless it is None."""
    try:
        facts = path.stat()
        return size in (None, facts.st_size) and _cached_sha256(path, facts.st_size, facts.st_mtime_ns) == sha256
    except OSError:
        return False


@functools.lru_cache(maxsize=64)
def _cached_sha256(path: Path, _size: int, _changed: int) -> str:
    """The sha256, computed once while the file is unchanged, as a run uses it several times."""
    return file_sha256(path)
