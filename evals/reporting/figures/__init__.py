"""Figures of counted runs, each with its data: `page.page_figures` for a report, `paper.paper_figure` for a paper.

All numbers come from the run's tables; nothing is recomputed. Charts are plain Vega-Lite without expressions or
transforms, so untrusted text is only data in them.
"""
