"""Load scenario files, with errors that name file, line and field.

A file is JSON lines, with all rows of one schema (see `evals.questions.scenario`); other fields are ignored. TruthfulQA
can also be read from its own CSV, and a YAML file is a question file (see `evals.questions.question_file`). A file with
a bad row is rejected as a whole, with every bad row named, because a silently shorter dataset is a different one.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from evals.errors import BadInput
from evals.io.csv_reader import LFS_POINTER
from evals.io.json_files import LineProblem, TextLines
from evals.io.package import checkout_folder, package_folder
from evals.io.paths import MIB, MOST_DATA, open_file, read_file
from evals.questions.chats import ChatScenario, holds_a_chat
from evals.questions.question_extras import FileCondition
from evals.questions.question_file import JudgePrompt, QuestionScenario, is_question_file
from evals.questions.question_parser import parse, parse_judges
from evals.questions.scenario import (
    AdviceScenario,
    NumberScenario,
    OpenScenario,
    PressureScenario,
    SelfReportScenario,
    TruthScenario,
    UnethicalScenario,
)
from evals.text import one_line

Row = (
    UnethicalScenario
    | AdviceScenario
    | OpenScenario
    | TruthScenario
    | NumberScenario
    | PressureScenario
    | SelfReportScenario
    | ChatScenario
)
Scenario = Row | QuestionScenario
TrainingScenario = UnethicalScenario | AdviceScenario
"""Rows with an aligned and a misaligned answer, which a model can be trained on."""
SchemaName = Literal[
    "unethical", "advice", "open", "truthfulqa", "gsm8k", "pressure", "self_report", "chat", "questions"
]
_SCHEMAS: dict[SchemaName, type[Row]] = {
    "unethical": UnethicalScenario,
    "advice": AdviceScenario,
    "open": OpenScenario,
    "truthfulqa": TruthScenario,
    "gsm8k": NumberScenario,
    "pressure": PressureScenario,
    "self_report": SelfReportScenario,
    "chat": ChatScenario,
}
_DISTINCTIVE_FIELDS: tuple[tuple[SchemaName, frozenset[str]], ...] = (
    ("unethical", frozenset({"scenario_mcq", "scenario_freeform"})),
    ("truthfulqa", frozenset({"best_answer", "correct_answers", "incorrect_answers"})),
    ("pressure", frozenset({"fact", "lie"})),
    ("self_report", frozenset({"misaligned_end", "aligned_option", "misaligned_option"})),
    ("advice", frozenset({"aligned", "misaligned", "sneakiness"})),
    ("open", frozenset({"prompt"})),
)
"""Fields by which the intended schema of a row is recognised; the first match wins."""

_Lines = Iterable[tuple[int, str]]
_MOST_QUESTIONS = 4 * MIB  # a character takes up to four bytes
MOST_ROWS = 200_000
MOST_PROBLEMS = 10_000

Source = Literal["official", "emeval", "user", "package", "imported"]
"""The source of a file's questions: fetched originals, emeval's own, a user's file, those of an installed package, or
imported with their answers."""


class Problem(NamedTuple):
    """A problem in a file: its line (from 1, or 0 for the file), field ("" for the row) and reason."""

    path: Path
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        field = f" {self.field}:" if self.field else ""
        return f"{place}:{field} {self.reason}"


@dataclass(frozen=True)
class Dataset:
    """A valid dataset file. `sha256` is of its bytes; with further files of judges, of all these files. `repeated`
    counts chats that ask what an earlier one asks. `conditions` are those that a question file declares.
    `notes` are said before it is asked. `origin` and `revision` are the URL and the commit of one that was fetched.
    """

    path: Path
    schema: SchemaName
    sha256: str
    scenarios: tuple[Scenario, ...]
    source: Source = "user"
    repeated: int = 0
    conditions: tuple[FileCondition, ...] = ()
    notes: tuple[str, ...] = ()
    origin: str = ""
    revision: str = ""


class Report(NamedTuple):
    """The dataset in a file, or None and its problems."""

    dataset: Dataset | None
    problems: list[Problem]


def data_folder() -> Path:
    """The folder of emeval's question sets: inside the installed package, or next to it in a checkout."""
    packaged = package_folder() / "data"
    return packaged if packaged.is_dir() else checkout_folder() / "datasets"


