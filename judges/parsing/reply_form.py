"""Where in a judge's reply its verdict stands: the whole reply, its last line, or a line of a given form.

A judge that reasons first names labels and numbers on its way, so only its last line is its verdict. A reply that was
cut off has no last line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from judges.judge import JudgeReply
from judges.judge_spec import LABEL_PLACE, LAST_LINE, NUMBER_PLACE, WHOLE
from judges.verdicts import JudgeRefused, Unreadable, Verdict

_MARKUP = " \t*_`#>~"
_SPACES = re.compile(r"\s+")
_PLACE = re.compile(r"\{(label|number)\}")


def read_in_form(reply: JudgeReply, *, form: str, inner: Callable[[JudgeReply], Verdict]) -> Verdict:
    """What `inner` reads in the part of a reply that is its verdict; or JudgeRefused, or Unreadable."""
    if form == WHOLE:
        return inner(reply)
    if reply.declined:
        return JudgeRefused()
    if reply.cut:
        return Unreadable("the reply was cut off before its last line")
    lines = [line for line in reply.text.splitlines() if line.strip()]
    if not lines:
        return Unreadable("the reply is empty")
    if form == LAST_LINE:
        return inner(_only(reply, lines[-1]))
    said = _in_template(lines[-1], form)
    if said is None:
        return Unreadable(f"the last line is not of the form {form!r}")
    verdict = inner(_only(reply, said))
    stated = [other for line in lines[:-1] if (other := _in_template(line, form)) is not None]
    others = [inner(_only(reply, other)) for other in stated]
    if any(other != verdict for other in others if not isinstance(other, Unreadable)):
        return Unreadable(f"the reply has several lines of the form {form!r}, and they differ")
    return verdict


def form_problem(form: str, place: str) -> str:
    """What is wrong with a `read`, "" for nothing. `place` is the one that a template has: {label} or {number}."""
    if form in (WHOLE, LAST_LINE):
        return ""
    others = {LABEL_PLACE, NUMBER_PLACE} - {place}
    if form.count(place) != 1 or any(other in form for other in others):
        return f"must be {WHOLE}, {LAST_LINE}, or a line with one {place}, such as 'ANSWER: {place}'"
    if len(form.splitlines()) != 1 or not form.replace(place, "").strip(_MARKUP):
        return f"must be one line with words around {place}, such as 'ANSWER: {place}'"
    return ""


def _only(reply: JudgeReply, text: str) -> JudgeReply:
    return replace(reply, text=text, token_alternatives=None)


def _in_template(line: str, form: str) -> str | None:
    """What stands in the place of a template, None for a line of another form. Case, spaces and markup are ignored."""
    text = _flat(line)
    for said, (before, after) in ((text, _ends(form)), (text.strip(_MARKUP), _ends(form.strip(_MARKUP)))):
        inner = said.removeprefix(before).removesuffix(after).strip(_MARKUP)
        if inner and said.startswith(before) and said[len(before) :].endswith(after):
            return inner
    return None


@lru_cache(maxsize=100)
def _ends(form: str) -> tuple[str, str]:
    """What a line of the form begins and ends with. A space counts only next to a letter or digit."""
    before, _, after = _PLACE.sub("\0", _flat(form)).partition("\0")
    before = before if before[-2:-1].isalnum() else before.rstrip()
    return before, after if after[1:2].isalnum() else after.lstrip()


def _flat(text: str) -> str:
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
