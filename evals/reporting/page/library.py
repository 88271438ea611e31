"""Vega as one self-contained script for a page."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from evals.io.atomic import whole_file
from evals.io.cache import cache_folder
from evals.io.paths import MOST_JSON, read_file
from evals.reporting.figures.drawing.files import VEGA_LITE

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def vega_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, which defines `window.vegaEmbed`.

    Cached, as vl-convert takes over a second to bundle it.
    """
    made_of = f"{_SNIPPET} {VEGA_LITE} {version('vl-convert-python')}"
    path = cache_folder() / f"vega-{_sha256(made_of)[:16]}.js"
    cached = _cached(path)
    if cached is not None:
        return cached
    import vl_convert

    library = vl_convert.javascript_bundle(_SNIPPET, vl_version=VEGA_LITE)
    with suppress(OSError):  # an unwritable cache only costs time
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(f"// {_sha256(library)}\n{library}")
    return library


def _cached(path: Path) -> str | None:
    """The cached script, None if missing or damaged."""
    try:
        first, _, library = read_file(path, MOST_JSON).decode().partition("\n")
    except (OSError, ValueError):
        return None
    return library if first == f"// {_sha256(library)}" else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
