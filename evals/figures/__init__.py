"""Figures of counted runs: `page_figures` for a report, `paper_figure` for a paper, each with the data behind it.

Every number in a figure is one of the run's tables; nothing is estimated anew. All charts are plain Vega-Lite without
expressions or transforms, so that text from outside is only ever data in them.
"""

from __future__ import annotations

from evals.figures.figure import Figure
from evals.figures.page import page_figures
from evals.figures.paper import paper_figure
from evals.runner.count import Counted, read_counted, read_several

__all__ = ["Counted", "Figure", "page_figures", "paper_figure", "read_counted", "read_several"]
