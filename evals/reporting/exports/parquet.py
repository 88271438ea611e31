"""Export a run as Parquet, or as a folder for Hugging Face `datasets`, with rates and a card.

DuckDB writes the files from rows on disk, so memory does not depend on the size of the run.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import BadInput
from evals.reporting.exports.dataset_card import card
from evals.reporting.exports.jsonl import COLUMNS, answer_rows, write_jsonl
from evals.reporting.exports.output_path import whole_file_path, whole_folder
from evals.runner.count import RunResult, count_run
from evals.text import install_extra, one_line
from evals.trials.journal import Journal

if TYPE_CHECKING:
    import pandas as pd

_SHORTEST_BUFFER = 2**20
"""In bytes; DuckDB buffers two rows of the maximum length."""
_OURS = {"README.md", "data/responses.parquet", "data/rates.parquet", "data/effects.parquet"}


def need_parquet_writer() -> None:
    """Raise BadInput if DuckDB is not installed."""
    if importlib.util.find_spec("duckdb") is None:
        raise BadInput(f"Parquet files are written by DuckDB: {install_extra('parquet')}")


def export_parquet(run: Path, target: Path, *, force: bool = False) -> int:
    """Write the trials of the run `run` to the Parquet file `target`, and return their number. Raises BadInput."""
    need_parquet_writer()
    manifest = count_run(run, None, must_write=False).manifest
    with Journal.read(run) as journal, whole_file_path(target, force=force) as made:
        return _write(made, answer_rows(journal, manifest), _types())


def export_hf(run: Path, target: Path, *, force: bool = False, licence: str | None = None) -> int:
    """Write trials, rates, effects and a card to `target` for `datasets.load_dataset`; returns the number of trials.

    `licence` is a Hugging Face licence id for the card, by default "unknown". Raises BadInput.
    """
    need_parquet_writer()
    counted = count_run(run, None, must_write=False)
    with Journal.read(run) as journal, whole_folder(target, force=force, is_ours=_is_ours) as made:
        data = made / "data"
        data.mkdir()
        written = _write(data / "responses.parquet", answer_rows(journal, counted.manifest), _types())
        if not written:
            raise BadInput(f"{run} holds no answers yet")
        tables = {"rates": counted.tables.rates, "effects": counted.tables.all_effects}
        filled = {name: table for name, table in tables.items() if len(table)}
        for name, table in filled.items():
            _write(data / f"{name}.parquet", _table_rows(table), _table_types(table))
        (made / "README.md").write_text(_card(counted, written, tuple(filled), licence), encoding="utf-8")
        return written


def _is_ours(path: Path) -> bool:
    return path.as_posix() in _OURS


def _card(counted: RunResult, written: int, tables: tuple[str, ...], licence: str | None) -> str:
    return card(counted.manifest, counted.tables.rates, written, tables, licence)


def _types() -> dict[str, str]:
    return {name: kind for name, (kind, _) in COLUMNS.items()}


def _table_types(table: pd.DataFrame) -> dict[str, str]:
    kinds = {"i": "BIGINT", "f": "DOUBLE", "b": "BOOLEAN"}
    return {str(name): kinds.get(table[name].dtype.kind, "VARCHAR") for name in table.columns}


def _table_rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a table, with None for blank cells."""
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def _write(path: Path, rows: Iterator[dict[str, Any]], types: Mapping[str, str]) -> int:
    """Write `rows` with columns of these types, and return their number. Raises BadInput."""
    duckdb: Any = importlib.import_module("duckdb")
    lines = path.with_name(f".{path.name}.jsonl")
    settings = {
        "memory_limit": "2GB",
        "threads": 1,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        written = write_jsonl(lines, rows)
        longest = max(written.longest + 1, _SHORTEST_BUFFER)
        columns = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in types.items())
        source = _quoted("".join(f"[{char}]" if char in "*?[" else char for char in str(lines)))
        given = f"format='newline_delimited', columns={{{columns}}}, maximum_object_size={longest}"
        read = f"read_json({source}, {given})"
        with duckdb.connect(":memory:", config=settings) as connection:
            wanted = f"SELECT * FROM {read}"  # noqa: S608  emeval's own column names and types, and quoted paths
            connection.execute(f"COPY ({wanted}) TO {_quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)")
        return written.rows
    except duckdb.Error as error:
        raise BadInput(f"{path}: cannot be written: {one_line(str(error), 160)}") from None
    finally:
        lines.unlink(missing_ok=True)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
