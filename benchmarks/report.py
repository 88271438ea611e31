"""`emeval report`: the time to pack every transcript against counting them, and the size of the page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.commands import TRIALS_PER_SAMPLE, finished_run, measured
from benchmarks.memory import LARGE
from benchmarks.ratios import Ratio, in_turn, median

LIMIT_BYTES = 5_000_000
REPEATS = 3


def run() -> Iterator[str]:
    trials = LARGE * TRIALS_PER_SAMPLE
    yield f"`emeval report` of a run of {trials:,} trials"
    folder = str(finished_run(LARGE).folder)
    with TemporaryDirectory() as scratch:
        page = Path(scratch) / "report.html"

        async def report() -> float:
            return measured("-m", "evals", "report", folder, "-o", str(page)).seconds

        async def rates() -> float:
            return measured("-m", "evals", "rates", folder).seconds

        pairs = asyncio.run(in_turn(report, rates, REPEATS))
        size = page.stat().st_size
    ours, counting = (median(times) for times in zip(*pairs, strict=True))
    note = f"{ours:.1f} s, counting alone {counting:.1f} s"
    yield Ratio("time / time of `emeval rates`", [pair.ours / pair.limit for pair in pairs], 3.0, False, note).line()
    yield Ratio("size of the page / 5 MB", [size / LIMIT_BYTES], 1.0, False, f"{size / 1e6:.1f} MB").line()
