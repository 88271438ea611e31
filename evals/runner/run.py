"""One run, from a config and a folder to tables: what may be written where, what is left to do, and then counting.

Nothing is written before the input is known to be good, and no server is started or asked while there is nothing to
ask.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from evals.endpoints.prices import Tariff
from evals.errors import BadInput, RunStopped
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan, plan_other_judgings, plan_rejudging, planned_tariffs
from evals.plan.manifest import FILE_NAME as MANIFEST_NAME
from evals.plan.manifest import (
    CacheHits,
    Manifest,
    ModelFacts,
    PanelFacts,
    Status,
    judges_in,
    read_manifest,
    with_panel,
    write_manifest,
)
from evals.plan.options import differences
from evals.plan.plan import Plan, Retry, make_plan
from evals.plan.plugins import check_plugins, plugin_facts, require_suites
from evals.plan.provenance import git_revision, now, versions
from evals.plan.recorded.growth import check_growth, grown, growth_line, with_names_of
from evals.plan.recorded.told_again import confirmed
from evals.plan.recorded_run import manifest_of
from evals.plan.settings.protocols import protocol_lines
from evals.plan.settings.via import BY_BATCH, BY_RAY, BY_VLLM
from evals.runner.anchor_check import Watch, due_anchors
from evals.runner.by_batch.records import Stage, read_records
from evals.runner.count import RunResult, as_counted, conclude, is_counted, replanned
from evals.runner.interrupt import run_async, stopped_by_signals
from evals.runner.run_folder import discard, manifest_for, open_journal, refuse_foreign_files
from evals.runner.session import VLLM_FOLDER, ByBatch, RunSession
from evals.runner.view import RunView
from evals.scoring.judge_set import IMPORTED, JudgePanel
from evals.scoring.judging import due_judges
from evals.scoring.rates.label_weights import check_labels
from evals.scoring.scale import scale_notes
from evals.text import install_extra
from evals.trials.journal import Journal
from evals.trials.record import Cell


def start_run(
    config: RunConfig, folder: Path, view: RunView, *, retry_failed: bool = False, by_batch: ByBatch | None = None
) -> RunResult:
    """Run `config` in `folder`, or resume the run that is there if it is the same one.

    Raises BadInput before anything is written, RunStopped when the run cannot be finished now; after an interruption
    (KeyboardInterrupt) the folder can be resumed as after either. `by_batch` asks by batch what is to be asked so.
    """
    refuse_batches(config, by_batch)
    with _begun(config, folder, view) as (session, plan):
        retry = Retry(trials=retry_failed, rulings=retry_failed)
        return finish(session._replace(retry=retry, by_batch=by_batch), plan.judgings, plan)


def plan_run(config: RunConfig, folder: Path, view: RunView) -> Manifest:
    """Write the manifest and the cells of a run into `folder` and ask nothing: it can be resumed, or asked by file.

    Of the run that is there already nothing changes. Raises BadInput where that is another one.
    """
    with _begun(config, folder, view, status="stopped") as (session, _):
        return session.manifest


@contextmanager
def _begun(
    config: RunConfig, folder: Path, view: RunView, status: Status = "running"
) -> Generator[tuple[RunSession, Plan]]:
    """A run in its folder, with its plan: begun now with this `status`, or the same one that is there. Where BadInput
    ends it before anything is recorded, nothing is left of a new one."""
    began = read_manifest(folder) if folder.is_dir() else None
    if began is not None and began.imported is not None:
        raise BadInput(f"{folder} holds another run: imported answers. Choose another --out")
    config = config if began is None else with_names_of(config, began.config)
    asked, more = config, grown(began.config, config, folder) if began is not None else None
    config = more or config
    plan = make_plan(config, {name: facts.source for name, facts in began.datasets.items()} if began else None)
    cells = plan.cells()
    is_new_folder = not folder.exists()
    if config.question_files and config.judge and "judge" not in config.over_questions:
        view.say(f"judge {config.judge}, as the question file names it; --judge takes another")
    for line in protocol_lines(config):
        view.say(line)
    for name in plan.unasked_wordings():
        view.say(f"wordings for {name} are not asked: this run has no condition of that name")
    refuse_foreign_files(folder)
    manifest_for(plan, folder, cells)
    for note in plan.notes:
        view.say(note)
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
            manifest = manifest.model_copy(update={"status": status})
            write_manifest(folder, manifest)
        elif more is not None and before.identity() != manifest.identity():
            manifest = _grow(before, manifest, asked, cells, journal, view)
        try:
            yield RunSession(manifest, folder, journal, view, Retry(trials=False, rulings=False)), plan
        except BadInput:
            if before is None and not journal.recorded():
                discard(folder, with_folder=is_new_folder)
            raise


def _grow(
    before: Manifest, manifest: Manifest, asked: RunConfig, cells: Mapping[Cell, int], journal: Journal, view: RunView
) -> Manifest:
    """Write down what `asked` adds to the run of before. Raises BadInput before that, where nothing can be added."""
    folder = journal.path.parent

    def recorded(model: str) -> int:
        return sum(journal.draws_of(model).values())

    check_growth(before, asked, cells, journal.cells(), recorded, folder)
    line = growth_line(before.config, manifest.config, sum(cells.values()) - before.trials_planned)
    view.say(f"{folder}: {line}; what was asked stays")
    # In this order: if it is killed between the two, the tables show what was not asked as missing.
    journal.set_cells(cells.items())
    manifest = manifest.model_copy(update={"grown": (*before.grown, f"{now()}: {line}")})
    write_manifest(folder, manifest)
    return manifest


def resume_run(
    folder: Path,
    transport: dict[str, object],
    view: RunView,
    *,
    retry_failed: bool,
    by_batch: ByBatch | None = None,
) -> RunResult:
    """Go on with the run in `folder` as its manifest has it; `transport` may change how requests travel, and says again
    which programs, files and servers the run uses.

    For an imported run, only judging can be resumed. Raises BadInput where there is none.
    """
    manifest = manifest_of(folder)
    require_suites(manifest.plugins, manifest.run_id)
    config = confirmed(manifest.config, transport, folder, sampling=manifest.imported is None)
    if manifest.imported is None:
        return start_run(config, folder, view, retry_failed=retry_failed, by_batch=by_batch)
    if config.judge in (None, IMPORTED) and not config.also_judges:
        raise BadInput(
            f"{folder} holds imported answers, so there is nothing to resume; "
            "`emeval judge RUN --judge MODEL` judges them"
        )
    changed = differences(manifest.config.identity(), config.identity())
    if changed:
        raise BadInput(f"{folder} holds another run: {'; '.join(changed)}. `emeval judge` takes another judge")
    return judge_stored(manifest, config, folder, view, Retry(trials=False, rulings=retry_failed), by_batch)


def judge_stored(
    manifest: Manifest, config: RunConfig, folder: Path, view: RunView, retry: Retry, by_batch: ByBatch | None
) -> RunResult:
    """Judge the answers stored in `folder` as `config` has it, whose judge then counts. Raises as `start_run` does."""
    refuse_batches(config, by_batch)
    check_plugins(config)
    judges_by_file = [facts.judges for facts in manifest.datasets.values()]
    judgings = [plan_rejudging(config, judges_by_file), *plan_other_judgings(config, judges_by_file)]
    with open_journal(folder) as journal:
        as_imported = manifest.imported is not None and config.judge == IMPORTED
        rubrics = manifest.imported.rubrics() if manifest.imported and as_imported else judgings[0].rubric_facts()
        facts = {"config": config, "rubrics": rubrics, "panels": manifest.all_panels()}
        facts |= {"plugins": plugin_facts(config)}
        judged = manifest.model_copy(update=facts)
        return finish(RunSession(judged, folder, journal, view, retry, by_batch=by_batch), judgings)


def refuse_batches(config: RunConfig, by_batch: ByBatch | None) -> None:
    """Raises BadInput for batches where the caller cannot ask them."""
    ways = {config.via, config.judge_via, *config.also_judges_via.values()}
    if by_batch is None and {BY_BATCH, BY_RAY, BY_VLLM} & ways:
        raise BadInput("--via, --judge-via: nothing is asked by batch here; ask online")
    if BY_RAY in ways and find_spec("ray") is None:
        option = "--via" if config.via == BY_RAY else "--judge-via"
        raise BadInput(f"{option} ray needs Ray: {install_extra('ray')}")


def finish(session: RunSession, judgings: Sequence[JudgingPlan], plan: Plan | None = None) -> RunResult:
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
            has_files = (folder / VLLM_FOLDER).exists()
            sampling = plan if plan is not None and (has_files or _is_sampling_due(session)) else None
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
                if manifest.config.cache is not None and manifest.cache_hits is None:
                    session = session.updated({"cache_hits": CacheHits()})
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
    return not is_complete or (session.retry.trials and journal.failed() > 0) or _is_at_work(journal, "answers")


def _is_due(judging: JudgingPlan, panel: PanelFacts, session: RunSession, *, sampling: bool) -> bool:
    """Whether there is something to ask a judge model, or may be once there are more answers."""
    if not judging.judges:
        return False
    judges = judges_in(panel.rubrics, judging.config)
    return (
        sampling
        or _any_unjudged(session.journal, judges, failed_too=session.retry.rulings)
        or _is_at_work(session.journal, "judge", panel.judge)
    )


def _is_at_work(journal: Journal, stage: Stage, model: str | None = None) -> bool:
    """Whether a batch of that stage has not been noted as ended yet, of that model or any."""
    return any(
        record.is_open and record.stage == stage and model in (None, record.model) for record in read_records(journal)
    )


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
    if sampling is not None and (sampling.config.via == BY_VLLM or (session.folder / VLLM_FOLDER).exists()):
        session, models = _sampled_here(due, session, sampling)
        if not _is_sampling_due(session):
            sampling = None
            counted = due[0] if watch is not None else None
            due = [pair for pair in due if pair is counted or _is_due(*pair, session, sampling=False)]
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


def _sampled_here(
    due: Sequence[tuple[JudgingPlan, PanelFacts]], session: RunSession, sampling: Plan
) -> tuple[RunSession, dict[str, ModelFacts]]:
    """The run once `vllm run-batch` has answered what it can, and how the models were reached. Raises BadInput and
    RunStopped."""
    from evals.runner.judge_endpoints import check_beforehand

    assert session.by_batch is not None  # noqa: S101  as start_run has checked
    begin = sampling.config.via == BY_VLLM
    if begin:  # a judge that cannot be asked is found before hours are spent on the answers
        run_async(check_beforehand([judging for judging, _ in due[:1]], session.view))
    models = run_async(session.by_batch.sample_here(session, sampling, begin=begin))
    retry = session.retry._replace(trials=session.retry.trials and not begin)
    return session.updated({"models": models})._replace(retry=retry), models


def _any_unjudged(journal: Journal, judges: JudgePanel, *, failed_too: bool) -> bool:
    lacking = journal.responses_lacking(judges.answer_judges, *judges.later_judges, failed_too=failed_too)
    return any(due_judges(trial, judges) for trial in lacking)
