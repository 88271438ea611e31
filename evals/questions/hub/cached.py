"""Files of the hub that the cache holds: where each came from, and what would fetch it again."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from evals.io.cache import cache_folder
from evals.io.json_files import read_stored
from evals.questions.hub.names import HubName


class HubOrigin(BaseModel):
    """Where a file of the cache came from: its URL, which holds the commit, and its sha256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: str
    revision: str
    sha256: str


def origin_of(path: Path) -> HubOrigin | None:
    """Where a file of the cache came from, None for any other file. Raises BadInput for a damaged record."""
    if not _is_cached(path):
        return None
    return read_stored(record_of(path), HubOrigin, "the record of a fetched file")


def name_of(path: Path) -> HubName | None:
    """The name that fetches a file of the cache again, None for any other file."""
    if not _is_cached(path):
        return None
    repository, commit, *parts = path.relative_to(hub_folder()).parts
    owner, _, name = repository.partition("--")
    return HubName(owner, name, commit, "/".join(parts))


def hub_folder() -> Path:
    """Where the cache has the files of the hub."""
    return cache_folder().absolute() / "hub"


def _is_cached(path: Path) -> bool:
    return path.is_relative_to(hub_folder()) and len(path.relative_to(hub_folder()).parts) > 2


def record_of(path: Path) -> Path:
    """The file beside a file of the cache that says where it came from."""
    return path.with_name(f".{path.name}.origin.json")
