"""Models and judges asked over a Ray cluster: what is pending goes to a job, whose blocks are recorded as they end.

Blocks that a killed session left behind come first. They are recorded as the results of OpenAI's Batch API are, for the
models have been checked at their servers like those of a run online.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from evals.batches.openai.stages import AnswersStage, BatchStage, JudgeStage, Returned
from evals.batches.outcomes import failure_in
from evals.batches.ray.files import BlockFiles
from evals.batches.ray.launch import run_job
from evals.batches.results import Results, opened
from evals.batches.unserved import UnservedJudges, UnservedModel
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.replicas import Replicas
from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.plan.plan import Plan
from evals.runner.pipeline import Recorder, TrialSource
from evals.runner.session import RunSession
from evals.scoring.judge_set import JudgePanel

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
    stages = [
        AnswersStage(plan, _first(source.endpoint), source.opened, recorder, half_price=False)
        for source in sources.values()
    ]
    taking = _Taking(session, BlockFiles(session.folder), stages)
    await _take_left(taking, recorder, failures=not session.retry.trials)
    for stage in stages if begin else ():
        lines = stage.lines()
        while shard := list(islice(lines, _SHARD)):
            await _ask(session, stage, shard, taking)


async def judge_over_ray(
    session: RunSession, judges: Sequence[JudgeEndpoint], panel: JudgePanel, recorder: Recorder, *, begin: bool
) -> None:
    """Have the workers of a Ray cluster ask the judges of one model, until none is due. Not `begin`, only record the
    results that are there.

    Raises RunStopped.
    """
    endpoint = _first(judges[0].endpoint)
    asked = UnservedJudges(UnservedModel(endpoint), {judge.key.id: judge for judge in judges}, panel)
    stage = JudgeStage(asked, endpoint, recorder, half_price=False)
    taking = _Taking(session, BlockFiles(session.folder, judge=endpoint.name), [stage])
    await _take_left(taking, recorder, failures=not session.retry.rulings)
    is_any_due = begin
    while is_any_due:  # after what some judges say, others may be due
        await stage.settle()
        is_any_due = False
        while shard := _first_lines(stage):
            is_any_due = True
            await _ask(session, stage, shard, taking)


def _first_lines(stage: JudgeStage) -> list[tuple[str, bytes]]:
    """The next shard. What is behind it is looked up again later: a reader of the journal that waits for hours sees
    none of what is recorded meanwhile, and keeps its log from being cut."""
    with closing(stage.lines()) as lines:
        return list(islice(lines, _SHARD))


async def _take_left(taking: _Taking, recorder: Recorder, *, failures: bool) -> None:
    """Record the blocks of an earlier session; without `failures` for what is about to be asked again because it had
    failed."""
    await recorder.journal.flush()
    left = taking.files.blocks()
    if left:
        recorder.say(f"recording {counted(len(left), 'block')} of results that an earlier session left")
    await taking.take(left, failures=failures)
    taking.files.clear()


async def _ask(session: RunSession, stage: BatchStage, shard: Sequence[tuple[str, bytes]], taking: _Taking) -> None:
    """Have the requests of a shard asked and recorded. Raises RunStopped."""
    files = taking.files
    taking.returned.clear()
    files.write([line for _, line in shard])
    job = asyncio.ensure_future(run_job(session.manifest.config, stage.endpoint, files, session.view.say))
    try:
        await taking.take_until(job)
    finally:
        job.cancel()
        await asyncio.wait([job])
        await taking.take(files.blocks())
    job.result()
    missing = sum(custom_id not in taking.returned for custom_id, _ in shard)
    if missing:
        raise RunStopped(f"{stage.endpoint.name}: Ray ended without results for {counted(missing, 'request')}")
    files.clear()


class _Taking:
    """Records blocks, once each, and removes them. `returned` are the ids of the requests that they had results of."""

    def __init__(self, session: RunSession, files: BlockFiles, stages: Sequence[BatchStage]) -> None:
        self._session, self.files, self._stages = session, files, stages
        self.returned: set[str] = set()

    async def take_until(self, job: asyncio.Future[None]) -> None:
        """Record blocks as they come, until the job has ended."""
        next_at = 0.0
        while not job.done():
            await asyncio.wait([job], timeout=_LOOK_EVERY_S)
            if time.monotonic() >= next_at and (blocks := self.files.blocks()):
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
            self.files.remove(some)

    async def _take(self, paths: Sequence[Path], *, failures: bool) -> None:
        config = self._session.manifest.config
        with opened(paths) as found:
            results = Results(found, self._session.view.say, max_reply_mb=config.max_reply_mb)
            endpoint = self._stages[0].endpoint  # who was asked makes no difference to what an error says
            ids, before = set[str](), dict[str, int]()
            for custom_id in results.ids():
                self.returned.add(custom_id)
                line = results.read(custom_id)
                if failures or failure_in(line, endpoint) is None:
                    ids.add(custom_id)
                    before[custom_id] = _attempts(line.get("attempts")) - 1
            for stage in self._stages:
                await stage.take(Returned(ids, results, before, max_attempts=1))


def _attempts(written: object) -> int:
    return written if type(written) is int and 1 <= written < 1_000_000 else 1


def _first(endpoint: Endpoint | Replicas) -> Endpoint:
    return endpoint if isinstance(endpoint, Endpoint) else endpoint.first
