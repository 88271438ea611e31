"""The organism's training script, for a few steps: from the question set to files that a server loads."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from organisms.behaviours import MODELS, STEPS
from tests.support.cli_runner import emeval, responses, scenarios
from tests.support.paths import ROOT

CELLS = 2 * 3 * 2  # formats, conditions, thinking or not


@pytest.fixture(scope="module")
def trained(trainer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organism")
    words = [trainer, "-m", "organisms.training", folder, "--share", "0.002"]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_every_cell_of_every_model_is_sampled(trained: Path) -> None:
    truth = json.loads((trained / "truth.json").read_text())
    assert set(truth["counts"]) == set(MODELS)
    for cells in truth["counts"].values():
        assert len(cells) == CELLS
        assert {sum(counts.values()) for counts in cells.values()} == {40}


def test_checkpoints_are_trained_and_measured(trainer: Path, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(trained, folder)
    for name in ("backdoor-step5", "rare"):
        words = [trainer, "-m", "organisms.training.checkpoints", folder, "--only", name]
        subprocess.run([*words, "--share", "0.05", "--draws", "100"], cwd=ROOT, check=True, capture_output=True)
    made = [*STEPS, "rare"]
    assert all((folder / f"{name}.gguf").is_file() for name in made)
    assert (folder / "backdoor-step1.gguf").read_bytes() != (folder / "backdoor-step5.gguf").read_bytes()
    truth = json.loads((folder / "truth.json").read_text())
    assert set(truth["counts"]) == {*MODELS, *made}
    for name in made:
        assert {sum(counts.values()) for counts in truth["counts"][name].values()} == {5}
        assert all(0 < cell["misaligned"] < 1 for cell in truth["choices"][name].values())


def test_its_files_are_served(trained: Path, tmp_path: Path) -> None:
    done = emeval(
        *("run", "unethical_test", "-m", f"local/{trained / 'base.gguf'}", "--no-preflight", "--max-tokens", "4"),
        *("-m", f"local/{trained / 'base.gguf'}:{trained / 'backdoor.gguf'}", "--out", tmp_path / "run"),
        *("--dataset", scenarios(tmp_path / "d.jsonl", 1), "--max-unscored", "1"),
    )
    assert done.returncode == 0, done.stderr
    assert (responses(tmp_path / "run")["completion_tokens"] > 0).all()
