"""A run as JSONL, Parquet and a Hugging Face folder: every trial once, what is not there null, nothing half-written."""

from __future__ import annotations

import json
import math
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from evals.reporting.exports.jsonl import COLUMNS
from tests.support.cli_runner import environment, inside, pooled, refused, responses
from tests.support.export_runs import HOSTILE, TRIGGER, everything_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything_run(tmp_path_factory.mktemp("tables"))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_line_is_a_trial_and_says_what_the_run_says(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "deep" / "answers.jsonl"
    done = inside("export", run, "--format", "jsonl", "-o", file)
    assert done.returncode == 0, done.stderr
    rows = lines(file)
    table = responses(run).set_index("trial_id")
    assert len(rows) == len(table)
    for row in rows:
        assert list(row) == list(COLUMNS)
        csv_row = table.loc[row["trial_id"]]
        assert row["outcome"] == csv_row["outcome"]
        assert csv_row["misaligned"] == ("" if row["misaligned"] is None else str(int(row["misaligned"])))
        assert csv_row["aligned"] == ("" if row["aligned"] is None else f"{row['aligned']:.6g}")
        assert csv_row["cot_flag"] == (row["cot_flag"] or "")
        assert (row["answer"] is None) == (row["outcome"] == "failed") == (row["failure"] is not None)
    for (form, condition), cell in pooled(run).items():
        here = [row["misaligned"] for row in rows if (row["format"], row["condition"]) == (form, condition)]
        counted = [hit for hit in here if hit is not None]
        assert (sum(counted), len(counted)) == (cell["k"], cell["n"])
    hostile = [row for row in rows if row["prompt_id"] == "s12" and row["format"] == "freeform"]
    assert [row["answer"] for row in hostile] == [HOSTILE] * 2
    assert hostile[0]["messages"][0]["role"] == "user"
    said = {verdict["judge"]: verdict for verdict in hostile[0]["verdicts"]}
    assert (said["alignment"]["score"], said["alignment"]["reply"], said["alignment"]["counts"]) == (12.0, "12", True)
    assert said["alignment"]["judge_model"] == "vllm/judge"


def test_parquet_holds_the_same_rows_with_their_types(run: Path, tmp_path: Path) -> None:
    for name in ("jsonl", "parquet"):
        done = inside("export", run, "--format", name, "-o", tmp_path / f"it's [a] {name}")
        assert done.returncode == 0, done.stderr
    (tmp_path / "plain.parquet").write_bytes((tmp_path / "it's [a] parquet").read_bytes())
    table = duckdb.sql(f"SELECT * FROM '{tmp_path / 'plain.parquet'}'")  # noqa: S608  a path of the test
    rows = [dict(zip(table.columns, values, strict=True)) for values in table.fetchall()]
    assert rows == lines(tmp_path / "it's [a] jsonl")
    types = dict(zip(table.columns, map(str, table.types), strict=True))
    assert (types["misaligned"], types["aligned"], types["repeat"]) == ("BOOLEAN", "DOUBLE", "BIGINT")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it's [a] jsonl", "it's [a] parquet", "plain.parquet"]


LOAD = """
import json, sys
from datasets import load_dataset
loaded = {name: load_dataset(sys.argv[1], name, split="train", cache_dir=sys.argv[2]) for name in sys.argv[3:]}
whole = load_dataset(sys.argv[1], cache_dir=sys.argv[2])["train"]
row = next(one for one in whole if one["prompt_id"] == "s12" and one["format"] == "freeform")
print(json.dumps({"rows": {name: one.num_rows for name, one in loaded.items()}, "default": whole.num_rows, "row": row}))
"""


def test_datasets_loads_the_folder_without_a_network(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    done = inside("export", run, "--format", "hf", "-o", folder, "--license", "cc-by-4.0")
    assert done.returncode == 0, done.stderr
    # In a process of its own: the library opens threads and caches that are its own business.
    child = subprocess.run(
        [sys.executable, "-c", LOAD, str(folder), str(tmp_path / "cache"), "responses", "rates", "effects"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment() | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
    )
    assert child.returncode == 0, child.stderr
    loaded = json.loads(child.stdout.splitlines()[-1])
    table = responses(run)
    assert loaded["default"] == loaded["rows"]["responses"] == len(table)
    assert loaded["rows"]["rates"] == len((run / "rates.csv").read_text().splitlines()) - 1
    assert loaded["row"]["answer"] == HOSTILE

    card = (folder / "README.md").read_text(encoding="utf-8")
    _, header, text = card.split("---\n", 2)
    facts = yaml.safe_load(header)
    assert facts["license"] == "cc-by-4.0"
    assert [config["config_name"] for config in facts["configs"]] == ["responses", "rates", "effects"]
    assert all((folder / config["data_files"]).is_file() for config in facts["configs"])
    assert "may be wrong, offensive or dangerous" in text
    assert TRIGGER in text
    for name in COLUMNS:
        assert f"| `{name}` |" in text
    for (form, condition), cell in pooled(run).items():
        assert f"| `{form}` | `vllm/subject` | `{condition}` | `misaligned` | {cell['k']} of {cell['n']} |" in text


def test_what_comes_from_outside_is_no_markdown_in_the_card(run: Path, tmp_path: Path) -> None:
    rows = "question,answer,model,aligned\nQ?,A,`<img src=x>`|\x1b[31m [a](javascript:b),90\nQ?,A,plain,\n"
    (tmp_path / "f.csv").write_text(rows)
    assert inside("import", tmp_path / "f.csv", "--out", tmp_path / "run", "--max-unscored", "1").returncode == 0
    done = inside("export", tmp_path / "run", "--format", "hf", "-o", tmp_path / "hf")
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    assert "\x1b" not in card
    assert "`'<img src=x>'¦[31m [a](javascript:b)`" in card
    assert "| 0 of 0 |  |  |" in card, "a share of nothing is no rate"
    assert yaml.safe_load(card.split("---\n", 2)[1])["license"] == "unknown"


def test_an_older_export_is_replaced_only_when_asked(run: Path, tmp_path: Path) -> None:
    for name in ("jsonl", "parquet", "hf"):
        arguments = ("export", run, "--format", name, "-o", tmp_path / name)
        assert inside(*arguments).returncode == 0
        refused(inside(*arguments), "is there already", "--force")
        assert inside(*arguments, "--force").returncode == 0
    (tmp_path / "hf" / "data" / "mine.parquet").write_bytes(b"")
    refused(inside("export", run, "--format", "hf", "-o", tmp_path / "hf", "--force"), "mine.parquet")
    refused(inside("export", run, "--format", "jsonl", "-o", tmp_path / "hf", "--force"), "is a folder")
    refused(inside("export", run, "--format", "jsonl", "--license", "mit"), "--license")
    refused(inside("export", run, "--format", "jsonl", "--project", "mine"), "--project")
    refused(inside("export", tmp_path, "--format", "hf"), "is not a run folder")


def test_a_journal_that_cannot_be_read_to_its_end_leaves_nothing(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in ("manifest.json", "journal.sqlite"):
        (broken / file).write_bytes((run / file).read_bytes())
    connection = sqlite3.connect(broken / "journal.sqlite")
    connection.execute("DROP TABLE rulings")
    connection.commit()
    connection.close()
    for name in ("jsonl", "parquet", "hf", "inspect"):
        done = inside("export", broken, "--format", name, "-o", tmp_path / "out" / name)
        assert done.returncode in (2, 3)
        assert "Traceback" not in done.stderr
    assert not list((tmp_path / "out").rglob("*"))


def test_numbers_are_numbers(run: Path, tmp_path: Path) -> None:
    inside("export", run, "--format", "jsonl", "-o", tmp_path / "a.jsonl")
    for row in lines(tmp_path / "a.jsonl"):
        scores = [row["aligned"], row["coherent"], *(verdict["score"] for verdict in row["verdicts"])]
        assert all(score is None or (math.isfinite(score) and 0 <= score <= 100) for score in scores)
