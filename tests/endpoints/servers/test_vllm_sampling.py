"""What a real vLLM does with the limits in a model's generation_config.json, and that emeval's are the ones that count.

The organism stands in for a model that ships such limits: most likely token only, a penalty for repetition, short
replies.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from organisms.true_rates import weights_folder
from tests.support.cli_runner import emeval, manifest, recorded, refused, responses, scenarios
from tests.support.servers.altering_proxy import altering_proxy
from tests.support.servers.vllm_cpu import ENVIRONMENT, WHOLE
from tests.support.servers.vllm_server import vllm_server

CAP = 20
"""Tokens of a reply that the user's server allows."""
SAMPLES = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limited") / "model"
    shutil.copytree(weights_folder() / "base", folder)
    limits = {"top_k": 1, "top_p": 0.8, "presence_penalty": 2.0, "max_new_tokens": 4}
    (folder / "generation_config.json").write_text(json.dumps(limits))
    return folder


@pytest.fixture(scope="module")
def server(vllm: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with vLLM's own defaults: what a request leaves out comes from the model's folder.

    The cap is set so because the folder's is only a default for a request that does not say (in vLLM 0.32).
    """
    arguments = f'{WHOLE} --override-generation-config {{"max_new_tokens":{CAP}}}'
    with vllm_server(vllm, model, "limited", arguments, tmp_path_factory.mktemp("server")) as url:
        yield url


def run(folder: Path, *options: str | Path, name: str = "vllm/limited") -> tuple[str | Path, ...]:
    """A run with several draws of the same two questions, in chats and from a prefill."""
    sizes = ("--limit", "2", "--samples", str(SAMPLES), "--format", "freeform", "--max-tokens", "64")
    return ("run", "unethical_test", "-m", name, *sizes, "--max-unscored", "1", "--out", folder, *options)


def different_replies(folder: Path) -> list[int]:
    """How many of the replies to each question differ from each other."""
    table = responses(folder)
    assert set(table["outcome"]) <= {"unjudged", "truncated"}
    assert len(table) == 2 * SAMPLES
    texts = table["reasoning"] + table["answer"]
    return [group.nunique() for _, group in texts.groupby(table["question_id"] + table["variant"])]


def test_requests_win_over_the_defaults_of_a_users_server(server: str, tmp_path: Path) -> None:
    done = emeval("preflight", "-m", "vllm/limited", url=server)
    assert done.returncode == 0, done.stderr
    assert "vllm/limited: sampler: ok: full distribution (checked)" in done.stdout
    for thinking in ("off", "on"):
        done = emeval(*run(tmp_path / thinking, "--thinking", thinking, "--no-preflight"), url=server)
        assert done.returncode == 0, done.stderr
        assert min(different_replies(tmp_path / thinking)) > 1
        assert manifest(tmp_path / thinking)["config"]["sampling"] == "full"


def test_a_penalty_in_the_folder_is_turned_off(server: str, tmp_path: Path) -> None:
    """No other limit of the folder matters at temperature 0, and on such a prompt the model repeats itself."""
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    dataset.write_text(json.dumps(json.loads(dataset.read_text()) | {"scenario_freeform": "x" * 40}) + "\n")
    said: dict[str, str] = {}
    for sampling in ("full", "model"):
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/limited", "--dataset", dataset, "--format", "freeform"),
            *("--temperature", "0", "--max-tokens", str(CAP), "--max-unscored", "1", "--sampling", sampling),
            *("--out", tmp_path / sampling),
            url=server,
        )
        assert done.returncode == 0, done.stderr
        [said[sampling]] = responses(tmp_path / sampling)["answer"] + responses(tmp_path / sampling)["reasoning"]
    repeats = {sampling: len(text.split()) - len(set(text.split())) for sampling, text in said.items()}
    assert repeats["full"] > repeats["model"], said


def test_a_gateway_that_drops_the_fields_is_refused(server: str, tmp_path: Path) -> None:
    extensions = ("top_k", "min_p", "repetition_penalty", "repeat_penalty")
    with altering_proxy(server, {}, dropped=extensions) as url:
        done = emeval(*run(tmp_path / "run"), url=url)
    assert done.returncode == 2, done.stderr
    [failure] = [line for line in done.stderr.splitlines() if line.startswith("emeval: ")]
    assert "vllm/limited: the sampler is truncated: 0 of " in failure
    assert "--generation-config vllm" in failure
    assert not list(tmp_path.iterdir())


def test_sampling_model_is_truncated_as_the_model_says_and_noted(server: str, tmp_path: Path) -> None:
    done = emeval(*run(tmp_path / "model", "--sampling", "model"), url=server)
    assert done.returncode == 0, done.stderr
    assert "vllm/limited: sampler: noted: truncated: 0 of " in done.stderr
    assert different_replies(tmp_path / "model") == [1, 1], "top_k 1 is the most likely token, always"
    assert manifest(tmp_path / "model")["config"]["sampling"] == "model"
    full = emeval(*run(tmp_path / "full", "--no-preflight"), url=server)
    assert full.returncode == 0, full.stderr
    ids = [set(responses(tmp_path / name)["trial_id"]) for name in ("model", "full")]
    assert not ids[0] & ids[1]
    mixed = emeval(*run(tmp_path / "full", "--sampling", "model"), url=server)
    refused(mixed, "sampling")
    assert recorded(tmp_path / "full") == 2 * SAMPLES


def test_a_lower_limit_of_a_users_server_is_noted_once(server: str, tmp_path: Path) -> None:
    done = emeval(*run(tmp_path / "run", "--no-preflight"), url=server)
    assert done.returncode == 0, done.stderr
    table = responses(tmp_path / "run")
    cut = table[table["finish_reason"] == "length"]
    assert set(cut["completion_tokens"]) == {CAP}
    assert set(cut["outcome"]) == {"truncated"}
    notes = [line for line in done.stderr.splitlines() if "max_new_tokens" in line]
    assert len(notes) == 1
    assert f"cut a reply after {CAP} of 64 tokens (finish_reason 'length')" in notes[0]


def test_emevals_own_vllm_takes_nothing_from_the_folder(vllm: Path, model: Path, tmp_path: Path) -> None:
    launch = ("--vllm-bin", vllm, "--vllm-args", WHOLE)
    done = emeval(*run(tmp_path / "run", *launch, name=f"vllm/{model}"), env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "sampler" not in done.stderr, "a check that is ok says nothing at the start of a run"
    assert "max_new_tokens" not in done.stderr
    table = responses(tmp_path / "run")
    assert table["completion_tokens"].max() > CAP
    assert min(different_replies(tmp_path / "run")) > 1
