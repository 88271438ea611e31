"""The shards of a run that samples with `vllm run-batch`: requests until they are answered, results until they are
recorded. The files alone say how far it is, so nothing has to be written down when a process is killed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from evals.errors import JournalFull, RunStopped
from evals.io.atomic import whole_file
from evals.io.folders.strange_files import refuse_linked_folder
from evals.runner.session import VLLM_FOLDER

_NAME = re.compile(r"(\d{4,9})\.(requests|part|results)\.jsonl")


class ShardFiles:
    """They lie in the folder `vllm-batch` of a run, which is there only as long as it holds some."""

    def __init__(self, run: Path) -> None:
        self._folder = run / VLLM_FOLDER

    def left(self) -> list[Path]:
        """Results that nobody has recorded, in the order of the shards: complete ones, and what a killed process left
        behind. Raises BadInput for a folder that is a link."""
        refuse_linked_folder(self._folder)
        return sorted(path for path, kind in self._entries() if kind != "requests")

    def write(self, lines: Sequence[bytes]) -> Path:
        """A new file of requests, on the disk. Raises BadInput and JournalFull."""
        refuse_linked_folder(self._folder)
        # A number that no file has: what an earlier vLLM may still write goes elsewhere.
        number = 1 + max((int(path.name.partition(".")[0]) for path, _ in self._entries()), default=0)
        path = self._folder / f"{number:04}.requests.jsonl"
        try:
            self._folder.mkdir(exist_ok=True)
            with whole_file(path) as file:
                file.buffer.write(b"".join(line + b"\n" for line in lines))
        except OSError as error:
            raise JournalFull(f"{path}: cannot be written: {error.strerror}; then resume") from None
        return path

    def part_of(self, requests: Path) -> Path:
        """Where vLLM writes the results of a shard."""
        return requests.with_name(requests.name.replace(".requests.", ".part."))

    def finished(self, part: Path) -> Path:
        """The results, once vLLM has ended well. Raises RunStopped where it has written none."""
        results = part.with_name(part.name.replace(".part.", ".results."))
        try:
            part.rename(results)
        except OSError as error:
            raise RunStopped(f"{part}: vLLM ended without results: {error.strerror}") from None
        return results

    def remove(self, path: Path) -> None:
        """Remove the files of a shard, of which `path` is one."""
        number = path.name.partition(".")[0]
        for kind in ("requests", "part", "results"):
            path.with_name(f"{number}.{kind}.jsonl").unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove requests that nobody answered, and the folder if it is empty then."""
        for path, kind in self._entries():
            if kind == "requests":
                path.unlink(missing_ok=True)
        with suppress(OSError):
            self._folder.rmdir()

    def _entries(self) -> Iterator[tuple[Path, str]]:
        with suppress(OSError):
            for path in sorted(self._folder.iterdir()):
                if found := _NAME.fullmatch(path.name):
                    yield path, found[2]
