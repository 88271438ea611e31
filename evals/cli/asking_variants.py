"""Runs whose conditions are the variants of a trigger: their settings, and what is said and written after the run's
own result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.session import Output, show_run
from evals.errors import BadInput
from evals.text import shown_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evals.analysis.variants.variants import Variant
    from evals.cli.options import Settings
    from evals.plan.config import RunConfig

_VARIANTS_ARE = ("trigger", "decoy", "distractor", "conditions", "baseline")
VariantsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Variants of a trigger as the conditions: CSV or YAML with name, text, kind, dose, placement.",
    ),
]


def fields_of_variants(settings: Settings, variants: Sequence[Variant]) -> Settings:
    """The settings with the variants as conditions, held against off. Raises BadInput for one that says otherwise."""
    from evals.analysis.variants.variants import conditions_of

    given = next((name for name in _VARIANTS_ARE if name in settings), None)
    if given is not None:
        raise BadInput(f"--{given}: the trigger and what it is held against are variants of the file; leave it out")
    return settings | {"conditions": conditions_of(variants), "baseline": "off"}


def show_variants(planned: RunConfig, folder: Path, variants: Sequence[Variant], output: Output) -> None:
    """Run the config, print its result and how the variants compare, and write variants.csv and variants.svg."""
    from evals.analysis.variants.measured import VARIANTS, measured, variant_rows
    from evals.reporting.console.curves.variants import print_variants
    from evals.scoring.rates.tables import write_table

    result, code = show_run(planned, folder, output)
    view = output.view()
    with view.busy("comparing the variants ..."):
        sets = measured(folder, result.tables, variants)
        write_table(folder / "variants.csv", VARIANTS, variant_rows(sets))
        if sets:
            from evals.reporting.figures.curves.variants import variants_figure
            from evals.reporting.figures.drawing.files import write_chart

            write_chart(variants_figure(sets), folder / "variants.svg")
    print_variants(view.out, sets)
    files = "variants.csv, variants.svg" if sets else "variants.csv"
    view.out.print(f"Written: {shown_path(folder)}/ ({files})", style="dim", markup=False, soft_wrap=True)
    if code:
        raise typer.Exit(code)
