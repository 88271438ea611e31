"""A run's models at their servers, checked: that each is there, and that its adapter is the one asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, get_args

from evals.endpoints.chat import PROBE
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.providers.table import OPENAI_URL
from evals.endpoints.replicas import Replicas
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel, difference
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.manifest import CheckResult, ModelFacts
from evals.plan.plan import Plan
from evals.runner.connections import Connections, local_base
from evals.runner.joining.roster import Roster, still_passes
from evals.runner.joining.waiting import once_there
from evals.runner.preflight.adapter import NAME as ADAPTER_CHECK
from evals.runner.preflight.adapter import Comparison, check_adapter
from evals.runner.preflight.endpoint import (
    Check,
    check_asking,
    check_listing,
    check_model,
    check_system_role,
    check_transcript,
    has_checks,
    template_endpoint,
)
from evals.runner.preflight.merged import check_merged
from evals.runner.preflight.sampler import NAME as SAMPLER_CHECK
from evals.runner.preflight.sampler import check_sampler
from evals.runner.preflight.system_message import settle_system_message
from evals.runner.preflight.thoughts import find_opened_thought
from evals.runner.view import RunView
from evals.trials.trial import Sampling, Trial


class ConnectedModel(NamedTuple):
    """A model under test, ready to be asked at one of its servers, and what the checks of what it is sent found.

    `opened` is the mark with which its chat template opens a thought that goes on in the content of the replies.
    `applied` is its adapter, None where there is none or it could not be checked; `sampler` is what the check of it
    found, None where there was none.
    """

    endpoint: Endpoint
    checks: list[Check]
    opened: str
    applied: Comparison | None
    sampler: Check | None = None

    @property
    def url(self) -> str:
        return self.endpoint.server.base_url


async def connect_model(
    plan: Plan, connections: Connections, model: ServedModel, policy: RetryPolicy, view: RunView
) -> ConnectedModel:
    """A model at one of its servers. Raises BadInput where it cannot be asked there."""
    sampling = plan.sampling
    model, reply = await check_model(await load_adapter(model, view.say), sampling)
    samples = plan.sample_trials(model.spec.name) if plan.config.preflight else []
    in_chat = [trial for trial in samples if trial.format != "transcript"]
    wanted = has_checks(sampling, in_chat)
    endpoint = await template_endpoint(model, policy, sampling, wanted=wanted or plan.leaves_out_system)
    model, about_system = await settle_system_message(endpoint, sampling, in_chat, left_out=plan.leaves_out_system)
    endpoint = Endpoint(model, policy, endpoint.renderer)
    await check_system_role(endpoint, sampling, in_chat)
    checks = [about_system] if about_system is not None and plan.config.preflight else []
    checks += await check_asking(endpoint, sampling, in_chat) if wanted else []
    thought = await find_opened_thought(endpoint, sampling, in_chat[0].messages if in_chat else PROBE, reply)
    checks += thought.checks if plan.config.preflight else []
    if any("transcript" in formats for formats in plan.config.formats.values()):
        await check_transcript(endpoint, sampling)
    sampler = None
    if plan.config.preflight and _has_sampler_to_check(model, sampling):
        sampler = await check_sampler(endpoint, sampling)
        checks.append(sampler)
    if plan.config.preflight:
        checks += _left_out(model)
    if plan.config.read == "logprobs":
        from evals.runner.letters.servers import check_letters  # the rules of choices take long to compile

        await check_letters([endpoint], plan.sample_trials(model.spec.name)[0])
    applied = None
    if plan.config.preflight and model.base is not None:
        check, applied = await _check_adapter(plan, connections, endpoint, model.base, samples)
        checks.append(check)
    if model.base is None:
        for base in _bases(connections, model):
            checks += await _check_merged(endpoint, base, samples, view)
    return ConnectedModel(endpoint, checks, thought.mark, applied, sampler)


def _left_out(model: ServedModel) -> list[Check]:
    """What the server refuses to be told; the limit of tokens is told all the same, in its other field."""
    left_out = ", ".join(sorted(model.refused - {"repeat_penalty", "max_tokens", "max_completion_tokens"}))
    return [Check(SAMPLER_CHECK, "noted", f"{left_out} left out: the server refuses to be told")] if left_out else []


def _bases(connections: Connections, model: ServedModel) -> Sequence[ServedModel]:
    """The base that a merged checkpoint is compared with, if any: at its own server where one file lists both."""
    spec = connections.base_spec
    if spec is None or spec.urls_file is None:
        return connections.base[:1]
    return (ServedModel(spec.at((model.server.base_url,)), model.server),)


def _has_sampler_to_check(model: ServedModel, sampling: Sampling) -> bool:
    """Not at temperature 0; not llama.cpp as emeval starts it, nor OpenAI, which take no defaults from a model."""
    return sampling.temperature != 0 and model.spec.provider != "local" and model.server.base_url != OPENAI_URL


async def _check_adapter(
    plan: Plan, connections: Connections, endpoint: Endpoint, base: str, samples: list[Trial]
) -> tuple[Check, Comparison | None]:
    """That an adapter is applied, with its base at the same server, or, for llama.cpp, at one of its own."""
    model = endpoint.model
    if model.spec.provider == "local":
        async with local_base(base, plan.config, connections) as base_model:
            base_model = replace(base_model, empty_system=model.empty_system)
            return await check_adapter(endpoint, Endpoint(base_model, RetryPolicy()), samples)
    if model.listed is None or base not in model.listed:
        shown = model.server.clean(base)
        return Check(ADAPTER_CHECK, "not checked", f"the server does not list its base {shown!r}"), None
    base_model = ServedModel(replace(model.spec, served_name=base), model.server, empty_system=model.empty_system)
    base_endpoint = Endpoint(base_model, RetryPolicy())
    is_asked = _is_asked(connections, model, base)
    return await check_adapter(endpoint, base_endpoint, samples, base_is_asked=is_asked)


def _is_asked(connections: Connections, model: ServedModel, base: str) -> bool:
    """Whether the base of an adapter is asked at the same server in this run, as a model or as a judge."""
    served = (*connections.models.values(), connections.judge)
    here = [other.spec for models in served for other in models if other.server is model.server]
    here += [spec for spec in connections.arrivals.specs.values() if spec.urls_file == model.spec.urls_file]
    return any(spec.served_name == base for spec in here)


async def _check_merged(endpoint: Endpoint, base: ServedModel, samples: list[Trial], view: RunView) -> list[Check]:
    """That a model without an adapter is not its base; () of the base itself."""
    if endpoint.spec.name == base.spec.name:
        return []
    base = await check_listing(await load_adapter(base, view.say))
    base = replace(base, empty_system=endpoint.model.empty_system)
    return await check_merged(endpoint, Endpoint(base, RetryPolicy()), samples)


def refuse_another(first: ConnectedModel, other: ConnectedModel) -> None:
    """Raises BadInput for a server that cannot stand for the first one: it would answer as another model does."""
    problem = difference(first.endpoint.model, other.endpoint.model)
    if not problem and first.opened != other.opened:
        problem = "has another chat template: it opens a thought where others do not, or not in the same way"
    if not problem and first.applied is not None and other.applied is None:
        problem = "does not let its adapter be checked, as others do"
    if not problem and _differ(first.sampler, other.sampler):
        problem = "does not draw as others do, or does not let it be checked"
    if problem:
        raise BadInput(f"{first.endpoint.name}: {other.url} {problem}")


def _differ(first: Check | None, other: Check | None) -> bool:
    """Whether two checks of a sampler found different things; where the first could not be checked, none is held to
    it."""
    return first is not None and other is not None and first.result not in ("not checked", other.result)


def model_facts(models: Sequence[ServedModel]) -> ModelFacts:
    """How a model is reached at its servers, as the first of them has it."""
    first = models[0]
    return ModelFacts(
        base_url=",".join(model.server.base_url for model in models),
        served_name=first.spec.served_name,
        served=None if first.listed is None else tuple(first.server.clean(name) for name in first.listed[:100]),
        file_sha256=first.file_sha256,
        base_sha256=first.base_sha256,
        default_system=None if first.default_system is None else first.server.clean(first.default_system),
    )


def checks_of(found: Sequence[ConnectedModel], known: ModelFacts | None, config: RunConfig) -> dict[str, CheckResult]:
    """The worst result of the checks of a model's sampler and of its adapter, at all of its servers and in the sessions
    before; "nothing to check" where there is none of it. Without preflight neither is checked."""
    results: dict[str, list[CheckResult]] = {SAMPLER_CHECK: [], ADAPTER_CHECK: []}
    for name, seen in results.items():
        seen += [known.checks.get(name, "not checked")] if known else []
    for connected in found:
        adapters: list[CheckResult] = [check.result for check in connected.checks if check.name == ADAPTER_CHECK]
        has_adapter = connected.endpoint.model.base is not None
        sampler: CheckResult = connected.sampler.result if connected.sampler else "nothing to check"
        adapter: CheckResult = adapters[0] if adapters else "not checked" if has_adapter else "nothing to check"
        results[SAMPLER_CHECK].append(sampler if config.preflight else "not checked")
        results[ADAPTER_CHECK].append(adapter if config.preflight else "not checked")
    return {name: max(seen, key=get_args(CheckResult).index) for name, seen in results.items()}


def is_another_model(known: ModelFacts, new: ModelFacts) -> bool:
    """Whether it is certain that two models are not the same: files may be read in one place and not in another."""
    pairs = ((known.file_sha256, new.file_sha256), (known.base_sha256, new.base_sha256))
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


async def connect_everywhere(
    plan: Plan, connections: Connections, name: str, policy: RetryPolicy, view: RunView
) -> list[ConnectedModel]:
    """A model at each server that the run names for it, of a file's those that are there now. Raises BadInput where it
    cannot be asked at one of them."""
    if name in connections.arrivals.specs:
        return await ModelGate(plan, connections, name, policy, view).open()
    found: list[ConnectedModel] = []
    for model in connections.models[name]:

        async def connect(model: ServedModel = model) -> ConnectedModel:
            return await connect_model(plan, connections, model, policy, view)

        found.append(await once_there(connect, plan.config.wait_for_servers, view.say))
        refuse_another(found[0], found[-1])
    return found


class ModelGate:
    """Lets the servers of a model under test in that its file lists. The first one decides what model that is.

    `admitted` are the models at all servers that have passed, by their URLs. `joining` is called with each that comes
    in the middle of a run, and `parting` awaited with each that leaves, before its connection is closed.
    """

    def __init__(self, plan: Plan, connections: Connections, name: str, policy: RetryPolicy, view: RunView) -> None:
        self.admitted: dict[str, ServedModel] = {}
        self.joining: Callable[[ConnectedModel], None] = lambda _connected: None
        self.parting: Callable[[ConnectedModel], Awaitable[None]] | None = None
        self._plan = plan
        self._connections = connections
        self._spec = connections.arrivals.specs[name]
        self._policy = policy
        self._view = view
        self._roster = Roster(name, connections.arrivals.file_of(self._spec), view.say)
        self._members: dict[str, ConnectedModel] = {}
        self._first: ConnectedModel | None = None
        self._replicas: Replicas | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def members(self) -> list[ConnectedModel]:
        """The servers that are asked now."""
        return list(self._members.values())

    async def open(self) -> list[ConnectedModel]:
        """The servers to begin with. Raises BadInput."""
        self._members = await self._roster.first(self, self._plan.config.wait_for_servers)
        self.admitted = {url: connected.endpoint.model for url, connected in self._members.items()}
        return self.members

    def follow(self) -> Replicas:
        """The servers as one, which others join and leave from now on."""
        endpoints = [connected.endpoint for connected in self._members.values()]
        self._replicas = Replicas(endpoints, self._policy, self._view.say, elastic=True, is_fit=self._is_fit)
        self._following = self._connections.arrivals.follow(self._roster.follow(self, self._members))
        return self._replicas

    async def stop(self) -> None:
        """Let nobody in or go any more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    async def admit(self, url: str) -> ConnectedModel:
        model = self._connections.arrivals.open(self._spec, url)
        try:
            return await self._checked(model)
        except BaseException:
            await self._connections.arrivals.close(model)
            raise

    async def _checked(self, model: ServedModel) -> ConnectedModel:
        connected = await connect_model(self._plan, self._connections, model, self._policy, self._view)
        self._first = self._first or connected
        refuse_another(self._first, connected)
        return connected

    async def _is_fit(self, endpoint: Endpoint) -> bool:
        """Whether a server that has been away is what it was: another job may have come to its address."""
        if not await endpoint.is_usable():
            return False
        model = ServedModel(self._spec.at((endpoint.server.base_url,)), endpoint.server)
        return await still_passes(lambda: self._checked(model), self._roster, endpoint)

    def welcome(self, member: ConnectedModel) -> None:
        assert self._replicas is not None  # noqa: S101  who comes later joins those
        self._replicas.join(member.endpoint)
        self.admitted[member.url] = member.endpoint.model
        self.joining(member)

    async def dismiss(self, member: ConnectedModel) -> None:
        assert self._replicas is not None  # noqa: S101  who leaves has been one of those
        await self._replicas.part(member.endpoint)
        if self.parting is not None:
            await self.parting(member)
        await self.drop(member)

    async def drop(self, member: ConnectedModel) -> None:
        await self._connections.arrivals.close(member.endpoint.model)
