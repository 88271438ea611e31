"""Sampling over a Ray cluster: what is pending goes to a job, and its blocks are recorded as they end.

Blocks that a killed session left behind come first. They are recorded as the results of OpenAI's Batch API are, for the
models have been checked at their servers like those of a run online.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from evals.batches.openai.stages import AnswersStage, Returned
from evals.batches.outcomes import failure_in
from evals.batches.ray.files import BlockFiles
from evals.batches.ray.launch import run_job
from evals.batches.results import Results, opened
from evals.endpoints.endpoint import Endpoint
from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.plan.plan import Plan
from evals.runner.pipeline import Recorder, TrialSource
from evals.runner.session import RunSession

_SHARD = 20_000
"""Requests in one job: what stands in memory, here and there."""
_FILES_AT_ONCE = 100
_LOOK_EVERY_S = 0.25
_PAUSE = 10
"""Recording may take a tenth of the time: each time it walks the plan."""


async def ask_over_ray(
    session: RunSession, plan: Plan, sources: Mapping[str, TrialSource], recorder: Recorder, *, begin: bool
) -> None:
    """Have the workers of a Ray cluster ask what they can. Not `begin`, only record the results that are there.

    Raises RunStopped.
    """
    await session.journal.flush()
    stages = [AnswersStage(plan, _first(source), source.opened, recorder) for source in sources.values()]
    files = BlockFiles(session.folder)
    left = files.blocks()
    if left:
        recorder.say(f"recording {len(left):,} blocks of results that an earlier session left")
    taking = _Taking(session, files, stages)
    # What failed is about to be asked again, and had failed before it was dropped.
    await taking.take(left, failures=not session.retry.trials)
    files.clear()
    for stage in stages if begin else ():
        await _ask(session, files, stage, taking)


async def _ask(session: RunSession, files: BlockFiles, stage: AnswersStage, taking: _Taking) -> None:
    lines = stage.lines()
    while shard := list(islice(lines, _SHARD)):
        files.write([line for _, line in shard])
        job = asyncio.ensure_future(run_job(session.manifest.config, stage.endpoint, files, session.view.say))
        try:
            await taking.take_until(job)
        finally:
            job.cancel()
            await asyncio.wait([job])
            await taking.take(files.blocks())
        job.result()
        missing = sum(not session.journal.has_trial(custom_id) for custom_id, _ in shard)
        if missing:
            raise RunStopped(f"{stage.endpoint.name}: Ray ended without results for {counted(missing, 'request')}")
        files.clear()


class _Taking:
    """Records blocks, once each, and removes them."""

    def __init__(self, session: RunSession, files: BlockFiles, stages: Sequence[AnswersStage]) -> None:
        self._session, self._files, self._stages = session, files, stages

    async def take_until(self, job: asyncio.Future[None]) -> None:
        """Record blocks as they come, until the job has ended."""
        next_at = 0.0
        while not job.done():
            await asyncio.wait([job], timeout=_LOOK_EVERY_S)
            if time.monotonic() >= next_at and (blocks := self._files.blocks()):
                started = time.monotonic()
                await self.take(blocks)
                now = time.monotonic()
                next_at = now + _PAUSE * (now - started)

    async def take(self, paths: Sequence[Path], *, failures: bool = True) -> None:
        """Record results; without `failures`, those are left out, to be asked again. Raises RunStopped for a file that
        cannot be read."""
        for start in range(0, len(paths), _FILES_AT_ONCE):
            some = paths[start : start + _FILES_AT_ONCE]
            try:
                await self._take(some, failures=failures)
            except BadInput as error:
                raise RunStopped(f"{error}; once the file is removed, its requests are asked again") from None
            self._files.remove(some)

    async def _take(self, paths: Sequence[Path], *, failures: bool) -> None:
        config = self._session.manifest.config
        with opened(paths) as found:
            results = Results(found, self._session.view.say, max_reply_mb=config.max_reply_mb)
            endpoint = self._stages[0].endpoint  # who was asked makes no difference to what an error says
            ids, before = set[str](), dict[str, int]()
            for custom_id in results.ids():
                line = results.read(custom_id)
                if failures or failure_in(line, endpoint) is None:
                    ids.add(custom_id)
                    before[custom_id] = _attempts(line.get("attempts")) - 1
            for stage in self._stages:
                await stage.take(Returned(ids, results, before, max_attempts=1))


def _attempts(written: object) -> int:
    return written if type(written) is int and 1 <= written < 1_000_000 else 1


def _first(source: TrialSource) -> Endpoint:
    return source.endpoint if isinstance(source.endpoint, Endpoint) else source.endpoint.first
