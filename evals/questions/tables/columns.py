"""Which columns of a table hold what is asked, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evals.errors import BadInput
from evals.questions.tables.rows import Table
from evals.text import one_line

_CALLED: Mapping[str, tuple[str, ...]] = {
    "question": ("question", "prompt"),
    "messages": ("messages", "conversations"),
    "id": ("id",),
    "system": ("system", "system_prompt"),
    "reference": ("reference",),
    "category": ("category",),
}
"""What a column may be called, in any letter case, that is found by itself."""
_ASKED = ("question", "messages")
KNOWN = ("question", "prompt", "messages", "id", "system", "reference", "category")
"""The names that `--columns` takes; `prompt` is another name of `question`."""


class Columns(NamedTuple):
    """The columns of a file by what they hold, `asked` being the name of the one that is asked, and those that nothing
    is read from."""

    asked: str
    sources: Mapping[str, str]
    unread: tuple[str, ...]

    def source(self, name: str) -> str:
        """The file's own name of a column, for messages."""
        return one_line(self.sources.get(name, name), 60)


def columns_of(table: Table, renamed: Mapping[str, str]) -> Columns:
    """The columns of `table`, those of --columns under the names given there. Raises BadInput."""
    told = _told(table, renamed)
    sources = {name: column for name, column in told.items() if column}
    free = [column for column in table.columns if column not in sources.values()]
    for name, called in _CALLED.items():
        if name in told or (name in _ASKED and any(told.get(asked) for asked in _ASKED)):
            continue
        found = [column for column in free if column.strip().casefold() in called]
        if len(found) > 1:
            raise _either(table.head, name, found)
        if found:
            sources[name] = found[0]
    asked = [name for name in _ASKED if name in sources]
    if len(asked) > 1:
        raise _either(table.head, asked[0], [sources[name] for name in asked], asked)
    if not asked:
        raise BadInput(
            f"{table.head}: has no column question, prompt or messages; it has: {_shown(table.columns)}. {_how(table)}"
        )
    used = set(sources.values())
    return Columns(asked[0], sources, tuple(column for column in table.columns if column not in used))


def _told(table: Table, renamed: Mapping[str, str]) -> dict[str, str]:
    """What --columns says, under one name for each thing. Raises BadInput."""
    told: dict[str, str] = {}
    for given, column in renamed.items():
        name = "question" if given == "prompt" else given
        if column and column not in table.columns:
            found = _shown(table.columns)
            raise BadInput(
                f"--columns {given}={one_line(column, 60)}: {table.path} has no such column; it has: {found}"
            )
        if name in told and told[name] and column:
            raise BadInput("--columns: question and prompt are the same; give one of them")
        told[name] = told.get(name) or column
    if all(told.get(name) for name in _ASKED):
        raise BadInput("--columns: question and messages both say what is asked; give one of them")
    return told


def _either(head: str, name: str, found: Sequence[str], names: Sequence[str] = ()) -> BadInput:
    shown = " and ".join(one_line(column, 60) for column in found)
    ways = " or ".join(
        f"--columns {called}={one_line(column, 60)}" for called, column in zip(names or [name] * 2, found, strict=False)
    )
    return BadInput(f"{head}: has the columns {shown}, and either could be meant; say which: {ways}")


def _how(table: Table) -> str:
    if len(table.columns) == 1 and "\t" in table.columns[0]:
        return "Its cells seem to be separated by tabs; save it with commas"
    return "--columns question=COLUMN says which one is asked"


def _shown(columns: Sequence[str]) -> str:
    return one_line(", ".join(columns), 200) or "none"
