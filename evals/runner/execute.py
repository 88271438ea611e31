"""Do what a run has left to do: connect, check, sample and judge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.prices import Tariff
from evals.endpoints.replicas import Replicas
from evals.endpoints.retries import RetryPolicy
from evals.errors import BadInput
from evals.plan.manifest import Manifest, ModelFacts, write_manifest
from evals.plan.plan import Plan, Retry
from evals.plan.spend import Ledger
from evals.runner.anchor_check import Watch, judge_anchors
from evals.runner.connections import connections
from evals.runner.judge_endpoints import bound_judges, say_checks, together
from evals.runner.model_endpoints import check_model, is_another_model, model_facts
from evals.runner.pipeline import run_pipeline
from evals.runner.view import RunView
from evals.scoring.judge_set import JudgeSet
from evals.trials.journal import Journal
from evals.trials.trial import Trial


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
            checked = [await check_model(plan, served, model, server, policy, view) for server in model.servers]
            say_checks(view, name, [check for one in checked for check in one.checks])
            known, new = manifest.models.get(name), model_facts(model, checked)
            if known is not None and is_another_model(known, new):
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
            from evals.plan.stopping.state import read_stopping
            from evals.runner.adaptive_sampling import AHEAD, Adaptive

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


def _to_judge(journal: Journal, panel: JudgeSet) -> int:
    """Open answers, recorded or planned, that the first judge of their measure has not ruled on."""
    first = {measure: judges[0] for measure, judges in panel.of_answers.items() if judges}
    planned = sum(planned for cell, planned in journal.cells() if cell.format != "mcq" and cell.measure in first)
    return planned - sum(map(journal.judged, first.values()))


def _pending(trials: Iterator[Trial], journal: Journal) -> Iterator[Trial]:
    return (trial for trial in trials if not journal.has_trial(trial.id))
