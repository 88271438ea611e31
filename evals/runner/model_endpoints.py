"""A run's models at their servers, checked: that each is there, and that its adapter is the one asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.server import Server
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.plan.manifest import ModelFacts
from evals.plan.plan import Plan
from evals.runner.connections import Connections, Served, base_of_local
from evals.runner.preflight.adapter import NAME as ADAPTER_CHECK
from evals.runner.preflight.adapter import check_adapter
from evals.runner.preflight.endpoint import (
    Check,
    check_asking,
    check_transcript,
    checked_model,
    has_checks,
    template_endpoint,
)
from evals.runner.view import RunView
from evals.trials.trial import Trial


def _asked_with(plan: Plan) -> tuple[float | None, int, bool | None]:
    sampling = plan.sampling
    return sampling.temperature, sampling.max_tokens, sampling.thinking


class CheckedEndpoint(NamedTuple):
    """A model under test as one server serves it, and what the checks of what it is sent found there."""

    endpoint: Endpoint
    listed: list[str] | None
    adapter_sha256: str | None
    checks: list[Check]


async def check_model(
    plan: Plan, served: Connections, model: Served, server: Server, policy: RetryPolicy, view: RunView
) -> CheckedEndpoint:
    loaded = await load_adapter(model.spec, server, view.say)
    spec, listed, parent = await checked_model(loaded.spec, server, *_asked_with(plan))
    samples = plan.sample_trials(spec.name) if plan.config.preflight else []
    in_chat = [trial for trial in samples if trial.format != "transcript"]
    wanted = has_checks(plan.sampling, in_chat)
    endpoint = await template_endpoint(spec, server, policy, plan.sampling, wanted=wanted)
    checks = await check_asking(endpoint, plan.sampling, in_chat) if wanted else []
    if any("transcript" in formats for formats in plan.config.formats.values()):
        await check_transcript(endpoint, plan.sampling)
    if plan.config.preflight:
        checks += await _check_adapter(plan, served, model, endpoint, listed, parent, samples)
    return CheckedEndpoint(endpoint, listed, loaded.sha256, checks)


async def _check_adapter(
    plan: Plan,
    served: Connections,
    model: Served,
    endpoint: Endpoint,
    listed: list[str] | None,
    parent: str | None,
    samples: list[Trial],
) -> list[Check]:
    """That an adapter is applied, with its base at the same server, or, for llama.cpp, at one of its own."""
    if model.base is not None and model.spec.provider == "local":
        async with base_of_local(model.base, plan.config, served) as (spec, server):
            return [await check_adapter(endpoint, Endpoint(spec, server, RetryPolicy()), samples)]
    base = parent or model.base or _written_base(model.spec, endpoint.spec)
    if base is None:
        return []
    if listed is None or base not in listed:
        shown = endpoint.server.clean(base)
        return [Check(ADAPTER_CHECK, "not checked", f"the server does not list its base {shown!r}")]
    spec = replace(endpoint.spec, served_name=base)
    return [await check_adapter(endpoint, Endpoint(spec, endpoint.server, RetryPolicy()), samples)]


def _written_base(written: ModelSpec, asked: ModelSpec) -> str | None:
    """BASE of vllm/BASE:ADAPTER where the server knows it as an adapter, not as one model of that whole name."""
    if written.full_name is None or asked.served_name == written.full_name:
        return None
    return written.full_name.rpartition(":")[0]


def model_facts(model: Served, checked: list[CheckedEndpoint]) -> ModelFacts:
    """How a model is reached. Raises BadInput when its servers do not have the same adapter."""
    first = checked[0]
    if len({one.adapter_sha256 for one in checked}) > 1:
        raise BadInput(
            f"{model.spec.name}: some of its servers list the adapter by its name, others load it; unload it"
        )
    return ModelFacts(
        base_url=",".join(one.endpoint.server.base_url for one in checked),
        served_name=first.endpoint.spec.served_name,
        served=None
        if first.listed is None
        else tuple(first.endpoint.server.clean(name) for name in first.listed[:100]),
        file_sha256=model.file_sha256 or first.adapter_sha256,
        base_sha256=model.base_sha256,
    )


def is_another_model(known: ModelFacts, new: ModelFacts) -> bool:
    """Whether it is certain that two models are not the same: files may be read in one place and not in another."""
    pairs = ((known.file_sha256, new.file_sha256), (known.base_sha256, new.base_sha256))
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)
