"""label.html: one page without a network, for a keyboard, that holds the exhibits and gives labels back as a CSV.

Exhibits are hostile text. They stand in the page as JSON without a character that HTML could take for its own, the
page's script shows them as text only, and its policy runs no other script and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from evals.analysis.labelling.exhibits import LabelExhibit
from evals.analysis.labelling.guidelines import GUIDELINES


def label_page(run_id: str, exhibits: Sequence[LabelExhibit]) -> str:
    """The page as HTML. What a person labels on it is kept under a key that only this sample has."""
    script, style = _part("label.js"), _part("label.css")
    metrics = {exhibit.metric for exhibit in exhibits}
    tag = exhibits[0].label_id.partition("-")[0]
    file_name = re.sub(r"[^\w.-]+", "-", run_id).strip("-.") or "run"
    sample = {
        "key": f"emeval-labels-{tag}",
        "file": f"{file_name}-labels.csv",
        "guidelines": {name: GUIDELINES[name]._asdict() for name in sorted(metrics)},
        "rows": [
            exhibit._asdict() | {"reference": [shown._asdict() for shown in exhibit.reference]} for exhibit in exhibits
        ],
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    # Inline, so that the page is one file; both are ours, and the policy names exactly these bytes.
    return environment.from_string(_part("label.html.j2")).render(
        run_id=run_id,
        sample=sample,
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def _part(name: str) -> str:
    return resources.files("evals.analysis.labelling").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
