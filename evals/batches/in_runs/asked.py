"""All ways in which a run asks by file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evals.batches.openai.asked import OpenAIBatches

if TYPE_CHECKING:  # a run that asks nothing by file waits for none of this
    from evals.endpoints.judge_endpoint import JudgeEndpoint
    from evals.plan.manifest import ModelFacts
    from evals.plan.plan import Plan
    from evals.runner.pipeline import Recorder, TrialSource
    from evals.runner.session import RunSession
    from evals.scoring.judge_set import JudgePanel


class Batches(OpenAIBatches):
    """OpenAI's Batch API, `vllm run-batch`, and the workers of a Ray cluster. See evals.runner.session.ByBatch."""

    async def sample_here(self, session: RunSession, plan: Plan, *, begin: bool) -> dict[str, ModelFacts]:
        from evals.batches.vllm.sampling import sample_here

        return await sample_here(session, plan, begin=begin)

    async def ask_over_ray(
        self, session: RunSession, plan: Plan, sources: Mapping[str, TrialSource], recorder: Recorder, *, begin: bool
    ) -> None:
        from evals.batches.ray.asking import ask_over_ray

        await ask_over_ray(session, plan, sources, recorder, begin=begin)

    async def judge_over_ray(
        self,
        session: RunSession,
        judges: Sequence[JudgeEndpoint],
        panel: JudgePanel,
        recorder: Recorder,
        *,
        begin: bool,
    ) -> None:
        from evals.batches.ray.asking import judge_over_ray

        await judge_over_ray(session, judges, panel, recorder, begin=begin)
