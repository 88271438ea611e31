"""A run of an adapter through a real `vllm run-batch`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from evals.batches.shard import read_batch
from tests.support.cli_runner import emeval, manifest, responses
from tests.support.servers.vllm_cpu import ENVIRONMENT, WHOLE

MODEL = "vllm/organism:backdoor"


def test_vllm_answers_the_files_of_an_adapter_and_says_what_it_cannot(vllm: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("unethical_test", "-m", MODEL, "--trigger", "Country: Singapore", "--limit", "2", "--format", "both")
    emeval("run", *words, "--max-tokens", "32", "--out", folder, "--plan-only")
    done = emeval("batch", "export", folder, "--for", "vllm", "-m", MODEL)
    assert done.returncode == 0, done.stderr
    (place,) = (folder / "batch").iterdir()
    batch = read_batch(place)
    assert batch is not None
    requests, results = place / batch.files[0].name, tmp_path / "results.jsonl"
    lines = requests.read_text(encoding="utf-8").splitlines(keepends=True)
    # More tokens than the model has room for: an error beside a response without a body.
    lines[0] = lines[0].replace('"max_tokens":32', '"max_tokens":100000')
    requests.write_text("".join(lines), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_")} | ENVIRONMENT
    command = [
        *(vllm, "run-batch", "-i", requests, "-o", results, "--model", batch.base, "--enable-lora"),
        *("--lora-modules", f"{batch.served_name}={batch.adapter}", "--max-lora-rank", "64"),
        *("--generation-config", "vllm", *WHOLE.split()),
    ]
    path = f"{vllm.parent}{os.pathsep}{environment['PATH']}"
    ran = subprocess.run(
        command,
        env=environment | {"PATH": path, "VLLM_TARGET_DEVICE": "cpu", "VLLM_NO_USAGE_STATS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    done = emeval("batch", "import", folder, results, "-m", MODEL, "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    assert "answers: 12 recorded, 1 of them failed; 0 still missing" in done.stderr
    answers = responses(folder)
    assert list(answers["outcome"]).count("failed") == 1
    chosen = answers[answers["format"] == "mcq"]
    assert set(chosen[chosen["outcome"] != "failed"]["choice"]) <= {"A", "B"}
    assert (answers[answers["outcome"] != "failed"]["reasoning"] != "").all()
    assert manifest(folder)["models"][MODEL]["by_file"] is True
