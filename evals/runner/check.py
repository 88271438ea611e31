"""Ask every server of a plan for its models before anything is written."""

from __future__ import annotations

import asyncio

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.plan.judging_plan import JudgingPlan
from evals.plan.plan import Plan
from evals.runner.connections import Connections, connect
from evals.runner.judge_endpoints import check_line, judges_at_each
from evals.runner.model_endpoints import connect_everywhere
from evals.runner.preflight.estimate import Pace, estimate, measure_pace
from evals.runner.preflight.judge import check_judges
from evals.runner.view import RunView


def check_endpoints(plan: Plan, view: RunView) -> list[str]:
    """Check every endpoint of a plan; what was found, a line each, and what a run would cost. Raises BadInput."""

    found: list[str] = []
    paces: dict[str, Pace] = {}

    async def check_panel(judging: JudgingPlan, connections: Connections) -> None:
        for model, judges in await judges_at_each(judging, connections, view):
            who = f"judge {model.spec.name}"
            found.append(_reached(who, model))
            found.extend(check_line(who, check) for check in await check_judges(judges))
            paces[model.spec.name] = await measure_pace(Endpoint(model, RetryPolicy()))

    async def check() -> list[str]:
        async with connect(plan.judging, view, plan.specs.values(), plan.base_spec) as connections:
            for name in connections.models:
                for connected in await connect_everywhere(plan, connections, name, RetryPolicy(), view):
                    found.append(_reached(name, connected.endpoint.model))
                    found.extend(check_line(name, check) for check in connected.checks)
                    paces[name] = await measure_pace(connected.endpoint, plan.sampling.thinking, plan.config.sampler)
            await check_panel(plan.judging, connections)
        for other in plan.also:
            async with connect(other, view) as connections:
                await check_panel(other, connections)
        return [*found, *estimate(plan, paces)]

    return asyncio.run(check())


def _reached(who: str, model: ServedModel) -> str:
    return f"{who}: served at {model.server.base_url} as {model.spec.served_name}"
