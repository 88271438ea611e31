"""Do what a run has left to do: connect, check, sample and judge."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from evals.endpoints.cache.folder import CacheFolder
from evals.endpoints.cache.replies import CachedReplies
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.replicas import Replicas, join_endpoints
from evals.endpoints.retries import RetryPolicy
from evals.errors import BadInput, RunStopped
from evals.io.cache import answers_folder
from evals.io.process.meanwhile import import_meanwhile
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan
from evals.plan.manifest import ModelFacts, write_manifest
from evals.plan.plan import Plan
from evals.plan.settings.values import DEFAULT_CACHE
from evals.plan.settings.via import BY_BATCH, BY_RAY
from evals.plan.spend import Budget, Ledger, usd_words
from evals.runner.anchor_check import Watch, judge_anchors
from evals.runner.asking.draws import RecordedDraws
from evals.runner.by_batch.records import Records
from evals.runner.connections import Connections, connect
from evals.runner.judge_endpoints import connect_judges, say_checks, say_checks_of_all
from evals.runner.letters.protocol import Letters
from evals.runner.model_endpoints import (
    ConnectedModel,
    ModelGate,
    checks_of,
    connect_everywhere,
    is_another_model,
    model_facts,
)
from evals.runner.pipeline import Recorder, TrialSource, run_pipeline
from evals.runner.preflight.adapter import Comparison, check_adapter_again, check_scale
from evals.runner.preflight.endpoint import Check
from evals.runner.session import RAY_FOLDER, RunSession
from evals.runner.view import RunView, SaidLater
from evals.scoring.judge_set import JudgePanel
from evals.scoring.rates.running import RunningRates
from evals.trials.journal import Journal
from evals.trials.reference import UserQuestion
from evals.trials.trial import Trial


class _ConnectedModels(NamedTuple):
    """The models of a plan: how each is reached, where it is asked, the thought that its template opens, what the
    checks of it found, its adapter at each server where that was found to be applied, and who lets further servers in.
    """

    facts: dict[str, ModelFacts]
    endpoints: dict[str, Endpoint | Replicas]
    opened: dict[str, str]
    checks: dict[str, list[Check]]
    applied: dict[str, list[Comparison]]
    gates: dict[str, ModelGate]


def _no_models() -> _ConnectedModels:
    return _ConnectedModels({}, {}, {}, {}, {}, {})


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
    specs = _due_models(sampling, session) if sampling is not None else []
    base = sampling.base_spec if sampling is not None else None
    cache = _cache_folder(judging, view)
    async with connect(judging, view, specs, base) as connections:
        import_meanwhile("scipy.special")  # for the tables at the end
        budget = Budget(judging.config.max_cost, Ledger(tariffs=session.tariffs))
        judge = judging.config.judge if judging.judges and judging.config.judge else ""
        budget.check([*(spec.name for spec in specs), *filter(None, [judge])])
        models, judges = await _connect_all(sampling, judging, connections, session)
        by_batch = [*models.endpoints.values()] if judging.config.via == BY_BATCH else []
        by_batch += [judge.endpoint for judge in judges[:1]] if judging.config.judge_via == BY_BATCH else []
        if by_batch and session.by_batch is not None:
            await session.by_batch.check(session, by_batch)
        say_checks_of_all(view, models.checks)  # only now: a judge that is refused is one line
        _record(models, session)
        _record_arrivals(models, session)
        # Only now, when every server has been checked: what is dropped here is sure to be asked again.
        if session.retry.trials:
            journal.forget_failed_trials()
        if session.retry.rulings:
            journal.forget_failed_rulings([judge.key.id for judge in judges])
        pending, noticed = _pending_trials(sampling, panel, journal, models.endpoints)
        rates = RunningRates(judging.config.denominator)
        shown = session.progress(judging.config.judge or "", _to_judge(panel, sampling), budget, rates)
        async with shown as progress:
            recorder = Recorder(journal, progress, noticed, view.say, budget.allows_more, rates.add)
            letters = _letters() if judging.config.read == "logprobs" else None
            sources = {
                name: TrialSource(pending[name], models.endpoints[name], models.opened[name], letters=letters)
                for name in pending
            }
            asked = judges
            if cache is not None:
                sources, asked = _with_cache(cache, judging, sampling, sources, judges)
            await _ask(judging, session, sampling, sources, asked, panel, recorder)
        if budget.is_hit:
            spent, most = (usd_words(usd) for usd in (budget.spent(), budget.most or 0.0))
            raise RunStopped(f"--max-cost: {spent} of {most} are spent; to go on, give a higher one")
        for gate in models.gates.values():
            await gate.stop()
        for name, adapters in models.applied.items():
            for adapter in tuple(adapters):
                await _check_again(models, name, adapter, view)
            models.facts[name] = await _with_scale(models.facts[name], models.endpoints[name], view)
        if models.applied:
            _record(models, session)
        if watch is not None:
            await judge_anchors(watch, manifest, judges, session.folder, view)
        return models.facts


def _letters() -> Letters:
    from evals.runner.letters.reader import LetterReader  # the rules of choices take long to compile

    return LetterReader()


def _due_models(plan: Plan, session: RunSession) -> list[ModelSpec]:
    """The models that are still to be asked: of those that have answered everything no server is needed."""
    specs, journal = list(plan.specs.values()), session.journal
    if len(specs) == 1 or plan.config.rule or session.retry.trials or plan.config.via == BY_BATCH:
        return specs
    planned: Counter[str] = Counter()
    for cell, number in journal.cells():
        planned[cell.model] += number
    return [spec for spec in specs if sum(journal.draws_of(spec.name).values()) < planned[spec.name]]


def _record(models: _ConnectedModels, session: RunSession) -> None:
    """Write down how the models are reached."""
    manifest = session.manifest
    write_manifest(session.folder, manifest.model_copy(update={"models": manifest.models | models.facts}))


def _record_arrivals(models: _ConnectedModels, session: RunSession) -> None:
    """Write down each server that joins, and look at the adapter of each that leaves as at the end of a run."""
    for name, gate in models.gates.items():

        def joining(connected: ConnectedModel, name: str = name, gate: ModelGate = gate) -> None:
            urls = ",".join(gate.admitted)
            models.facts[name] = models.facts[name].model_copy(update={"base_url": urls})
            if connected.applied is not None:
                models.applied[name].append(connected.applied)
            said = {(check.name, check.detail) for check in models.checks[name]}
            new = [check for check in connected.checks if (check.name, check.detail) not in said]
            models.checks[name].extend(new)
            say_checks(session.view, name, new)
            _record(models, session)

        async def parting(connected: ConnectedModel, name: str = name) -> None:
            if connected.applied is not None:
                await _check_again(models, name, connected.applied, session.view, f"when {connected.url} had left")
                _record(models, session)

        gate.joining, gate.parting = joining, parting
        for connected in gate.members:  # of those that joined before this
            if connected.url not in models.facts[name].base_url.split(","):
                joining(connected)


async def _check_again(
    models: _ConnectedModels, name: str, adapter: Comparison, view: RunView, when: str = "at the end of the run"
) -> None:
    """Put what is wrong with an adapter, once no more is asked of it, into the facts of its model."""
    found = await check_adapter_again(adapter)
    models.applied[name][:] = [other for other in models.applied[name] if other is not adapter]
    if found.unknown:
        view.say(f"{name}: adapter: not checked {when}: {found.unknown}")
    bases = [other for other, facts in models.facts.items() if facts.served_name == adapter.base_name]
    for model, lost in ((name, found.adapter), *((base, found.base) for base in bases)):
        if lost:
            models.facts[model] = models.facts[model].model_copy(update={"adapter_lost": lost})


async def _ask(
    judging: JudgingPlan,
    session: RunSession,
    sampling: Plan | None,
    sources: Mapping[str, TrialSource],
    judges: Sequence[JudgeEndpoint],
    panel: JudgePanel,
    recorder: Recorder,
) -> None:
    """Ask everything that is pending, online or by batch, and go on with the batches that an earlier session began."""
    config, by_batch = judging.config, session.by_batch
    records = Records(session.journal)
    if sampling is not None and (config.via == BY_BATCH or records.open_ones("answers", sources)):
        assert by_batch is not None  # noqa: S101  as start_run has checked
        if session.retry.trials:
            records.forget_attempts("answers")
        await by_batch.ask_models(session, sampling, sources, recorder, begin=config.via == BY_BATCH)
    if sampling is not None and (config.via == BY_RAY or (session.folder / RAY_FOLDER).exists()):
        assert by_batch is not None  # noqa: S101
        await by_batch.ask_over_ray(session, sampling, sources, recorder, begin=config.via == BY_RAY)
    await _ask_with_judges(session, sources, judges, panel, recorder, config)


async def _ask_with_judges(
    session: RunSession,
    sources: Mapping[str, TrialSource],
    judges: Sequence[JudgeEndpoint],
    panel: JudgePanel,
    recorder: Recorder,
    config: RunConfig,
) -> None:
    """Ask the models online, and the judges as `config` has it: at the same time, or once every answer is there."""
    by_batch, records, via = session.by_batch, Records(session.journal), config.judge_via
    names = {judge.key.model for judge in judges}
    has_batches = bool(judges) and (via == BY_BATCH or bool(records.open_ones("judge", names)))
    if judges and by_batch is not None and (session.folder / RAY_FOLDER).exists():  # of a session that was killed
        await by_batch.judge_over_ray(session, judges, panel, recorder, begin=False)
    is_apart = has_batches or via == BY_RAY
    await run_pipeline(sources, () if is_apart else judges, panel, recorder, concurrency=config.concurrency)
    if has_batches:
        assert by_batch is not None  # noqa: S101  as start_run has checked
        if session.retry.rulings:
            records.forget_attempts("judge")
        await by_batch.ask_judges(session, judges, panel, recorder, begin=via == BY_BATCH)
    if judges and via == BY_RAY:
        assert by_batch is not None  # noqa: S101
        await by_batch.judge_over_ray(session, judges, panel, recorder, begin=True)
    elif has_batches and via != BY_BATCH:
        await run_pipeline({}, judges, panel, recorder, concurrency=config.concurrency)


def _cache_folder(judging: JudgingPlan, view: RunView) -> CacheFolder | None:
    """The answer cache of a run, None for none. Raises BadInput."""
    given = judging.config.cache
    if given is None:
        return None
    return CacheFolder(answers_folder() if given == DEFAULT_CACHE else Path(given), view.say)


def _with_cache(
    cache: CacheFolder,
    judging: JudgingPlan,
    sampling: Plan | None,
    sources: Mapping[str, TrialSource],
    judges: Sequence[JudgeEndpoint],
) -> tuple[dict[str, TrialSource], list[JudgeEndpoint]]:
    """Sources and judges that look for a reply in the cache first. Checks and anchors are for the servers as they are
    today, and have the judges without it."""
    config = judging.config

    def replies(endpoint: Endpoint | Replicas, spec: ModelSpec) -> CachedReplies:
        first = endpoint.first if isinstance(endpoint, Replicas) else endpoint
        vllm = {"arguments": config.vllm_args, "model_defaults": config.sampling == "model"}
        return CachedReplies(cache, first.model, spec, vllm if spec.provider == "vllm" else {})

    specs = {} if sampling is None else sampling.specs
    with_models = {
        name: source._replace(cache=replies(source.endpoint, specs[name])) for name, source in sources.items()
    }
    spec = judging.judge_spec
    with_judges = [judge if spec is None else replace(judge, cache=replies(judge.endpoint, spec)) for judge in judges]
    return with_models, with_judges


async def _with_scale(facts: ModelFacts, endpoint: Endpoint | Replicas, view: RunView) -> ModelFacts:
    """The facts of a model, with what is wrong with the scale of its adapter at the end of a run."""
    if not isinstance(endpoint, Endpoint) or endpoint.spec.provider != "local" or endpoint.model.base is None:
        return facts
    lost, unknown = await check_scale(endpoint.model)
    if unknown:
        view.say(f"{endpoint.name}: adapter: not checked at the end of the run: {unknown}")
    return facts.model_copy(update={"adapter_lost": lost}) if lost else facts


async def _connect_all(
    sampling: Plan | None, judging: JudgingPlan, connections: Connections, session: RunSession
) -> tuple[_ConnectedModels, list[JudgeEndpoint]]:
    """The models and the judges, checked at the same time; what is said of judges comes second. Raises BadInput."""
    said = SaidLater(session.view)
    judges = asyncio.ensure_future(connect_judges(judging, connections, said))
    try:
        models = _no_models() if sampling is None else await _connect_models(sampling, connections, session)
        said.say_now()
        return models, await judges
    finally:
        judges.cancel()
        await asyncio.gather(judges, return_exceptions=True)


async def _connect_models(plan: Plan, connections: Connections, session: RunSession) -> _ConnectedModels:
    """The models of a plan, checked at each of their servers.

    Raises BadInput, also for a model that is not the one of the run.
    """
    config, view = plan.config, session.view
    connected_models = _no_models()
    policy = RetryPolicy(max_attempts=config.max_attempts, max_total_s=config.max_retry_time)
    for name in connections.models:
        gate = ModelGate(plan, connections, name, policy, view) if name in connections.arrivals.specs else None
        found = await (gate.open() if gate else connect_everywhere(plan, connections, name, policy, view))
        endpoints = [connected.endpoint for connected in found]
        connected_models.checks[name] = [check for connected in found for check in connected.checks]
        known, new = session.manifest.models.get(name), model_facts([endpoint.model for endpoint in endpoints])
        if known is not None and is_another_model(known, new):
            raise BadInput(f"{name}: the model file is not the one that this run began with; choose another --out")
        kept = {} if known is None else {"adapter_lost": known.adapter_lost, "by_file": known.by_file}
        checks = checks_of(found, known, config)
        connected_models.facts[name] = new.model_copy(update={**kept, "checks": checks})
        connected_models.applied[name] = [connected.applied for connected in found if connected.applied is not None]
        connected_models.endpoints[name] = gate.follow() if gate else join_endpoints(endpoints, policy, view.say)
        connected_models.gates.update({name: gate} if gate else {})
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
        return {name: plan.trials(name, RecordedDraws(journal, name)) for name in endpoints}, lambda _trial_id: None
    # They load numpy, which a run without a rule has no use for while it samples.
    from evals.plan.stopping.state import read_stopping
    from evals.runner.adaptive_sampling import AHEAD, Adaptive

    stopping = read_stopping(journal, config.rule, panel, config.denominator)

    def ahead(name: str) -> int:
        return AHEAD * config.concurrency * endpoints[name].width

    adaptive = Adaptive(plan, stopping, journal, tuple(endpoints), ahead)
    return {name: adaptive.trials(name) for name in endpoints}, adaptive.noticed


def _to_judge(panel: JudgePanel, sampling: Plan | None) -> Callable[[Journal], int]:
    """Counts the open answers, recorded or planned, that the first judge of their measure has not ruled on."""
    first = {measure: judges[0] for measure, judges in panel.answer_judges.items() if judges}
    by_rule = _read_by_rules(sampling) if sampling is not None and "hit" in first else frozenset[tuple[str, str]]()

    def left(journal: Journal) -> int:
        judged = [
            (cell.measure, planned)
            for cell, planned in journal.cells()
            if cell.format != "mcq" and cell.measure in first and (cell.suite, cell.prompt_id) not in by_rule
        ]
        judges = {first[measure] for measure, _ in judged}  # of a question file, one for several measures
        return sum(planned for _, planned in judged) - sum(map(journal.judged, judges))

    return left


def _read_by_rules(plan: Plan) -> frozenset[tuple[str, str]]:
    """The questions, by suite and id, whose judges are all rules."""
    asked = ((prompt.suite, prompt.id, prompt.reference) for prompt in plan.prompts())
    return frozenset(
        (suite, name)
        for suite, name, reference in asked
        if isinstance(reference, UserQuestion) and reference.specs and not reference.prompts
    )
