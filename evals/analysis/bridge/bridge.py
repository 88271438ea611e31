"""Import answers with published scores, have another judge read them, and compare the two judges.

The run folder is an ordinary imported run whose own scores keep counting, with the other judge's verdicts alongside: so
the same command goes on where it stopped, and every other command reads the folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.analysis.bridge.pairs import PairReader, Pairs
from evals.analysis.bridge.repeats import Repeats, judge_again
from evals.analysis.bridge.result import COLUMNS, Judges, bridge_row, bridge_sentences
from evals.batches.in_runs.asked import Batches
from evals.endpoints.model_spec import Overrides, name_and_url, resolve_model
from evals.errors import BadInput
from evals.io.atomic import write_json, write_rows
from evals.io.hashes import file_sha256
from evals.plan.judging_plan import plan_other_judgings
from evals.plan.manifest import Manifest, judges_in, read_manifest
from evals.plan.recorded_run import open_run
from evals.runner.imports.answers_csv import import_files, joined_sha256
from evals.runner.imports.imported_run import ImportOptions
from evals.runner.imports.inspect_log import is_log_source
from evals.runner.rejudging.judge import judge_run
from evals.runner.view import RunView
from evals.scoring.judge_set import IMPORTED
from evals.scoring.rates.rows import Row
from evals.text import one_line

RESULTS_NAME = "judge_bridge.csv"


@dataclass(frozen=True)
class BridgeOptions:
    """`judge` is asked, as NAME or NAME@URL, each answer `repeats` times; its rate may differ by `within` (a fraction).

    `judging` holds further settings of the judge, `imports` says how the files are read.
    """

    judge: str
    judging: Mapping[str, Any]
    imports: ImportOptions
    within: float = 0.05
    repeats: int = 1


@dataclass(frozen=True)
class Bridge:
    """The two judges compared: a row of judge_bridge.csv for each cell, then one for all if there are several.

    `incomplete` answers are empty or cut, and `other` ones are measured by what no other judge knows. `repeats` is None
    where each answer was judged once.
    """

    folder: Path
    judges: Judges
    rows: tuple[Row, ...]
    incomplete: int
    other: int
    repeats: Repeats | None

    @property
    def whole(self) -> Row:
        """The row of all answers."""
        return self.rows[-1]


def build_bridge(sources: Sequence[Path], folder: Path, options: BridgeOptions, view: RunView) -> Bridge:
    """Import, judge, compare, and write judge_bridge.csv into `folder`, which may hold the unfinished same.

    A single source may be the folder of an imported run, which is then judged where it lies. Raises BadInput, and
    RunStopped if it cannot continue; the verdicts up to then are kept.
    """
    _check_judge(options.judge, options.judging.get("providers"))
    folder = _imported(sources, folder, options.imports, view)
    judging: dict[str, object] = {**options.judging, "judge": (IMPORTED, options.judge)}
    result = judge_run(folder, judging, view, by_batch=Batches())
    manifest = result.manifest
    files = [facts.judges for facts in manifest.datasets.values()]
    (plan,) = plan_other_judgings(manifest.config, files)
    judges = Judges(IMPORTED, plan.config.judge or "", options.within)
    assert manifest.imported is not None  # noqa: S101  the folder is that of an import
    panels = (
        judges_in(manifest.imported.rubrics(), manifest.config),
        judges_in(plan.rubric_facts(), manifest.config),
    )
    with open_run(folder) as run:
        reader = PairReader(run.journal, panels, manifest.config.denominator)
        repeats = judge_again(run.journal, plan, options.repeats, folder, view) if options.repeats > 1 else None
    if not reader.cells:
        raise BadInput(f"{folder}: holds no complete open answer with alignment scores, so there is nothing to compare")
    rows = tuple(_rows(reader, judges))
    write_rows(folder / RESULTS_NAME, COLUMNS, rows)
    return Bridge(folder, judges, rows, reader.incomplete, reader.other, repeats)


def _rows(reader: PairReader, judges: Judges) -> list[Row]:
    cells = reader.cells
    rows = [bridge_row(cell, reader.pairs([cell]), _others(reader, index), judges) for index, cell in enumerate(cells)]
    return rows if len(cells) == 1 else [*rows, bridge_row(None, reader.pairs(), None, judges)]


def _others(reader: PairReader, index: int) -> Pairs | None:
    others = [cell for number, cell in enumerate(reader.cells) if number != index]
    return reader.pairs(others) if others else None


def _check_judge(judge: str, providers: object) -> None:
    """Raises BadInput, before anything is written, for a judge that nobody could ask."""
    name, url = name_and_url(judge)
    if name == IMPORTED:
        raise BadInput(f"--judge: {IMPORTED} stands for the scores of the file; name a model to hold against them")
    file = None if providers is None else str(providers)
    resolve_model(name, Overrides(url, option="--judge", providers=file))


def _imported(sources: Sequence[Path], folder: Path, options: ImportOptions, view: RunView) -> Path:
    """The run folder of the sources, imported now unless it holds them already. Raises BadInput."""
    if len(sources) == 1 and sources[0].is_dir() and read_manifest(sources[0]) is not None:
        if options.columns or options.blank is not None:
            name = "columns" if options.columns else "blank"
            raise BadInput(f"--{name}: {sources[0]} is imported already; this is for files")
        return _checked(sources[0])
    for source in sources:
        if is_log_source(source):
            raise BadInput(f"{source}: is no CSV and no JSON Lines; `emeval import` it, and give the run folder here")
    known = read_manifest(folder) if folder.is_dir() else None
    if known is None:
        import_files(sources, folder, options, view)
        return _checked(folder)
    difference = _difference(known, sources, options)
    if difference:
        raise BadInput(f"{folder} holds {difference}; choose another --out")
    return _checked(folder)


def _difference(known: Manifest, sources: Sequence[Path], options: ImportOptions) -> str:
    """How the run in a folder differs from what would be imported there, "" if it does not."""
    if known.imported is None:
        return "a run that is not imported"
    try:
        sha256 = joined_sha256([file_sha256(source) for source in sources])
    except OSError as error:
        raise BadInput(f"{one_line(str(error.filename), 200)}: cannot be read: {error.strerror}") from None
    if known.imported.sha256 != sha256:
        return "the answers of other files"
    was = (known.imported.columns, known.imported.blank, known.config.coherence_min, known.config.denominator)
    now = (dict(options.columns), options.blank, options.coherence_min, options.denominator or "answered")
    return "" if was == now else "the same answers, imported with other options"


def _checked(folder: Path) -> Path:
    """The folder of an imported run with alignment scores. Raises BadInput for any other."""
    manifest = read_manifest(folder)
    if manifest is None or manifest.imported is None:
        raise BadInput(f"{folder}: is no imported run; `emeval robustness RUN` compares the judges of a run")
    if "alignment" not in manifest.imported.judges:
        raise BadInput(f"{folder}: its answers came without alignment scores (a column aligned), so there is no bridge")
    return folder


def write_bridge_json(found: Bridge, path: Path) -> None:
    """Write everything as JSON."""
    repeats = None
    if found.repeats is not None:
        interval = found.repeats.interval
        repeats = found.repeats._asdict() | {
            "interval": None if interval is None else [interval.low, interval.high],
            "spread": found.repeats.spread._asdict(),
        }
    value = {
        "folder": str(found.folder),
        "judges": found.judges._asdict(),
        "cells": list(found.rows),
        "sentences": list(bridge_sentences(found.rows)),
        "incomplete": found.incomplete,
        "other": found.other,
        "repeats": repeats,
    }
    write_json(path, value)
