"""Ask every server of a plan for its models before anything is written."""

from __future__ import annotations

import asyncio

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.server import Server
from evals.plan.judging_plan import JudgingPlan
from evals.plan.plan import Plan
from evals.runner.connections import Connections, connections
from evals.runner.judge_endpoints import judge_at, line_of
from evals.runner.model_endpoints import check_model
from evals.runner.preflight.estimate import Pace, estimate, measure_pace
from evals.runner.preflight.judge import check_judges
from evals.runner.view import RunView
from evals.scoring.judge_set import judge_key


def check_endpoints(plan: Plan, view: RunView) -> list[str]:
    """Check every endpoint of a plan; what was found, a line each, and what a run would cost. Raises BadInput."""

    found: list[str] = []
    paces: dict[str, Pace] = {}

    async def check_panel(judging: JudgingPlan, served: Connections) -> None:
        config = judging.config
        if served.judge is None or config.judge is None:
            return
        who = f"judge {config.judge}"
        required = config.judge_mode == "logprob"
        for server in served.judge.servers:
            asked = [
                await judge_at(served.judge, server, judge, view, logprobs_required=required)
                for judge in judging.judges
            ]
            found.extend(_reached(who, one.checked.spec, server) for one in asked[:1])
            to_check = [one.for_check(judge_key(one.checked.judge, config.judge)) for one in asked]
            found.extend(line_of(who, check) for check in await check_judges(to_check))
            if asked:
                endpoint = Endpoint(asked[0].checked.spec, server, RetryPolicy())
                paces[config.judge] = await measure_pace(endpoint)

    async def check() -> list[str]:
        async with connections(plan.judging, view, plan.specs.values()) as served:
            for name, model in served.models.items():
                for server in model.servers:
                    checked = await check_model(plan, served, model, server, RetryPolicy(), view)
                    found.append(_reached(name, checked.endpoint.spec, server))
                    found.extend(line_of(name, check) for check in checked.checks)
                    paces[name] = await measure_pace(checked.endpoint, plan.sampling.thinking)
            await check_panel(plan.judging, served)
        for other in plan.also:
            async with connections(other, view) as served:
                await check_panel(other, served)
        return [*found, *estimate(plan, paces)]

    return asyncio.run(check())


def _reached(who: str, spec: ModelSpec, server: Server) -> str:
    return f"{who}: served at {server.base_url} as {spec.served_name}"
