"""label.html: one offline page for labelling by keyboard, which gives the labels back as a CSV.

The items are untrusted text. The page embeds them as JSON with HTML's characters escaped, its script shows them as text
only, and its content security policy runs no other script and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib import resources

from jinja2 import Environment, StrictUndefined

from evals.analysis.labelling.guidelines import GUIDELINES
from evals.analysis.labelling.label_items import LabelItem


def label_page(run_id: str, items: Sequence[LabelItem]) -> str:
    """The page as HTML. The browser stores its labels under a key unique to this sample."""
    script, style = _part("label.js"), _part("label.css")
    metrics = {item.metric for item in items}
    tag = items[0].label_id.partition("-")[0]
    file_name = re.sub(r"[^\w.-]+", "-", run_id).strip("-.") or "run"
    sample = {
        "key": f"emeval-labels-{tag}",
        "file": f"{file_name}-labels.csv",
        "guidelines": {name: GUIDELINES[name]._asdict() for name in sorted(metrics)},
        "rows": [item._asdict() | {"reference": [text._asdict() for text in item.reference]} for item in items],
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    # Inline, so that the page is one file; the policy allows exactly these bytes.
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
