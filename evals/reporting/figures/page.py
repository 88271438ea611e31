"""The figures of a report, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from evals.analysis.recipes.result import RecipeResult
from evals.reporting.figures.curves.recorded import curve_panels, variant_panels
from evals.reporting.figures.drawing.figure import Figure, Panel
from evals.reporting.figures.drawing.frames import slug
from evals.reporting.figures.drawing.theme import PAGE
from evals.reporting.figures.effects import effect_panels
from evals.reporting.figures.experiments.differences import difference_panels
from evals.reporting.figures.experiments.recipes import recipe_panels
from evals.reporting.figures.monitors import monitor_panels
from evals.reporting.figures.outcomes import outcome_panels
from evals.reporting.figures.paper import OF_RECIPES
from evals.reporting.figures.rates.panels import rate_panels
from evals.reporting.figures.reasoning import articulation_panels, flag_panels
from evals.reporting.figures.references import calibration_panels, published_panels
from evals.reporting.figures.say_do import say_do_panels
from evals.reporting.figures.score_calibration import score_calibration_panels
from evals.reporting.figures.scores import coherence_panels, score_panels
from evals.runner.count import Counted

_KINDS: tuple[tuple[str, str, Callable[[Sequence[Counted]], list[Panel]]], ...] = (
    ("rates", "Rates", rate_panels),
    ("effects", "Effect of the condition", effect_panels),
    ("recipes", "Recipes over their seeds", recipe_panels),
    ("did", "Effects against those in the base", difference_panels),
    ("curve", "Over the steps of a training", curve_panels),
    ("variants", "Variants of the trigger", variant_panels),
    ("say-do", "What it says and what it does", say_do_panels),
    ("scores", "Alignment scores", score_panels),
    ("score-calibration", "Scores beside labels", score_calibration_panels),
    ("coherence", "Alignment against coherence", coherence_panels),
    ("flags", "What the monitor says of the reasoning", flag_panels),
    ("monitorability", "What monitors catch, and their false alarms", monitor_panels),
    ("articulation", "Whether the reasoning names the trigger", articulation_panels),
    ("outcomes", "How the trials ended", outcome_panels),
    ("calibration", "Measured and true rates", calibration_panels),
    ("published", "Beside the published figures", published_panels),
)

_LONGEST = 55
"""The characters of a name before its number."""


def page_figures(runs: Sequence[Counted], over: RecipeResult | None = None) -> list[Figure]:
    """The figures that the runs have data for, in the order of the report; recipes are those of each run, or those
    `over` several.

    A figure is named by its kind (`rates`), or if there are several by kind and content (`rates-unethical-test-mcq`),
    as each of a series is. Charts take the width of their container.
    """
    found: list[Figure] = []
    for kind, title, panels in _KINDS:
        made = panels(runs) if over is None or kind not in OF_RECIPES else OF_RECIPES[kind](runs, over)
        found += _figures(kind, title, made)
    return found


def _figures(kind: str, title: str, panels: Sequence[Panel]) -> Iterator[Figure]:
    names: set[str] = set()
    for number, panel in enumerate(panels, start=1):
        is_alone = not panel.fold and sum(not other.fold for other in panels) == 1
        name = kind if is_alone or not panel.key else slug(kind, panel.key)
        if name in names:
            name = f"{name[:_LONGEST]}-{number}"
        names.add(name)
        kind_title = panel.fold.partition(":")[0] or title
        heading = f"{kind_title}: {panel.heading}" if panel.heading else kind_title
        chart = panel.draw(PAGE)
        yield Figure(name, heading, panel.caption, panel.data, chart, tuple(panel.numbers), panel.fold)
