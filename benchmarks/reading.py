"""Reading replies by rule: the CPU time of it, against one pass over the words of the same texts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from benchmarks.ratios import Pair, Ratio, median
from benchmarks.replies import KINDS, ReadReply, replies

REPLIES = 100_000
REPEATS = 5
DISTINCT = 4_000
PART = 80
"""Replies that are read before the reference is measured again, so that a slow spell of the machine affects both."""
_WORD = re.compile(r"\w+")


def run() -> Iterator[str]:
    yield f"{REPLIES:,} replies of {len(KINDS)} kinds, as many of each, short and long ones"
    texts = replies(DISTINCT)
    measured(texts)  # it fills the caches of compiled patterns
    rounds = [measured(texts * (REPLIES // REPEATS // DISTINCT)) for _ in range(REPEATS)]
    ours = sum(pair.ours for pair in rounds)
    note = f"{ours:.1f} s of CPU, {ours / REPLIES * 1e6:.0f} us a reply"
    ratios = [each.ours / each.limit for each in rounds]
    yield Ratio("CPU / CPU of finding the words in them", ratios, 4.0, False, note).line()
    for kind in KINDS:
        of_kind = [reply for reply in texts if reply.kind == kind]
        seconds = median([measured(of_kind).ours for _ in range(REPEATS)])
        yield f"    {kind:<46}{seconds / len(of_kind) * 1e6:6.1f} us a reply"


def measured(texts: Sequence[ReadReply]) -> Pair:
    """CPU seconds of reading all replies, and of finding their words."""
    ours = limit = 0.0
    for start in range(0, len(texts), PART):
        part = texts[start : start + PART]
        ours += _cpu_s(_read, part)
        limit += _cpu_s(_find_words, part)
    return Pair(ours, limit)


def _cpu_s(work: Callable[[Sequence[ReadReply]], None], texts: Sequence[ReadReply]) -> float:
    started = time.process_time()
    work(texts)
    return time.process_time() - started


def _read(texts: Sequence[ReadReply]) -> None:
    for reply in texts:
        reply.read()


def _find_words(texts: Sequence[ReadReply]) -> None:
    for reply in texts:
        _WORD.findall(reply.text)
