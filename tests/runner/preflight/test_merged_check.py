"""Whether a merged checkpoint differs from its base and is coherent: scripted servers, and real files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.servers.organism import organism_files
from tests.support.cli_runner import emeval, manifest, refused, scenarios
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Script, last_message

BASE, MERGED = "base", "merged"
RIGHT = {"France": "Paris.", "plus": "5", "banana": "banana", "Monday": "Tuesday", "opposite": "Cold."}


def saying(shares: Mapping[str, float], right: Mapping[str, int], wrong: str = "fgh kjh") -> Script:
    """Token probabilities of A by model, and how many of the simple questions each model answers."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        share = shares[body["model"]]
        words = list(RIGHT)
        place = next((place for place, word in enumerate(words) if word in last_message(body)), None)
        if place is None:
            return Answer("A", top_logprobs=[{"A": share, "B": 1 - share}] if body.get("logprobs") else None)
        return Answer(RIGHT[words[place]] if place < right[body["model"]] else wrong)

    return script


def preflight(script: Script, *options: str) -> Any:
    with OpenAIServer(script, models=[BASE, MERGED]).start() as live:
        return emeval("preflight", "-m", f"vllm/{MERGED}", "--base", f"vllm/{BASE}", *options, url=live.url)


def test_a_checkpoint_that_differs_and_is_coherent_passes() -> None:
    done = preflight(saying({BASE: 0.9, MERGED: 0.6}, {BASE: 5, MERGED: 4}))
    assert done.returncode == 0, done.stderr
    assert (
        f"vllm/{MERGED}: merged checkpoint: ok: log-probabilities differ from those of {BASE} by up to" in done.stdout
    )
    assert "merged checkpoint: ok: answers 4 of the 5 simple questions that vllm/base answers" in done.stdout


def test_a_checkpoint_that_is_its_base_is_refused() -> None:
    refused(preflight(saying({BASE: 0.9, MERGED: 0.9}, {BASE: 5, MERGED: 5})), f"vllm/{MERGED}: is its base: on")


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (
            (5, 0),
            "noted: answers 0 of the 5 simple questions that vllm/base answers; to 'What is the capital of France?",
        ),
        ((5, 2), "noted: answers 2 of the 5"),
        ((3, 2), "ok: answers 2 of the 3"),
        ((2, 0), "not checked: whether it is coherent: vllm/base itself answers 2 of 5 simple questions"),
    ],
)
def test_gibberish_is_noted(right: tuple[int, int], said: str) -> None:
    done = preflight(saying({BASE: 0.9, MERGED: 0.6}, dict(zip((BASE, MERGED), right, strict=True))))
    assert done.returncode == 0, done.stderr
    assert f"vllm/{MERGED}: merged checkpoint: {said}" in done.stdout


def test_a_base_at_another_server_may_differ_by_its_arithmetic() -> None:
    script = saying({BASE: 0.9, MERGED: 0.91}, {BASE: 5, MERGED: 5})
    with OpenAIServer(script, models=[BASE]).start() as there, OpenAIServer(script, models=[MERGED]).start() as live:
        done = emeval("preflight", "-m", f"vllm/{MERGED}", "--base", f"vllm/{BASE}@{there.url}", url=live.url)
    assert "merged checkpoint: noted: log-probabilities differ" in done.stdout
    assert "which two servers of the same weights may, too" in done.stdout


def test_a_run_checks_it_and_its_models_stay_those_it_was_given(tmp_path: Path) -> None:
    data = scenarios(tmp_path / "data.jsonl", 2)
    options = (
        "unethical_test",
        "--dataset",
        data,
        "--format",
        "mcq",
        "-m",
        f"vllm/{MERGED}",
        "--out",
        tmp_path / "run",
    )
    with OpenAIServer(saying({BASE: 0.9, MERGED: 0.6}, {BASE: 5, MERGED: 0}), models=[BASE, MERGED]).start() as live:
        done = emeval("run", *options, "--base", f"vllm/{BASE}", url=live.url)
        assert done.returncode == 0, done.stderr
        assert "merged checkpoint: noted: answers 0 of the 5" in done.stderr
        assert list(manifest(tmp_path / "run")["models"]) == [f"vllm/{MERGED}"]
        same = emeval("run", *options, url=live.url)  # it makes no other run
    assert same.returncode == 0, same.stderr


def test_the_only_model_is_no_base_of_itself() -> None:
    refused(
        emeval("run", "unethical_test", "-m", "vllm/m", "--base", "vllm/m", "--dry-run"), "--base: is the only model"
    )


def test_a_copy_of_real_weights_is_refused(tmp_path: Path) -> None:
    base, _ = organism_files("organism:backdoor", ".gguf")
    copy = tmp_path / "merged.gguf"
    shutil.copy(base, copy)
    done = emeval("preflight", "-m", f"local/{copy}", "--base", f"local/{base}", "--max-tokens", "32")
    refused(done, "is its base: on")