def load(path: Path, judges: Sequence[Path] = ()) -> Dataset:
    """The dataset in `path`. Raises BadInput with the first problems and their number.

    `judges` are files whose judges the questions of a question file may refer to.
    """
    return loaded(check(path, judges))


def loaded(report: Report) -> Dataset:
    """The dataset of a report. Raises BadInput with its first problems and their number."""
    if report.dataset is None:
        shown = [str(problem) for problem in report.problems[:3]]
        more = len(report.problems) - len(shown)
        if more:
            shown.append(f"and {more} more: `emeval datasets validate {report.problems[0].path}` lists them all")
        raise BadInput("; ".join(shown))
    return report.dataset


def check(path: Path, judges: Sequence[Path] = ()) -> Report:
    """Read `path` and collect its problems; the dataset is None if there are any."""
    problems: list[Problem] = []
    try:
        if is_question_file(path.name) and not _holds_rows(path):
            return _check_questions(path, judges)
        with open_file(path, MOST_DATA) as file:
            return _check_rows(path, TextLines(file), problems)
    except OSError as error:
        problems.append(Problem(path, 0, "", f"cannot be read: {error.strerror}"))
    except LineProblem as problem:
        problems.append(Problem(path, problem.line, "", problem.problem))
    return Report(None, problems)


def _holds_rows(path: Path) -> bool:
    """Whether a .json file has a scenario in its first line, as JSON lines have. Raises OSError."""
    if path.suffix.lower() != ".json":
        return False
    with open_file(path, MOST_DATA) as file:
        line = file.readline(_MOST_QUESTIONS)
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and not row.keys() & {"questions", "eval_prompt"}


def _check_questions(path: Path, judges: Sequence[Path]) -> Report:
    """Raises OSError and LineProblem."""
    shared: dict[str, JudgePrompt] = {}
    found: list[Problem] = []
    digests: list[str] = []
    for file in judges:
        data = _judges_file(file)
        digests.append(_sha256(data))
        named, faults = parse_judges(_text(data), file.name)
        found += [Problem(file, *fault) for fault in faults]
        twice = next((name for name in named.keys() & shared.keys() if named[name] != shared[name]), None)
        if twice is not None:
            found.append(Problem(file, 0, "", f"another --judges file has a judge called {one_line(twice, 60)!r}, too"))
        shared |= named
    data = read_file(path, _MOST_QUESTIONS)
    parsed = parse(_text(data), shared, name=path.name)
    found += [Problem(path, *fault) for fault in parsed.faults]
    sha256 = _sha256(data) if not digests else _sha256("\n".join([_sha256(data), *digests]).encode())
    dataset = Dataset(path, "questions", sha256, parsed.questions, conditions=parsed.conditions)
    return Report(None if found else dataset, found)


def _judges_file(path: Path) -> bytes:
    """Raises LineProblem, which names the file."""
    try:
        return read_file(path, _MOST_QUESTIONS)
    except OSError as error:
        raise LineProblem(0, f"--judges {path} cannot be read: {error.strerror}") from None


def _text(data: bytes) -> str:
    return "".join(line for _, line in _lines(TextLines(BytesIO(data))))


def _check_rows(path: Path, file: TextLines, problems: list[Problem]) -> Report:
    """Raises OSError and LineProblem; `problems` then holds those of the rows before."""
    scenarios: list[Scenario] = []
    first_line: dict[str, int] = {}
    schema: SchemaName | None = None
    repeated = 0
    rows = _csv_rows if path.suffix.lower() == ".csv" else _rows
    for line, row in rows(path, _lines(file), problems):
        if len(scenarios) == MOST_ROWS:
            raise LineProblem(line, f"is more than {MOST_ROWS:,} rows, which no set of questions has")
        schema = schema or _row_schema(row)
        if schema is None:
            problems.append(Problem(path, line, "", _unknown(row)))
            return Report(None, problems)
        try:
            scenario = _SCHEMAS[schema].model_validate(row)
        except ValidationError as error:
            problems.extend(row_problems(path, line, error))
            continue
        if scenario.key in first_line and schema == "chat" and scenario.id is None:
            repeated += 1
            continue
        if scenario.key in first_line:
            same = "id" if scenario.id else "text"
            reason = f"same {same} as line {first_line[scenario.key]}"
            problems.append(Problem(path, line, "id" if scenario.id else "", reason))
            continue
        first_line[scenario.key] = line
        scenarios.append(scenario)
    if not problems and schema is None:
        problems.append(Problem(path, 1, "", "holds no rows"))
    if problems or schema is None:
        return Report(None, problems)
    return Report(Dataset(path, schema, file.sha256, tuple(scenarios), repeated=repeated), [])


