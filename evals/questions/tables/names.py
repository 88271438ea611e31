"""Which names of suites are tables of questions, by the name alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

from evals.io.paths import open_file
from evals.questions.question_keys import PARAPHRASES, QUESTION_TYPES, REFUSED_TYPES

LINES = (".jsonl", ".ndjson")
SUFFIXES = (".csv", ".parquet", *LINES)
"""Endings of files that are tables, whatever is in them; a .json file may be a question file, too."""
_JSON_ROWS = ".json.rows"
_HUB = "hf--"
_HEAD = 1 << 16
_TYPE = re.compile(r'"type"\s*:\s*"([a-z_]{1,40})"')
_FILE_KEYS = re.compile(rf'"(?:{PARAPHRASES}|judge_prompts|judges)"\s*:')


def is_table_suite(name: str) -> bool:
    """Whether the suite called `name` is a table of questions."""
    return name.lower().endswith((*SUFFIXES, _JSON_ROWS)) or name.startswith(_HUB)


def suite_of_table(path: Path) -> str | None:
    """The name of the suite that asks the rows of a file, None for a file that is no table by its name and content.

    A list of objects in a .json file is a table unless its first objects have the keys of a question file.
    """
    if path.suffix.lower() in SUFFIXES:
        return path.name
    return f"{path.name}.rows" if path.suffix.lower() == ".json" and _holds_rows(path) else None


def hub_suite(*parts: str) -> str:
    """The name of the suite of a Hugging Face dataset, which can be part of a path: no repository has -- in its own."""
    return _HUB + "--".join(part.replace("/", "--") for part in parts if part)


def is_list(path: Path) -> bool:
    """Whether a JSON file begins as a list."""
    return _head_of(path).startswith("[")


def _head_of(path: Path) -> str:
    """The beginning of a file, "" of one that cannot be read."""
    try:
        with open_file(path) as file:
            return file.read(_HEAD).decode("utf-8-sig", "replace").lstrip()
    except OSError:
        return ""


def _holds_rows(path: Path) -> bool:
    """Whether a .json file begins like a list of rows, or like JSON lines."""
    head = _head_of(path)
    first_line = head.partition("\n")[0]
    if head.startswith("{"):
        return _is_object(first_line) and not _FILE_KEYS.search(first_line)
    types = {found[1] for found in _TYPE.finditer(head)}
    is_question_file = _FILE_KEYS.search(head) or types & {*QUESTION_TYPES, *REFUSED_TYPES}
    return re.match(r"\[\s*\{", head) is not None and not is_question_file


def _is_object(line: str) -> bool:
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and not row.keys() & {"questions", "eval_prompt"}
