"""A run's models at their servers, checked: that each is there, and that its adapter is the one asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from evals.endpoints.chat import PROBE
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import OPENAI_URL
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.plan.manifest import ModelFacts
from evals.plan.plan import Plan
from evals.runner.connections import Connections, local_base
from evals.runner.preflight.adapter import NAME as ADAPTER_CHECK
from evals.runner.preflight.adapter import Comparison, check_adapter
from evals.runner.preflight.endpoint import (
    Check,
    check_asking,
    check_listing,
    check_model,
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
    `applied` is its adapter, None where there is none or it could not be checked.
    """

    endpoint: Endpoint
    checks: list[Check]
    opened: str
    applied: Comparison | None


async def connect_model(
    plan: Plan, connections: Connections, model: ServedModel, policy: RetryPolicy, view: RunView
) -> ConnectedModel:
    """A model at one of its servers. Raises BadInput where it cannot be asked there."""
    sampling = plan.sampling
    model, reply = await check_model(await load_adapter(model, view.say), sampling)
    samples = plan.sample_trials(model.spec.name) if plan.config.preflight else []
    in_chat = [trial for trial in samples if trial.format != "transcript"]
    wanted = has_checks(sampling, in_chat)
    endpoint = await template_endpoint(model, policy, sampling, wanted=wanted or not sampling.default_system)
    model, about_system = await settle_system_message(endpoint, sampling, in_chat)
    endpoint = Endpoint(model, policy, endpoint.renderer)
    checks = [about_system] if about_system is not None and plan.config.preflight else []
    checks += await check_asking(endpoint, sampling, in_chat) if wanted else []
    thought = await find_opened_thought(endpoint, sampling, in_chat[0].messages if in_chat else PROBE, reply)
    checks += thought.checks if plan.config.preflight else []
    if any("transcript" in formats for formats in plan.config.formats.values()):
        await check_transcript(endpoint, sampling)
    if plan.config.preflight and _has_sampler_to_check(model, sampling):
        checks.append(await check_sampler(endpoint, sampling))
    if plan.config.preflight and model.refused:
        left_out = ", ".join(sorted(model.refused - {"repeat_penalty"}))
        checks.append(Check(SAMPLER_CHECK, "noted", f"{left_out} left out: the server refuses to be told"))
    applied = None
    if plan.config.preflight and model.base is not None:
        check, applied = await _check_adapter(plan, connections, endpoint, model.base, samples)
        checks.append(check)
    if model.base is None:
        for base in connections.base[:1]:
            checks += await _check_merged(endpoint, base, samples, view)
    return ConnectedModel(endpoint, checks, thought.mark, applied)


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
    return await check_adapter(endpoint, Endpoint(base_model, RetryPolicy()), samples)


async def _check_merged(endpoint: Endpoint, base: ServedModel, samples: list[Trial], view: RunView) -> list[Check]:
    """That a model without an adapter is not its base; () of the base itself."""
    if endpoint.spec.name == base.spec.name:
        return []
    base = await check_listing(await load_adapter(base, view.say))
    base = replace(base, empty_system=endpoint.model.empty_system)
    return await check_merged(endpoint, Endpoint(base, RetryPolicy()), samples)


def model_facts(models: Sequence[ServedModel]) -> ModelFacts:
    """How a model is reached at its servers. Raises BadInput when these do not have the same adapter."""
    first = models[0]
    if len({model.file_sha256 for model in models}) > 1:
        raise BadInput(
            f"{first.spec.name}: some of its servers list the adapter by its name, others load it; unload it"
        )
    return ModelFacts(
        base_url=",".join(model.server.base_url for model in models),
        served_name=first.spec.served_name,
        served=None if first.listed is None else tuple(first.server.clean(name) for name in first.listed[:100]),
        file_sha256=first.file_sha256,
        base_sha256=first.base_sha256,
        default_system=None if first.default_system is None else first.server.clean(first.default_system),
    )


def is_another_model(known: ModelFacts, new: ModelFacts) -> bool:
    """Whether it is certain that two models are not the same: files may be read in one place and not in another."""
    pairs = ((known.file_sha256, new.file_sha256), (known.base_sha256, new.base_sha256))
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)
