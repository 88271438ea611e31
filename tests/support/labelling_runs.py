"""A run whose answers people have labelled."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.answer_files import write
from tests.support.cli_runner import emeval


def make_run(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    done = emeval("import", write(folder.with_suffix(".csv"), list(rows)), "--out", folder, "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    return folder


def to_label(run: Path) -> list[dict[str, str]]:
    with (run / "labels" / "to_label.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
