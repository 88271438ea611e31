"""The same command on a finished run: no requests, and the tables within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from benchmarks.commands import TRIALS_PER_SAMPLE, emeval_run, finished_run, measured
from benchmarks.memory import LARGE
from benchmarks.ratios import Ratio, in_turn, median
from benchmarks.server import serving

LIMIT_S = 3.0
REPEATS = 3


def run() -> Iterator[str]:
    yield f"`emeval run` on a finished run of {LARGE * TRIALS_PER_SAMPLE:,} trials"
    folder = finished_run(LARGE).folder
    with serving() as server:

        async def again() -> float:
            return emeval_run(server.url, LARGE, folder).seconds

        async def imports() -> float:
            return measured("-c", "import evals.runner.run").seconds

        pairs = asyncio.run(in_turn(again, imports, REPEATS))
        asked = server.requests
    ours, floor = (median(times) for times in zip(*pairs, strict=True))
    yield Ratio("requests to the server", [asked], 0, False).line()
    note = f"{ours:.2f} s; importing alone takes {floor:.2f} s"
    yield Ratio(f"time / {LIMIT_S:.0f} s", [pair.ours / LIMIT_S for pair in pairs], 1.0, False, note).line()
