"""Read one verdict out of a reply that should be a JSON object of reasons and then the verdict.

A server with structured output sends just that. Without it a model may put the object into a fence, write prose before
it, or end with a line that holds the verdict alone. All of that is read; what is not is a guess: a reply that was cut,
names two verdicts, or goes on after its verdict is Unreadable. A judged text can quote an object with a verdict of its
own choosing, and a judge may repeat it in its reasons. So the object must be the reply's last word and its first brace
at the start of a line must open it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

from judges.judge import JudgeReply
from judges.verdicts import JudgeRefused, LabelKind, Labelled, Unreadable, Verdict

READING = "json"
"""How a judge of this kind is read, for `Judge.reading`. What is read in a way of its own adds to it after a `+`."""
ValueOf = Callable[[Mapping[str, Any]], str | Unreadable]
"""The label that a JSON object gives."""

_FENCE = re.compile(r"^[ \t]*```[a-z]*|```[ \t]*$", re.IGNORECASE | re.MULTILINE)
_OPENS_A_LINE = re.compile(r"^[ \t]*\{", re.MULTILINE)
_MARKUP = re.compile(r"[*`\"'“”‘’]")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return named


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_distinct)


def label_schema(key: str, values: Iterable[str]) -> dict[str, Any]:
    """The JSON schema of a reply that gives its reasons and then, under `key`, one of `values`."""
    return {
        "type": "object",
        "properties": {"reasons": {"type": "string"}, key: {"type": "string", "enum": list(values)}},
        "required": ["reasons", key],
        "additionalProperties": False,
    }


def label_repair(key: str, values: Iterable[str]) -> str:
    """What a judge is told after a reply to such a request that could not be read."""
    return (
        "That reply cannot be read. Reply again, with one JSON object and nothing before or after it: "
        f'{{"reasons": "your reasons, in a few short sentences", "{key}": "the verdict"}}, where the verdict is '
        f"exactly one of {', '.join(values)}."
    )


def is_json(reading: str) -> bool:
    """Whether a judge that is read in this way is asked for a JSON object."""
    return reading.split("+", 1)[0] == READING


def read_structured(
    reply: JudgeReply, key: str, labels: Mapping[str, str], kind: LabelKind, value_of: ValueOf | None = None
) -> Verdict:
    """Labelled, with the one label that stands under `key`; or JudgeRefused, or Unreadable.

    `labels` maps what may stand there, as `plain_word` has it, to the label; "true" and "false" stand for JSON's own.
    `value_of` reads objects in which the label stands otherwise.
    """
    if reply.declined:
        return JudgeRefused()
    if reply.cut:
        return Unreadable("the reply was cut off")
    value_of = value_of or partial(_value_of, key=key, labels=labels)
    label = _label_of(reply.text.strip(), key, labels, value_of)
    return label if isinstance(label, Unreadable) else Labelled(label, kind)


def _label_of(text: str, key: str, labels: Mapping[str, str], value_of: ValueOf) -> str | Unreadable:
    whole = _object_in(text) if text.startswith("{") else None
    if whole is not None:
        return value_of(whole)
    text = _FENCE.sub("\n", text).strip()
    if not text:
        return Unreadable("the reply is empty")
    opening = _OPENS_A_LINE.search(text)
    if opening is None:
        return _from_lines(text, key, labels)
    found = _object_in(text[opening.start() :].strip())
    if found is None:
        return Unreadable("the reply is not one JSON object")
    label = value_of(found)
    if any(said != label for said in _stated(text[: opening.start()], key, labels)):
        return Unreadable("the reply names more than one verdict")
    return label


def _object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is as a whole, None where it is something else."""
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) and not text[end:].strip() else None


def _value_of(found: Mapping[str, Any], key: str, labels: Mapping[str, str]) -> str | Unreadable:
    said = found.get(key)
    word = plain_word(said) if isinstance(said, str) else str(said).lower() if isinstance(said, bool) else ""
    if word not in labels:
        return Unreadable(f"the reply's {key} is not one of those asked for" if key in found else f"it has no {key}")
    return labels[word]


def _from_lines(text: str, key: str, labels: Mapping[str, str]) -> str | Unreadable:
    """A verdict from prose: its last line must be the verdict alone, with a label at most, and no line another one."""
    *before, last = text.splitlines()
    verdicts = list(_stated(last, key, labels))
    if not verdicts:
        return Unreadable("the reply is no JSON object and does not end with a verdict")
    if any(said != verdicts[0] for said in _stated("\n".join(before), key, labels)):
        return Unreadable("the reply names more than one verdict")
    return verdicts[0]


def _stated(text: str, key: str, labels: Mapping[str, str]) -> list[str]:
    """What each line of `text` that is a verdict and nothing else says."""
    label = re.compile(
        rf"(?:(?:the|my|final|overall)\s+)*(?:{re.escape(key)}|flag|label|verdict|answer)\s*(?:[:=]|\bis\b:?)\s*(.+)",
        re.IGNORECASE,
    )
    found: list[str] = []
    for line in text.splitlines():
        bare = _MARKUP.sub("", line).strip(" \t#>-•.")
        labelled = label.fullmatch(bare)
        word = plain_word(labelled.group(1) if labelled else bare)
        if word in labels:
            found.append(labels[word])
    return found


def plain_word(text: str) -> str:
    """A word of a reply as it is compared: in lower case, without markup, with underscores for spaces and hyphens."""
    return re.sub(r"[\s-]+", "_", _MARKUP.sub("", text).strip(" \t\r\n.").lower())
