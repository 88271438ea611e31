"""The files of a revision of a dataset, and which of them a name means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from evals.errors import BadInput
from evals.questions.hub.names import HubName
from evals.text import one_line

_DATA = (".parquet", ".jsonl", ".ndjson", ".csv", ".json")
_NO_DATA = frozenset({"dataset_infos.json", "dataset_info.json", "config.json", "state.json"})
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*(?:/[A-Za-z0-9_][A-Za-z0-9_. -]*)*")
_CONVERTED = re.compile(r"(?P<config>[^/]+)/(?P<split>[^/]+)/\d+\.parquet")


class _Blob(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    sha256: str = Field(pattern="[0-9a-f]{64}")


class HubFile(BaseModel):
    """A file as the hub lists it. Size in bytes and sha256 are None where the hub does not tell them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rfilename: str
    size: int | None = Field(default=None, ge=0)
    lfs: _Blob | None = None

    @property
    def sha256(self) -> str | None:
        return None if self.lfs is None else self.lfs.sha256


class Listing(BaseModel):
    """What the hub says of one revision: its commit and its files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sha: str = Field(pattern="^[0-9a-f]{40}$")
    siblings: tuple[HubFile, ...] = ()

    def data_files(self) -> dict[str, HubFile]:
        """The files that may hold rows, by path."""
        named = {file.rfilename: file for file in self.siblings if _SAFE.fullmatch(file.rfilename)}
        return {
            path: file
            for path, file in named.items()
            if path.lower().endswith(_DATA) and path.rpartition("/")[2] not in _NO_DATA
        }


def chosen_file(listing: Listing, name: HubName) -> HubFile:
    """The one file that `name` means. Raises BadInput, which lists the others, where it does not say which."""
    files = listing.data_files()
    if name.path:
        if name.path not in files:
            raise BadInput(f"{name}: the repository has no such file of rows; it has: {_shown(files)}")
        return files[name.path]
    if not files:
        raise BadInput(f"{name}: the repository holds no file of rows ({', '.join(_DATA)})")
    converted = {path: found for path in files if (found := _CONVERTED.fullmatch(path))}
    if len(converted) == len(files):
        return _of_split(name, listing, files, converted)
    meant = [path for path in files if all(_has_word(path, word) for word in (name.config, name.split) if word)]
    if len(meant) != 1:
        what = f"has {len(meant)} files of rows that this could mean" if meant else "has no file of that split"
        ways = (str(name._replace(config="", split="", path=path)) for path in meant or files)
        raise BadInput(f"{name}: {what}; name one: {_shown(ways)}")
    return files[meant[0]]


def _of_split(
    name: HubName, listing: Listing, files: dict[str, HubFile], converted: dict[str, re.Match[str]]
) -> HubFile:
    """The file of a split, in the layout that the hub converts datasets to: CONFIG/SPLIT/NUMBER.parquet."""
    configs = list(dict.fromkeys(found["config"] for found in converted.values()))
    config = name.config or ("default" if "default" in configs else configs[0])
    if config not in configs or (not name.config and config != "default" and len(configs) > 1):
        raise BadInput(f"{name}: has the configs {_shown(configs)}; name one and its split: hf:OWNER/NAME:CONFIG:SPLIT")
    splits = list(dict.fromkeys(found["split"] for found in converted.values() if found["config"] == config))
    split = name.split or splits[0]
    if split not in splits or (not name.split and len(splits) > 1):
        ways = (str(name._replace(config=config if len(configs) > 1 else "", split=other)) for other in splits)
        raise BadInput(f"{name}: has {len(splits)} splits; name one: {_shown(ways)}")
    shards = [path for path, found in converted.items() if (found["config"], found["split"]) == (config, split)]
    if len(shards) > 1:
        ways = (str(HubName(name.owner, name.name, listing.sha, path)) for path in shards)
        raise BadInput(f"{name}: is {len(shards)} files; name one: {_shown(ways)}")
    return files[shards[0]]


def _has_word(path: str, word: str) -> bool:
    """Whether a word stands by itself in a path: `train` in data/train-00000-of-00001.parquet."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", path) is not None


def _shown(names: Iterable[str] | Sequence[str]) -> str:
    return one_line(", ".join(names), 300)
