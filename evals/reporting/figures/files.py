"""Charts as files: PDF with its fonts in it, SVG, and PNG. No browser and no network are needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import altair as alt
import vl_convert

from evals.errors import BadInput
from evals.io.atomic import write_whole

SUFFIXES = (".pdf", ".svg", ".png")
PNG_DPI = 600
VEGA_LITE = "6.4"
_POINTS_AN_INCH = 72
_LAYOUT = {"legend": {"layout": {"top": {"anchor": "start", "bounds": "full", "direction": "vertical"}}}}
"""Legends begin above the labels of the rows and not above the plot, which is narrow in a column. Vega knows this
setting and Vega-Lite does not, so it comes from outside of the chart."""
_SIZE = re.compile(r'<svg[^>]*? width="([0-9.]+)"[^>]*? height="([0-9.]+)"')


class Size(NamedTuple):
    """In points, 1/72 of an inch."""

    width: float
    height: float


def check_suffix(path: Path) -> str:
    """The kind of file that `path` names. Raises BadInput for one that cannot be written."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(f"{path}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return suffix


def write_chart(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write `chart` as its suffix says, whole or not at all. A px of the chart is a point. Raises BadInput."""
    write_whole(path, rendered(chart, check_suffix(path)))


def rendered(chart: alt.TopLevelMixin, suffix: str) -> bytes:
    """The bytes of a file of that suffix. In SVG text stays text, in a font whose metrics every system has one for."""
    return _drawn(chart.to_dict(), suffix)


def _drawn(spec: dict[str, Any], suffix: str) -> bytes:
    options: dict[str, Any] = {"vl_version": VEGA_LITE, "allowed_base_urls": [], "config": _LAYOUT}
    match suffix:
        case ".pdf":
            return vl_convert.vegalite_to_pdf(spec, **options)
        case ".png":
            return vl_convert.vegalite_to_png(spec, scale=PNG_DPI / _POINTS_AN_INCH, ppi=_POINTS_AN_INCH, **options)
        case _:
            return vl_convert.vegalite_to_svg(spec, **options).encode()


def size_of(spec: dict[str, Any]) -> Size:
    """How large the chart of that Vega-Lite is with its axes and legends."""
    found = _SIZE.search(_drawn(spec, ".svg").decode())
    if found is None:
        raise ValueError("the drawing has no size")
    return Size(float(found[1]), float(found[2]))
