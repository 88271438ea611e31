"""Write charts as PDF (with embedded fonts), SVG and PNG, without a browser or network."""

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
"""Legends start above the row labels, as the plot is narrow in a column. A Vega setting unknown to Vega-Lite, so it is
not part of the chart."""
_SIZE = re.compile(r'<svg[^>]*? width="([0-9.]+)"[^>]*? height="([0-9.]+)"')


class Size(NamedTuple):
    """The size of a chart in points (1/72 inch)."""

    width: float
    height: float


def check_suffix(path: Path) -> str:
    """The suffix of `path`. Raises BadInput for an unsupported one."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadInput(f"{path}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    return suffix


def write_chart(chart: alt.TopLevelMixin, path: Path) -> None:
    """Write `chart` in the format of the suffix, atomically, at 1 px = 1 point. Raises BadInput."""
    write_whole(path, rendered(chart, check_suffix(path)))


def rendered(chart: alt.TopLevelMixin, suffix: str) -> bytes:
    """The bytes of a file with that suffix. SVG keeps text as text, in a font with common metrics."""
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
    """The size of a Vega-Lite chart with axes and legends."""
    found = _SIZE.search(_drawn(spec, ".svg").decode())
    if found is None:
        raise ValueError("the drawing has no size")
    return Size(float(found[1]), float(found[2]))
