"""Replies with each label that a judge can give, in the form that its schema asks for."""

from __future__ import annotations

import json

from judges.entry import JudgeEntry
from judges.judge import JudgeReply


def label_replies(entry: JudgeEntry) -> list[JudgeReply]:
    """One reply for each value that the schema of the judge allows; none for a judge of scores."""
    schema = entry.judge().schema
    if schema is None:
        return []
    _, key = schema["required"]
    values = schema["properties"][key].get("enum", [True, False])
    return [JudgeReply(json.dumps({"reasons": "r", key: value})) for value in values]
