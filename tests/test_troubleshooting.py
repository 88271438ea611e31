"""The page of troubleshooting quotes what emeval prints today, and names commands and options that there are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^- `([^`]+)`(?:: |$)", PAGE, re.MULTILINE)
CAUSES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)


@cache
def printed() -> tuple[str, ...]:
    """Every text of the program, with `\\0` where a name or a number is filled in."""
    found: list[str] = []
    for package in ("evals", "judges"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return tuple(found)


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_message_is_one_that_the_program_prints(message: str) -> None:
    """Each piece between two `…` is in a text of the program."""
    pieces = [piece.strip(" .,;:()") for piece in message.split("…")]
    pieces = [piece for piece in pieces if len(piece) > 3]
    assert pieces, "nothing that could be looked for"
    longest = max(pieces, key=len)
    assert len(longest) >= 12, "too little to be sure of"
    for piece in pieces:
        assert any(piece in text for text in printed()), piece


@pytest.mark.parametrize("cause", CAUSES)
def test_a_quoted_cause_is_one_that_the_program_prints(cause: str) -> None:
    for piece in re.split(r"[;…]", cause):
        assert any(piece.strip() in text for text in printed()), piece


def test_the_page_quotes_many_messages() -> None:
    assert len(QUOTED) > 35
    assert len(CAUSES) > 5


def test_options_that_the_page_names_exist() -> None:
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    own = set(re.findall(r"(--[a-z][a-z-]+)", reference)) | {"--debug"}
    theirs = {"--served-model-name", "--lora-modules", "--generation-config", "--gpu-memory-utilization"}
    theirs |= {"--max-model-len", "--vllm-args"}
    named = set(re.findall(r"(--[a-z][a-z-]+)", PAGE))
    assert named <= own | theirs, named - own - theirs


def test_a_message_is_printed_as_it_is_quoted(tmp_path: Path) -> None:
    options = ["-m", "vllm/subject", "--out", str(tmp_path / "r"), "--base-url", "http://127.0.0.1:9/v1"]
    command = [sys.executable, "-m", "evals", "run", "unethical_test", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("emeval: http://127.0.0.1:9/v1 cannot be reached: ")
    assert "… cannot be reached: …" in QUOTED
