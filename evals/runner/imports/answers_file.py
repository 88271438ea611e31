"""A file of judged answers, CSV or JSON Lines, with its columns under emeval's names.

Other projects' files are read as they are: `response` is a name of `answer`, and `--columns answer=reply` renames any
column. Which column is the answer is never guessed: a file with both names needs the option.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from evals.errors import BadInput
from evals.io.csv_reader import CsvRow, csv_file
from evals.runner.imports.cells import cleaned_name
from evals.runner.imports.json_lines import json_lines_file
from evals.text import one_line

JSON_LINES = (".jsonl", ".ndjson")
ALIASES = {"answer": "response"}
"""Other names of columns, which count where the column itself is missing."""


class RowFile(Protocol):
    """An open file of rows with named cells. Iterate once; `sha256` covers the bytes read so far."""

    path: Path
    columns: tuple[str, ...]

    @property
    def sha256(self) -> str: ...

    def __iter__(self) -> Iterator[CsvRow]: ...


class AnswersFile:
    """The rows of a file, their cells under emeval's names. `unread` are the columns that nothing is read from."""

    def __init__(self, file: RowFile, known: Collection[str], renamed: Mapping[str, str]) -> None:
        self.path = file.path
        self._file = file
        self.renamed = _resolved(file, renamed)
        self._sources = {name: name for name in file.columns if name not in self.renamed} | {
            name: column for name, column in self.renamed.items() if column
        }
        used = {column for name, column in self._sources.items() if name in known}
        self.columns = tuple(self._sources)
        self.unread = tuple(column for column in file.columns if column not in used)

    @property
    def sha256(self) -> str:
        return self._file.sha256

    def require(self, *names: str) -> None:
        """Raise BadInput if the file lacks one of these columns."""
        for name in names:
            if name not in self.columns:
                found = one_line(", ".join(self._file.columns), 200)
                raise BadInput(
                    f"{self.path}:1: has no column {name}; it has: {found}. --columns {name}=COLUMN says which it is"
                )

    def __iter__(self) -> Iterator[CsvRow]:
        for line, cells in self._file:
            yield CsvRow(line, {name: cells[column] for name, column in self._sources.items()})


@contextmanager
def answers_file(
    path: Path, known: Collection[str], ignored: Collection[str], renamed: Mapping[str, str]
) -> Generator[AnswersFile]:
    """Open a file of answers. `known` are the columns that emeval reads, `ignored` those that it knows and does not
    read. Raises BadInput."""
    sources = (*known, *filter(None, renamed.values()), *ALIASES.values())
    opened = json_lines_file if path.suffix.lower() in JSON_LINES else partial(csv_file, by_hand=True)
    with opened(path, sources) as file:
        yield AnswersFile(file, (*known, *ignored), renamed)


def _resolved(file: RowFile, renamed: Mapping[str, str]) -> dict[str, str]:
    """The renamed columns with the aliases that the file needs. Raises BadInput."""
    for name, column in renamed.items():
        if column and column not in file.columns:
            found = one_line(", ".join(file.columns), 200)
            raise BadInput(f"--columns {name}={one_line(column, 60)}: {file.path} has no such column; it has: {found}")
    found = dict(renamed)
    for name, alias in ALIASES.items():
        if name in renamed or alias not in file.columns:
            continue
        if name in file.columns:
            raise BadInput(
                f"{file.path}:1: has a column {name} and a column {alias}; say which holds the model's {name}: "
                f"--columns {name}={name} or --columns {name}={alias}"
            )
        found[name] = alias
    return found


def model_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The model of each file whose rows name none: the file's name, with its folder's where two files share one.

    Raises BadInput for a file that is given twice, or files that cannot be told apart so.
    """
    stems = Counter(path.stem for path in paths)
    names = {
        path: cleaned_name(path.stem if stems[path.stem] == 1 else f"{path.absolute().parent.name}/{path.stem}")
        for path in paths
    }
    again = next((path for path in paths if sum(other.resolve() == path.resolve() for other in paths) > 1), None)
    if again is not None:
        raise BadInput(f"{again}: is given twice, and its answers would count twice")
    if len(set(names.values())) < len(paths):
        raise BadInput(f"two files would both be called {sorted(names.values())[0]}; rename one")
    return names
