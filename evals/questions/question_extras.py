"""What a question file says besides its questions: turns before a question, and conditions of its own."""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

import yaml

from evals.questions.question_keys import FILE_KEYS
from evals.questions.question_nodes import (
    Entries,
    Entry,
    FaultError,
    NodeReader,
    check_known,
    children,
    given,
    is_null,
    line_of,
    required,
    sequence_of,
    text_of,
    word_of,
)
from evals.trials.condition import CONDITIONS, NAME_RULE, is_condition_name
from evals.trials.prompt import Message, Messages

MESSAGES, CONDITIONS_KEY = "messages", "conditions"
_ROLES = ("system", "user", "assistant")
_TEXTS = ("system", "prefix", "suffix")


class FileCondition(NamedTuple):
    """A condition that a question file declares in a line: its texts by `system`, `prefix` and `suffix`; {} for
    emeval's own, and for one that `wordings` word."""

    name: str
    line: int
    texts: dict[str, str]


def chats_of(reader: NodeReader, entries: Entries) -> tuple[Messages, ...]:
    """The chats under `messages`: one list of turns, or a list of such lists; () without the key."""
    entry = given(entries, MESSAGES)
    if entry is None:
        return ()
    nodes = sequence_of(entry, MESSAGES)
    if not nodes:
        raise FaultError(entry.key, MESSAGES, "holds no turn")
    if all(isinstance(node, yaml.SequenceNode) for node in nodes):
        lists = cast("list[yaml.SequenceNode]", nodes)
        return tuple(_chat(reader, node, f"{MESSAGES}.{number}") for number, node in enumerate(lists))
    return (_chat(reader, cast("yaml.SequenceNode", entry.value), MESSAGES),)


def _chat(reader: NodeReader, node: yaml.SequenceNode, key: str) -> Messages:
    turns: list[Message] = []
    for number, turn in enumerate(children(node)):
        place = f"{key}.{number}"
        fields = reader.mapping(turn, place, "a turn: role and content")
        check_known(fields, ("role", "content"), "a turn")
        role = word_of(required(turn, fields, "role"), f"{place}.role", _ROLES)
        content = text_of(required(turn, fields, "content").value, f"{place}.content")
        if role == "system" and turns:
            raise FaultError(turn, place, "has a system turn after the first turn, which chat templates refuse")
        turns.append(Message(cast("Literal['system', 'user', 'assistant']", role), content))
    if not turns:
        raise FaultError(node, key, "holds no turn")
    return tuple(turns)


def check_before_question(node: yaml.Node, chats: tuple[Messages, ...]) -> None:
    """Raises FaultError unless a question can follow."""
    if len(chats) > 1:
        raise FaultError(node, MESSAGES, "is several chats, and paraphrases follow one; give whole chats alone, or one")
    if chats and chats[0][-1].role != "assistant":
        raise FaultError(node, MESSAGES, "must end with an assistant turn, since the question follows")


def check_whole(node: yaml.Node, chats: tuple[Messages, ...]) -> None:
    """Raises FaultError unless each chat ends with what is asked."""
    if any(chat[-1].role != "user" for chat in chats):
        raise FaultError(node, MESSAGES, "must end with the user turn that is asked, or a question must follow it")


def is_listing(root: yaml.MappingNode) -> bool:
    """Whether a mapping holds the lists of a question file."""
    return any(isinstance(key, yaml.ScalarNode) and key.value in FILE_KEYS for key, _ in root.value)


def conditions_of(reader: NodeReader, entry: Entry) -> list[FileCondition]:
    """The conditions under `conditions`. Raises FaultError for anything else."""
    found: list[FileCondition] = []
    for name, text in reader.mapping(entry.value, CONDITIONS_KEY, "names of conditions to their texts").items():
        key = f"{CONDITIONS_KEY}.{name}"
        if not is_condition_name(name):
            raise FaultError(text.key, key, f"is no name of a condition: {NAME_RULE}")
        texts: dict[str, str] = {}
        if not is_null(text.value):
            fields = reader.mapping(text.value, key, f"a mapping of {', '.join(_TEXTS)} to a text")
            check_known(fields, _TEXTS, "a condition")
            texts = {part: text_of(fields[part].value, f"{key}.{part}") for part in fields}
        if texts and name in CONDITIONS:
            raise FaultError(
                text.key, key, "is a condition of emeval's and has no text of its own; choose another name"
            )
        found.append(FileCondition(name, line_of(text.key), texts))
    return found
