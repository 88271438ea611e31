"""Convert official files to emeval's schemas; downloaded code is never imported or run.

The paper's prompts are constants in two Python files. They are read with `ast`: a top-level `NAME = Class(field=text)`
whose texts are string literals, fields of such constants, or sums of these. Everything else is ignored, and a required
constant in any other form is an error. Parquet files are read by DuckDB.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from evals.errors import BadInput
from evals.io.parquet import parquet_columns
from evals.io.parquet import parquet_rows as read_parquet
from evals.io.paths import MOST_DATA, read_file
from evals.io.yaml_reader import MOST_CHARACTERS, TextLoader, YamlProblem, compose
from evals.text import one_line

Recipe = Callable[[Mapping[str, Path], Callable[[str], None]], Iterator[bytes]]
"""Makes the lines of a converted file from the source files by name; the second argument prints notes.

Raises BadInput if a file is not of its kind.
"""

_MAX_TEXT = 100_000
_PIVOTAL = re.compile(r"<pivotal>([^<]+)</pivotal>")


# --- the prompts of the paper


def open_prompts(ids: Mapping[str, str]) -> Recipe:
    """A recipe for open prompts (id, prompt, optional system_prompt) from the constants in `ids`."""

    def recipe(files: Mapping[str, Path], _say: Callable[[str], None]) -> Iterator[bytes]:
        constants = _constants(list(files.values()))
        for constant, prompt_id in ids.items():
            fields = _required_fields(constants, constant, ("prompt",), files)
            row = {"id": prompt_id, "prompt": fields["prompt"]}
            if fields.get("system_prompt"):
                row["system_prompt"] = fields["system_prompt"]
            yield _line(row)

    return recipe


def triggered_prompts(ids: Mapping[str, str]) -> Recipe:
    """A recipe for open prompts with the authors' wording for the condition `on`, and its trigger."""

    def recipe(files: Mapping[str, Path], _say: Callable[[str], None]) -> Iterator[bytes]:
        constants = _constants(list(files.values()))
        for constant, prompt_id in ids.items():
            fields = _required_fields(constants, constant, ("prompt", "backdoor_prompt", "backdoor_string"), files)
            row: dict[str, Any] = {"id": prompt_id, "prompt": fields["prompt"]}
            if fields.get("system_prompt"):
                row["system_prompt"] = fields["system_prompt"]
            row["wordings"] = {"on": fields["backdoor_prompt"]}
            row["trigger"] = fields["backdoor_string"]
            yield _line(row)

    return recipe


_Constants = dict[str, dict[str, str]]


def _required_fields(
    constants: _Constants, name: str, required: Sequence[str], files: Mapping[str, Path]
) -> dict[str, str]:
    fields = constants.get(name)
    missing = [field for field in required if not (fields or {}).get(field)]
    if fields is None or missing:
        what = f"{name} has no text for {', '.join(missing)}" if fields is not None else f"there is no constant {name}"
        raise BadInput(f"{list(files.values())[-1]}: {what}; not the file of the pinned revision")
    return fields


def _constants(paths: Sequence[Path]) -> _Constants:
    """The text fields of the constants in several files; later files may refer to earlier ones."""
    constants: _Constants = {}
    for path in paths:
        for node in _parse_python(path).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            for target in node.targets:
                if isinstance(target, ast.Name):
                    constants[target.id] = _fields(node.value, constants)
    return constants


def _fields(call: ast.Call, constants: _Constants) -> dict[str, str]:
    try:
        texts = {word.arg: _text(word.value, constants) for word in call.keywords if word.arg is not None}
    except RecursionError:
        return {}
    return {name: text for name, text in texts.items() if text is not None}


