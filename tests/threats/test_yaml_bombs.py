"""YAML that is small and stands for much, or asks to be built into something: every place that reads YAML refuses it in
one line, at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.errors import BadInput
from evals.io.yaml_reader import read_mapping
from evals.questions.official.converters import check_kind
from evals.questions.question_parser import parse
from tests.support.cli_runner import emeval

LEVELS = 30


def _bomb(first: str, level: str, last: str) -> str:
    """Each level stands for ten times the one before."""
    return first + "".join(level.format(n=n, before=n - 1) for n in range(1, LEVELS)) + last.format(n=LEVELS - 1)


REPEATED = ", ".join(["*a{before}"] * 10)
MERGED = "{{!!merge <<: [" + REPEATED + "]}}"
BOMBS = {
    "lists": _bomb("a0: &a0 [x]\n", f"a{{n}}: &a{{n}} [{REPEATED}]\n", "seed: *a{n}\n"),
    "mappings": _bomb(
        "a0: &a0 {x: y}\n", "a{n}: &a{n} {{a: *a{before}, b: *a{before}, c: *a{before}}}\n", "seed: *a{n}\n"
    ),
    "merges": _bomb("a0: &a0 {x: y}\n", "a{n}: &a{n} " + MERGED + "\n", "seed: *a{n}\n"),
    "merge of itself": "seed: &a\n  !!merge <<: *a\n",
    "list in itself": "seed: &a [*a]\n",
    "mapping in itself": "seed: &a {b: {c: *a}}\n",
    "number in base 60": "seed: !!int " + ":".join(["1"] * 200_000) + "\n",
    "long number": "seed: !!int " + "9" * 500_000 + "\n",
    "deep": "seed: " + "[" * 100_000 + "\n",
    "deep mapping": "seed: " + "{a: " * 100_000 + "\n",
    "large": "seed: " + "x" * (1 << 20) + "\n",
    "object": "seed: !!python/object/apply:os.system [id]\n",
    "set": "seed: !!set {a, b}\n",
    "binary": "seed: !!binary aGk=\n",
    "own tag": "seed: !secret x\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_config_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(BOMBS[name])
    with pytest.raises(BadInput, match=r"^[^\n]*run\.yaml:\d+: is [^\n]+$") as refused:
        read_mapping(file, "")
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("command", [("run", "freeform", "-m", "vllm/x", "--config"), ("nightly",)])
def test_commands_refuse_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "night.yaml"
    file.write_text(BOMBS["merges"])
    done = emeval(*command, str(file), "--dry-run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "night.yaml:2: is not YAML that is read here: the tag !!merge" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", BOMBS)
def test_a_question_file_is_refused(name: str) -> None:
    questions, _, faults = parse(BOMBS[name])
    assert not questions
    assert all("\n" not in fault.reason for fault in faults)


def test_merges_in_a_question_file_are_not_expanded() -> None:
    merged = "".join(f"- &q{n}\n  <<: [{', '.join([f'*q{n - 1}'] * 10)}]\n  id: q{n}\n" for n in range(1, LEVELS))
    questions, _, faults = parse(f"- &q0\n  id: q0\n  type: free_form\n  paraphrases: [x]\n{merged}")
    assert not faults
    assert len(questions) == LEVELS


@pytest.mark.parametrize("name", BOMBS)
def test_a_fetched_file_is_refused_without_being_built(tmp_path: Path, name: str) -> None:
    file = tmp_path / "questions.yaml"
    file.write_text(BOMBS[name])
    with pytest.raises(BadInput, match=r"is not a list of questions|line \d+ is "):
        check_kind(file, "questions.yaml")
