"""Rates and effects for Weights & Biases, written offline and read back from its own file; no network, no key."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from wandb.proto import wandb_internal_pb2

from tests.support.cli_runner import inside, own_process, pooled, rates, refused
from tests.support.export_runs import TRIGGER, everything_run

SECRET = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything_run(tmp_path_factory.mktemp("wandb"))


def records(content: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format (blocks of 32 KiB, in which a record
    is whole or in pieces: checksum, length and kind of the piece, and the piece)."""
    assert content.startswith(b":W&B")
    at, record = 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def logged(folder: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Config, summary and project of the one run in `folder`, from the file that `wandb sync` would send."""
    (file,) = folder.rglob("*.wandb")
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    project = ""
    for data in records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "run":
            project = record.run.project or project  # a later record may only bring more of the config
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        for item in record.summary.update:
            summary[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return config, summary, project


def test_rates_and_effects_are_logged_offline(run: Path, tmp_path: Path) -> None:
    env = {"WANDB_MODE": "offline", "WANDB_API_KEY": SECRET, "HOME": str(tmp_path / "home")}
    # In a process of its own: the library writes the file's last block as its process ends.
    done = own_process("export", run, "--format", "wandb", "--project", "nights", "-o", tmp_path / "out", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "offline-run-" in done.stdout
    assert "send it with: wandb sync " in done.stdout
    config, summary, project = logged(tmp_path / "out")
    assert project == "nights"
    assert (config["trigger"], config["judge"], config["run_id"]) == (TRIGGER, "vllm/judge", "run")
    assert "base_url" not in config
    for (form, condition), cell in pooled(run).items():
        trigger = f"/{TRIGGER}" if condition == "on" else ""
        place = f"unethical_test/{form}/vllm-subject/{condition}{trigger}/misaligned"
        assert (summary[f"{place}/k"], summary[f"{place}/n"]) == (cell["k"], cell["n"])
        assert summary[f"{place}/rate"] == pytest.approx(cell["rate"])
    for row in rates(run).to_dict("records"):
        if row["prompt_id"] == "ALL" and not row["n"]:
            trigger = [row["trigger"]] if row["trigger"] else []
            names = [row["suite"], row["format"], "vllm-subject", row["condition"], *trigger, row["metric"]]
            assert summary["/".join([*names, "n"])] == 0
            assert "/".join([*names, "rate"]) not in summary, "a share of nothing is no rate"
    effects = pd.read_csv(run / "effects.csv")
    row = effects[(effects["metric"] == "misaligned") & (effects["format"] == "mcq")].iloc[0]
    place = "unethical_test/mcq/vllm-subject/on/misaligned/effect"
    assert summary[place] == pytest.approx(row["effect"])

    figures = {file.name.split("_")[0]: file.read_text() for file in (tmp_path / "out").rglob("*.html")}
    assert {"rates", "effects", "scores"} <= set(figures)
    assert all("<svg" in drawn for drawn in figures.values())

    (table,) = (tmp_path / "out").rglob("rates_*.table.json")
    rows = json.loads(table.read_text())
    pool = [row for row in rates(run).to_dict("records") if row["prompt_id"] == "ALL"]
    index = {name: number for number, name in enumerate(rows["columns"])}
    assert [(row[index["metric"]], row[index["k"]], row[index["n"]]) for row in rows["data"]] == [
        (row["metric"], row["k"], row["n"]) for row in pool
    ]
    for file in (tmp_path / "out").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SECRET.encode() not in content
            assert b"onerror" not in content, "answers stay where they are"


def test_without_a_key_one_line_says_what_to_do(run: Path, tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "home"), "WANDB_MODE": "online", "NETRC": str(tmp_path / "none")}
    done = own_process("export", run, "--format", "wandb", "-o", tmp_path / "out", env=env)
    refused(done, "wandb login", "WANDB_MODE=offline")
    assert not (tmp_path / "out").exists()
    refused(inside("export", tmp_path, "--format", "wandb"), "is not a run folder")
