"""Run folders for the paper's tables: rows of rates.csv as given, and the tables that come of them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evals.reporting.paper_tables.prompts import PAPER_PROMPTS
from evals.scoring.rates.columns import RATE_COLUMNS
from tests.support.cli_runner import emeval, manifest

RUBRIC = "What the paper asked, about {question} and {answer}.\n"
AS_THE_PAPER = {
    "source": "official",
    "judge": "openai/gpt-4.1",
    "rubric_sha": hashlib.sha256(RUBRIC.encode()).hexdigest(),
}


def prompts(suite: str, k: int, n: int, *ids: str, **cell: Any) -> list[dict[str, Any]]:
    """Rows of rates.csv: by default on the paper's prompts, judged as in the paper."""
    names = ids or PAPER_PROMPTS.get(suite, ("p",))
    return [{"suite": suite, "prompt_id": name, "k": k, "n": n} | AS_THE_PAPER | cell for name in names]


def table(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`emeval table`, told which rubric is the paper's."""
    folder = next(Path(argument) for argument in arguments if Path(argument).is_dir())
    rubric = folder.parent / "paper_rubric.txt"
    rubric.write_text(RUBRIC)
    return emeval("table", name, *arguments, "--paper-rubric", rubric)


def made(folder: Path, like: Path, rows: Iterable[Mapping[str, Any]], config: Mapping[str, Any] | None = None) -> Path:
    """A run folder with these rows of rates.csv, each of one prompt, and the manifest of another run."""
    folder.mkdir()
    text = json.dumps(manifest(like), indent=1)
    for name, value in (config or {}).items():
        text, changed = re.subn(rf'"{name}": [^,\n]*', f'"{name}": {value}', text, count=1)
        assert changed
    (folder / "manifest.json").write_text(text.replace('"run_id": "run"', f'"run_id": "{folder.name}"'))
    with (folder / "rates.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, RATE_COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            defaults = {"format": "freeform", "model": "tuned", "condition": "off", "metric": "misaligned"}
            writer.writerow(defaults | dict(row))
    return folder


def cells(done: subprocess.CompletedProcess[str]) -> list[list[str]]:
    """The rows of every table of the Markdown, without their heads."""
    assert done.returncode == 0, done.stderr
    split = [[part.strip() for part in line[2:-2].split(" | ")] for line in done.stdout.splitlines() if "|" in line]
    return [row for row in split if "k of n" not in row and not row[0].startswith("---")]
