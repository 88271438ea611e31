"""Chat files, as finetuning tools read them: JSON lines, each a chat (see `evals.questions.chats`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import ValidationError

from evals.errors import BadInput
from evals.io.json_files import LineProblem, TextLines
from evals.io.paths import open_file
from evals.questions.chats import Chat, as_messages, holds_a_chat
from evals.text import one_line
from evals.trials.prompt import Messages

MOST_BYTES = 4 << 30
"""Bytes of the largest chat file: it is read line by line."""


class Example(NamedTuple):
    """One example of a chat file, and its line (from 1)."""

    line: int
    messages: Messages


class ChatReader:
    """The examples of a chat file, or the first `most` of them, in order. Iterate once; `sha256` is of the whole file,
    known after the last one.

    Raises BadInput with file and line for what is no example.
    """

    def __init__(self, path: Path, most: int | None = None) -> None:
        self._path = path
        self._most = most
        self.sha256 = ""

    def __iter__(self) -> Iterator[Example]:
        try:
            with open_file(self._path, MOST_BYTES) as file:
                lines = TextLines(file)
                read = 0
                for number, line in lines:
                    if line.strip() and read != self._most:
                        read += 1
                        yield Example(number, self._messages(number, line))
                self.sha256 = lines.sha256
        except OSError as error:
            raise BadInput(f"{self._path}: cannot be read: {error.strerror}") from None
        except LineProblem as problem:
            raise self.bad(problem.line, problem.problem) from None

    def bad(self, line: int, problem: str) -> BadInput:
        return BadInput(f"{self._path}:{line}: {problem}")

    def _messages(self, number: int, line: str) -> Messages:
        try:
            row: object = json.loads(line)
        except ValueError as error:
            raise self.bad(number, f"is not JSON: {one_line(str(error), 80)}") from None
        except RecursionError:
            raise self.bad(number, "is not a chat: nested too deep") from None
        if not isinstance(row, dict) or not holds_a_chat(cast("dict[str, object]", row)):
            raise self.bad(number, 'is not a chat: has no list "messages" of turns with "role" and "content"')
        try:
            turns = Chat.model_validate(row).messages
        except ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, detail["loc"]))
            raise self.bad(number, f"{place}: {one_line(detail['msg'].removeprefix('Value error, '))}") from None
        if not turns:
            raise self.bad(number, "messages: holds no turn")
        return as_messages(turns)
