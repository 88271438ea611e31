"""Official datasets brought into the user's cache (`evals.questions.official.cached`) once, checked by sha256.

A file is put in its place only when it is whole and right; until then it is a part file, which the next attempt goes on
with. One process at a time works in such a folder.
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
from evals.io.download import (
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
from evals.io.hashes import file_sha256
from evals.io.paths import expanded
from evals.questions.official.cached import (
    LOCK_NAME,
    RECIPES,
    Lock,
    Locked,
    Trust,
    is_file_with,
    official_folder,
    read_lock,
)
from evals.questions.official.converters import check_kind, need_parquet_reader
from evals.questions.official.registry import MadeFile, OfficialSource, SourceFile

_MADE_MAX_BYTES = 1 << 30


class FetchView(Protocol):
    """What a person watching a download is told."""

    def say(self, text: str) -> None: ...

    def progress(self, name: str, size: int | None) -> AbstractContextManager[OnBytes]: ...


class Fetched(NamedTuple):
    """A file that is in the cache now. `was_there`: nothing had to be brought or made for it."""

    name: str
    path: Path
    size: int
    sha256: str
    trust: Trust
    was_there: bool


def fetch(
    source: OfficialSource,
    view: FetchView,
    *,
    mirror: str | None = None,
    only: Sequence[str] = (),
    patience: DownloadRetries | None = None,
    environ: Mapping[str, str] = os.environ,
) -> list[Fetched]:
    """Bring the files of a source, or those named in `only` with what they are made of, into the cache.

    `mirror` is a folder or a URL under which the files lie as in the original. What is there already and right is not
    asked for. Raises BadInput for what a person has to change: a wrong sha256, a missing file, a gate, a mirror that is
    none; and FetchStopped where the network or the disk failed, after which the same call goes on.
    """
    files, made = _chosen(source, only)
    place = _place(source, mirror)
    access = _access(source, environ)
    if any(file.name.endswith(".parquet") for file in files) and made:
        need_parquet_reader()
    folder = official_folder(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        guard = FileLock(folder / ".lock")
        try:
            guard.acquire(timeout=0)
        except Timeout:
            view.say(f"{source.name}: another emeval fetches it; waiting")
            guard.acquire()
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written: {error.strerror}; EMEVAL_DATA names another folder") from None
    try:
        lock = read_lock(folder, source)
        bring = _Bring(source, folder, lock, place, access, view, patience or DownloadRetries())
        return [*map(bring.file, files), *map(bring.make, made)]
    finally:
        guard.release()


class _SourcePlace(NamedTuple):
    """Where the files are: a folder, or a base URL. None for both is the original."""

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


def _chosen(source: OfficialSource, only: Sequence[str]) -> tuple[list[SourceFile], list[MadeFile]]:
    """The files asked for, and those that they are made of, in the registry's order."""
    unknown = [name for name in only if source.find(name) is None]
    if unknown:
        raise BadInput(f"{source.name} has no file {unknown[0]}; it has: {', '.join(source.names)}")
    made = [file for file in source.made if not only or file.name in only]
    needed = {*only, *(name for file in made for name in file.of)}
    return [file for file in source.files if not only or file.name in needed], made


