"""`emeval report`: runs as a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolders
from evals.cli.output import echo
from evals.errors import BadInput
from evals.text import shown_path

if TYPE_CHECKING:
    from evals.analysis.recipes.result import RecipeResult


@app.command()
def report(
    folders: RunFolders,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page; report.html in the (first) run folder."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Model that the others of a run are compared with without a trigger; default: the run's, its first.",
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL,MODEL,...",
            help="Models that differ only in their finetuning seed, as a recipe over its seeds, which may be in runs "
            "of their own; repeatable; default: the run's.",
        ),
    ] = None,
) -> None:
    """Write an HTML report of one run or several. Conclusions, figures and transcripts in one file that needs no
    network: every transcript, or 50,000 of a larger run."""
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.page.writer import write_report
    from evals.runner.count import read_several

    page = output or folders[0] / "report.html"
    view = ConsoleView()
    with view.busy("counting the answers ..."):
        over = _over_runs(folders, recipe, base)
        runs = read_several(folders, base if over is None else None, recipe or None if over is None else None)
    with view.busy("drawing the figures and packing the transcripts ..."):
        written = write_report(runs, page, over=over)
    beside = (
        f", with its transcripts in {shown_path(written.beside)}/, which must stay beside it" if written.beside else ""
    )
    echo(f"Written: {shown_path(written.page)}{beside}")
    if written.transcripts < written.trials:
        echo(f"It has {written.transcripts:,} of {written.trials:,} transcripts; `emeval show` has every one.")


def _over_runs(folders: list[Path], recipe: list[str] | None, base: str | None = None) -> RecipeResult | None:
    """The recipes named over the seeds of several runs; None for those of one."""
    if not recipe or len({folder.resolve() for folder in folders}) == 1:
        return None
    from evals.analysis.recipes.over_runs import recipes_over_runs

    return recipes_over_runs(folders, recipe, base)


@app.command()
def plot(
    runs: RunFolders,
    figure: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="fig4, fig6, fig9 (as the paper's), rates, effects, recipes, did, say-do, scores, score-calibration, "
            "monitorability.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Ends in .pdf, .svg or .png.")],
    width: Annotated[
        str, typer.Option(metavar="WIDTH", help="column (8.5 cm), page (17.5 cm), or a number of cm.")
    ] = "column",
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help="Show these models alone, in this order; repeatable, or with commas between."
        ),
    ] = None,
    questions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="QUESTION",
            help="Show these questions alone (their prompt_id in rates.csv), in this order; repeatable, or with commas "
            "between. Not for fig4, fig6 and say-do.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="MODEL=NAME", help="What the figure calls a model; repeatable.")
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL,MODEL,...",
            help="For recipes and did: models that differ only in their finetuning seed, which may be in runs of their "
            "own; repeatable; default: the runs'.",
        ),
    ] = None,
) -> None:
    """Draw a figure of runs for a paper and print its caption."""
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.figures.drawing.files import check_suffix, size_of, write_chart
    from evals.reporting.figures.drawing.theme import COLUMN_CM, PAGE_CM, POINTS_A_CM
    from evals.reporting.figures.paper import BY_CELL, OF_RECIPES, check_name, paper_figure
    from evals.reporting.figures.selection import with_models, with_questions
    from evals.runner.count import read_several

    check_name(figure)
    check_suffix(out)
    named = {"column": COLUMN_CM, "page": PAGE_CM}
    width_cm = named[width] if width in named else _centimetres(width)
    folders = list(dict.fromkeys(folder.resolve() for folder in runs))
    if questions and figure in BY_CELL:
        raise BadInput(f"--questions: {figure} shows all questions together; leave it out")
    if recipe and figure not in OF_RECIPES:
        raise BadInput(f"--recipe: {figure} shows no recipe; leave it out")
    if figure == "recipes" and (models or label):
        raise BadInput("--models, --label: recipes are named by --recipe NAME=MODEL,MODEL,...; leave them out")
    view = ConsoleView()
    with view.busy("counting the answers and drawing the figure ..."):
        over = _over_runs(folders, recipe)
        read = read_several(folders, recipes=recipe or None if over is None else None)
        shown = with_models(read, _names(models), label or ()) if models or label else read
        shown, left_out = with_questions(shown, _names(questions))
        drawn = paper_figure(figure, shown, width_cm, over)
        write_chart(drawn.chart, out)
    size = size_of(drawn.chart.to_dict())
    for line in filter(None, (drawn.caption, left_out, *drawn.numbers)):
        view.out.print(line, markup=False, soft_wrap=True)
    written = f"Written: {shown_path(out)} ({size.width / POINTS_A_CM:.1f} by {size.height / POINTS_A_CM:.1f} cm)"
    view.out.print(written, style="dim", markup=False, soft_wrap=True)


def _names(given: list[str] | None) -> list[str]:
    """The names in a repeatable option with commas between names."""
    return [name.strip() for text in given or () for name in text.split(",") if name.strip()]


def _centimetres(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"--width {text!r}: write column, page, or a number of cm") from None
