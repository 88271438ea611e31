"""The files of a run that asks over Ray: one of requests while they are asked, and one for each block of results until
they are recorded. The files alone say how far it is, so nothing has to be written down when a process is killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from evals.errors import JournalFull
from evals.io.atomic import whole_file
from evals.io.folders.leftovers import remove_leftovers
from evals.io.folders.strange_files import refuse_linked_folder
from evals.runner.session import RAY_FOLDER
from evals.trials.trial import stable_hash

REQUESTS = "requests.jsonl"
_BLOCK = re.compile(r"block-\d{6,9}\.results\.jsonl")


def block_name(number: int) -> str:
    """The name of a block's results; its number is one that no block in the folder has."""
    return f"block-{number:06}.results.jsonl"


def next_block(folder: Path) -> int:
    """A number above those of the blocks in the folder: what an earlier session left stays as it is."""
    return 1 + max((int(path.name[len("block-") :].partition(".")[0]) for path in _blocks(folder)), default=0)


class BlockFiles:
    """They lie in the folder `ray` of a run, those of a judge model in a folder of its own there; a folder is there
    only as long as it holds some."""

    def __init__(self, run: Path, judge: str = "") -> None:
        """`judge` is the name of a judge model, "" for the models under test. Raises BadInput for a folder that is a
        link."""
        self._above = run / RAY_FOLDER
        self.folder = self._above / f"judge-{stable_hash({'judge': judge})[:8]}" if judge else self._above
        for folder in (self._above, self.folder):
            refuse_linked_folder(folder)

    @property
    def requests(self) -> Path:
        return self.folder / REQUESTS

    def blocks(self) -> list[Path]:
        """The results that nobody has recorded, in the order of their blocks. Each is whole."""
        return _blocks(self.folder)

    def write(self, lines: Sequence[bytes]) -> None:
        """Put these requests in the place of the last ones. Raises JournalFull."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self.requests) as file:
                file.buffer.write(b"".join(line + b"\n" for line in lines))
        except OSError as error:
            raise JournalFull(f"{self.requests}: cannot be written: {error.strerror}; then resume") from None

    def remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the requests, what a killed process was writing, and the folders that are empty then."""
        self.requests.unlink(missing_ok=True)
        if self.folder.is_dir():
            remove_leftovers(self.folder)
        with suppress(OSError):
            self.folder.rmdir()
            self._above.rmdir()


def _blocks(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if _BLOCK.fullmatch(path.name))
    return []