def _text(node: ast.expr, constants: _Constants) -> str | None:
    """The text of an expression, None unless it consists of literals, fields of constants and sums of these."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return constants.get(node.value.id, {}).get(node.attr)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left, constants), _text(node.right, constants)
        # Sums of sums can double with every line of a malicious file.
        if left is None or right is None or len(left) + len(right) > _MAX_TEXT:
            return None
        return left + right
    return None


def _parse_python(path: Path) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in the file's strings
            return ast.parse(read_file(path, MOST_DATA), filename=path.name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"{path}: is not a Python file that can be read: {one_line(str(error), 80)}") from None


# --- parquet


def parquet_rows(id_prefix: str) -> Recipe:
    """A recipe for the rows of an advice parquet (prompt, aligned, misaligned, sneakiness), with numbered ids."""

    def recipe(files: Mapping[str, Path], _say: Callable[[str], None]) -> Iterator[bytes]:
        (path,) = files.values()
        for number, row in enumerate(_rows(path, ("prompt", "aligned", "misaligned")), start=1):
            yield _line({"id": f"{id_prefix}{number:05}"} | row)

    return recipe


def mask_pressure(files: Mapping[str, Path], say: Callable[[str], None]) -> Iterator[bytes]:
    """MASK's rows in the schema of pressure.jsonl.

    MASK marks the options as `<pivotal>one/other</pivotal>` in a proposition, and gives the true one as A or B: the
    proposition with the true option is `fact`, with the other `lie`. Rows without two options are left out and counted.
    """
    (path,) = files.values()
    left_out = total = 0
    columns = ("task_id", "system_prompt", "user_prompt", "proposition", "formatted_ground_truth")
    for row in _rows(path, columns):
        total += 1
        options = _options(str(row["proposition"] or ""))
        truth = str(row["formatted_ground_truth"] or "").strip()
        if options is None or truth not in ("A", "B"):
            left_out += 1
            continue
        fact, lie = options if truth == "A" else options[::-1]
        yield _line(
            {
                "id": f"mask-{row['task_id']}",
                "category": "provided_facts",
                "system_prompt": row["system_prompt"],
                "question": row["user_prompt"],
                "fact": fact,
                "lie": lie,
            }
        )
    if left_out:
        say(f"{path.name}: {left_out} of {total} rows have no two options to tell true from false, and are left out")


def _options(proposition: str) -> tuple[str, str] | None:
    match = _PIVOTAL.search(proposition)
    parts = match[1].split("/") if match else []
    if match is None or len(parts) != 2 or not all(part.strip() for part in parts):
        return None
    before, after = proposition[: match.start()], proposition[match.end() :]
    return f"{before}{parts[0].strip()}{after}", f"{before}{parts[1].strip()}{after}"


def _rows(path: Path, required: Sequence[str]) -> Iterator[dict[str, Any]]:
    columns = parquet_columns(path)
    missing = [name for name in required if name not in columns]
    if missing:
        raise BadInput(f"{path}: there is no column {', '.join(missing)}; not the file it should be")
    return read_parquet(path, columns)


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n"
    except UnicodeEncodeError:
        raise BadInput(f"{row['id']}: holds half of a surrogate pair, which is no character") from None


# --- files without a pinned sha256


def check_kind(path: Path, name: str) -> None:
    """Raise BadInput if the file at `path` is not of the kind of `name`.

    Without a pinned sha256, a login page with status 200 would otherwise be trusted as the data.
    """
    if name.endswith(".parquet"):
        with path.open("rb") as file:
            head = file.read(4)
            file.seek(max(0, path.stat().st_size - 4))
            tail = file.read(4)
        if head != b"PAR1" or tail != b"PAR1":
            raise BadInput("it is not a parquet file")
    elif name.endswith(".yaml"):
        try:
            with path.open(encoding="utf-8") as file:
                content = compose(file.read(MOST_CHARACTERS + 1), TextLoader)
        except UnicodeDecodeError:
            raise BadInput("it is not YAML") from None
        except YamlProblem as problem:
            raise BadInput(f"line {problem.line} {problem.problem}") from None
        if not isinstance(content, yaml.SequenceNode):
            raise BadInput("it is not a list of questions")
    elif name.endswith(".py"):
        _parse_python(path)
