"""The judges of a plan, connected to the servers that they are asked at, and checked there before they are relied on.

Apart from `evals.runner.execute`, because attacks and anchor checks connect judges to servers, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from evals.endpoints.chat import PROBE
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.replicas import Replicas, join_endpoints
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel, difference
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan
from evals.runner.connections import Connections, connect
from evals.runner.joining.in_order import in_order
from evals.runner.joining.roster import Roster, still_passes
from evals.runner.joining.waiting import once_there
from evals.runner.preflight.endpoint import Check, TriedJudge, check_listing, template_endpoint, try_judge
from evals.runner.preflight.judge import check_judges
from evals.runner.preflight.thoughts import find_opened_thought
from evals.runner.view import RunView, Says
from evals.text import and_more
from evals.trials.trial import Sampling


class JudgesAtServer(NamedTuple):
    """All judges of a plan at one server of their model, ready to be asked there."""

    model: ServedModel
    judges: tuple[JudgeEndpoint, ...]


async def connect_judges(judging: JudgingPlan, connections: Connections, view: Says) -> list[JudgeEndpoint]:
    """The judges of a plan, ready to be asked; none where it has none.

    Says what the checks have noted. Raises BadInput for one that cannot be relied on.
    """
    spec, config = connections.judge_spec, judging.config
    if spec is None:
        return []
    gate = JudgeGate(judging, connections, view) if spec.urls_file is not None else None
    found = await (gate.open() if gate else _connect_everywhere(judging, connections, view))
    first = found[0]
    for judge, asked in zip(judging.judges, first.judges, strict=True):
        if judge.note:
            view.say(f"judge {config.judge}: {judge.name} {judge.note}")
        if judge.wants_logprobs and not asked.judge.wants_logprobs:
            view.say(f"judge {config.judge} ({judge.name}): its server gives no token probabilities; its text is read")
    if config.preflight:
        everywhere = [judge for at_server in zip(*(one.judges for one in found), strict=True) for judge in at_server]
        say_checks(view, f"judge {config.judge}", await check_judges(everywhere))
    opened = next((judge.opened for one in found for judge in one.judges if judge.opened), "")
    if gate is not None:
        return [replace(judge, opened=opened) for judge in gate.follow()]
    policy = _policy(config)
    return [
        replace(
            judge,
            opened=opened,
            endpoint=join_endpoints([Endpoint(one.model, policy) for one in found], policy, view.say),
        )
        for judge in first.judges
    ]


def _policy(config: RunConfig) -> RetryPolicy:
    """How patiently a run of this config asks."""
    return RetryPolicy(max_attempts=config.max_attempts, max_total_s=config.max_retry_time)


async def judges_at_each(judging: JudgingPlan, connections: Connections, view: Says) -> list[JudgesAtServer]:
    """The judges of a plan at each of their servers, of a file's those that are there now. Raises BadInput."""
    spec = connections.judge_spec
    if spec is None:
        return []
    if spec.urls_file is not None:
        return await JudgeGate(judging, connections, view).open()
    return await _connect_everywhere(judging, connections, view)


async def _connect_everywhere(judging: JudgingPlan, connections: Connections, view: Says) -> list[JudgesAtServer]:
    """The judges at each server that the run names for them. Raises BadInput."""
    found: list[JudgesAtServer] = []
    for model in connections.judge:

        async def connect(model: ServedModel = model) -> JudgesAtServer:
            return await _connect_at(judging, model, view)

        found.append(await once_there(connect, judging.config.wait_for_servers, view.say))
        _refuse_another(judging, found[0], found[-1])
    return found


async def _connect_at(judging: JudgingPlan, model: ServedModel, view: Says) -> JudgesAtServer:
    """The judges of a plan at one server. Raises BadInput where one of them cannot be asked there."""
    model = await find_judge_model(model, view)
    required = judging.config.judge_mode == "logprob"
    tried = await in_order(try_judge(model, judge, logprobs_required=required) for judge in judging.judges)
    if tried and isinstance(asked := tried[0].endpoint.endpoint, Endpoint):
        model = asked.model  # with what its server refuses
    opened = await _opened_thought(model, tried[0], _policy(judging.config))
    return JudgesAtServer(model, tuple(replace(one.endpoint, opened=opened) for one in tried))


def _refuse_another(judging: JudgingPlan, first: JudgesAtServer, other: JudgesAtServer) -> None:
    """Raises BadInput for a server that cannot stand for the first one."""
    who = f"judge {judging.config.judge}"
    for one, two in zip(first.judges, other.judges, strict=True):
        if (one.judge, one.temperature, one.sampler) != (two.judge, two.temperature, two.sampler):
            raise BadInput(f"{who}: its servers do not take the same requests; give one of them")
    problem = difference(first.model, other.model)
    if problem:
        raise BadInput(f"{who}: {other.model.server.base_url} {problem}")


