"""Count a run from its journal, write its tables, and write down how it stands.

A run that is counted says in its manifest what it was counted from. As long as that is the same, its CSVs are the
result, and nothing is counted again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from evals import __version__
from evals.endpoints.model_spec import name_and_url
from evals.errors import BadInput, JournalFull
from evals.io.hashes import file_sha256
from evals.io.package import checkout_folder, package_folder
from evals.numbers import counted
from evals.plan.damage import lost_trials
from evals.plan.manifest import (
    CountedFacts,
    Manifest,
    SpendFacts,
    Status,
    judge_set,
    read_manifest,
    spend_facts,
    write_manifest,
)
from evals.plan.options import updated
from evals.plan.plan import Plan
from evals.plan.provenance import git_revision, now, versions
from evals.plan.recorded.who_replied import cache_hits, other_judges, with_other_models
from evals.plan.recorded_run import manifest_of
from evals.plan.spend import Ledger
from evals.plan.stopping.rows import FILE_NAME as STOPPING_NAME
from evals.plan.stopping.rows import StopRow, read_stop_rows, write_stop_rows
from evals.runner.by_batch.records import with_batches
from evals.runner.letters.tables import count_letters, read_probabilities
from evals.runner.session import RunSession
from evals.scoring.choices.columns import CHOICES_NAME, PROBABILITIES_NAME
from evals.scoring.judge_set import ALIGNED, COHERENT, IMPORTED
from evals.scoring.rates.label_weights import labels_sha256, usable_labels
from evals.scoring.rates.tables import (
    CORRECTED_EFFECTS_NAME,
    CORRECTED_NAME,
    DID_NAME,
    EFFECTS_NAME,
    RATES_NAME,
    RECIPE_DIFFERENCES_NAME,
    RECIPES_NAME,
    RESPONSES_NAME,
    SCORE_CALIBRATION_NAME,
    Tables,
    count_tables,
    read_tables,
    write_labelled_tables,
    write_tables,
)
from evals.scoring.rates.tally import RunFacts, Tally
from evals.scoring.side_metrics import PosedJudge
from evals.text import one_line, quoted_path
from evals.trials.journal import Journal
from evals.trials.storage.checking import LARGE
from judges.question_file import PREFIX

if TYPE_CHECKING:
    from evals.plan.stopping.state import Stopping

MANY_RESPONSES = 200_000
"""Trials from which responses.csv, hundreds of megabytes by then, is written again only where it would change, and
where there is none only if asked for. A run that ends writes it whatever its size."""


Recipes = Mapping[str, Sequence[str] | str] | Sequence[str]
"""Models by recipe, or NAME=MODEL,MODEL,... for each."""


class RunResult(NamedTuple):
    """`stopping` has a row for each cell of a run whose sampling may stop early. `unwritten` says why the tables are
    not in the run's folder, "" where they are. `has_responses`: whether responses.csv is among them."""

    manifest: Manifest
    tables: Tables
    stopping: tuple[StopRow, ...] = ()
    unwritten: str = ""
    has_responses: bool = True


def count_run(
    folder: Path,
    denominator: str | None = None,
    max_unscored: float | None = None,
    baseline: str | None = None,
    base: str | None = None,
    recipes: Recipes | None = None,
    *,
    must_write: bool = True,
    responses: bool = False,
    many: int = MANY_RESPONSES,
) -> RunResult:
    """Count the run in `folder` from its journal and write its tables. Sends no request.

    Of `many` trials or more a new responses.csv is written only with `responses`. In a folder that cannot be written
    they are only counted. On a full disk that raises JournalFull if it `must_write`.
    """
    manifest = manifest_of(folder)
    if base is not None:
        _check_base(manifest.config.models, base)
    changes: dict[str, object] = {"denominator": denominator, "max_unscored": max_unscored}
    changes |= {"baseline": baseline, "base": base, "recipes": recipes}
    if any(value is not None for value in changes.values()):
        config = updated(manifest.config, changes)
        manifest = manifest.model_copy(update={"config": config})
    with Journal.read(folder, LARGE) as journal:
        lost = lost_trials(manifest, journal.recorded())
        if lost:
            raise BadInput(f"{journal.path}: {lost}; `emeval check {quoted_path(folder)}` says more")
        # The journal knows better than a manifest whose run was killed.
        manifest = manifest.model_copy(update={"trials_recorded": journal.recorded()})
        stopping = _stopping_of(journal, manifest)
        responses = responses or journal.recorded() < many or _is_outdated(manifest, folder, journal)
        try:
            result = _counted(manifest, folder, journal, stopping, responses=responses)
            return result._replace(has_responses=(folder / RESPONSES_NAME).exists())
        except JournalFull as error:
            if must_write and os.access(folder, os.W_OK):
                raise
            return _counted(manifest, folder, journal, stopping, writing=False)._replace(unwritten=str(error))


