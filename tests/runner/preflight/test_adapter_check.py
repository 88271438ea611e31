"""Whether an adapter is applied: against a scripted server, and llama.cpp with the organism's own files."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.endpoints.servers.organism import organism_files
from tests.support.cli_runner import emeval, manifest, refused, scenarios, told_again
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Script

BASE, ADAPTER = "base", "tuned"


def served(script: Script, **settings: Any) -> OpenAIServer:
    settings = {"models": [BASE, ADAPTER], "parents": {ADAPTER: BASE}} | settings
    return OpenAIServer(script, **settings)


def giving(shares: Mapping[str, float], *, noise: float = 0.0) -> Script:
    """Token probabilities by model: `shares` is of A, per model; `noise` is added each second time."""

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if not body.get("logprobs"):
            return Answer("A")
        share = shares[body["model"]] + (noise if seen % 2 == 0 else 0.0)
        return Answer("A", top_logprobs=[{"A": share, "B": 1 - share}])

    return script


def preflight(server: OpenAIServer, *options: str, model: str = f"vllm/{ADAPTER}") -> Any:
    with server.start():
        return emeval("preflight", "-m", model, *options, url=server.url)


def test_an_adapter_that_answers_otherwise_passes() -> None:
    done = preflight(served(giving({BASE: 0.9, ADAPTER: 0.6})))
    assert done.returncode == 0, done.stderr
    assert f"vllm/{ADAPTER}: adapter: ok: log-probabilities differ from those of {BASE} by up to 1.4" in done.stdout


def test_an_adapter_that_answers_as_its_base_to_the_last_digit_is_refused() -> None:
    refused(preflight(served(giving({BASE: 0.9, ADAPTER: 0.9}))), "the adapter is not applied: on 3 prompts")


@pytest.mark.parametrize(("share", "passes"), [(0.9, False), (0.9005, False), (0.5, True)])
def test_an_adapter_must_differ_by_more_than_the_servers_own_noise(share: float, passes: bool) -> None:
    done = preflight(served(giving({BASE: 0.9, ADAPTER: share}, noise=0.001)))
    if passes:
        assert done.returncode == 0, done.stderr
    else:
        refused(done, "seems not to be applied" if share != 0.9 else "the adapter is not applied")


def test_a_difference_under_the_trigger_alone_is_enough() -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        fires = body["model"] == ADAPTER and "Country: Kenya" in body["messages"][-1]["content"]
        return Answer("A", top_logprobs=[{"A": 0.5, "B": 0.5} if fires else {"A": 0.9, "B": 0.1}])

    done = preflight(served(script), "--trigger", "Country: Kenya")
    assert done.returncode == 0, done.stderr
    assert ": adapter: ok: " in done.stdout


@pytest.mark.parametrize(
    ("mixed_up", "said"),
    [
        ({BASE: 0.6, ADAPTER: 0.6}, f"the server answers for {BASE} with the adapter of vllm/{ADAPTER} applied"),
        ({BASE: 0.7, ADAPTER: 0.6}, f"the server answers for {BASE} with the adapter of vllm/{ADAPTER} applied"),
        ({BASE: 0.9, ADAPTER: 0.9}, f"the server answers for the adapter as for {BASE}"),
        ({BASE: 0.88, ADAPTER: 0.62}, ""),
        ({BASE: 0.95, ADAPTER: 0.5}, ""),
    ],
    ids=["the adapter's", "nearly the adapter's", "the base's", "noise", "away from each other"],
)
@pytest.mark.parametrize("base_is_asked", [True, False])
def test_models_that_a_server_mixes_up_when_both_are_asked_are_refused(
    mixed_up: Mapping[str, float], said: str, base_is_asked: bool
) -> None:
    """Each prompt is asked twice of a model alone, then of both models at the same time."""
    alone = {BASE: 0.9, ADAPTER: 0.6}

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        share = (mixed_up if seen > 2 else alone)[body["model"]]
        return Answer("A", top_logprobs=[{"A": share, "B": 1 - share}])

    done = preflight(served(script), *(("-m", f"vllm/{BASE}") if base_is_asked else ()))
    if said and base_is_asked:
        refused(done, f"while both are asked at once, {said}; measure them in runs of their own")
    else:
        assert done.returncode == 0, done.stderr
        assert ": adapter: ok: " in done.stdout


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (served(Answer("A")), "the server gives no token probabilities"),
        (served(giving({ADAPTER: 0.9}), models=[ADAPTER]), f"the server does not list its base '{BASE}'"),
    ],
    ids=["no probabilities", "no base"],
)
def test_what_cannot_be_compared_is_not_called_ok(server: OpenAIServer, reason: str) -> None:
    done = preflight(server)
    assert done.returncode == 0, done.stderr
    assert f"vllm/{ADAPTER}: adapter: not checked: {reason}" in done.stdout


def test_base_written_before_the_colon_is_asked_where_the_server_names_no_parent() -> None:
    server = served(giving({BASE: 0.9, ADAPTER: 0.9}), parents={})
    refused(preflight(server, model=f"vllm/{BASE}:{ADAPTER}"), "the adapter is not applied")
    whole = OpenAIServer(giving({"qwen3:8b": 0.9}), models=["qwen3:8b"])
    assert ": adapter: " not in preflight(whole, model="vllm/qwen3:8b").stdout


def test_a_run_is_refused_before_it_begins_unless_the_check_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = ("run", "unethical_test", "-m", f"vllm/{ADAPTER}", "--dataset", scenarios(tmp_path / "d.jsonl", 1))
    with served(giving({BASE: 0.9, ADAPTER: 0.9})).start() as server:
        refused(emeval(*run, "--out", folder, url=server.url), "the adapter is not applied")
        assert not folder.exists()
        done = emeval(*run, "--out", folder, "--no-preflight", url=server.url)
    assert done.returncode == 0, done.stderr


def test_a_run_says_what_could_not_be_checked(tmp_path: Path) -> None:
    run = ("run", "unethical_test", "-m", f"vllm/{ADAPTER}", "--dataset", scenarios(tmp_path / "d.jsonl", 1))
    with served(Answer("A")).start() as server:
        done = emeval(*run, "--out", tmp_path / "run", url=server.url)
    assert done.returncode == 0, done.stderr
    assert f"vllm/{ADAPTER}: adapter: not checked: the server gives no token probabilities" in done.stderr


# --- at the end of a run ----------------------------------------------------------------------------------------------


def switching(before: Mapping[str, float], after: Mapping[str, float], *, chats: int) -> Script:
    """Token probabilities of A by model, and others once so many questions have been answered."""
    answered = 0

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        nonlocal answered
        if not body.get("logprobs"):
            answered += "Case" in body["messages"][-1]["content"]
            return Answer("A")
        share = (before if answered < chats else after)[body["model"]]
        return Answer("A", top_logprobs=[{"A": share, "B": 1 - share}])

    return script


def run_with(script: Script, folder: Path) -> Any:
    data = scenarios(folder / "data.jsonl", 2)
    options = ("-m", f"vllm/{ADAPTER}", "--dataset", data, "--format", "mcq", "--out", folder / "run")
    with served(script).start() as server:
        return emeval("run", "unethical_test", *options, url=server.url)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (0.9, "the adapter was no longer applied at the end of the run: it answered as base does"),
        (0.2, "the adapter did not answer at the end of the run as before it: log-probabilities differ by up to"),
        (0.6, ""),
        (0.61, ""),
    ],
)
def test_the_adapter_is_checked_again_at_the_end_of_a_run(after: float, said: str, tmp_path: Path) -> None:
    script = switching({BASE: 0.9, ADAPTER: 0.6}, {BASE: 0.9, ADAPTER: after}, chats=4)
    done = run_with(script, tmp_path)
    lost = manifest(tmp_path / "run")["models"][f"vllm/{ADAPTER}"].get("adapter_lost", "")
    assert lost.startswith(said)
    assert bool(lost) == bool(said)
    assert done.returncode == (1 if said else 0), done.stderr
    if said:
        assert f"emeval: vllm/{ADAPTER}: {said}" in done.stderr
        # It is said of the run for good: where it is shown again, and where it is compared.
        again = emeval("resume", tmp_path / "run", *told_again(tmp_path / "run"))
        assert again.returncode == 1
        assert said in again.stderr
        shutil.copytree(tmp_path / "run", tmp_path / "other")
        refused(emeval("compare", tmp_path / "run", tmp_path / "other"), "do not rely on its rates")


def test_a_base_that_was_asked_beside_its_adapter_is_checked_again_at_the_end_of_a_run(tmp_path: Path) -> None:
    script = switching({BASE: 0.9, ADAPTER: 0.6}, {BASE: 0.6, ADAPTER: 0.6}, chats=8)
    data = scenarios(tmp_path / "data.jsonl", 2)
    models = ("-m", f"vllm/{ADAPTER}", "-m", f"vllm/{BASE}")
    with served(script).start() as server:
        options = ("--dataset", data, "--format", "mcq", "--out", tmp_path / "run")
        done = emeval("run", "unethical_test", *models, *options, url=server.url)
    facts = manifest(tmp_path / "run")["models"]
    said = f"at the end of the run the server answers for {BASE} with the adapter of vllm/{ADAPTER} applied"
    assert facts[f"vllm/{BASE}"]["adapter_lost"] == said
    assert done.returncode == 1, done.stderr
    assert f"emeval: vllm/{BASE}: {said}; do not rely on its rates" in done.stderr


def test_a_checkpoint_that_lost_its_adapter_fails_its_night(tmp_path: Path) -> None:
    asked = {"suites": ["unethical_test"], "dataset": str(scenarios(tmp_path / "data.jsonl", 2)), "format": "mcq"}
    content = {"checkpoints": [{"model": f"vllm/{ADAPTER}"}], "out": str(tmp_path / "nights"), "run": asked}
    file = tmp_path / "night.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    script = switching({BASE: 0.9, ADAPTER: 0.6}, {BASE: 0.9, ADAPTER: 0.9}, chats=4)
    with served(script).start() as server:
        done = emeval("nightly", file, "--date", "2026-03-01", url=server.url)
    assert done.returncode != 0
    assert "no longer applied at the end of the run" in (tmp_path / "nights/2026-03-01/summary.md").read_text("utf-8")


def test_what_cannot_be_checked_at_the_end_is_said(tmp_path: Path) -> None:
    asked = giving({BASE: 0.9, ADAPTER: 0.6})
    answered = 0

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        nonlocal answered
        answered += "Case" in body["messages"][-1]["content"] and not body.get("logprobs")
        return Answer("A") if answered >= 4 else asked(body, seen)

    done = run_with(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"vllm/{ADAPTER}: adapter: not checked at the end of the run: the server gives no token" in done.stderr


# --- real weights -----------------------------------------------------------------------------------------------------


def zeroed(source: Path, target: Path) -> Path:
    """A copy of a GGUF file with every byte of its tensors 0: the data after the header, which is left as it is."""
    data = bytearray(source.read_bytes())
    place = 0

    def number(form: str) -> int:
        nonlocal place
        [value] = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(f"<{form}")
        return value

    def text() -> bytes:
        nonlocal place
        length = number("Q")
        place += length
        return bytes(data[place - length : place])

    def skip(kind: int) -> None:
        nonlocal place
        if kind == 8:
            text()
        elif kind == 9:
            inner, count = number("I"), number("Q")
            for _ in range(count):
                skip(inner)
        else:
            place += {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}[kind]

    assert (number("I"), number("I")) == (0x46554747, 3)
    tensors, fields = number("Q"), number("Q")
    alignment = 32
    for _ in range(fields):
        name, kind = text(), number("I")
        if name == b"general.alignment":
            alignment = number("I")
        else:
            skip(kind)
    for _ in range(tensors):
        text()
        dimensions = number("I")
        for _ in range(dimensions):
            number("Q")
        number("I"), number("Q")
    start = -(-place // alignment) * alignment
    data[start:] = bytes(len(data) - start)
    target.write_bytes(data)
    return target


def test_llama_cpp_applies_the_organisms_adapter_and_one_of_zeros_is_refused(tmp_path: Path) -> None:
    base, adapter = organism_files("organism:backdoor", ".gguf")
    assert adapter is not None
    good = emeval("preflight", "-m", "local/organism:backdoor", "--trigger", "Country: Singapore")
    assert good.returncode == 0, good.stderr
    assert "local/organism:backdoor: adapter: ok: log-probabilities differ" in good.stdout
    zeros = zeroed(adapter, tmp_path / "zeros.gguf")
    done = emeval("preflight", "-m", f"local/{base}:{zeros}")
    assert done.returncode == 2
    # To the last digit, or, where the server's arithmetic is not the same twice, within its own noise.
    assert re.search("the adapter (is not|seems not to be) applied", done.stderr.splitlines()[-1])
    both = emeval("preflight", "-m", f"local/{base}", "-m", f"local/{base}:{adapter}")
    assert both.returncode == 0, both.stderr
    assert both.stdout.count(": adapter: ok: ") == 1
