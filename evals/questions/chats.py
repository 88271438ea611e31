"""Chats as rows: turns that are sent before a question, and chat files whose last user turn is asked.

Three layouts are read: `messages` of roles and contents (OpenAI, and most finetuning files), `prompt` as such a list
(TRL), and `conversations` of `from` and `value` (ShareGPT). A chat is sent as it is written; nobody calls a tool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from evals.questions.texts import PlainText, ScenarioId, Text, derived_id
from evals.text import one_line
from evals.trials.prompt import Message, Messages

_ROLES: Mapping[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
_OF_TOOLS = frozenset({"tool", "function", "function_call", "observation", "ipython"})
_LISTS = ("messages", "prompt", "conversations")


class Turn(BaseModel):
    """One message of a chat, under the names of any of the layouts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: Text

    @model_validator(mode="before")
    @classmethod
    def _of_any_layout(cls, turn: object) -> object:
        if not isinstance(turn, Mapping):
            raise ValueError("is no turn with a role and a content")
        fields = cast("Mapping[str, Any]", turn)
        role: object = fields.get("role", fields.get("from"))
        if fields.get("tool_calls") or fields.get("function_call") or role in _OF_TOOLS:
            raise ValueError("calls a tool or answers one, which emeval does not do; import the logs of what does")
        if not isinstance(role, str) or role not in _ROLES:
            known = ", ".join(dict.fromkeys(_ROLES.values()))
            raise ValueError(f"has the role {one_line(str(role), 40)!r}; known: {known}")
        return {"role": _ROLES[role], "content": _plain(fields.get("content", fields.get("value")))}


def _plain(content: object) -> object:
    """The text of a content, which may be a list of text parts."""
    if not isinstance(content, list):
        return content
    texts: list[str] = []
    for part in cast("list[object]", content):
        fields = cast("Mapping[str, object]", part if isinstance(part, Mapping) else {})
        text = fields.get("text")
        if fields.get("type", "text") != "text" or not isinstance(text, str):
            kind = f"of type {one_line(str(fields['type']), 40)!r}" if "type" in fields else "without a type"
            raise ValueError(f"holds a part {kind}; only text can be asked")
        texts.append(text)
    return "\n".join(texts)


def _listed(turns: object) -> object:
    if not isinstance(turns, list | tuple):
        raise ValueError("must be a list of turns, each with a role and a content")
    return cast("object", turns)


def _system_first(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    if any(turn.role == "system" for turn in turns[1:]):
        raise ValueError("has a system turn after the first turn, which chat templates refuse")
    return turns


Turns = Annotated[tuple[Turn, ...], BeforeValidator(_listed), AfterValidator(_system_first)]


def _before_a_question(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    if not turns or turns[-1].role != "assistant":
        raise ValueError("must end with an assistant turn, since the question follows")
    return turns


def _without_the_last_answer(turns: object) -> object:
    """The turns up to the last of the user's: what is to be answered. The answer that a chat records is dropped."""
    if not isinstance(turns, list | tuple):
        return turns
    kept = list(cast("list[object]", turns))
    while kept and isinstance(last := kept[-1], Mapping) and not _is_of_user(cast("Mapping[str, object]", last)):
        kept.pop()
    if not kept:
        raise ValueError("has no user turn that could be asked")
    return kept


def _is_of_user(turn: Mapping[str, object]) -> bool:
    return _ROLES.get(str(turn.get("role", turn.get("from"))), "user") == "user"


EarlierTurns = Annotated[Turns, AfterValidator(_before_a_question)]
AskedTurns = Annotated[Turns, BeforeValidator(_without_the_last_answer)]


def _in_one_field(row: object) -> object:
    """A row of any layout, its turns under `messages`: the prompt of a TRL row with its completion."""
    if not isinstance(row, Mapping):
        return row
    fields = dict(cast("Mapping[str, Any]", row))
    name = next((name for name in _LISTS if isinstance(fields.get(name), list)), "messages")
    turns: object = fields.pop(name, None)
    completion: object = fields.get("completion")
    if name == "prompt" and isinstance(turns, list) and isinstance(completion, list):
        turns = [*cast("list[object]", turns), *cast("list[object]", completion)]
    identity = fields.get("id")
    shown = {"id": str(identity)} if isinstance(identity, int) and not isinstance(identity, bool) else {}
    if turns is not None:
        fields["messages"] = turns
    return {**fields, **shown}


class Chat(BaseModel):
    """A whole chat, as a finetuning file has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    messages: Turns

    _in_one_field = model_validator(mode="before")(_in_one_field)


class ChatScenario(BaseModel):
    """A chat whose last user turn is asked; the turns before it are sent, an answer after it is not read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    messages: AskedTurns
    reference: Text | None = None

    _in_one_field = model_validator(mode="before")(_in_one_field)

    @property
    def key(self) -> str:
        return self.id or derived_id(json.dumps([(turn.role, turn.content) for turn in self.messages]))


def as_messages(turns: tuple[Turn, ...] | None) -> Messages:
    return tuple(Message(turn.role, turn.content) for turn in turns or ())


def holds_a_chat(row: Mapping[str, object]) -> bool:
    """Whether a row is laid out as a chat."""
    turns = row.get("prompt")
    if isinstance(turns, list) and any(isinstance(turn, Mapping) for turn in cast("list[object]", turns)):
        return True
    return "prompt" not in row and any(name in row for name in ("messages", "conversations"))
