"""Write report.html atomically: one file, or for large runs a page and a folder of data."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evals.analysis.recipes.result import RecipeResult
from evals.errors import BadInput
from evals.io.atomic import write_whole
from evals.reporting.figures.page import page_figures
from evals.reporting.page.page import Packed, report_page
from evals.reporting.page.transcripts import MOST, pack_transcripts
from evals.runner.count import Counted

MOST_INSIDE = 3_500_000
"""The maximum characters of packed transcripts in the page itself, which with the plotting library stays below 5 MB."""
_DATA_FILE = re.compile(r"(?:[0-9]+|index)\.js")


class Written(NamedTuple):
    """The page and, if its transcripts do not fit, the data folder that must stay next to it; how many transcripts
    it has, and trials the runs."""

    page: Path
    beside: Path | None
    transcripts: int
    trials: int


def write_report(runs: Sequence[Counted], page: Path, most: int = MOST, over: RecipeResult | None = None) -> Written:
    """Write the report of the runs to `page`, of more than `most` transcripts about so many; with `over` its recipes
    are those over several runs. If it raises BadInput, the old report stays."""
    if page.suffix != ".html":
        raise BadInput(f"{page}: the name of a page ends in .html")
    sink = _Sink(page)
    try:
        index = pack_transcripts(runs, sink, most)
        figures = page_figures(runs, over)
        packed = index.packed()
        sink.close(packed)
        beside = sink.folder.name if sink.folder else None
        inside = Packed(index, "" if beside else packed, sink.inside, beside)
        write_whole(page, report_page(runs, figures, inside, over))
    except BaseException:
        if sink.folder is not None:
            shutil.rmtree(sink.folder, ignore_errors=True)
        raise
    for old in list(page.parent.iterdir()):
        if old != sink.folder and _is_data_of(page, old):
            shutil.rmtree(old, ignore_errors=True)
    return Written(page, sink.folder, len(index), index.trials)


def _is_data_of(page: Path, folder: Path) -> bool:
    """Whether the folder is the data of an older page of that name, judging by its name and files."""
    is_named = re.fullmatch(rf"{re.escape(_stem(page))}-data-[0-9a-f]{{8}}", folder.name) is not None
    return is_named and folder.is_dir() and all(_DATA_FILE.fullmatch(file.name) for file in folder.iterdir())


def _stem(page: Path) -> str:
    return page.name.removesuffix(".html")


class _Sink:
    """Collects packed parts, and writes all of them to a folder once they do not fit into the page.

    Each folder has a unique name, so that no page reads the data of another.
    """

    def __init__(self, page: Path) -> None:
        self.inside: list[str] = []
        self.folder: Path | None = None
        self._page = page
        self._number = 0

    def __call__(self, part: str) -> None:
        self._take(part, 0)

    def close(self, index: str) -> None:
        """Add the index, which goes where the parts are."""
        self._take(None, len(index))
        if self.folder is not None:
            self._write("index", index)

    def _take(self, part: str | None, more: int) -> None:
        if part is not None:
            self.inside.append(part)
        if self.folder is None and sum(map(len, self.inside)) + more > MOST_INSIDE:
            self.folder = self._page.parent / f"{_stem(self._page)}-data-{secrets.token_hex(4)}"
        if self.folder is not None:
            for packed in self.inside:
                self._write(str(self._number), packed)
                self._number += 1
            self.inside = []

    def _write(self, name: str, packed: str) -> None:
        assert self.folder is not None  # noqa: S101
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{name}.js").write_text(f'emevalPart("{name}","{packed}");\n', encoding="ascii")
        except OSError as error:
            raise BadInput(f"{self.folder}: cannot be written: {error.strerror}") from None
