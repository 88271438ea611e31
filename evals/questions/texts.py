"""Texts in the rows of scenario files, and the ids that rows without one get."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator

from evals.text import has_control_character
from evals.trials.prompt import ALL

_SURROGATE = re.compile("[\ud800-\udfff]")


def _unicode(text: str) -> str:
    if _SURROGATE.search(text):  # valid in JSON, but not in a request or journal
        raise ValueError("holds half of a surrogate pair, which is no character")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _fit_for_an_id(text: str) -> str:
    if has_control_character(text):
        raise ValueError("holds a control character")
    if text == ALL:
        raise ValueError(f"{ALL} names the row over all prompts in rates.csv; call it something else")
    return text


PlainText = Annotated[str, AfterValidator(_unicode)]
Text = Annotated[PlainText, AfterValidator(_not_blank)]
ScenarioId = Annotated[Text, AfterValidator(_fit_for_an_id)]


def derived_id(*texts: str) -> str:
    """The id of a row by what it asks."""
    return f"row-{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:12]}"
