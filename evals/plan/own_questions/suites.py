"""Tables of questions where a suite's name or --dataset stands: their suites and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from evals.errors import BadInput
from evals.io.paths import MOST_DATA, expanded, open_file
from evals.plan.settings.values import split_dataset
from evals.questions.chats import holds_a_chat
from evals.questions.hub.names import hub_name
from evals.questions.question_file import is_question_file
from evals.questions.suites import OF_A_FILE, known_suite
from evals.questions.tables.names import LINES, suite_of_table
from evals.text import one_line

if TYPE_CHECKING:  # it loads an HTTP client
    from evals.questions.hub.fetch import HubView


class _Table(NamedTuple):
    """A table: the name of its suite, and its file."""

    suite: str
    file: Path


def with_tables(fields: Mapping[str, Any], view: HubView | None = None) -> dict[str, Any]:
    """The suites and datasets of `fields`, tables among them by the names of their suites; {} where there is none.

    Without a suite, each file of --dataset is one of its own. `view` is told of downloads. Raises BadInput for two
    tables of one name.
    """
    suites, datasets = _names(fields.get("suites")), _names(fields.get("dataset"))
    if not suites and datasets and all(isinstance(name, str) for name in datasets):
        return _suites_of_datasets([str(name) for name in datasets], view, is_renamed=bool(fields.get("columns")))
    tables = {name: table for name in suites if isinstance(name, str) and (table := _table(name, view)) is not None}
    if not tables:
        return {}
    for name, table in tables.items():
        others = [other for key, other in tables.items() if key != name and other.suite == table.suite]
        if others:
            raise BadInput(f"SUITE: two tables are called {one_line(table.suite)!r}; rename one, or run them apart")
        if any(split_dataset(str(given), (table.suite,))[0] for given in datasets):
            raise _needless(table)
    if datasets and len(tables) == len(suites):
        raise _needless(next(iter(tables.values())))
    return {
        "suites": tuple(tables[str(name)].suite if name in tables else name for name in suites),
        "dataset": (*datasets, *(f"{table.suite}={table.file}" for table in tables.values())),
    }


def _suites_of_datasets(files: list[str], view: HubView | None, *, is_renamed: bool) -> dict[str, Any]:
    """The suites of files that are given without one. A single file of chats is asked as the suite `chats`."""
    if len(files) == 1 and not is_renamed and _holds_chats(expanded(files[0])):
        return {"suites": (OF_A_FILE.name,), "dataset": tuple(files)}
    found = with_tables({"suites": files}, view)
    unknown = next((name for name in found.get("suites", files) if known_suite(str(name)) is None), None)
    if unknown is not None:
        raise BadInput(
            f"--dataset: {one_line(str(unknown), 100)} is no table of questions (.csv, .jsonl, .json, .parquet, "
            "hf:OWNER/NAME); name the suite that asks it"
        )
    return found or {"suites": tuple(files), "dataset": ()}


def _needless(table: _Table) -> BadInput:
    return BadInput(f"--dataset: {one_line(table.suite, 60)} holds its own questions; leave it out")


def _table(name: str, view: HubView | None) -> _Table | None:
    """The table that stands for a suite, None for any other suite."""
    try:
        on_hub = hub_name(name)
    except ValueError as error:
        raise BadInput(f"SUITE: {one_line(name, 100)!r} {error}") from None
    if on_hub is not None and known_suite(name) is None:
        from evals.questions.hub.fetch import hub_file  # loads an HTTP client, which few runs have a use for

        return _Table(on_hub.suite, hub_file(on_hub, view))
    path = expanded(name)
    suite = suite_of_table(path)
    return None if suite is None else _Table(suite, path)


def _holds_chats(path: Path) -> bool:
    """Whether the first line of JSON lines is a chat. A file that cannot be read is none, which is said elsewhere."""
    if path.suffix.lower() not in LINES and not is_question_file(path.name):
        return False
    try:
        with open_file(path, MOST_DATA) as file:
            row: object = json.loads(file.readline(MOST_DATA).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(row, dict) and holds_a_chat(cast("dict[str, object]", row))


def _names(value: object) -> tuple[object, ...]:
    if value is None:
        return ()
    return tuple(cast("list[object]", value)) if isinstance(value, list | tuple) else (value,)
