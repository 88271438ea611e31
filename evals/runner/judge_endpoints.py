"""The judges of a plan, connected to the servers that they are asked at, and checked there before they are relied on.

Apart from `evals.runner.execute`, because attacks and anchor checks connect judges to servers, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evals.endpoints.chat import PROBE
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.replicas import join_endpoints
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.plan.judging_plan import JudgingPlan
from evals.runner.connections import Connections, connect
from evals.runner.preflight.endpoint import Check, check_judge, check_listing, template_endpoint
from evals.runner.preflight.judge import check_judges
from evals.runner.preflight.thoughts import find_opened_thought
from evals.runner.view import RunView
from evals.trials.trial import Sampling


async def connect_judges(judging: JudgingPlan, connections: Connections, view: RunView) -> list[JudgeEndpoint]:
    """The judges of a plan, ready to be asked; none where it has none.

    Says what the checks have noted. Raises BadInput for one that cannot be relied on.
    """
    config = judging.config
    policy = RetryPolicy(max_attempts=config.max_attempts, max_total_s=config.max_total_s)
    models = [await find_judge_model(model, view) for model in connections.judge]
    if not models:
        return []
    judges: list[JudgeEndpoint] = []
    to_check: list[JudgeEndpoint] = []
    opened: list[str] = []
    for judge in judging.judges:
        required = config.judge_mode == "logprob"
        at_each = [await check_judge(model, judge, logprobs_required=required) for model in models]
        first = at_each[0]
        if judge.wants_logprobs and not first.judge.wants_logprobs:
            view.say(f"judge {config.judge} ({judge.name}): its server gives no token probabilities; its text is read")
        if any(
            (other.judge, other.temperature, other.sampler) != (first.judge, first.temperature, first.sampler)
            for other in at_each
        ):
            raise BadInput(f"judge {config.judge}: its servers do not take the same requests; give one of them")
        opened = opened or [await _opened_thought(model, first, policy) for model in models]
        endpoint = join_endpoints([Endpoint(model, policy) for model in models], policy, view.say)
        judges.append(replace(first, endpoint=endpoint, opened=next(filter(None, opened), "")))
        to_check += [replace(other, opened=mark) for other, mark in zip(at_each, opened, strict=True)]
    if config.preflight:
        say_checks(view, f"judge {config.judge}", await check_judges(to_check))
    return judges


async def _opened_thought(model: ServedModel, judge: JudgeEndpoint, policy: RetryPolicy) -> str:
    """The mark with which a judge's chat template opens a thought that goes on in the content of its replies, "" if it
    opens none or the server does not show what it renders."""
    sampling = Sampling(judge.temperature, judge.judge.max_tokens)
    endpoint = await template_endpoint(model, policy, sampling, wanted=False)
    return (await find_opened_thought(endpoint, sampling, PROBE, None)).mark


async def find_judge_model(model: ServedModel, view: RunView) -> ServedModel:
    """A judge's model as its server knows it. Raises BadInput where the server does not serve it."""
    return await check_listing(await load_adapter(model, view.say))


async def check_beforehand(judgings: Sequence[JudgingPlan], view: RunView) -> None:
    """Check the judges whose turn comes later, where their server runs already: a wrong name is found before a night is
    spent on the answers. Raises BadInput."""
    for judging in judgings:
        if judging.judge_spec is not None and judging.judge_spec.base_url is not None:
            async with connect(judging, view) as connections:
                await connect_judges(judging, connections, view)


def say_checks(view: RunView, who: str, checks: Sequence[Check]) -> None:
    """What is worth a look before a run begins."""
    for check in checks:
        if check.result != "ok":
            view.say(check_line(who, check))


def check_line(who: str, check: Check) -> str:
    return f"{who}: {check.name}: {check.result}: {check.detail}"
