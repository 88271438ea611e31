"""The judges of a plan, bound to the servers that they are asked at, and checked there before they are relied on.

Apart from `evals.runner.execute`, because attacks and anchor checks connect judges to servers, too, and bind them
likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evals.endpoints.chat import PROBE_TIME_S
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.replicas import Replicas
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.server import Server
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.plan.judging_plan import JudgingPlan
from evals.runner.connections import Connections, Served, connections
from evals.runner.preflight.endpoint import Check, CheckedJudge, checked_judge
from evals.runner.preflight.judge import check_judges
from evals.runner.view import RunView
from evals.scoring.judge_set import judge_key
from evals.trials.record import JudgeKey
from judges.judge import Judge


class JudgeAt(NamedTuple):
    """A judge as one server takes its requests."""

    checked: CheckedJudge
    server: Server

    def for_check(self, key: JudgeKey) -> JudgeEndpoint:
        """The judge at this server as it is asked before a run: without the patience of one."""
        policy = RetryPolicy(max_attempts=3, max_total_s=PROBE_TIME_S, longest_wait_s=2.0)
        endpoint = Endpoint(self.checked.spec, self.server, policy)
        return JudgeEndpoint(self.checked.judge, endpoint, key, temperature=self.checked.temperature)


async def bound_judges(judging: JudgingPlan, served: Connections, view: RunView) -> list[JudgeEndpoint]:
    """The judges of a plan, ready to be asked; none where it has none.

    Says what the checks have noted. Raises BadInput for one that cannot be relied on.
    """
    config = judging.config
    if served.judge is None or config.judge is None:
        return []
    policy = RetryPolicy(max_attempts=config.max_attempts, max_total_s=config.max_total_s)
    judges: list[JudgeEndpoint] = []
    to_check: list[JudgeEndpoint] = []
    for judge in judging.judges:
        required = config.judge_mode == "logprob"
        asked = [
            await judge_at(served.judge, server, judge, view, logprobs_required=required)
            for server in served.judge.servers
        ]
        first = asked[0].checked
        if any((one.judge, one.temperature) != (first.judge, first.temperature) for one, _ in asked):
            raise BadInput(f"judge {config.judge}: its servers do not take the same requests; give one of them")
        key = judge_key(judge, config.judge)
        endpoint = together([Endpoint(one.spec, server, policy) for one, server in asked], policy, view)
        judges.append(JudgeEndpoint(first.judge, endpoint, key, temperature=first.temperature))
        to_check += [one.for_check(key) for one in asked]
    if config.preflight:
        say_checks(view, f"judge {config.judge}", await check_judges(to_check))
    return judges


async def judge_at(model: Served, server: Server, judge: Judge, view: RunView, *, logprobs_required: bool) -> JudgeAt:
    """The judge at one server of its model. Raises BadInput when it cannot be asked there."""
    loaded = await load_adapter(model.spec, server, view.say)
    return JudgeAt(await checked_judge(loaded.spec, server, judge, logprobs_required=logprobs_required), server)


async def check_beforehand(judgings: Sequence[JudgingPlan], view: RunView) -> None:
    """Check the judges whose turn comes later, where their server runs already: a wrong name is found before
    a night is spent on the answers. Raises BadInput."""
    for judging in judgings:
        if judging.judge_spec is not None and judging.judge_spec.base_url is not None:
            async with connections(judging, view) as served:
                await bound_judges(judging, served, view)


def together(endpoints: list[Endpoint], policy: RetryPolicy, view: RunView) -> Endpoint | Replicas:
    """Endpoints of one model as one."""
    return endpoints[0] if len(endpoints) == 1 else Replicas(endpoints, policy, view.say)


def say_checks(view: RunView, who: str, checks: Sequence[Check]) -> None:
    """What is worth a look before a run begins."""
    for check in checks:
        if check.result != "ok":
            view.say(line_of(who, check))


def line_of(who: str, check: Check) -> str:
    return f"{who}: {check.name}: {check.result}: {check.detail}"
