"""What a run asks by OpenAI's Batch API, from connected models and judges to the last result in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.runner.by_batch.records import Records
from evals.text import quoted_path

if TYPE_CHECKING:  # a run that asks nothing by batch waits for none of this
    from evals.batches.openai.api import BatchApi
    from evals.batches.openai.rounds import Pace, Rounds
    from evals.batches.openai.stages import BatchStage
    from evals.endpoints.endpoint import Endpoint
    from evals.endpoints.judge_endpoint import JudgeEndpoint
    from evals.endpoints.replicas import Replicas
    from evals.plan.plan import Plan
    from evals.runner.pipeline import Recorder, TrialSource
    from evals.runner.session import RunSession
    from evals.scoring.judge_set import JudgePanel


class OpenAIBatches:
    """See evals.runner.session.ByBatch. `shard` is the most requests in a file, unless the API allows fewer."""

    def __init__(self, shard: int = 50_000, pace: Pace | None = None) -> None:
        self._shard = shard
        self._pace = pace

    async def check(self, session: RunSession, endpoints: Sequence[Endpoint | Replicas]) -> None:
        from evals.batches.openai.api import BatchApi

        for endpoint in map(_only_server, endpoints):
            api = BatchApi(endpoint.server, endpoint.spec, max_total_s=session.manifest.config.max_retry_time)
            try:
                await api.check()
            finally:
                await api.close()

    async def ask_models(
        self, session: RunSession, plan: Plan, sources: Mapping[str, TrialSource], recorder: Recorder, *, begin: bool
    ) -> None:
        from evals.batches.openai.stages import AnswersStage

        stages = [
            AnswersStage(plan, _only_server(source.endpoint), source.opened, recorder) for source in sources.values()
        ]
        await self._ask(session, stages, begin=begin)

    async def ask_judges(
        self,
        session: RunSession,
        judges: Sequence[JudgeEndpoint],
        panel: JudgePanel,
        recorder: Recorder,
        *,
        begin: bool,
    ) -> None:
        from evals.batches.openai.stages import JudgeStage
        from evals.batches.unserved import UnservedJudges, UnservedModel

        endpoint = _only_server(judges[0].endpoint)
        panel_judges = UnservedJudges(UnservedModel(endpoint), {judge.key.id: judge for judge in judges}, panel)
        await self._ask(session, [JudgeStage(panel_judges, endpoint, recorder)], begin=begin)

    async def _ask(self, session: RunSession, stages: Sequence[BatchStage], *, begin: bool) -> None:
        from evals.batches.openai.rounds import Pace, Rounds, RoundSettings

        config, manifest = session.manifest.config, session.manifest
        await session.journal.flush()
        settings = RoundSettings(config.max_attempts, config.max_reply_mb, self._shard, self._pace or Pace())
        async with _apis(stages, config.max_retry_time) as apis:
            pairs = list(zip(stages, apis, strict=True))
            rounds = Rounds(pairs, Records(session.journal), session.folder, manifest, settings)
            try:
                await rounds.run(begin=begin)
            except (asyncio.CancelledError, RunStopped):
                for line in _words_on_leaving(rounds, session):
                    session.view.say(line)
                raise


@asynccontextmanager
async def _apis(stages: Sequence[BatchStage], max_total_s: float) -> AsyncGenerator[list[BatchApi]]:
    from evals.batches.openai.api import BatchApi

    async with AsyncExitStack() as stack:
        apis: list[BatchApi] = []
        for stage in stages:
            apis.append(BatchApi(stage.endpoint.server, stage.endpoint.spec, max_total_s=max_total_s))
            stack.push_async_callback(apis[-1].close)
        yield apis


def _only_server(endpoint: Endpoint | Replicas) -> Endpoint:
    from evals.endpoints.endpoint import Endpoint

    if not isinstance(endpoint, Endpoint):
        raise BadInput("batches are at one server: give one URL of it")
    return endpoint


def _words_on_leaving(rounds: Rounds, session: RunSession) -> Iterator[str]:
    left = rounds.at_work()
    if left:
        count = "1 batch" if len(left) == 1 else f"{len(left)} batches"
        requests, urls = sum(record.requests for record in left), sorted({record.base_url for record in left})
        config, told = session.manifest.config, ""
        if left[0].stage == "answers" and config.base_url:
            told = f" --base-url {urls[0]}"
        elif left[0].stage == "judge" and config.judge_base_url:
            told = f" --judge-base-url {urls[0]}"
        yield (
            f"{count} with {counted(requests, 'request')} at {', '.join(urls)} go on; "
            f"`emeval batch cancel {quoted_path(session.folder)}{told}` cancels them"
        )
