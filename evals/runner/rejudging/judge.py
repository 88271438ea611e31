"""Judge the stored answers of a run again, and say what that does to its rates: no judge is replaced in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evals.endpoints.prices import read_prices
from evals.errors import BadInput
from evals.plan.config import TRANSPORT_FIELDS, RunConfig
from evals.plan.judging_plan import JudgingPlan, plan_rejudging
from evals.plan.manifest import ImportFacts, Manifest, judge_set, judges_in
from evals.plan.plan import Retry
from evals.plan.plugins import check_plugins, require_suites
from evals.plan.recorded.told_again import confirmed
from evals.plan.recorded_run import manifest_of
from evals.plan.settings.rubrics import with_rubrics
from evals.plan.settings.run_settings import option_name
from evals.runner.count import RunResult, run_facts
from evals.runner.rejudging.headlines import Headline, beside_lines, change_lines, headlines_of
from evals.runner.run import finish, judge_stored, refuse_batches
from evals.runner.run_folder import open_journal
from evals.runner.session import ByBatch, RunSession
from evals.runner.view import RunView
from evals.scoring.judge_set import IMPORTED
from evals.scoring.rates.label_weights import check_labels
from evals.scoring.rates.tables import count_tables
from evals.trials.journal import Journal
from judges.registry import JUDGES

_OF_THE_ONE_THAT_COUNTS = ("cot_monitor", "cot_all", "monitor", "anchors", "anchor_repeats", "max_unscored", "plugins")
"""Settings that a judge beside has no use for: it reads answers, and no rate of the run is by it."""
_ANSWERS_ALONE: dict[str, Any] = {
    **{"also_judges": (), "also_judges_via": {}},
    **{"cot_monitor": False, "cot_all": False, "monitor": (), "anchors": None},
}


def judge_run(
    folder: Path, judging: dict[str, object], view: RunView, *, by_batch: ByBatch | None = None, beside: bool = False
) -> RunResult:
    """Judge the answers stored in `folder` with other judge options. No model under test is asked.

    The judge then counts, and the rates before and after are said; `beside`, its verdicts are added and the judge that
    counts stays. Raises BadInput before anything is asked, RunStopped when it cannot go on.
    """
    manifest = manifest_of(folder)
    require_suites(manifest.plugins, manifest.run_id)
    config = confirmed(manifest.config, judging, folder, sampling=False)
    if config.judge is None:
        raise BadInput("--judge is missing: name the model that shall judge, such as openai/gpt-4.1")
    if manifest.imported is not None and config.judge != IMPORTED:
        for name in with_rubrics(judging).get("rubrics", ()):
            if JUDGES[name].criterion not in (None, "alignment"):
                raise BadInput(f"--rubric: {name}: imported answers came without references; alignment judges them")
    if beside:
        _refuse_beside(manifest, config, judging)
        return _beside(manifest, config, folder, view, by_batch)
    if manifest.imported is not None and config.judge == IMPORTED:
        _refuse_unused(manifest.imported, config, judging, folder)
    check_labels(folder)  # before anything is said
    before = _counted_before(manifest, folder, config, view)
    result = judge_stored(manifest, config, folder, view, Retry(trials=False, rulings=True), by_batch)
    if before and judge_set(result.manifest) != judge_set(manifest):
        for line in change_lines(before, headlines_of(result.manifest, result.tables.rate_rows)):
            view.say(line)
    return result


def _counted_before(manifest: Manifest, folder: Path, config: RunConfig, view: RunView) -> list[Headline]:
    """The rates by the judge that counts so far; none where there is none, as in a run without a judge, and where it
    is the one that counts from now on, which is not worth to count a run for."""
    if not manifest.rubrics or manifest.config.judge is None or _counts_already(manifest, config):
        return []
    if config.judge != manifest.config.judge:
        view.say(
            f"judge {config.judge} will count in place of {manifest.config.judge}, whose verdicts are kept; --beside "
            "only adds verdicts"
        )
    with view.busy("counting the answers by the judge so far ..."), Journal.read(folder) as journal:
        return headlines_of(manifest, count_tables(journal, run_facts(manifest)).rate_rows)


def _counts_already(manifest: Manifest, config: RunConfig) -> bool:
    """Whether the judges of `config` are those that count, in the same words."""
    if config.judge != manifest.config.judge:
        return False
    check_plugins(config)
    if manifest.imported is not None and config.judge == IMPORTED:
        rubrics = dict(manifest.imported.rubrics())
    else:
        rubrics = plan_rejudging(config, [facts.judges for facts in manifest.datasets.values()]).rubric_facts()
    return judges_in(rubrics, config) == judge_set(manifest)


def _beside(manifest: Manifest, config: RunConfig, folder: Path, view: RunView, by_batch: ByBatch | None) -> RunResult:
    """Add the verdicts of the judges of `config` and leave the run's own config as it is."""
    refuse_batches(config, by_batch)
    asked = (config.model_copy(update=_ANSWERS_ALONE), *config.other_judgings())
    judges_by_file = [facts.judges for facts in manifest.datasets.values()]
    counted = JudgingPlan(manifest.config, (), None, None, read_prices(config.prices))
    others = [plan_rejudging(other, judges_by_file) for other in asked]
    with open_journal(folder) as journal:
        kept = manifest.model_copy(update={"panels": manifest.all_panels()})
        retry = Retry(trials=False, rulings=True)
        result = finish(RunSession(kept, folder, journal, view, retry, by_batch=by_batch), [counted, *others])
        own = headlines_of(result.manifest, result.tables.rate_rows)
        for other in others:
            facts: dict[str, Any] = {"config": other.config, "rubrics": other.rubric_facts()}
            as_counted = result.manifest.model_copy(update=facts)
            rows = count_tables(journal, run_facts(as_counted)).rate_rows
            for line in beside_lines(own, headlines_of(as_counted, rows)):
                view.say(line)
    return result


def _refuse_beside(manifest: Manifest, config: RunConfig, judging: dict[str, object]) -> None:
    """Raises BadInput where no judge counts yet, and for what is only of the one that does."""
    if manifest.config.judge is None:
        raise BadInput("--beside: no judge counts in this run yet; leave it out, and the first one will")
    if config.judge == IMPORTED:
        raise BadInput("--beside: imported verdicts are kept with the answers anyway; name a model with --judge")
    unused = next((name for name in _OF_THE_ONE_THAT_COUNTS if judging.get(name) is not None), None)
    if unused is not None:
        raise BadInput(f"--beside: {option_name(unused)} is for the judge that counts; leave one of them out")


def _refuse_unused(imported: ImportFacts, config: RunConfig, judging: dict[str, object], folder: Path) -> None:
    """Refuse what has no use where the verdicts that came with the answers are counted. These can be counted with
    another least coherence; their judge is never called, but other judges can be."""
    usable = {"judge", "coherence_min", "max_unscored", *TRANSPORT_FIELDS}
    unused = [name for name, value in judging.items() if value is not None and name not in usable]
    if unused and not config.also_judges:
        raise BadInput(f"{option_name(unused[0])}: nobody is asked for imported verdicts; name a model with --judge")
    if config.coherence_min is not None and "coherence" not in imported.judges:
        raise BadInput(f"--coherence-min: {imported.file}, which {folder} was made of, holds no coherence scores")
