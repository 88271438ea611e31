"""An instant server: samples per second with the journal, against calls per second of a bare loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from benchmarks.clients import bare_seconds, bodies, pipeline_seconds, planned
from benchmarks.ratios import Ratio, in_turn, median
from benchmarks.server import serving

CONCURRENCIES = (64, 200)
SAMPLES = 2500
REPEATS = 4


def run() -> Iterator[str]:
    trials = planned(SAMPLES, "mcq")
    sent = bodies(trials, ())
    yield f"{SAMPLES:,} multiple-choice answers from a server without latency, every one committed"
    with serving() as server:
        asyncio.run(bare_seconds(server.url, sent[:200], 8))  # openai's client imports its parts when first used
        asyncio.run(pipeline_seconds(server.url, trials[:200], (), 8))
        for concurrency in CONCURRENCIES:
            pairs = asyncio.run(
                in_turn(
                    lambda at=concurrency: pipeline_seconds(server.url, trials, (), at),
                    lambda at=concurrency: bare_seconds(server.url, sent, at),
                    REPEATS,
                )
            )
            ours, bare = (SAMPLES / median(times) for times in zip(*pairs, strict=True))
            note = f"{ours:.0f}/s, bare {bare:.0f}/s"
            what = f"our rate / bare loop's rate, {concurrency} at a time"
            yield Ratio(what, [pair.limit / pair.ours for pair in pairs], 0.85, True, note).line()
