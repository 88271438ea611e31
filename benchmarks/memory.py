"""Peak memory of `emeval run`: it must depend on the requests in flight, not on the number of trials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.commands import TRIALS_PER_SAMPLE, Cost, emeval_run, finished_run
from benchmarks.ratios import Ratio, median
from benchmarks.server import serving

SMALL, LARGE = 2, 40
REPEATS = 2


def run() -> Iterator[str]:
    yield f"`emeval run` of {SMALL * TRIALS_PER_SAMPLE:,} and of {LARGE * TRIALS_PER_SAMPLE:,} trials, peak memory"
    large = finished_run(LARGE).cost
    small = [_small() for _ in range(REPEATS)]
    mib = f"{large.peak_kib / 1024:.0f} MiB, small {median([cost.peak_kib for cost in small]) / 1024:.0f} MiB"
    yield Ratio("peak of large / small", [large.peak_kib / cost.peak_kib for cost in small], 1.3, False, mib).line()


def _small() -> Cost:
    with serving() as server, TemporaryDirectory() as folder:
        return emeval_run(server.url, SMALL, Path(folder) / "run")
