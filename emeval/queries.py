"""Read runs: the commands rates, compare and report, for Python. Sends no requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from emeval.options import several
from emeval.results import Run
from emeval.run_options import StrPath
from evals.analysis.comparison.comparable import Direction
from evals.analysis.comparison.compare import compare_runs
from evals.analysis.comparison.result import (
    MAX_INCREASE,
    MAX_UNSCORED,
    CellChange,
    ComparisonKey,
    Gate,
    QuestionChange,
    Side,
)
from evals.analysis.comparison.words import cell_words, decision_words
from evals.analysis.recipes.over_runs import recipes_over_runs
from evals.errors import BadInput
from evals.reporting.figures.drawing.figure import Figure
from evals.reporting.figures.page import page_figures
from evals.reporting.page.writer import write_report
from evals.runner.count import count_run, read_several
from evals.scoring.metric import Denominator

_SIDE = ("k", "n", "rate", "ci_low", "ci_high", "n_trials")
_COLUMNS = [
    *(*ComparisonKey._fields, "base_model", "candidate_model"),
    *(f"{side}_{name}" for side in ("base", "candidate") for name in _SIDE),
    *("increase", "gen_low", "gen_high", "gen_method", "gen_p_value", "gen_p_holm", "worse_by_at_least"),
    *("ci_low", "ci_high", "method", "p_value", "p_holm", "n_prompts", "worse", "limit", "decision"),
    "words",
]


def open_run(
    folder: StrPath,
    *,
    denominator: Denominator | None = None,
    max_unscored: float | None = None,
    baseline: str | None = None,
    base: str | None = None,
    recipes: Mapping[str, Sequence[str]] | None = None,
) -> Run:
    """Open the run in a folder: recompute its tables from the journal and rewrite its CSVs. As `emeval rates`.

    Args:
        folder: The run folder; the run may be complete, interrupted, imported, or still running.
        denominator: Overrides the run's own: `answered` excludes refusals, `judged` counts them
            as not misaligned.
        max_unscored: The share of a cell's trials, 0 to 1, that may be unscored.
        baseline: The condition that effects are taken against, in place of the run's.
        base: The model that the others are compared with under the baseline, in place of the run's.
        recipes: Models that differ only in their finetuning seed, by the name of their recipe, in place of the run's.

    Returns:
        The run, with its tables.

    Raises:
        BadInput: There is no run in the folder, or it cannot be read.
    """
    return Run.of(count_run(Path(folder), denominator, max_unscored, baseline, base, recipes), Path(folder))


def rates(folder: StrPath, *, denominator: Denominator | None = None) -> pd.DataFrame:
    """The rates of the run in a folder, as [Run.rates][emeval.Run.rates].

    Args:
        folder: The run folder.
        denominator: As for `open_run`.

    Returns:
        For each metric, a row per prompt and cell, and a row with `prompt_id` `ALL` over the prompts of a cell.

    Raises:
        BadInput: There is no run in the folder, or it cannot be read.
    """
    return open_run(folder, denominator=denominator).rates


def responses(folder: StrPath) -> pd.DataFrame:
    """The responses of the run in a folder, as [Run.responses][emeval.Run.responses].

    Args:
        folder: The run folder.

    Returns:
        One row per trial, with all texts and verdicts.

    Raises:
        BadInput: There is no run in the folder, or it cannot be read.
    """
    return open_run(folder).responses


def compare(
    base: StrPath | Run,
    candidate: StrPath | Run,
    *,
    max_increase: float = MAX_INCREASE,
    metric: str | Iterable[str] | None = None,
    condition: str | Iterable[str] | None = None,
    suite: str | Iterable[str] | None = None,
    format: str | Iterable[str] | None = None,
    base_model: str | None = None,
    candidate_model: str | None = None,
    worse: Direction | None = None,
    max_unscored: float = MAX_UNSCORED,
) -> pd.DataFrame:
    """Is one run worse than another? Paired by question, with an interval and a decision. As `emeval compare`.

    Args:
        base: The run to compare with: its folder, or the run.
        candidate: The run in question.
        max_increase: Largest allowed change for the worse, a fraction in [0, 1]: 0.05 is 5 points.
        metric: Metrics of rates.csv, one or several; default: each suite's main metric.
        condition: Only these conditions: `off`, `on`, `decoy`, ...
        suite: Only these suites.
        format: Only these formats: `mcq`, `freeform`, `transcript`.
        base_model: The model of the base, if there are several.
        candidate_model: The model of the candidate, likewise.
        worse: `increase` or `decrease`; default: the metric's own direction.
        max_unscored: Refuse runs in which a larger share of a cell's answers, 0 to 1, is unscored.

    Returns:
        One row a cell: both sides' `k`, `n`, `rate` and interval (`base_...`, `candidate_...`); `increase`, the mean
            over prompts of candidate - base in [-1, 1]; on these questions its 95% interval `gen_low` to `gen_high`,
            `gen_p_value`, and `gen_p_holm` adjusted over the cells; for questions like these `ci_low` to `ci_high`,
            `p_value`, `p_holm`; `worse_by_at_least`, the simultaneous lower bound that must be above the `limit` for
            the `decision` `regression` (others: `unclear`, `within`); and the decision in `words`. NaN where no
            question was answered on both sides. `attrs` holds the whole comparison's `decision`, its `verdict` in
            words, `notes`, and `changed_questions`.

    Raises:
        NotComparable: The runs cannot be compared; the message lists every reason.
        BadInput: There is nothing to compare.
    """
    for name, share in (("max_increase", max_increase), ("max_unscored", max_unscored)):
        if isnan(share) or not 0 <= share <= 1:
            raise BadInput(f"{name}: must be a fraction between 0 and 1")
    if worse not in (None, "increase", "decrease"):
        raise BadInput(f"worse: {worse!r} is neither increase nor decrease")
    gate = Gate(
        max_increase=max_increase,
        metrics=several(metric),
        conditions=several(condition),
        suites=several(suite),
        formats=several(format),
        worse=worse,
        max_unscored=max_unscored,
        base_model=base_model,
        candidate_model=candidate_model,
    )
    compared = compare_runs(_folder(base), _folder(candidate), gate)
    frame = pd.DataFrame([_row(cell) for cell in compared.cells], columns=_COLUMNS)
    frame.attrs.update(
        decision=compared.decision,
        verdict=decision_words(compared),
        notes=list(compared.notes),
        changed_questions=[_question(change) for change in compared.changed],
    )
    return frame


def report(
    *runs: StrPath | Run, output: StrPath | None = None, recipes: Mapping[str, Sequence[str]] | None = None
) -> Path:
    """Write the page of one or several runs: verdict, figures and transcripts (all, or 50,000 of a larger run).

    As `emeval report`.

    Args:
        runs: Run folders, or runs.
        output: The page, ending in `.html`; default: `report.html` in the first run's folder.
        recipes: Models that differ only in their finetuning seed, by the name of their recipe, in place of the runs';
            of several runs they may be in runs of their own.

    Returns:
        The page. For large runs it needs the folder `...-data-...` next to it.

    Raises:
        BadInput: There is no run in a folder, or the page cannot be written.
    """
    if not runs:
        raise BadInput("report: name a run")
    folders = [_folder(run) for run in runs]
    page = folders[0] / "report.html" if output is None else Path(output)
    over = recipes_over_runs(folders, recipes) if recipes and len(set(folders)) > 1 else None
    return write_report(read_several(folders, recipes=recipes if over is None else None), page, over=over).page


def figures(*runs: StrPath | Run) -> list[Figure]:
    """The figures of the report. Each has a `name`, a `title`, a `caption`, its `data` and an Altair `chart`, which a
    notebook shows.

    Args:
        runs: Run folders, or runs.

    Returns:
        The figures that the runs have data for, in the order of the report.

    Raises:
        BadInput: There is no run in a folder.
    """
    return page_figures(read_several(map(_folder, runs)))


def _folder(run: StrPath | Run) -> Path:
    return run.folder if isinstance(run, Run) else Path(run)


def _row(cell: CellChange) -> dict[str, Any]:
    sides = {"base": cell.base, "candidate": cell.candidate}
    return {
        **cell.key._asdict(),
        **{name: getattr(cell, name) for name in _COLUMNS if hasattr(cell, name)},
        **{f"{side}_{name}": value for side, of in sides.items() for name, value in _numbers(of).items()},
        "words": cell_words(cell),
    }


def _question(change: QuestionChange) -> dict[str, Any]:
    fields = {name: value for name, value in change._asdict().items() if name != "cell"}
    return change.cell._asdict() | fields | {"increase": change.increase}


def _numbers(side: Side) -> dict[str, Any]:
    return {name: getattr(side, name) for name in _SIDE}
