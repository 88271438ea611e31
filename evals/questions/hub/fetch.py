"""Fetch one file of a Hugging Face dataset into the cache, at a commit, checked and bounded; nothing of it is run.

`<cache>/hub/OWNER--NAME/<commit>/` holds the files by their paths in the repository, `.listing.json`, what the hub says
of that commit, and with each file `.NAME.origin.json`. A dataset without a revision is read as the hub has converted it
to Parquet, and where it has not, from the repository's own files. One with a commit is read offline once it is there.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from filelock import FileLock
from pydantic import ValidationError

from evals.errors import BadInput, FetchStopped
from evals.io.atomic import write_whole
from evals.io.hashes import file_sha256
from evals.io.json_files import read_stored
from evals.io.paths import MIB, MOST_DATA, read_file
from evals.io.web.download import (
    Access,
    DownloadRetries,
    OnBytes,
    RemoteFile,
    download,
    origin,
    remove_part,
)
from evals.io.web.refusals import NotAllowed, NotThere
from evals.io.web.urls import url_problem
from evals.questions.hub.cached import HubOrigin, hub_folder, origin_of, record_of
from evals.questions.hub.listing import HubFile, Listing, chosen_file
from evals.questions.hub.names import HubName

_HUB = "https://huggingface.co"
_CONVERTED = "refs/convert/parquet"
_COMMIT = re.compile("[0-9a-f]{40}")
_LISTING = ".listing.json"
_MOST_LISTING = 16 * MIB


class HubView(Protocol):
    """Progress callbacks of a download."""

    def say(self, text: str) -> None: ...

    def progress(self, name: str, size: int | None) -> AbstractContextManager[OnBytes]: ...


def _unheard(here: int, total: int | None) -> None:
    del here, total


class Silent:
    """A view that shows nothing."""

    def say(self, text: str) -> None:
        del text

    @contextmanager
    def progress(self, name: str, size: int | None) -> Generator[OnBytes]:
        del name, size
        yield _unheard


def hub_file(
    name: HubName,
    view: HubView | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    retries: DownloadRetries | None = None,
) -> Path:
    """The file in the cache that `name` means, fetched unless it is there.

    HF_ENDPOINT names another hub, HF_TOKEN the token for gated datasets, which only that hub is sent. Raises BadInput
    for what a retry cannot mend, and FetchStopped where the network or the disk fails.
    """
    return _Hub(name, view or Silent(), environ, retries or DownloadRetries()).file()


class _Hub:
    """The hub as one dataset is asked for."""

    def __init__(self, name: HubName, view: HubView, environ: Mapping[str, str], retries: DownloadRetries) -> None:
        self._name, self._view, self._retries = name, view, retries
        self._endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or _HUB
        problem = url_problem(self._endpoint)
        if problem:
            raise BadInput(f"HF_ENDPOINT: {problem}")
        token = environ.get("HF_TOKEN", "").strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise BadInput("HF_TOKEN holds characters that no token has")
        page = f"{self._endpoint}/datasets/{name.repository}"
        tokens = f"{self._endpoint}/settings/tokens"
        self._access = Access("HF_TOKEN", page, tokens, origin(self._endpoint), token or None)
        self._place = hub_folder() / f"{name.owner}--{name.name}"

    def file(self) -> Path:
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            with FileLock(self._place / ".lock"):
                listing = self._listing()
                return self._fetched(listing, chosen_file(listing, self._name))
        except OSError as error:
            raise FetchStopped(f"{self._name}: {self._place} cannot be written: {error.strerror}") from None

    def _listing(self) -> Listing:
        """What the hub says of the revision. That of a commit is asked for once."""
        name = self._name
        if _COMMIT.fullmatch(name.revision):
            known = read_stored(self._place / name.revision / _LISTING, Listing, "the listing of a dataset")
            if known is not None:
                return known
        if name.revision or name.path:
            listing = self._listed(name.revision or "main")
        else:
            try:
                listing = self._listed(_CONVERTED)
            except NotThere:
                listing = self._listed("main")
        folder = self._place / listing.sha
        folder.mkdir(exist_ok=True)
        write_whole(folder / _LISTING, listing.model_dump_json())
        return listing

    def _listed(self, revision: str) -> Listing:
        url = f"{self._endpoint}/api/datasets/{self._name.repository}/revision/{quote(revision, safe='')}?blobs=true"
        what = f"{self._name}: the files of {revision}"
        remote = RemoteFile(what=what, url=url, max_bytes=_MOST_LISTING, access=self._access)
        with tempfile.TemporaryDirectory(dir=self._place, prefix=".") as folder:
            part = Path(folder) / "listing"
            try:
                download(remote, part, _unheard, self._view.say, self._retries)
            except NotAllowed as error:
                raise BadInput(f"{error} (a dataset that does not exist is answered alike)") from None
            try:
                return Listing.model_validate_json(read_file(part, _MOST_LISTING))
            except ValidationError:
                raise BadInput(f"{what}: {self._endpoint} answers with something else than a list of files") from None

    def _fetched(self, listing: Listing, file: HubFile) -> Path:
        path = self._place / listing.sha / file.rfilename
        if self._is_whole(path, file):
            return path
        if file.size is not None and file.size > MOST_DATA:
            raise BadInput(
                f"{self._name}: {file.rfilename} is {file.size // MIB:,} MiB, and {MOST_DATA // MIB} are the most that "
                "is asked; make a smaller file of it"
            )
        url = f"{self._endpoint}/datasets/{self._name.repository}/resolve/{listing.sha}/{quote(file.rfilename)}"
        what = f"{self._name}: {file.rfilename}"
        remote = RemoteFile(what, url, MOST_DATA, file.size or None, file.sha256, self._access)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        with self._view.progress(what, file.size) as on_bytes:
            download(remote, part, on_bytes, self._view.say, self._retries)
        sha256 = file_sha256(part)
        if file.sha256 not in (None, sha256):
            remove_part(part)
            raise BadInput(f"{what}: is not the file: its sha256 is {sha256}, and the hub says {file.sha256}")
        record = HubOrigin(origin=url, revision=listing.sha, sha256=sha256)
        write_whole(record_of(path), record.model_dump_json())
        part.replace(path)
        remove_part(part)
        return path

    def _is_whole(self, path: Path, file: HubFile) -> bool:
        """Whether the file is in the cache as it was fetched."""
        if not path.is_file():
            return False
        record = origin_of(path)
        return record is not None and file_sha256(path) == record.sha256 and file.sha256 in (None, record.sha256)
