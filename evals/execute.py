"""Do what a run has left to do: connect, check, sample and judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from evals.applied import NAME as ADAPTER_CHECK
from evals.applied import check_adapter
from evals.bound import bound_judges, judge_at, line_of, say_checks, together
from evals.connections import Connections, Served, base_of_local, connections
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.prices import Tariff
from evals.endpoints.replicas import Replicas
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.server import Server
from evals.endpoints.servers.adapter_loading import load_adapter
from evals.errors import BadInput
from evals.estimate import Pace, estimate, measure_pace
from evals.judge_check import check_judges
from evals.pipeline import run_pipeline
from evals.plan.anchors import Watch
from evals.plan.manifest import Manifest, ModelFacts, write_manifest
from evals.plan.plan import Plan, Retry
from evals.plan.spend import Ledger
from evals.preflight import (
    Check,
    check_asking,
    check_transcript,
    checked_model,
    has_checks,
    template_endpoint,
)
from evals.scoring.judge_set import JudgeSet, judge_key
from evals.trials.journal import Journal
from evals.trials.trial import Trial
from evals.view import RunView
from evals.watching import judge_anchors


async def execute(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    journal: Journal,
    view: RunView,
    retry: Retry,
    panel: JudgeSet,
    *,
    sampling: bool,
    tariffs: Mapping[str, Tariff],
    watch: Watch | None = None,
) -> dict[str, ModelFacts]:
    """Check every endpoint, sample and judge what is pending, then judge the anchors again; how each model was reached.

    `panel` are the judges of `plan`, whose verdicts may be other ones than those that count in the run of `manifest`.
    `tariffs` are of all models of the run.

    Raises BadInput before anything is asked or dropped, RunStopped when it cannot go on.
    """
    config = plan.config
    async with connections(plan, view, sampling=sampling) as served:
        facts: dict[str, ModelFacts] = {}
        endpoints: dict[str, Endpoint | Replicas] = {}
        policy = RetryPolicy(max_attempts=config.max_attempts, max_total_s=config.max_total_s)
        for name, model in served.models.items():
            checked = [await _check_model(plan, served, model, server, policy, view) for server in model.servers]
            say_checks(view, name, [check for one in checked for check in one.checks])
            known, new = manifest.models.get(name), _facts(model, checked)
            if known is not None and _is_another(known, new):
                raise BadInput(f"{name}: the model file is not the one that this run began with; choose another --out")
            facts[name] = new
            endpoints[name] = together([one.endpoint for one in checked], policy, view)
        judges = await bound_judges(plan, served, view)
        write_manifest(folder, manifest.model_copy(update={"models": manifest.models | facts}))
        # Only now, when every server has been checked: what is dropped here is sure to be asked again.
        if retry.trials:
            journal.forget_failed_trials()
        if retry.rulings:
            journal.forget_failed_rulings([judge.key.id for judge in judges])
        pending: dict[str, Iterator[Trial] | AsyncIterator[Trial]] = {
            name: _pending(plan.trials(name), journal) for name in endpoints
        }
        adaptive = None
        if config.rule is not None and endpoints:
            # They load numpy, which a run without a rule has no use for while it samples.
            from evals.adaptive import AHEAD, Adaptive
            from evals.plan.stopping.state import read_stopping

            stopping = read_stopping(journal, config.rule, panel, config.denominator)
            ahead = {name: AHEAD * config.concurrency * endpoint.width for name, endpoint in endpoints.items()}
            adaptive = Adaptive(plan, stopping, journal, ahead)
            pending = {name: adaptive.trials(name) for name in endpoints}
        counts = {"planned": manifest.trials_planned, "recorded": journal.recorded(), "failed": journal.failed()}
        to_judge = _to_judge(journal, panel)
        ledger = Ledger(journal.usage(), tariffs)
        judge = config.judge or ""
        with view.progress(**counts, to_judge=to_judge, judge=judge, ledger=ledger) as progress:
            await run_pipeline(
                pending,
                endpoints,
                judges,
                panel,
                journal,
                concurrency=config.concurrency,
                progress=progress,
                noticed=adaptive.noticed if adaptive else None,
            )
        if watch is not None:
            await judge_anchors(watch, manifest, judges, folder, view)
        return facts


def _asked_with(plan: Plan) -> tuple[float | None, int, bool | None]:
    sampling = plan.sampling
    return sampling.temperature, sampling.max_tokens, sampling.thinking


def _to_judge(journal: Journal, panel: JudgeSet) -> int:
    """Open answers, recorded or planned, that the first judge of their measure has not ruled on."""
    first = {measure: judges[0] for measure, judges in panel.of_answers.items() if judges}
    planned = sum(planned for cell, planned in journal.cells() if cell.format != "mcq" and cell.measure in first)
    return planned - sum(map(journal.judged, first.values()))


def _pending(trials: Iterator[Trial], journal: Journal) -> Iterator[Trial]:
    return (trial for trial in trials if not journal.has_trial(trial.id))


class _CheckedAt(NamedTuple):
    """A model under test as one server serves it, and what the checks of what it is sent found there."""

    endpoint: Endpoint
    listed: list[str] | None
    adapter_sha256: str | None
    checks: list[Check]


async def _check_model(
    plan: Plan, served: Connections, model: Served, server: Server, policy: RetryPolicy, view: RunView
) -> _CheckedAt:
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
    return _CheckedAt(endpoint, listed, loaded.sha256, checks)


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


def _facts(model: Served, checked: list[_CheckedAt]) -> ModelFacts:
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


def _is_another(known: ModelFacts, new: ModelFacts) -> bool:
    """Whether it is certain that two models are not the same: files may be read in one place and not in another."""
    pairs = ((known.file_sha256, new.file_sha256), (known.base_sha256, new.base_sha256))
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def check_endpoints(plan: Plan, view: RunView) -> list[str]:
    """Check every endpoint of a plan; what was found, a line each, and what a run would cost. Raises BadInput."""

    found: list[str] = []
    paces: dict[str, Pace] = {}

    async def check_panel(plan: Plan, served: Connections) -> None:
        if served.judge is None or plan.config.judge is None:
            return
        who = f"judge {plan.config.judge}"
        required = plan.config.judge_mode == "logprob"
        for server in served.judge.servers:
            asked = [
                await judge_at(served.judge, server, judge, view, logprobs_required=required) for judge in plan.judges
            ]
            found.extend(_reached(who, one.checked.spec, server) for one in asked[:1])
            to_check = [one.for_check(judge_key(one.checked.judge, plan.config.judge)) for one in asked]
            found.extend(line_of(who, check) for check in await check_judges(to_check))
            if asked:
                endpoint = Endpoint(asked[0].checked.spec, server, RetryPolicy())
                paces[plan.config.judge] = await measure_pace(endpoint)

    async def check() -> list[str]:
        async with connections(plan, view, sampling=True) as served:
            for name, model in served.models.items():
                for server in model.servers:
                    checked = await _check_model(plan, served, model, server, RetryPolicy(), view)
                    found.append(_reached(name, checked.endpoint.spec, server))
                    found.extend(line_of(name, check) for check in checked.checks)
                    paces[name] = await measure_pace(checked.endpoint, plan.sampling.thinking)
            await check_panel(plan, served)
        for other in plan.also:
            async with connections(other, view, sampling=False) as served:
                await check_panel(other, served)
        return [*found, *estimate(plan, paces)]

    return asyncio.run(check())


def _reached(who: str, spec: ModelSpec, server: Server) -> str:
    return f"{who}: served at {server.base_url} as {spec.served_name}"