def _is_outdated(manifest: Manifest, folder: Path, journal: Journal) -> bool:
    """Whether there is a responses.csv that is not known to be what counting the run of `manifest` would write."""
    path, before = folder / RESPONSES_NAME, manifest.counted
    if not path.exists():
        return False
    if before is None or before.of != _counted_from(run_facts(manifest), folder, journal):
        return True
    return before.files.get(RESPONSES_NAME) != file_sha256(path)


def write_left_out(folder: Path, manifest: Manifest) -> None:
    """Write the responses.csv of a large run that `count_run` has left out."""
    from evals.scoring.rates.responses import write_responses

    with Journal.read(folder, LARGE) as journal:
        write_responses(journal, folder / RESPONSES_NAME, run_facts(manifest))


def _check_base(models: Sequence[str], base: str) -> None:
    """Raises BadInput for a base that is no model of the run."""
    name = name_and_url(base)[0]
    if name not in models:
        shown = one_line(", ".join(models), 200)
        raise BadInput(f"--base: {one_line(name, 80)!r} is no model of the run; it has {shown}")


def run_facts(manifest: Manifest) -> RunFacts:
    config = manifest.config
    return RunFacts(
        run_id=manifest.run_id,
        judges=judge_set(manifest),
        judge_model=config.judge or "",
        rubric_sha=_rubric_shas(manifest),
        dataset_sha={name: facts.sha256 for name, facts in manifest.datasets.items()},
        source={name: facts.source for name, facts in manifest.datasets.items()},
        denominator=config.denominator,
        labels={name: facts.labels for name, facts in manifest.datasets.items() if facts.labels is not None},
        conditions=config.conditions,
        baseline=config.baseline,
        base=config.base_model,
        recipes=config.recipes,
        file_judges={
            suite: {name: PosedJudge.of(judge) for name, judge in facts.judges.items()}
            for suite, facts in manifest.datasets.items()
            if facts.judges
        },
        plugins={plugin.name: plugin.state for plugin in manifest.plugins if plugin.kind != "suite"},
    )


def _rubric_shas(manifest: Manifest) -> dict[str, str]:
    """The sha256 of each rubric; by the measure that it stands for where it comes with a question file."""
    shas = {name: facts.sha256 for name, facts in manifest.rubrics.items()}
    file_judges = {name.removeprefix(PREFIX): sha for name, sha in shas.items() if name.startswith(PREFIX)}
    if ALIGNED in file_judges:
        shas["em"] = file_judges[ALIGNED]
    others = sorted(sha for name, sha in file_judges.items() if name not in (ALIGNED, COHERENT))
    files = [facts.judges for facts in manifest.datasets.values()]
    counted = {judge.sha256 for judges in files for judge in judges.values() if judge.spec and judge.spec.counts}
    hits = {"hit": counted.pop()} if len(counted) == 1 else {}
    return shas | hits | ({"poll": others[0]} if len(others) == 1 else {})