class _Bring:
    """One source's files, one after the other, into their folder, whose lock is held."""

    def __init__(
        self,
        source: OfficialSource,
        folder: Path,
        lock: Lock,
        place: _SourcePlace,
        access: Access | None,
        view: FetchView,
        patience: DownloadRetries,
    ) -> None:
        self._source, self._folder, self._lock = source, folder, lock
        self._place, self._access = place, access
        self._view, self._patience = view, patience
        self._new: set[str] = set()

    def file(self, file: SourceFile) -> Fetched:
        """The file, from the cache if it is there and right."""
        path = self._folder / file.name
        entry = self._lock.files.get(file.name)
        if file.sha256 is not None:
            entry = entry if entry and entry.sha256 == file.sha256 else None
        size, sha256 = (entry.size, entry.sha256) if entry else (file.size, file.sha256)
        if path.is_file() and sha256 is not None:
            if is_file_with(path, size, sha256):
                if entry is None:
                    entry = self._enter(file.name, path, sha256, "pinned", "found in the cache")
                return Fetched(file.name, path, entry.size, sha256, entry.trust, was_there=True)
            self._view.say(f"{self._source.name}/{file.name}: the file in the cache is damaged; fetched again")
        wanted = self._wanted(file, size, sha256)
        part = self._folder / f"{file.name}.part"
        self._into(part, file, wanted)
        found = self._check(part, file, wanted)
        trust: Trust = "pinned" if file.sha256 else "first use"
        if entry is None and trust == "first use":
            self._view.say(
                f"{wanted.what}: no sha256 is known beforehand; trusted on first use, and its sha256 is recorded in "
                f"{LOCK_NAME} for later fetches"
            )
        where = str(self._place.folder) if self._place.folder else shown_url(wanted.url)
        self._settle(part, path)
        entry = self._enter(file.name, path, found, trust, where)
        self._new.add(file.name)
        return Fetched(file.name, path, entry.size, found, trust, was_there=False)

    def make(self, made: MadeFile) -> Fetched:
        """The file in our shape, made of files that are in the cache."""
        path = self._folder / made.name
        sources = {name: self._folder / name for name in made.of}
        of = " ".join(f"{name}:{self._lock.files[name].sha256}" for name in made.of)
        entry = self._lock.files.get(made.name)
        fresh = entry is not None and entry.origin == of and entry.recipes == RECIPES
        if entry is not None and fresh and path.is_file() and is_file_with(path, entry.size, entry.sha256):
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
            raise _disk(self._source, made.name, self._folder, error) from None
        self._settle(part, path)
        entry = self._enter(made.name, path, found, "made here", of)
        return Fetched(made.name, path, entry.size, found, "made here", was_there=False)

    def _wanted(self, file: SourceFile, size: int | None, sha256: str | None) -> RemoteFile:
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

    def _into(self, part: Path, file: SourceFile, wanted: RemoteFile) -> None:
        """Bring the file into the part; whatever is in the part already and right is not asked for."""
        if wanted.sha256 is not None and part.is_file() and is_file_with(part, wanted.size, wanted.sha256):
            return
        with self._view.progress(wanted.what, wanted.size) as arrived:
            if self._place.folder is not None:
                copy(wanted, self._place.folder.joinpath(*file.path.split("/")), part, arrived)
                return
            resumed = part.exists()
            commit = download(wanted, part, arrived, self._view.say, self._patience)
            if resumed and wanted.sha256 is not None and not is_file_with(part, wanted.size, wanted.sha256):
                self._view.say(f"{wanted.what}: what was kept of an earlier attempt does not fit; started again")
                remove_part(part)
                commit = download(wanted, part, arrived, self._view.say, self._patience)
        self._lock.commit = self._lock.commit or commit

    def _check(self, part: Path, file: SourceFile, wanted: RemoteFile) -> str:
        """The sha256 of the part. Raises BadInput, and leaves no part, unless it is the file."""
        where = str(self._place.folder) if self._place.folder else shown_url(wanted.url)
        found = file_sha256(part)
        wrong = None
        with part.open("rb") as opened:
            head = opened.read(len(LFS_POINTER))
        if head == LFS_POINTER:
            wrong = pointer(wanted.what, where)
        elif wanted.sha256 not in (None, found):
            known = "pinned" if file.sha256 else f"recorded at the first fetch in {self._folder / LOCK_NAME}"
            wrong = f"{wanted.what}: {where} is not the file: its sha256 is {found}, {known} is {wanted.sha256}"
        elif wanted.sha256 is None:
            try:
                check_kind(part, file.name)
            except BadInput as error:
                wrong = f"{wanted.what}: {where} is not the file: {error}"
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

    def _settle(self, part: Path, path: Path) -> None:
        """Put the finished part in its place: whole or not at all, also after a power cut."""
        try:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            remove_part(part)
            raise _disk(self._source, path.name, self._folder, error) from None
        remove_part(part)

    def _distrust(self, names: Iterable[str]) -> None:
        """Forget those files that came in this call: on first use, that nothing can be made of them says enough."""
        for name in self._new.intersection(names):
            (self._folder / name).unlink(missing_ok=True)
            self._lock.files.pop(name, None)
        self._save()

    def _enter(self, name: str, path: Path, sha256: str, trust: Trust, where: str) -> Locked:
        """Record a file that is in its place."""
        entry = Locked(
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
            raise _disk(self._source, LOCK_NAME, self._folder, error) from None


def _disk(source: OfficialSource, name: str, folder: Path, error: OSError) -> FetchStopped:
    return FetchStopped(f"{source.name}/{name}: {folder} takes no more: {error.strerror}; nothing of it is kept")
