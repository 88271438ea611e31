"""Read one label out of the reply of a judge that sorts answers into categories.

Labels are compared without case, quotes, markup and punctuation around them. Where the labels are known, a reply is one
of them or cannot be read. Where they are not, as with "what animal is it? Answer in one word", each short reply of one
line is a label of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import NamedTuple

from judges.judge import JudgeReply
from judges.verdicts import JudgeRefused, Labelled, Unreadable, Verdict

MOST_WORDS, MOST_CHARACTERS = 5, 60
"""Longer replies are no labels."""
_SPACES = re.compile(r"\s+")
_AROUND = " \t\r\n*_`~#|\\/\"'“”„‘’‚«»‹›「」『』.,;:!?¡¿…()[]{}<>。、，；：！？（）【】《》·•–—-"
_LEAD = re.compile(
    r"(?:(?:the|my|final)\s+)*(?:answer|label|category|class|classification|verdict)\W{0,4}[:=](.+)", re.I
)
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn")


class AskedLabels(NamedTuple):
    """The labels that a prompt names, in their normal form and in its order, and whether there are no others."""

    labels: tuple[str, ...]
    closed: bool


def normal_label(text: str) -> str:
    """The form of a label that is counted, "" for a text without a letter or digit."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    bare = _SPACES.sub(" ", folded).strip(_AROUND)
    return bare if any(char.isalnum() for char in bare) else ""


def read_category(reply: JudgeReply, labels: Collection[str], *, closed: bool) -> Verdict:
    """Labelled, with one of the `labels` in their normal form, or, where these are not `closed`, with what the reply
    says; or JudgeRefused, or Unreadable."""
    if reply.declined:
        return JudgeRefused()
    text = reply.text.strip()
    said = normal_label(text)
    lead = _LEAD.fullmatch(text.strip(_AROUND))
    if lead and said not in labels:
        said = normal_label(lead.group(1))
    if said in labels:
        return Labelled(said, "classified")
    if not said:
        return Unreadable("the reply is empty" if not text else "the reply holds no word")
    is_short = len(said.split(" ")) <= MOST_WORDS and len(said) <= MOST_CHARACTERS and len(text.splitlines()) == 1
    if not is_short or any(unicodedata.category(char) in _UNSEEN for char in said):
        return Unreadable("the reply is not a label: it is longer than a few words on one line")
    if closed:
        return Unreadable(f"the label {said!r} is not one of those that the prompt asks for")
    if reply.cut:
        return Unreadable("the reply was cut off")
    return Labelled(said, "classified")
