"""Export a run to Weights & Biases: rates and effects, as a summary, tables and figures.

Answers are not uploaded, nor are server URLs and file paths.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import BadInput
from evals.plan.config import TRANSPORT_FIELDS
from evals.plan.manifest import Manifest
from evals.reporting.figures.drawing.files import rendered
from evals.reporting.figures.drawing.theme import PAGE_CM
from evals.reporting.figures.paper import FIGURES, paper_figure
from evals.runner.count import Counted, read_counted
from evals.scoring.rates.rows import is_of_one_question
from evals.scoring.rates.tables import pooled
from evals.text import install_extra, one_line

if TYPE_CHECKING:
    import pandas as pd

PROJECT = "emeval"
_FILE_FIELDS = frozenset(
    {
        *("dataset", "vllm_args", "rubrics", "anchors", "also_judges"),
    }
)
_OFFLINE = ("offline", "dryrun", "disabled")


def export_wandb(run: Path, folder: Path, *, project: str | None = None) -> str:
    """Log the results of the run `run`, online or (by WANDB_MODE) offline in `folder`; returns the location.

    Raises BadInput.
    """
    if importlib.util.find_spec("wandb") is None:
        raise BadInput(f"Weights & Biases is not installed: {install_extra('wandb')}")
    counted = read_counted(run)
    import wandb

    offline = os.environ.get("WANDB_MODE", "") in _OFFLINE
    if not offline and not wandb.setup().settings.api_key and not os.environ.get("WANDB_API_KEY"):
        raise BadInput("no key of Weights & Biases: run `wandb login`, or set WANDB_MODE=offline to write files only")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        logged = wandb.init(
            project=project or PROJECT,
            name=one_line(counted.manifest.run_id, 120),
            job_type="evaluation",
            dir=str(folder),
            config=_config(counted.manifest),
            # The machine, its code and its output are irrelevant to the run.
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
            ),
        )
        for name, value in _summary(counted.tables.rates, counted.tables.effects):
            logged.summary[name] = value
        tables = {"rates": pooled(counted.tables.rates), "effects": counted.tables.all_effects}
        logged.log({name: _table(table) for name, table in tables.items() if len(table)})
        logged.log({f"figures/{name}": wandb.Html(svg, inject=False) for name, svg in _figures(counted)})
        where = str(Path(logged.dir).parent) if offline else str(logged.url or logged.id)
        logged.finish()
    except (wandb.Error, OSError) as error:
        raise BadInput(f"Weights & Biases did not take it: {one_line(str(error), 200)}") from None
    return where


def _config(manifest: Manifest) -> dict[str, Any]:
    config = manifest.config.model_dump(mode="json", exclude=set(TRANSPORT_FIELDS | _FILE_FIELDS))
    return {
        **{name: value for name, value in config.items() if value is not None},
        "run_id": manifest.run_id,
        "status": manifest.status,
        "trials_planned": manifest.trials_planned,
        "trials_recorded": manifest.trials_recorded,
        "emeval": manifest.versions.get("emeval", ""),
        "git_revision": manifest.git_revision,
        "dataset_sha": {name: facts.sha256 for name, facts in manifest.datasets.items()},
        "rubric_sha": {name: facts.sha256 for name, facts in manifest.rubrics.items()},
    }


def _summary(rates: pd.DataFrame, effects: pd.DataFrame) -> Iterator[tuple[str, float | int]]:
    """Numbers by name; without answers k and n, but no rate."""
    for row in pooled(rates).to_dict("records"):
        place = "/".join(
            _part(row[name]) for name in ("suite", "format", "model", "condition", "trigger", "metric") if row[name]
        )
        yield f"{place}/k", int(row["k"])
        yield f"{place}/n", int(row["n"])
        if row["n"]:
            names = ("rate",) if is_of_one_question(row) else ("rate", "ci_low", "ci_high")
            yield from ((f"{place}/{name}", float(row[name])) for name in names)
    for row in effects.to_dict("records"):
        place = "/".join(_part(row[name]) for name in ("suite", "format", "model", "condition", "metric"))
        yield from ((f"{place}/effect", float(row["effect"])), (f"{place}/effect_low", float(row["gen_low"])))
        yield f"{place}/effect_high", float(row["gen_high"])


def _figures(run: Counted) -> Iterator[tuple[str, str]]:
    """The paper figures that the run has data for, as SVG."""
    for name in FIGURES:
        try:
            chart = paper_figure(name, [run], PAGE_CM).chart
        except BadInput:  # no data for this one
            continue
        yield name, rendered(chart, ".svg").decode()


def _part(text: object) -> str:
    """A name as part of a path, without dots and slashes."""
    return one_line(str(text), 100).replace("/", "-").replace(".", "-")


def _table(frame: pd.DataFrame) -> Any:
    import wandb

    cells: Any = frame.astype(object).where(frame.notna(), None)
    return wandb.Table(
        columns=[str(name) for name in frame.columns], data=cells.to_numpy().tolist(), allow_mixed_types=True
    )
