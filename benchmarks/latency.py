"""A slow server: the time with concurrent judging, against a bare loop with the same calls and the ideal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from benchmarks.clients import bare_seconds, bodies, pipeline_seconds, planned
from benchmarks.ratios import Ratio, in_turn, median
from benchmarks.server import serving
from judges.alignment import alignment_judge
from judges.coherence import coherence_judge

LATENCY_S = 0.5
CONCURRENCY = 200
SAMPLES = 1000
REPEATS = 3


def run() -> Iterator[str]:
    judges = (alignment_judge(), coherence_judge())
    trials = planned(SAMPLES, "freeform")
    sent = bodies(trials, judges)
    ideal = len(sent) * LATENCY_S / CONCURRENCY
    yield (
        f"{SAMPLES:,} freeform answers and two judge calls each at {LATENCY_S} s a call, {CONCURRENCY} at a time: "
        f"{ideal:.1f} s would be ideal"
    )
    with serving(latency_s=LATENCY_S, distinct=True) as server:
        pairs = asyncio.run(
            in_turn(
                lambda: pipeline_seconds(server.url, trials, judges, CONCURRENCY),
                lambda: bare_seconds(server.url, sent, CONCURRENCY),
                REPEATS,
            )
        )
        asked = server.requests
    assert asked == 2 * REPEATS * len(sent), f"{asked} requests: both sides did not do the same work"
    ours, bare = (median(times) for times in zip(*pairs, strict=True))
    speeds = f"{ours:.2f} s, bare {bare:.2f} s"
    yield Ratio("bare loop's time / ours", [pair.limit / pair.ours for pair in pairs], 1.0, True, speeds).line()
    yield Ratio("ideal time / ours", [ideal / pair.ours for pair in pairs], 0.85, True).line()
    yield f"  {'(ideal time / bare loop)':<48}{ideal / bare:6.2f}"
