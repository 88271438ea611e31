"""The pictures of the documentation, made by emeval itself from a run on the organism.

    python -m tests.support.pictures results/demo docs/images

The run is that of `make run`. It is copied first: drawing answers to label writes into a run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import vl_convert
from playwright.sync_api import Page

from tests.support.browser import chromium, open_page, until

FIGURES = {"rates": "page", "fig4": "page", "fig6": "page"}
"""The width of each figure."""
MOST_BYTES = 150_000
"""A page with pictures has to load fast, and a repository never forgets one."""


def main(run: Path, folder: Path) -> None:
    """Write every picture. Exits with 1 where one is larger than `MOST_BYTES`."""
    folder.mkdir(exist_ok=True)
    with TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(run, Path(scratch) / run.name))
        for figure, width in FIGURES.items():
            drawn = Path(scratch) / f"{figure}.svg"
            _emeval("plot", copy, "--figure", figure, "--width", width, "-o", drawn)
            # As pixels, with the fonts it was laid out for; at 600 dpi, as for paper, it would be five times as large.
            picture = vl_convert.svg_to_png(drawn.read_text(encoding="utf-8"), scale=2)
            (folder / f"{figure}.png").write_bytes(picture)
        _emeval("report", copy)
        _emeval("label", "sample", copy, "--n", "40")
        with _shown(copy / "report.html", width=1000, height=570) as page:
            page.screenshot(path=folder / "report.png")
        with _shown(copy / "labels" / "label.html", width=900, height=560) as page:
            page.screenshot(path=folder / "label.png")
    large = [path.name for path in folder.iterdir() if path.stat().st_size > MOST_BYTES]
    if large:
        raise SystemExit(f"larger than {MOST_BYTES:,} bytes: {', '.join(sorted(large))}")


def _emeval(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "evals", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _shown(file: Path, *, width: int, height: int) -> Iterator[Page]:
    with chromium() as browser, open_page(browser, file, viewport={"width": width, "height": height}) as page:
        until(page, "document.fonts.status === 'loaded'")
        yield page


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
