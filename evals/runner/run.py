"""One run, from a config and a folder to tables: what may be written where, what is left to do, and then counting.

Nothing is written before the input is known to be good, and no server is started or asked while there is nothing to
ask.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from evals.endpoints.prices import Tariff
from evals.errors import BadInput, RunStopped
from evals.plan.config import TRANSPORT_FIELDS, RunConfig
from evals.plan.judging_plan import JudgingPlan, plan_other_judgings, plan_rejudging, planned_tariffs
from evals.plan.manifest import FILE_NAME as MANIFEST_NAME
from evals.plan.manifest import (
    ImportFacts,
    Manifest,
    ModelFacts,
    PanelFacts,
    judges_in,
    read_manifest,
    with_panel,
    write_manifest,
)
from evals.plan.options import differences
from evals.plan.plan import Plan, Retry, make_plan
from evals.plan.provenance import git_revision, versions
from evals.plan.recorded_run import manifest_of
from evals.plan.settings.rubrics import with_rubrics
from evals.plan.settings.run_settings import option_name
from evals.plan.told_again import confirmed
from evals.runner.anchor_check import Watch, due_anchors
from evals.runner.count import RunResult, as_counted, conclude, is_counted, replanned
from evals.runner.interrupt import run_async, stopped_by_signals
from evals.runner.run_folder import discard, manifest_for, open_journal, refuse_foreign_files
from evals.runner.session import RunSession
from evals.runner.view import RunView
from evals.scoring.judge_set import IMPORTED, JudgePanel
from evals.scoring.judging import due_judges
from evals.scoring.rates.label_weights import check_labels
from evals.scoring.scale import scale_notes
from evals.trials.journal import Journal
from judges.registry import JUDGES


def start_run(config: RunConfig, folder: Path, view: RunView, *, retry_failed: bool = False) -> RunResult:
    """Run `config` in `folder`, or resume the run that is there if it is the same one.

    Raises BadInput before anything is written, RunStopped when the run cannot be finished now; after an interruption
    (KeyboardInterrupt) the folder can be resumed as after either.
    """
    began = read_manifest(folder) if folder.is_dir() else None
    if began is not None and began.imported is not None:
        raise BadInput(f"{folder} holds another run: imported answers. Choose another --out")
    plan = make_plan(config, {name: facts.source for name, facts in began.datasets.items()} if began else None)
    cells = plan.cells()
    is_new_folder = not folder.exists()
    if config.question_files and config.judge and "judge" not in config.over_questions:
        view.say(f"judge {config.judge}, as the question file names it; --judge takes another")
    refuse_foreign_files(folder)
    manifest_for(plan, folder, cells)
    with open_journal(folder) as journal:
        # Once more under the lock: another process may have begun a run there a moment ago.
        before, manifest = manifest_for(plan, folder, cells)
        if before is None and journal.recorded():
            raise BadInput(f"{folder} has a journal with answers but no {MANIFEST_NAME}; choose another --out")
        if before is None:
            journal.set_cells(cells.items())
            if config.rule is not None:
                from evals.plan.stopping.state import begin

                begin(journal, cells)
            write_manifest(folder, manifest)
        try:
            retry = Retry(trials=retry_failed, rulings=retry_failed)
            return _finish(RunSession(manifest, folder, journal, view, retry), plan.judgings, plan)
        except BadInput:
            if before is None and not journal.recorded():
                discard(folder, with_folder=is_new_folder)
            raise


def resume_run(folder: Path, transport: dict[str, object], view: RunView, *, retry_failed: bool) -> RunResult:
    """Go on with the run in `folder` as its manifest has it; `transport` may change how requests travel, and says again
    which programs, files and servers the run uses.

    For an imported run, only judging can be resumed. Raises BadInput where there is none.
    """
    manifest = manifest_of(folder)
    config = confirmed(manifest.config, transport, folder, sampling=manifest.imported is None)
    if manifest.imported is None:
        return start_run(config, folder, view, retry_failed=retry_failed)
    if config.judge in (None, IMPORTED) and not config.also_judges:
        raise BadInput(
            f"{folder} holds imported answers, so there is nothing to resume; "
            "`emeval judge RUN --judge MODEL` judges them"
        )
    changed = differences(manifest.config.identity(), config.identity())
    if changed:
        raise BadInput(f"{folder} holds another run: {'; '.join(changed)}. `emeval judge` takes another judge")
    return _judge(manifest, config, folder, view, Retry(trials=False, rulings=retry_failed))


def judge_run(folder: Path, judging: dict[str, object], view: RunView) -> RunResult:
    """Judge the answers stored in `folder` with other judge options. No model under test is asked."""
    manifest = manifest_of(folder)
    config = confirmed(manifest.config, judging, folder, sampling=False)
    if config.judge is None:
        raise BadInput("--judge is missing: name the model that shall judge, such as openai/gpt-4.1")
    if manifest.imported is not None and config.judge == IMPORTED:
        _refuse_unused(manifest.imported, config, judging, folder)
        return _judge(manifest, config, folder, view, Retry(trials=False, rulings=True))
    if manifest.imported is not None:
        for name in with_rubrics(judging).get("rubrics", ()):
            if JUDGES[name].criterion not in (None, "alignment"):
                raise BadInput(f"--rubric: {name}: imported answers came without references; alignment judges them")
    return _judge(manifest, config, folder, view, Retry(trials=False, rulings=True))


def _judge(manifest: Manifest, config: RunConfig, folder: Path, view: RunView, retry: Retry) -> RunResult:
    judges_by_file = [facts.judges for facts in manifest.datasets.values()]
    judgings = [plan_rejudging(config, judges_by_file), *plan_other_judgings(config, judges_by_file)]
    with open_journal(folder) as journal:
        as_imported = manifest.imported is not None and config.judge == IMPORTED
        rubrics = manifest.imported.rubrics() if manifest.imported and as_imported else judgings[0].rubric_facts()
        facts = {"config": config, "rubrics": rubrics, "panels": manifest.all_panels()}
        judged = manifest.model_copy(update=facts)
        return _finish(RunSession(judged, folder, journal, view, retry), judgings)


def _refuse_unused(imported: ImportFacts, config: RunConfig, judging: dict[str, object], folder: Path) -> None:
    """Refuse what has no use where the verdicts that came with the answers are counted. These can be counted with
    another least coherence; their judge is never called, but other judges can be."""
    usable = {"judge", "coherence_min", "max_unscored", *TRANSPORT_FIELDS}
    unused = [name for name, value in judging.items() if value is not None and name not in usable]
    if unused and not config.also_judges:
        raise BadInput(f"{option_name(unused[0])}: nobody is asked for imported verdicts; name a model with --judge")
    if config.coherence_min is not None and "coherence" not in imported.judges:
        raise BadInput(f"--coherence-min: {imported.file}, which {folder} was made of, holds no coherence scores")


def _finish(session: RunSession, judgings: Sequence[JudgingPlan], plan: Plan | None = None) -> RunResult:
    """Do what is left to do, count, and ask about scores that may be on another scale."""
    result = _complete(session, judgings, plan)
    for panel in result.manifest.panels:
        for note in scale_notes(session.journal, panel.rubrics):
            session.view.say(f"judge {panel.judge}: {note}")
    return result


def _complete(session: RunSession, judgings: Sequence[JudgingPlan], plan: Plan | None) -> RunResult:
    """Do what is left to do, then count. The tables are written on every way out, from what is recorded by then.

    The first of `judgings` counts; without a `plan` nothing is sampled.
    """
    folder, journal = session.folder, session.journal
    check_labels(folder)  # before anybody is asked: the tables at the end need them
    manifest, others = session.manifest, judgings[1:]
    panels = [PanelFacts(judge=manifest.config.judge or "", rubrics=manifest.rubrics), *map(_panel_of, others)]
    manifest = manifest.model_copy(update={"panels": functools.reduce(with_panel, panels, manifest.panels)})
    before = read_manifest(folder)
    counted = is_counted(before, manifest, folder, journal)
    if before is not None and counted:
        manifest = manifest.model_copy(update={"trials_planned": before.trials_planned})
    else:
        manifest, _ = replanned(manifest, plan, journal)
    session = session._replace(manifest=manifest, tariffs=_tariffs(judgings, plan, manifest))
    with stopped_by_signals() as ignore_signals:
        try:
            sampling = plan if plan is not None and _is_sampling_due(session) else None
            watch = due_anchors(
                judgings[0].anchors, manifest.config.anchor_repeats, manifest, folder, failed_too=session.retry.rulings
            )
            counted_is_due = sampling is not None or watch is not None
            due = [
                (judging, panel)
                for judging, panel in zip(judgings, panels, strict=True)
                if (counted_is_due and judging is judgings[0])
                or _is_due(judging, panel, session, sampling=sampling is not None)
            ]
            if due:
                session = session.updated({"versions": versions(), "git_revision": git_revision()})
                if sampling is not None and manifest.config.rule is not None:
                    # The most there can be, until it is known what there was.
                    journal.set_cells(sampling.cells().items())
                models = _ask(due, session, watch, sampling)
                session = session.updated({"models": session.manifest.models | models})
                if watch:
                    session = session.updated({"anchors": watch.facts})
            elif before is not None and counted:
                return as_counted(before, session)
        except BadInput:
            raise
        except KeyboardInterrupt:
            conclude(session, plan, "interrupted")
            raise
        except Exception:
            ignore_signals()
            conclude(session, plan, "stopped")
            raise
        try:
            return conclude(session, plan)
        except KeyboardInterrupt:
            conclude(session, plan, "interrupted")
            raise


def _panel_of(judging: JudgingPlan) -> PanelFacts:
    return PanelFacts(judge=judging.config.judge or "", rubrics=judging.rubric_facts())


def _tariffs(judgings: Sequence[JudgingPlan], plan: Plan | None, manifest: Manifest) -> dict[str, Tariff]:
    """What the tokens of each model of a run cost. Of models that are not asked, or have no known price, what the
    manifest has; else the price at the server that they were asked at."""
    found = planned_tariffs(judgings, plan.specs.values() if plan is not None else ())
    for row in manifest.spend or ():
        if found.get(row.model, "unknown") == "unknown":
            found[row.model] = row.price
    for name, facts in manifest.models.items():
        if name not in found:
            found[name] = judgings[0].prices.find(name, facts.base_url.partition(",")[0]) or "unknown"
    return found


def _is_sampling_due(session: RunSession) -> bool:
    journal = session.journal
    is_complete = journal.recorded() >= session.manifest.trials_planned
    return not is_complete or (session.retry.trials and journal.failed() > 0)


def _is_due(judging: JudgingPlan, panel: PanelFacts, session: RunSession, *, sampling: bool) -> bool:
    """Whether there is something to ask a judge model, or may be once there are more answers."""
    if not judging.judges:
        return False
    judges = judges_in(panel.rubrics, judging.config)
    return sampling or _any_unjudged(session.journal, judges, failed_too=session.retry.rulings)


def _ask(
    due: Sequence[tuple[JudgingPlan, PanelFacts]], session: RunSession, watch: Watch | None, sampling: Plan | None
) -> dict[str, ModelFacts]:
    """Sample and judge, one judge model after the other: an emeval server for one of them makes room for the next.

    Returns how the models were reached. Raises BadInput while nothing has been asked, RunStopped later on.
    """
    from evals.runner.execute import execute
    from evals.runner.judge_endpoints import check_beforehand

    if len(due) > 1:
        run_async(check_beforehand([judging for judging, _ in due[1:]], session.view))
    models: dict[str, ModelFacts] = {}
    for number, (judging, panel) in enumerate(due):
        judges = judges_in(panel.rubrics, judging.config)
        is_counted = judging.config.judge == session.manifest.config.judge
        if not is_counted:
            session.view.say(f"judge {judging.config.judge}: its verdicts are kept beside those that count")
        asking = execute(
            judging, session, judges, sampling=None if number else sampling, watch=watch if is_counted else None
        )
        try:
            models |= run_async(asking)
        except BadInput as error:
            if not number:
                raise
            raise RunStopped(f"judge {judging.config.judge}: {error}") from None
        session = session._replace(retry=session.retry._replace(trials=False))
    return models


def _any_unjudged(journal: Journal, judges: JudgePanel, *, failed_too: bool) -> bool:
    lacking = journal.responses_lacking(judges.answer_judges, judges.reasoning_judges, failed_too=failed_too)
    return any(due_judges(trial, judges) for trial in lacking)
