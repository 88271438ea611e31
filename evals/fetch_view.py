"""What a person sees of a download: a bar on a terminal, else a line for each file. All on stderr."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from evals.io.download import Arrived
from evals.text import one_line


class FetchConsole:
    """The view of `emeval datasets fetch`."""

    def __init__(self) -> None:
        self._err = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        self._err.print(one_line(text, 500), style="dim", markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, name: str, size: int | None) -> Generator[Arrived]:
        """A function to tell how many bytes are here."""
        if not self._err.is_terminal:
            self.say(f"fetching {name}" + (f" ({size:,} bytes)" if size else ""))
            yield lambda _here, _total: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._err, transient=True) as bars:
            task = bars.add_task(name, total=size)
            yield lambda here, total: bars.update(task, completed=here, total=total)