def conclude(session: RunSession, plan: Plan | None, status: Status | None = None) -> RunResult:
    """Count, and write down how the run stands: without a `status` by whether all of it is recorded. The tables are
    written from what is recorded by now. `plan` is what is sampled, None where answers are only judged."""
    folder, journal = session.folder, session.journal
    manifest, stopping = replanned(session.manifest, plan, journal)
    if status is None:
        status = "complete" if journal.recorded() == manifest.trials_planned else "stopped"
    written = read_manifest(folder)  # how the models were reached stands there also when the run has just failed
    models = with_other_models(manifest.models | (written.models if written else {}), journal)
    panels = tuple(panel for panel in manifest.panels if any(map(journal.judged, panel.judge_ids)))
    facts = {"status": status, "models": models, "trials_recorded": journal.recorded(), "updated_at": now()}
    facts |= {"judges_answered_as": other_judges(journal), "cache_hits": cache_hits(manifest, written, journal)}
    facts |= {"panels": panels, "versions": versions(), "git_revision": git_revision(), "spend": _spent(session)}
    manifest = manifest.model_copy(update=facts)
    # Before it is counted: labels that come meanwhile make it another run than the one that the tables are of.
    of = _counted_from(run_facts(manifest), folder, journal) if status == "complete" else None
    answers = counted(journal.recorded(), "answer")
    try:
        with session.view.busy(f"counting {answers} ..."):
            result = _counted(manifest, folder, journal, stopping)
    except BadInput:  # labels of another run: what has been asked stands in the journal, and who asked it must be known
        write_manifest(folder, manifest)
        raise
    facts_counted = of and CountedFacts(of=of, files=_files(folder), trials=result.tables.trial_counts)
    manifest = manifest.model_copy(update={"counted": facts_counted})
    write_manifest(folder, manifest)
    return result._replace(manifest=manifest)


def _spent(session: RunSession) -> tuple[SpendFacts, ...]:
    """What the replies in the journal cost; none of it is of answers that came from elsewhere."""
    usage = [usage for usage in with_batches(session.journal.usage(), session.journal) if usage.model != IMPORTED]
    asked = [usage for usage in usage if usage.role == "judging" or session.manifest.imported is None]
    return spend_facts(Ledger(asked, session.tariffs).charges())


def _counted(
    manifest: Manifest,
    folder: Path,
    journal: Journal,
    stopping: Stopping | None,
    *,
    writing: bool = True,
    responses: bool = True,
) -> RunResult:
    """The run's tables, written into its folder unless not `writing`, of `responses` that of them too."""
    facts = run_facts(manifest)
    tables = write_tables(journal, folder, facts, responses=responses) if writing else count_tables(journal, facts)
    tables = replace(tables, probability_rows=count_letters(manifest, folder, journal, writing=writing))
    labels = usable_labels(folder)
    if labels is not None:
        from evals.scoring.rates.labelled.tables import with_labels

        tables = with_labels(tables, journal, folder, facts, labels)
    if writing:
        write_labelled_tables(tables, folder)
    stop_rows: tuple[StopRow, ...] = ()
    if stopping is not None:
        stop_rows = stopping.rows(manifest.run_id)
        if writing:
            write_stop_rows(stop_rows, folder)
    return RunResult(manifest, tables, stop_rows)


# --- what is counted already -----------------------------------------------------------------------------------------


def is_counted(before: Manifest | None, manifest: Manifest, folder: Path, journal: Journal) -> bool:
    """Whether the CSVs in `folder` are what counting the run of `manifest` would write; `before` is what the folder's
    manifest says."""
    if before is None or before.counted is None or before.status != "complete":
        return False
    needed = {RESPONSES_NAME, RATES_NAME, EFFECTS_NAME, *([STOPPING_NAME] if manifest.config.rule is not None else [])}
    if not needed <= before.counted.files.keys():
        return False
    return before.counted.files == _files(folder) and before.counted.of == _counted_from(
        run_facts(manifest), folder, journal
    )


def as_counted(before: Manifest, session: RunSession) -> RunResult:
    """The result of a run that is counted already, from its CSVs. What a config may change without changing a number is
    written down as in any other run."""
    assert before.counted is not None  # noqa: S101
    folder = session.folder
    known = before.model_copy(update={"config": session.manifest.config, "spend": _spent(session)})
    if known != before:
        known = known.model_copy(update={"updated_at": now()})
        write_manifest(folder, known)
    facts = run_facts(known)

    def tally() -> Tally:
        from evals.scoring.rates.responses import tally_of

        with Journal.read(folder) as again:
            return tally_of(again, facts)

    rows = read_stop_rows(folder) if known.config.rule is not None else ()
    tables = read_tables(folder, before.counted.trials, tally, known.config.baseline)
    return RunResult(known, replace(tables, probability_rows=read_probabilities(known, folder)), rows)


