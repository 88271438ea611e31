"""The files of batches in a run's folder: requests until they are answered, results until they are recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from evals.errors import JournalFull
from evals.io.atomic import whole_file
from evals.io.folders.strange_files import refuse_linked_folder
from evals.io.hashes import file_sha256
from evals.io.paths import open_file
from evals.runner.by_batch.records import BatchRecord

FOLDER = "openai-batch"


class BatchFiles:
    """They lie in the folder `openai-batch` of a run, which is there only as long as it holds some. Raises BadInput if
    that is a link."""

    def __init__(self, run: Path) -> None:
        self._folder = run / FOLDER
        refuse_linked_folder(self._folder)

    def write(self, name: str, lines: Sequence[bytes]) -> str:
        """Write a file of requests, whole; its sha256. Raises JournalFull."""
        content = b"".join(line + b"\n" for line in lines)
        with self.writing(), whole_file(self._folder / name) as file:
            file.buffer.write(content)
        return hashlib.sha256(content).hexdigest()

    @contextmanager
    def writing(self) -> Generator[None]:
        """The folder is there while the block writes into it. Raises JournalFull where it cannot be."""
        try:
            self._folder.mkdir(exist_ok=True)
            yield
        except OSError as error:
            raise JournalFull(f"{self._folder}: cannot be written: {error.strerror}; then resume") from None

    def requests(self, record: BatchRecord) -> Path:
        return self._folder / record.file

    def results(self, record: BatchRecord) -> tuple[Path, Path]:
        """Where the answers and the errors of a batch go."""
        stem = record.file.removesuffix(".jsonl")
        return self._folder / f"{stem}.output.jsonl", self._folder / f"{stem}.errors.jsonl"

    def is_whole(self, record: BatchRecord) -> bool:
        """Whether the file of requests is there as it was written."""
        try:
            return file_sha256(self.requests(record)) == record.sha256
        except OSError:
            return False

    def lines(self, record: BatchRecord) -> list[bytes]:
        """The requests in a file; none of one that has changed or is gone."""
        if not self.is_whole(record):
            return []
        with open_file(self.requests(record)) as file:
            return file.read().splitlines()

    def ids(self, record: BatchRecord) -> frozenset[str]:
        return frozenset(str(json.loads(line)["custom_id"]) for line in self.lines(record))

    def remove(self, record: BatchRecord) -> None:
        for path in (self.requests(record), *self.results(record)):
            path.unlink(missing_ok=True)

    def remove_folder(self) -> None:
        with suppress(OSError):  # only an empty one is removed
            self._folder.rmdir()