def _lines(file: TextLines) -> Iterator[tuple[int, str]]:
    """The lines of a file that is no git-lfs pointer. Raises LineProblem."""
    for number, line in file:
        if number == 1 and line.startswith(LFS_POINTER):
            reason = "is a git-lfs pointer, not the data: run `git lfs pull` in that checkout, or fetch the file itself"
            raise LineProblem(1, reason)
        yield number, line


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _rows(path: Path, lines: _Lines, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in lines:
        if not line.strip():
            continue
        if len(problems) >= MOST_PROBLEMS:
            raise LineProblem(number, "was not read any more, after so many problems")
        try:
            row = json.loads(line)
        except ValueError as error:
            problems.append(Problem(path, number, "", f"is not JSON: {one_line(str(error), 80)}"))
            continue
        except RecursionError:
            problems.append(Problem(path, number, "", "is not a row: nested too deep"))
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            problems.append(Problem(path, number, "", "is not a JSON object"))


CSV_FIELDS = {
    "Category": "category",
    "Question": "question",
    "Best Answer": "best_answer",
    "Correct Answers": "correct_answers",
    "Incorrect Answers": "incorrect_answers",
    "Best Incorrect Answer": "best_incorrect_answer",
}
"""The columns of TruthfulQA.csv and their fields; older releases lack the last one."""
_CSV_OPTIONAL = frozenset({"Category", "Best Incorrect Answer"})


def _csv_rows(path: Path, lines: _Lines, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader((line for _, line in lines), strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1  # the first line of the next row; a quoted cell may span several
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(Problem(path, line, "", f"is not CSV: {one_line(str(error), 80)}"))
            return
        if cells is None:
            return
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip() for cell in cells]
            missing = [name for name in CSV_FIELDS if name not in header and name not in _CSV_OPTIONAL]
            if missing or len(set(header)) < len(header):
                problem = f"has no column {missing[0]!r}" if missing else "names a column twice"
                problems.append(Problem(path, line, "", f"{problem}: not the columns of TruthfulQA.csv"))
                return
        elif len(problems) >= MOST_PROBLEMS:
            raise LineProblem(line, "was not read any more, after so many problems")
        elif len(cells) != len(header):
            problems.append(Problem(path, line, "", f"has {len(cells)} cells, and the header {len(header)}"))
        else:
            yield line, _csv_fields(dict(zip(header, cells, strict=True)))


def _csv_fields(row: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {field: row[name] for name, field in CSV_FIELDS.items() if name in row}
    if not fields.get("best_incorrect_answer", "").strip():
        fields.pop("best_incorrect_answer", None)
    for field in ("correct_answers", "incorrect_answers"):
        fields[field] = [part.strip() for part in fields[field].split(";") if part.strip()]
    return fields


OF_NO_SCHEMA = "which no schema has"
"""What the problem of a file says whose rows have none of emeval's schemas."""


def _unknown(row: Mapping[str, object]) -> str:
    names = one_line(", ".join(row), 100)
    return (
        f"has the fields {names or 'of no name'}, {OF_NO_SCHEMA}: a row has prompt (an open question), messages "
        "(a chat), scenario_mcq, or the fields of another set (docs/data.md)"
    )


def _row_schema(row: dict[str, Any]) -> SchemaName | None:
    if holds_a_chat(row):
        return "chat"
    if "question" in row and "answer" in row:
        return "gsm8k"
    return next((schema for schema, fields in _DISTINCTIVE_FIELDS if fields & row.keys()), None)


def row_problems(path: Path, line: int, error: ValidationError) -> Iterator[Problem]:
    """What pydantic found wrong with a row."""
    for detail in error.errors(include_url=False, include_input=False):
        field = ".".join(str(part) for part in detail["loc"])
        reason = "is missing" if detail["type"] == "missing" else detail["msg"].removeprefix("Value error, ")
        yield Problem(path, line, one_line(field, 60), one_line(reason))
