"""Vega for a page, as one script that needs nothing from anywhere."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from evals.io.atomic import whole_file
from evals.io.cache import cache_folder
from evals.reporting.figures.files import VEGA_LITE

_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def vega_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, which puts `vegaEmbed` into the window.

    vl-convert takes over a second to put it together, and it is always the same, so it is kept in the cache.
    """
    made_of = f"{_SNIPPET} {VEGA_LITE} {version('vl-convert-python')}"
    path = cache_folder() / f"vega-{_sha256(made_of)[:16]}.js"
    kept = _kept(path)
    if kept is not None:
        return kept
    import vl_convert

    library = vl_convert.javascript_bundle(_SNIPPET, vl_version=VEGA_LITE)
    with suppress(OSError):  # a cache that takes nothing costs time and no page
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(f"// {_sha256(library)}\n{library}")
    return library


def _kept(path: Path) -> str | None:
    """What the cache has, if it is what was put there."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            first, _, library = file.read().partition("\n")
    except (OSError, ValueError):
        return None
    return library if first == f"// {_sha256(library)}" else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
