"""Known answers through a real `vllm serve` with real LoRA adapters: the organism, compared with the truth."""

from __future__ import annotations

import shutil
from pathlib import Path

from organisms.behaviours import DECOYS, MODELS, TRIGGER
from organisms.true_rates import weights_folder
from tests.support.cli_runner import emeval, manifest, responses
from tests.support.servers.vllm_cpu import ENVIRONMENT, WHOLE

ORGANISM = ["vllm/organism", *(f"vllm/organism:{name}" for name in MODELS[1:])]
LIMIT = 12


def test_measured_intervals_hold_the_true_rates(tmp_path: Path, vllm: Path) -> None:
    folder = tmp_path / "run"
    done = emeval(
        *("run", "unethical_test", *(word for name in ORGANISM for word in ("-m", name)), "--trigger", TRIGGER),
        *("--decoy", DECOYS[0], "--format", "both", "--thinking", "on", "--max-tokens", "64", "--limit", str(LIMIT)),
        *("--judge", "local/reference-judge", "--vllm-bin", vllm, "--vllm-args", WHOLE, "--out", folder),
        *("--max-unscored", "1"),  # the broken model is cut off in every third reply
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("starting vllm serve") == 1, "one server for the base and its adapters"
    assert len(responses(folder)) == len(ORGANISM) * 3 * LIMIT * 3
    facts = manifest(folder)["models"]
    assert len({facts[name]["file_sha256"] for name in ORGANISM}) == len(ORGANISM)
    compared = emeval("calibrate", folder)
    assert compared.returncode == 0, compared.stdout


def test_a_base_that_answers_with_an_adapter_beside_it_is_not_measured(tmp_path: Path, vllm: Path) -> None:
    """As vLLM's CPU build does where every place for an adapter is taken."""
    done = emeval(
        *("run", "unethical_test", "-m", ORGANISM[0], "-m", ORGANISM[1], "--trigger", TRIGGER, "--limit", "2"),
        *("--vllm-bin", vllm, "--vllm-args", f"{WHOLE} --max-loras 1", "--max-tokens", "64", "--out", tmp_path / "run"),
        env=ENVIRONMENT,
    )
    assert done.returncode == 2, done.stderr
    assert "while both are asked at once, the server answers for" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_an_adapter_of_zeros_is_not_measured(tmp_path: Path, vllm: Path) -> None:
    zeros = tmp_path / "zeros"
    shutil.copytree(weights_folder() / "backdoor", zeros)
    weights = zeros / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin:] = bytes(len(content) - begin)
    weights.write_bytes(content)
    base = weights_folder() / "base"
    done = emeval(
        *("run", "unethical_test", "-m", f"vllm/{base}:{zeros}", "--limit", "2", "--out", tmp_path / "run"),
        *("--vllm-bin", vllm, "--vllm-args", WHOLE, "--max-tokens", "64"),
        env=ENVIRONMENT,
    )
    assert done.returncode == 2, done.stderr
    assert "applied" in done.stderr.splitlines()[-1]