class JudgeGate:
    """Lets the servers of a judge's model in that its file lists. The first one decides how judges are asked."""

    def __init__(self, judging: JudgingPlan, connections: Connections, view: Says) -> None:
        assert connections.judge_spec is not None  # noqa: S101  there are judges
        self._judging = judging
        self._arrivals = connections.arrivals
        self._spec = connections.judge_spec
        self._view = view
        self._roster = Roster(f"judge {judging.config.judge}", self._arrivals.file_of(self._spec), view.say)
        self._members: dict[str, _JudgeMember] = {}
        self._first: JudgesAtServer | None = None
        self._replicas: list[Replicas] = []

    async def open(self) -> list[JudgesAtServer]:
        """The servers to begin with. Raises BadInput."""
        self._members = await self._roster.first(self, self._judging.config.wait_for_servers)
        return [member.at_server for member in self._members.values()]

    def follow(self) -> list[JudgeEndpoint]:
        """The judges, at servers that others join and leave from now on."""
        policy, members = _policy(self._judging.config), list(self._members.values())
        first = members[0].at_server
        for number, _ in enumerate(first.judges):
            endpoints = [member.endpoints[number] for member in members]
            self._replicas.append(Replicas(endpoints, policy, self._view.say, elastic=True, is_fit=self._is_fit))
        self._arrivals.follow(self._roster.follow(self, self._members))
        return [replace(judge, endpoint=asked) for judge, asked in zip(first.judges, self._replicas, strict=True)]

    async def admit(self, url: str) -> _JudgeMember:
        model = self._arrivals.open(self._spec, url)
        try:
            at_server = await self._checked(model)
        except BaseException:
            await self._arrivals.close(model)
            raise
        policy = _policy(self._judging.config)
        return _JudgeMember(at_server, tuple(Endpoint(at_server.model, policy) for _ in at_server.judges))

    async def _checked(self, model: ServedModel) -> JudgesAtServer:
        at_server = await _connect_at(self._judging, model, self._view)
        self._first = self._first or at_server
        _refuse_another(self._judging, self._first, at_server)
        if self._replicas and self._judging.config.preflight:  # the first ones are checked together
            await check_judges(at_server.judges)
        return at_server

    async def _is_fit(self, endpoint: Endpoint) -> bool:
        """Whether a server that has been away is what it was: another job may have come to its address."""
        if not await endpoint.is_usable():
            return False
        model = ServedModel(self._spec.at((endpoint.server.base_url,)), endpoint.server)
        return await still_passes(lambda: self._checked(model), self._roster, endpoint)

    def welcome(self, member: _JudgeMember) -> None:
        for asked, endpoint in zip(self._replicas, member.endpoints, strict=True):
            asked.join(endpoint)

    async def dismiss(self, member: _JudgeMember) -> None:
        parting = zip(self._replicas, member.endpoints, strict=True)
        await asyncio.gather(*(asked.part(endpoint) for asked, endpoint in parting))
        await self.drop(member)

    async def drop(self, member: _JudgeMember) -> None:
        await self._arrivals.close(member.at_server.model)


class _JudgeMember(NamedTuple):
    """A server of a judge's model, and the endpoint there of each judge."""

    at_server: JudgesAtServer
    endpoints: tuple[Endpoint, ...]


async def _opened_thought(model: ServedModel, tried: TriedJudge, policy: RetryPolicy) -> str:
    """The mark with which a judge's chat template opens a thought that goes on in the content of its replies, "" if it
    opens none or the server does not show what it renders."""
    sampling = Sampling(tried.endpoint.temperature, tried.endpoint.judge.max_tokens)
    endpoint = await template_endpoint(model, policy, sampling, wanted=False)
    return (await find_opened_thought(endpoint, sampling, PROBE, tried.reply)).mark


async def find_judge_model(model: ServedModel, view: Says) -> ServedModel:
    """A judge's model as its server knows it. Raises BadInput where the server does not serve it."""
    return await check_listing(await load_adapter(model, view.say))


async def check_beforehand(judgings: Sequence[JudgingPlan], view: RunView) -> None:
    """Check the judges whose turn comes later, where their server runs already: a wrong name is found before a night is
    spent on the answers. Raises BadInput."""
    for judging in judgings:
        if judging.judge_spec is not None and judging.judge_spec.base_urls:
            async with connect(judging, view) as connections:
                await connect_judges(judging, connections, view)


def say_checks(view: Says, who: str, checks: Sequence[Check]) -> None:
    """What is worth a look before a run begins."""
    for check in checks:
        if check.result != "ok":
            view.say(check_line(who, check))


def say_checks_of_all(view: Says, checks: Mapping[str, Sequence[Check]]) -> None:
    """The same for the models of a run. What was found of more than two of them is one line, before the others."""
    sharing: dict[Check, list[str]] = {}
    for model, found in checks.items():
        for check in dict.fromkeys(found):
            sharing.setdefault(check, []).append(model)
    shared = {check: models for check, models in sharing.items() if len(models) > 2}
    for check, models in shared.items():
        say_checks(view, and_more(models), [check])
    for model, found in checks.items():
        say_checks(view, model, [check for check in found if check not in shared])


def check_line(who: str, check: Check) -> str:
    return f"{who}: {check.name}: {check.result}: {check.detail}"
