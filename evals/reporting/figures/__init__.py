"""Figures of counted runs, each with the data behind it: `page.page_figures` for a report, `paper.paper_figure` for a
paper.

Every number in a figure is one of the run's tables; nothing is estimated again. All charts are plain Vega-Lite without
expressions or transforms, so that text from outside is only ever data in them.
"""
