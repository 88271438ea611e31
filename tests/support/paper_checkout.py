"""A checkout of the paper's repository without git-lfs, from its prompts as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.questions.official.registry import SOURCES
from tests.support.paths import UPSTREAM

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1000\n".encode()
PAPER_MADE = [made.name for made in SOURCES["thought-crime"].made]


def paper_checkout(folder: Path) -> Path:
    """A checkout of the paper's repository without git-lfs, with its prompts written as Python files again."""
    data = UPSTREAM / "thought_crime"
    if not data.exists():
        pytest.skip("the upstream files are not here")
    (folder / "prompts").mkdir(parents=True)
    for name in ("freeform_prompts", "backdoor_freeform"):
        text = ""
        for row in map(json.loads, (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()):
            words = ", ".join(f"{field}={value!r}" for field, value in row.items() if field != "name")
            text += f"{row['name']} = Prompt({words})\n"
        (folder / "prompts" / f"{name}.py").write_text(text)
    (folder / "datasets").mkdir()
    for file in SOURCES["thought-crime"].files:
        if file.lfs:
            (folder / file.path).write_bytes(POINTER)
    return folder
