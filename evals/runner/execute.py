"""Do what a run has left to do: connect, check, sample and judge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.replicas import Replicas, join_endpoints
from evals.endpoints.retries import RetryPolicy
from evals.errors import BadInput
from evals.plan.judging_plan import JudgingPlan
from evals.plan.manifest import ModelFacts, write_manifest
from evals.plan.plan import Plan
from evals.plan.spend import Ledger
from evals.runner.anchor_check import Watch, judge_anchors
from evals.runner.connections import Connections, connect
from evals.runner.judge_endpoints import connect_judges, say_checks
from evals.runner.model_endpoints import connect_model, is_another_model, model_facts
from evals.runner.pipeline import Recorder, TrialSource, run_pipeline
from evals.runner.preflight.adapter import Comparison, check_adapter_again, check_scale
from evals.runner.preflight.endpoint import Check
from evals.runner.session import RunSession
from evals.runner.view import RunView
from evals.scoring.judge_set import JudgePanel
from evals.trials.journal import Journal
from evals.trials.trial import Trial


class _ConnectedModels(NamedTuple):
    """The models of a plan: how each is reached, where it is asked, the thought that its template opens, what the
    checks of it found, and its adapter at each server where that was found to be applied."""

    facts: dict[str, ModelFacts]
    endpoints: dict[str, Endpoint | Replicas]
    opened: dict[str, str]
    checks: dict[str, list[Check]]
    applied: dict[str, list[Comparison]]


async def execute(
    judging: JudgingPlan,
    session: RunSession,
    panel: JudgePanel,
    *,
    sampling: Plan | None = None,
    watch: Watch | None = None,
) -> dict[str, ModelFacts]:
    """Check every endpoint, sample and judge what is pending, then judge the anchors again; how each model was reached.

    `panel` are the judges of `judging`, whose verdicts may be other ones than those that count in the run. `sampling`
    is the plan to sample, None where stored answers are judged.

    Raises BadInput before anything is asked or dropped, RunStopped when it cannot go on.
    """
    manifest, journal, view = session.manifest, session.journal, session.view
    specs = sampling.specs.values() if sampling is not None else ()
    base = sampling.base_spec if sampling is not None else None
    async with connect(judging, view, specs, base) as connections:
        models = _ConnectedModels({}, {}, {}, {}, {})
        if sampling is not None:
            models = await _connect_models(sampling, connections, session)
        judges = await connect_judges(judging, connections, view)
        for name, checks in models.checks.items():  # only now: a judge that is refused is one line
            say_checks(view, name, checks)
        write_manifest(session.folder, manifest.model_copy(update={"models": manifest.models | models.facts}))
        # Only now, when every server has been checked: what is dropped here is sure to be asked again.
        if session.retry.trials:
            journal.forget_failed_trials()
        if session.retry.rulings:
            journal.forget_failed_rulings([judge.key.id for judge in judges])
        pending, noticed = _pending_trials(sampling, panel, journal, models.endpoints)
        counts = {"planned": manifest.trials_planned, "recorded": journal.recorded(), "failed": journal.failed()}
        counts["to_judge"] = _to_judge(journal, panel)
        ledger = Ledger(journal.usage(), session.tariffs)
        with view.progress(**counts, judge=judging.config.judge or "", ledger=ledger) as progress:
            recorder = Recorder(journal, progress, noticed, view.say)
            sources = {
                name: TrialSource(pending[name], models.endpoints[name], models.opened[name]) for name in pending
            }
            await run_pipeline(sources, judges, panel, recorder, concurrency=judging.config.concurrency)
        for name, adapters in models.applied.items():
            facts = await _after_the_run(models.facts[name], name, adapters, view)
            models.facts[name] = await _with_scale(facts, models.endpoints[name], view)
        if models.applied:
            write_manifest(session.folder, manifest.model_copy(update={"models": manifest.models | models.facts}))
        if watch is not None:
            await judge_anchors(watch, manifest, judges, session.folder, view)
        return models.facts


async def _after_the_run(facts: ModelFacts, name: str, adapters: Sequence[Comparison], view: RunView) -> ModelFacts:
    """The facts of a model with what is wrong with its adapter at the end of a run."""
    for adapter in adapters:
        lost, unknown = await check_adapter_again(adapter)
        if unknown:
            view.say(f"{name}: adapter: not checked at the end of the run: {unknown}")
        if lost:
            facts = facts.model_copy(update={"adapter_lost": lost})
    return facts


async def _with_scale(facts: ModelFacts, endpoint: Endpoint | Replicas, view: RunView) -> ModelFacts:
    """The facts of a model, with what is wrong with the scale of its adapter at the end of a run."""
    if not isinstance(endpoint, Endpoint) or endpoint.spec.provider != "local" or endpoint.model.base is None:
        return facts
    lost, unknown = await check_scale(endpoint.model)
    if unknown:
        view.say(f"{endpoint.name}: adapter: not checked at the end of the run: {unknown}")
    return facts.model_copy(update={"adapter_lost": lost}) if lost else facts


async def _connect_models(plan: Plan, connections: Connections, session: RunSession) -> _ConnectedModels:
    """The models of a plan, checked at each of their servers.

    Raises BadInput, also for a model that is not the one of the run.
    """
    config, view = plan.config, session.view
    connected_models = _ConnectedModels({}, {}, {}, {}, {})
    policy = RetryPolicy(max_attempts=config.max_attempts, max_total_s=config.max_total_s)
    for name, models in connections.models.items():
        found = [await connect_model(plan, connections, model, policy, view) for model in models]
        endpoints = [connected.endpoint for connected in found]
        connected_models.checks[name] = [check for connected in found for check in connected.checks]
        known, new = session.manifest.models.get(name), model_facts([endpoint.model for endpoint in endpoints])
        if known is not None and is_another_model(known, new):
            raise BadInput(f"{name}: the model file is not the one that this run began with; choose another --out")
        lost_before = known.adapter_lost if known is not None else ""
        connected_models.facts[name] = new.model_copy(update={"adapter_lost": lost_before})
        connected_models.applied[name] = [connected.applied for connected in found if connected.applied is not None]
        connected_models.endpoints[name] = join_endpoints(endpoints, policy, view.say)
        connected_models.opened[name] = next((connected.opened for connected in found if connected.opened), "")
    return connected_models


def _pending_trials(
    plan: Plan | None, panel: JudgePanel, journal: Journal, endpoints: Mapping[str, Endpoint | Replicas]
) -> tuple[dict[str, Iterator[Trial] | AsyncIterator[Trial]], Callable[[str], None]]:
    """The trials of each model that are not recorded yet, and what to call with the id of a trial that is."""
    if plan is None:
        return {}, lambda _trial_id: None
    config = plan.config
    if config.rule is None:
        return {name: _pending(plan.trials(name), journal) for name in endpoints}, lambda _trial_id: None
    # They load numpy, which a run without a rule has no use for while it samples.
    from evals.plan.stopping.state import read_stopping
    from evals.runner.adaptive_sampling import AHEAD, Adaptive

    stopping = read_stopping(journal, config.rule, panel, config.denominator)
    ahead = {name: AHEAD * config.concurrency * endpoint.width for name, endpoint in endpoints.items()}
    adaptive = Adaptive(plan, stopping, journal, ahead)
    return {name: adaptive.trials(name) for name in endpoints}, adaptive.noticed


def _to_judge(journal: Journal, panel: JudgePanel) -> int:
    """Open answers, recorded or planned, that the first judge of their measure has not ruled on."""
    first = {measure: judges[0] for measure, judges in panel.answer_judges.items() if judges}
    planned = sum(planned for cell, planned in journal.cells() if cell.format != "mcq" and cell.measure in first)
    return planned - sum(map(journal.judged, first.values()))


def _pending(trials: Iterator[Trial], journal: Journal) -> Iterator[Trial]:
    return (trial for trial in trials if not journal.has_trial(trial.id))
