"""Fetch official datasets into the user's cache (`evals.questions.official.cached`), checked by sha256.

A file moves to its place only when it is complete and correct; until then it is a part file, from which the next
attempt resumes. One process at a time works in a folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote

from filelock import FileLock, Timeout

from evals.errors import BadInput, FetchStopped
from evals.io.hashes import file_sha256
from evals.io.parquet import need_parquet_reader
from evals.io.paths import expanded
from evals.io.web.download import (
    LFS_POINTER,
    Access,
    DownloadRetries,
    OnBytes,
    RemoteFile,
    copy,
    download,
    origin,
    pointer,
    remove_part,
    shown_url,
)
from evals.io.web.refusals import LfsPointer
from evals.questions.official.cached import (
    LOCK_NAME,
    RECIPES,
    Lock,
    LockEntry,
    Trust,
    has_sha256,
    official_folder,
    read_lock,
)
from evals.questions.official.converters import check_kind
from evals.questions.official.registry import MadeFile, OfficialSource, SourceFile

_MADE_MAX_BYTES = 1 << 30


class FetchView(Protocol):
    """Progress callbacks of a download."""

    def say(self, text: str) -> None: ...

    def progress(self, name: str, size: int | None) -> AbstractContextManager[OnBytes]: ...


class Fetched(NamedTuple):
    """A file in the cache. `was_there`: it was there already."""

    name: str
    path: Path
    size: int
    sha256: str
    trust: Trust
    was_there: bool


class PointersLeft(BadInput):
    """Some files are git-lfs pointers in the mirror, and were left out; `fetched` are all others."""

    def __init__(self, message: str, fetched: list[Fetched]) -> None:
        super().__init__(message)
        self.fetched = fetched


def fetch(
    source: OfficialSource,
    view: FetchView,
    *,
    mirror: str | None = None,
    only: Sequence[str] = (),
    patience: DownloadRetries | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Fetched]:
    """Fetch the files of a source, or those in `only` with the files they are made of, into the cache.

    `mirror` is a folder or URL with the same layout as the original. Correct files in the cache are not fetched again.
    Raises BadInput for errors that a retry cannot fix (a wrong sha256, a missing file, a gated source, an invalid
    mirror), and FetchStopped if the network or the disk fails; the same call then resumes. Files that a checkout has as
    git-lfs pointers do not keep it from the others: PointersLeft names them at the end.
    """
    files, made = _selected_files(source, only)
    place = _place(source, mirror)
    access = _access(source, environ)
    if any(file.name.endswith(".parquet") for file in files) and made:
        need_parquet_reader("this dataset is published as parquet files")
    folder = official_folder(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file_lock = FileLock(folder / ".lock")
        try:
            file_lock.acquire(timeout=0)
        except Timeout:
            view.say(f"{source.name}: another emeval fetches it; waiting")
            file_lock.acquire()
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror}; EMEVAL_DATA names another folder") from None
    try:
        lock = read_lock(folder, source)
        fetcher = _Fetcher(source, lock, place, access, view, patience or DownloadRetries())
        return fetcher.all_of(files, made)
    finally:
        file_lock.release()


class _SourcePlace(NamedTuple):
    """The location of the files: a folder or a base URL, or the original if both are None."""

    folder: Path | None = None
    url: str | None = None


def _place(source: OfficialSource, mirror: str | None) -> _SourcePlace:
    if mirror is None:
        return _SourcePlace()
    if "://" in mirror:
        if not mirror.startswith(("https://", "http://")) or {"?", "#"} & set(mirror):
            raise BadInput(f"--from {shown_url(mirror)}: must be a folder, or an http(s) URL that the files lie under")
        return _SourcePlace(url=mirror.rstrip("/"))
    folder = expanded(mirror)
    if not folder.is_dir():
        raise BadInput(f"--from {mirror}: there is no such folder (a copy of {source.repository} is wanted)")
    return _SourcePlace(folder=folder)


def _access(source: OfficialSource, environ: Mapping[str, str]) -> Access | None:
    if source.gate is None:
        return None
    value = environ.get(source.gate.variable, "").strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise BadInput(f"{source.gate.variable} holds characters that no token has")
    gate = source.gate
    return Access(gate.variable, gate.terms, gate.tokens, origin(source.base), value or None)


def _selected_files(source: OfficialSource, only: Sequence[str]) -> tuple[list[SourceFile], list[MadeFile]]:
    """The selected files, and those that they are made of, in registry order."""
    unknown = [name for name in only if source.find(name) is None]
    if unknown:
        raise BadInput(f"{source.name} has no file {unknown[0]}; it has: {', '.join(source.names)}")
    made = [file for file in source.made if not only or file.name in only]
    needed = {*only, *(name for file in made for name in file.of)}
    return [file for file in source.files if not only or file.name in needed], made


class _Fetcher:
    """Fetches the files of a source into their folder, while holding its lock."""

    def __init__(
        self,
        source: OfficialSource,
        lock: Lock,
        place: _SourcePlace,
        access: Access | None,
        view: FetchView,
        retries: DownloadRetries,
    ) -> None:
        self._source, self._folder, self._lock = source, official_folder(source), lock
        self._place, self._access = place, access
        self._view, self._retries = view, retries
        self._new: set[str] = set()

    def all_of(self, files: Iterable[SourceFile], made: Iterable[MadeFile]) -> list[Fetched]:
        """Every file that is no pointer, and every file made of these. Raises PointersLeft if there are others."""
        fetched: list[Fetched] = []
        pointers: list[str] = []
        for file in files:
            try:
                fetched.append(self.file(file))
            except LfsPointer:
                pointers.append(file.name)
        unmade = [file.name for file in made if not set(pointers).isdisjoint(file.of)]
        fetched += [self.make(file) for file in made if file.name not in unmade]
        if not pointers:
            return fetched
        where = self._place.folder or shown_url(self._place.url or self._source.repository)
        raise PointersLeft(
            f"{self._source.name}: {where} has a git-lfs pointer, not the data, for {', '.join(pointers)}: it is a "
            "checkout without its git-lfs objects (run `git lfs pull` there)"
            + (f"; what is made of them is missing too: {', '.join(unmade)}" if unmade else "")
            + ("; all other files are in the cache" if fetched else ""),
            fetched,
        )

    def file(self, file: SourceFile) -> Fetched:
        """The file, from the cache if it is correct there."""
        path = self._folder / file.name
        entry = self._lock.files.get(file.name)
        if file.sha256 is not None:
            entry = entry if entry and entry.sha256 == file.sha256 else None
        size, sha256 = (entry.size, entry.sha256) if entry else (file.size, file.sha256)
        if path.is_file() and sha256 is not None:
            if has_sha256(path, size, sha256):
                if entry is None:
                    entry = self._record(file.name, path, sha256, "pinned", "found in the cache")
                return Fetched(file.name, path, entry.size, sha256, entry.trust, was_there=True)
            self._view.say(f"{self._source.name}/{file.name}: the file in the cache is damaged; fetched again")
        remote = self._remote_file(file, size, sha256)
        part = self._folder / f"{file.name}.part"
        self._download(part, file, remote)
        found = self._check(part, file, remote)
        trust: Trust = "pinned" if file.sha256 else "first use"
        if entry is None and trust == "first use":
            self._view.say(
                f"{remote.what}: no sha256 is known beforehand; trusted on first use, and its sha256 is recorded in "
                f"{LOCK_NAME} for later fetches"
            )
        where = str(self._place.folder) if self._place.folder else shown_url(remote.url)
        self._finish(part, path)
        entry = self._record(file.name, path, found, trust, where)
        self._new.add(file.name)
        return Fetched(file.name, path, entry.size, found, trust, was_there=False)

    def make(self, made: MadeFile) -> Fetched:
        """The file in emeval's schema, converted from files in the cache."""
        path = self._folder / made.name
        sources = {name: self._folder / name for name in made.of}
        of = " ".join(f"{name}:{self._lock.files[name].sha256}" for name in made.of)
        entry = self._lock.files.get(made.name)
        fresh = entry is not None and entry.origin == of and entry.recipes == RECIPES
        if entry is not None and fresh and path.is_file() and has_sha256(path, entry.size, entry.sha256):
            return Fetched(made.name, path, entry.size, entry.sha256, "made here", was_there=True)
        part = self._folder / f"{made.name}.part"
        try:
            found = self._write(part, made, made.recipe(sources, self._view.say))
            if made.sha256 not in (None, found):
                raise BadInput(
                    f"{self._source.name}/{made.name}: made of {', '.join(made.of)} it is not what the pinned revision "
                    f"gives: its sha256 is {found}, pinned is {made.sha256}"
                )
        except BadInput:
            remove_part(part)
            self._distrust(made.of)
            raise
        except OSError as error:
            remove_part(part)
            raise _disk_error(self._source, made.name, self._folder, error) from None
        self._finish(part, path)
        entry = self._record(made.name, path, found, "made here", of)
        return Fetched(made.name, path, entry.size, found, "made here", was_there=False)

    def _remote_file(self, file: SourceFile, size: int | None, sha256: str | None) -> RemoteFile:
        base = self._source.lfs_base if file.lfs else self._source.base
        base = self._place.url or base.replace("{revision}", self._lock.commit or self._source.revision)
        return RemoteFile(
            what=f"{self._source.name}/{file.name}",
            url=f"{base}/{quote(file.path)}",
            max_bytes=file.max_bytes,
            size=size,
            sha256=sha256,
            access=self._access,
            commit_header="" if self._place.url else self._source.commit_header,
        )

    def _download(self, part: Path, file: SourceFile, remote: RemoteFile) -> None:
        """Download or copy the file into the part file, unless the part is complete and correct."""
        if remote.sha256 is not None and part.is_file() and has_sha256(part, remote.size, remote.sha256):
            return
        with self._view.progress(remote.what, remote.size) as on_bytes:
            if self._place.folder is not None:
                copy(remote, self._place.folder.joinpath(*file.path.split("/")), part, on_bytes)
                return
            resumed = part.exists()
            commit = download(remote, part, on_bytes, self._view.say, self._retries)
            if resumed and remote.sha256 is not None and not has_sha256(part, remote.size, remote.sha256):
                self._view.say(f"{remote.what}: what was kept of an earlier attempt does not fit; started again")
                remove_part(part)
                commit = download(remote, part, on_bytes, self._view.say, self._retries)
        self._lock.commit = self._lock.commit or commit

    def _check(self, part: Path, file: SourceFile, remote: RemoteFile) -> str:
        """The sha256 of the part. Raises BadInput, and removes the part, unless it is the right file."""
        where = str(self._place.folder) if self._place.folder else shown_url(remote.url)
        found = file_sha256(part)
        wrong = None
        with part.open("rb") as opened:
            head = opened.read(len(LFS_POINTER))
        if head == LFS_POINTER:
            remove_part(part)
            raise LfsPointer(pointer(remote.what, where))
        if remote.sha256 not in (None, found):
            known = "pinned" if file.sha256 else f"recorded at the first fetch in {self._folder / LOCK_NAME}"
            wrong = f"{remote.what}: {where} is not the file: its sha256 is {found}, {known} is {remote.sha256}"
        elif remote.sha256 is None:
            try:
                check_kind(part, file.name)
            except BadInput as error:
                wrong = f"{remote.what}: {where} is not the file: {error}"
        if wrong:
            remove_part(part)
            raise BadInput(wrong)
        return found

    def _write(self, part: Path, made: MadeFile, lines: Iterable[bytes]) -> str:
        digest, length = hashlib.sha256(), 0
        with part.open("wb") as file:
            for line in lines:
                length += len(line)
                if length > _MADE_MAX_BYTES:
                    raise BadInput(f"{self._source.name}/{made.name}: would be longer than {_MADE_MAX_BYTES:,} bytes")
                digest.update(line)
                file.write(line)
        return digest.hexdigest()

    def _finish(self, part: Path, path: Path) -> None:
        """Move the finished part to its place, atomically and durably."""
        try:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            remove_part(part)
            raise _disk_error(self._source, path.name, self._folder, error) from None
        remove_part(part)

    def _distrust(self, names: Iterable[str]) -> None:
        """Remove the given files if they were fetched in this call: trusted on first use, they cannot be converted."""
        for name in self._new.intersection(names):
            (self._folder / name).unlink(missing_ok=True)
            self._lock.files.pop(name, None)
        self._save()

    def _record(self, name: str, path: Path, sha256: str, trust: Trust, where: str) -> LockEntry:
        """Record a file that is in its place in the lock file."""
        entry = LockEntry(
            size=path.stat().st_size,
            sha256=sha256,
            trust=trust,
            origin=where,
            fetched=datetime.now(UTC).isoformat(timespec="seconds"),
            recipes=RECIPES if trust == "made here" else None,
        )
        self._lock.files[name] = entry
        self._save()
        return entry

    def _save(self) -> None:
        draft = self._folder / f"{LOCK_NAME}.part"
        try:
            draft.write_text(self._lock.model_dump_json(indent=1) + "\n", encoding="utf-8")
            draft.replace(self._folder / LOCK_NAME)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise _disk_error(self._source, LOCK_NAME, self._folder, error) from None


def _disk_error(source: OfficialSource, name: str, folder: Path, error: OSError) -> FetchStopped:
    return FetchStopped(f"{source.name}/{name}: {folder} takes no more: {error.strerror}; nothing of it is kept")