def _files(folder: Path) -> dict[str, str]:
    """The sha256 of each result file that is there."""
    names = (RESPONSES_NAME, RATES_NAME, EFFECTS_NAME, CORRECTED_NAME, STOPPING_NAME)
    names += (RECIPES_NAME, RECIPE_DIFFERENCES_NAME, DID_NAME, CORRECTED_EFFECTS_NAME, SCORE_CALIBRATION_NAME)
    names += (PROBABILITIES_NAME, CHOICES_NAME)
    return {name: file_sha256(folder / name) for name in names if (folder / name).exists()}


def _counted_from(facts: RunFacts, folder: Path, journal: Journal) -> str | None:
    """The sha256 of all that the CSVs of a run follow from: the journal, what counts in it, the labels, and the program
    that counts. None where the journal cannot be told."""
    recorded = journal.sha256()
    if recorded is None:
        return None
    parts = [recorded, json.dumps(asdict(facts), sort_keys=True), labels_sha256(folder), _program()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@functools.cache
def _program() -> str:
    """What tells one state of this program's code from another: the version, and each file with its size and time."""
    root = checkout_folder()
    files = sorted(path for package in (package_folder(), root / "judges") for path in package.rglob("*.py"))
    facts = [(str(path.relative_to(root)), (of := path.stat()).st_size, of.st_mtime_ns) for path in files]
    return json.dumps([__version__, facts])


def _stopping_of(journal: Journal, manifest: Manifest) -> Stopping | None:
    config = manifest.config
    if config.rule is None:
        return None
    from evals.plan.stopping.state import read_stopping

    return read_stopping(journal, config.rule, judge_set(manifest), config.denominator)


def replanned(manifest: Manifest, plan: Plan | None, journal: Journal) -> tuple[Manifest, Stopping | None]:
    """The manifest of a run whose sampling may stop early with as many trials planned as were drawn where it has, which
    the journal is told, too: so every row of the tables adds up. With it what the journal knows of the cells."""
    stopping = _stopping_of(journal, manifest)
    if stopping is None:
        return manifest, None
    cells = plan.cells().items() if plan is not None else journal.cells()
    planned = list(stopping.planned(cells))
    journal.set_cells(planned)
    return manifest.model_copy(update={"trials_planned": sum(number for _, number in planned)}), stopping


@dataclass(frozen=True)
class Counted:
    """A run, and its tables as its journal and the counting of today's program give them."""

    folder: Path
    manifest: Manifest
    tables: Tables


def read_counted(folder: Path, base: str | None = None, recipes: Recipes | None = None) -> Counted:
    """Count the run in `folder`, as `emeval rates` does, which writes its tables there where it can. `base` is the base
    model and `recipes` the recipes, in place of the run's.

    Raises BadInput where there is no run, or no such model in it.
    """
    result = count_run(folder, None, base=base, recipes=recipes, must_write=False)
    return Counted(folder, result.manifest, result.tables)


def read_several(folders: Iterable[Path], base: str | None = None, recipes: Recipes | None = None) -> list[Counted]:
    """Count several runs, a folder given twice once. Runs of the same name, such as those of one checkpoint on two
    nights, are called after the folders that theirs lie in, too. `base` is the base model and `recipes`
    the recipes of each.

    Raises BadInput where there is no run, or no such model in one.
    """
    runs = [read_counted(folder, base, recipes) for folder in dict.fromkeys(folders)]
    times = Counter(run.manifest.run_id for run in runs)
    return [run if times[run.manifest.run_id] == 1 else _renamed(run, number, runs) for number, run in enumerate(runs)]


def _renamed(run: Counted, number: int, runs: Sequence[Counted]) -> Counted:
    name = f"{run.folder.resolve().parent.name}/{run.manifest.run_id}"
    same = [run for run in runs if f"{run.folder.resolve().parent.name}/{run.manifest.run_id}" == name]
    name = name if len(same) == 1 else f"{name} ({number + 1})"
    manifest = run.manifest.model_copy(update={"run_id": name})
    return replace(run, manifest=manifest, tables=run.tables.with_run_id(name))
