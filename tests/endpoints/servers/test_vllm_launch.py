"""`vllm serve` as a process of ours, with a program that looks like it: started, shared, and gone on every way out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.servers.adapters import read_adapter
from evals.endpoints.servers.vllm_launch import VllmSettings, find_program, plan_launches, split_adapter
from evals.errors import BadInput
from evals.io.hashes import model_sha256
from tests.support.cli_runner import emeval, manifest, own_process, recorded, responses, scenarios, start, told_again
from tests.support.servers import fake_vllm
from tests.support.servers.openai_server import OpenAIServer
from tests.support.waiting import until

SETTINGS = VllmSettings(program=sys.executable)


def write_tensors(file: Path, shapes: dict[str, list[int]]) -> Path:
    """A safetensors file of zeros."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return file


def write_base(folder: Path, layers: int = 2) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    shapes = {f"model.layers.{layer}.self_attn.q_proj.weight": [4, 4] for layer in range(layers)}
    write_tensors(folder / "model.safetensors", shapes)
    return folder


def write_adapter(folder: Path, rank: int = 8, layer: int = 0, base: str = "base", **config: Any) -> Path:
    folder.mkdir(parents=True)
    fields = {"peft_type": "LORA", "r": rank, "lora_alpha": 16, "base_model_name_or_path": base} | config
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    stem = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
    shapes = {f"{stem}.lora_A.weight": [rank, 4], f"{stem}.lora_B.weight": [4, rank]}
    write_tensors(folder / "adapter_model.safetensors", shapes)
    return folder


def refusal(*names: str | Path, settings: VllmSettings = SETTINGS) -> str:
    with pytest.raises(BadInput) as caught:
        plan_launches(map(str, names), settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names and files


def test_an_adapter_stands_after_the_last_colon(tmp_path: Path) -> None:
    assert split_adapter("Qwen/Qwen3-8B") == ("Qwen/Qwen3-8B", None)
    assert split_adapter("Qwen/Qwen3-8B:org/adapter") == ("Qwen/Qwen3-8B", "org/adapter")
    assert split_adapter("/m/a:b:./c") == ("/m/a:b", "./c")
    assert split_adapter("C:\\models\\base") == ("C:\\models\\base", None)
    odd = write_base(tmp_path / "with:colon")
    assert split_adapter(str(odd)) == (str(odd), None)
    for half in ("base:", ":adapter"):
        assert "vllm/BASE:ADAPTER" in refusal(half)


def test_models_of_one_base_share_a_server(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    one, two = write_adapter(tmp_path / "one", rank=4), write_adapter(tmp_path / "two", rank=20)
    names = [str(base), f"{base}:{one}", f"{base}/:{two}", "org/other"]
    first, second = plan_launches(names, SETTINGS)
    assert (first.base, first.names) == (str(base), (str(base), f"{base}/"))
    assert [adapter.path for adapter in first.adapters] == [one, two]
    assert list(first.members) == names[:3]
    assert first.members[names[1]].served_name == read_adapter(one).served_name
    assert first.members[names[0]].served_name == names[0]
    assert first.base_sha256 == model_sha256(base)
    assert (second.base, second.base_sha256) == ("org/other", None)
    assert first.warnings == ()


def test_an_adapters_name_follows_its_files_and_nothing_else(tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "back door,x")
    name = read_adapter(adapter).served_name
    assert name.startswith("back-door-x-")
    (adapter / "README.md").write_text("notes")
    assert read_adapter(adapter).served_name == name
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert read_adapter(adapter).served_name != name
    assert len(read_adapter(adapter).sha256) == 64


def test_an_adapter_in_the_cache_of_hugging_face_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    repository = tmp_path / "hub" / "models--org--backdoor"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc123")
    snapshot = write_adapter(repository / "snapshots" / "abc123")
    [launch] = plan_launches(["org/base:org/backdoor"], SETTINGS)
    assert launch.adapters[0].path == snapshot
    assert launch.members["org/base:org/backdoor"].served_name.startswith("backdoor-")
    assert "org/absent" in refusal("org/base:org/absent")


def test_an_adapter_of_another_base_is_a_warning(tmp_path: Path) -> None:
    base, adapter = write_base(tmp_path / "base"), write_adapter(tmp_path / "a", base="org/another")
    [launch] = plan_launches([f"{base}:{adapter}"], SETTINGS)
    assert launch.warnings == (f"vllm/{base}:{adapter}: the adapter says that it belongs to org/another",)


def test_what_cannot_be_served_is_said_before_anything_is_started(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no model folder" in refusal(tmp_path / "absent")
    assert "has no config.json" in refusal(empty)
    assert "there is no adapter folder" in refusal(f"{base}:{tmp_path / 'absent'}")
    assert "no adapter_config.json" in refusal(f"{base}:{empty}")
    assert "rank 1024" in refusal(f"{base}:{write_adapter(tmp_path / 'large', rank=1024)}")
    lying = write_adapter(tmp_path / "lying", rank=8)
    (lying / "adapter_config.json").write_text('{"r": 16, "lora_alpha": 16}')
    assert "says r = 16, but" in refusal(f"{base}:{lying}")
    (lying / "adapter_config.json").write_text('{"r": "many"}')
    assert "adapter_config.json: r: " in refusal(f"{base}:{lying}")
    assert "peft_type is IA3" in refusal(f"{base}:{write_adapter(tmp_path / 'ia3', peft_type='IA3')}")
    (weightless := write_adapter(tmp_path / "weightless")).joinpath("adapter_model.safetensors").unlink()
    assert "has no weights" in refusal(f"{base}:{weightless}")
    write_tensors(weightless / "adapter_model.safetensors", {"something": [1, 1]})
    assert "holds no LoRA weights" in refusal(f"{base}:{weightless}")
    (weightless / "adapter_model.safetensors").write_bytes(b"PK\3\4" * 9)
    assert "is not a safetensors file" in refusal(f"{base}:{weightless}")


def test_an_adapter_for_layers_that_the_base_lacks_is_refused(tmp_path: Path) -> None:
    base, adapter = write_base(tmp_path / "base"), write_adapter(tmp_path / "a", layer=7)
    said = refusal(f"{base}:{adapter}")
    assert "changes modules that" in said
    assert "layers.7.self_attn.q_proj" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--port 1", "--port is emeval's to set"),
        ("--served_model_name=x", "--served-model-name is emeval's to set"),
        ("--api-key sk-1234", "set it in the environment"),
        ("--hf-token=hf_1", "set it in the environment"),
        ("--dtype 'float", "quote it"),
    ],
)
def test_arguments_that_are_not_the_users_are_refused(arguments: str, said: str) -> None:
    assert said in refusal("org/base", settings=VllmSettings(sys.executable, arguments))
    assert "sk-1234" not in refusal("org/base", settings=VllmSettings(sys.executable, arguments))


def test_a_rank_that_the_user_allows_must_be_enough(tmp_path: Path) -> None:
    base, adapter = write_base(tmp_path / "base"), write_adapter(tmp_path / "a", rank=32)
    for written in ("--max-lora-rank 16", "--max_lora_rank=16"):
        assert "--max-lora-rank 16 is too small" in refusal(
            f"{base}:{adapter}", settings=VllmSettings(sys.executable, written)
        )
    assert plan_launches([f"{base}:{adapter}"], VllmSettings(sys.executable, "--max-lora-rank 64"))


def test_a_program_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"--vllm-bin: .* is not a program"):
        find_program(str(tmp_path / "vllm"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"no vllm command .* --vllm-bin, or set VLLM_BASE_URL"):
        find_program(None)
    own = fake_vllm.program(tmp_path)
    assert find_program(None) == str(own)


# The process


class Own:
    """A base, an adapter, and the program; what the program recorded of its starts."""

    def __init__(self, folder: Path) -> None:
        self.base = write_base(folder / "base")
        self.adapter = write_adapter(folder / "backdoor")
        self.models = [f"vllm/{self.base}", f"vllm/{self.base}:{self.adapter}"]
        self.record = folder / "starts.jsonl"
        self.temp = folder / "tmp"
        self.temp.mkdir()
        self.dataset = scenarios(folder / "d.jsonl", 30)
        self.out = folder / "run"
        self.bin = fake_vllm.program(folder)

    def arguments(self, *more: str) -> list[str]:
        names = [word for model in self.models for word in ("-m", model)]
        paths = ["--dataset", str(self.dataset), "--out", str(self.out), "--vllm-bin", str(self.bin)]
        limits = ["--max-tokens", "8", "--concurrency", "8", "--max-unscored", "1"]
        return ["run", "unethical_test", *names, *paths, *limits, *more]

    def env(self, mode: str = "") -> dict[str, str]:
        return {"VLLM_FAKE": mode, "VLLM_FAKE_RECORD": str(self.record), "TMPDIR": str(self.temp)}

    def run(self, *more: str, mode: str = "") -> subprocess.CompletedProcess[str]:
        return own_process(*self.arguments(*more), env=self.env(mode))

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.record.read_text().splitlines()] if self.record.exists() else []

    def all_ended(self) -> bool:
        return not any(is_alive(pid) for start in self.starts for pid in start["pids"])

    def logs(self) -> list[Path]:
        return list(self.temp.glob("emeval-vllm-*.log"))


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Own]:
    own = Own(tmp_path)
    yield own
    left = [pid for start in own.starts for pid in start["pids"] if is_alive(pid)]
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left


def test_base_and_adapter_are_measured_at_one_server_of_ours(own: Own) -> None:
    done = own.run("--vllm-args", "--dtype float32 --seed 7")
    assert done.returncode == 0, done.stderr
    assert own.all_ended()
    [started] = own.starts
    argv, adapter = started["argv"], read_adapter(own.adapter)
    assert argv[:2] == ["serve", str(own.base)]
    assert fake_vllm.values(argv, "--host") == ["127.0.0.1"]
    assert argv[-4:] == ["--dtype", "float32", "--seed", "7"]
    [module] = map(json.loads, fake_vllm.values(argv, "--lora-modules"))
    assert module == {"name": adapter.served_name, "path": str(own.adapter), "base_model_name": str(own.base)}
    assert "--enable-lora" in argv
    assert (fake_vllm.values(argv, "--max-lora-rank"), fake_vllm.values(argv, "--max-loras")) == (["8"], ["2"])
    assert len(started["key"]) > 20
    assert started["key"] not in " ".join(argv) + done.stderr + (own.out / "manifest.json").read_text()
    facts = manifest(own.out)["models"]
    assert facts[own.models[1]]["file_sha256"] == adapter.sha256
    assert facts[own.models[1]]["base_sha256"] == facts[own.models[0]]["file_sha256"]
    assert facts[own.models[1]]["served_name"] == adapter.served_name
    table = responses(own.out)
    assert set(table[table["model"] == own.models[0]]["answer"]) == {"A"}
    assert set(table[table["model"] == own.models[1]]["answer"]) == {"B"}
    assert own.logs() == []
    assert "starting vllm serve" in done.stderr
    assert "is ready after" in done.stderr


def test_a_finished_run_starts_no_server(own: Own) -> None:
    assert own.run().returncode == 0
    assert own.run().returncode == 0
    assert len(own.starts) == 1


def test_preflight_starts_and_stops_it(own: Own) -> None:
    done = own_process("preflight", "-m", own.models[1], "--vllm-bin", own.bin, env=own.env())
    assert done.returncode == 0, done.stderr
    assert read_adapter(own.adapter).served_name in done.stdout
    assert own.all_ended()


def test_a_server_that_dies_at_its_start_is_shown_with_its_log(own: Own) -> None:
    done = own.run(mode="die")
    assert done.returncode == 2
    first, *log = done.stderr[done.stderr.index("emeval: ") :].splitlines()
    [kept] = own.logs()
    reason = "ValueError: No available memory for the cache blocks]0;owned"
    assert first == f"emeval: vllm serve {own.base} ended with exit code 1: {reason}; its log: {kept}"
    assert log[0] == "  | INFO loading weights"
    assert "  | the key is [key]" in log
    assert all(line.startswith("  | ") and line.isprintable() for line in log)
    assert not own.out.exists()
    assert own.all_ended()


def test_a_server_that_is_never_ready_is_given_up(own: Own) -> None:
    done = own.run("--vllm-start-timeout", "6", mode="hang")
    assert done.returncode == 2
    assert "is not ready after 6 s (--vllm-start-timeout)" in done.stderr
    assert "  | INFO loading weights" in done.stderr
    assert own.all_ended()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
@pytest.mark.parametrize("mode", ["", "hang"], ids=["serving", "starting"])
def test_it_is_stopped_with_emeval(own: Own, sent: signal.Signals, mode: str) -> None:
    process = start(*own.arguments("--samples", "50"), env=own.env(mode))
    until(lambda: bool(own.starts) if mode else recorded(own.out) > 10)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if sent == signal.SIGKILL else 130)
    until(own.all_ended)


def test_a_server_that_takes_no_notice_is_killed(own: Own) -> None:
    process = start(*own.arguments("--samples", "50"), env=own.env("deaf"))
    until(lambda: recorded(own.out) > 10)
    process.kill()
    process.communicate(timeout=60)
    until(own.all_ended)


def test_a_server_that_is_killed_stops_the_run_which_then_goes_on(own: Own) -> None:
    stopped = own.run(mode="killed:30")
    assert stopped.returncode == 3, stopped.stderr
    *_, last = stopped.stderr.splitlines()
    assert "the server that emeval has started is gone; vllm serve" in last
    assert "was ended by SIGKILL" in last
    assert f"its log: {own.logs()[0]}" in last
    assert 0 < recorded(own.out) < 120
    assert own.all_ended()
    resumed = own_process("resume", own.out, *told_again(own.out), env=own.env())
    assert resumed.returncode == 0, resumed.stderr
    assert set(responses(own.out)["outcome"]) == {"scored"}


def test_a_changed_adapter_does_not_go_on_with_an_old_run(own: Own) -> None:
    assert own.run(mode="killed:30").returncode == 3
    weights = own.adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    again = own.run()
    assert again.returncode == 2
    assert "the model file is not the one that this run began with" in again.stderr


def test_other_arguments_do_not_go_on_with_an_old_run(own: Own) -> None:
    assert own.run("--vllm-args", "--dtype float32", mode="killed:30").returncode == 3
    again = own.run("--vllm-args", "--dtype bfloat16")
    assert again.returncode == 2
    assert "--vllm-args was --dtype float32, is now --dtype bfloat16" in again.stderr


def test_a_judge_may_be_a_server_of_ours_too(own: Own) -> None:
    own.models = own.models[:1]
    judge = write_base(own.base.parent / "judge")
    done = own.run("--format", "freeform", "--limit", "2", "--judge", f"vllm/{judge}", "--judge-mode", "text")
    assert done.returncode == 0, done.stderr
    assert [start["argv"][1] for start in own.starts] == [str(own.base), str(judge)]
    assert set(responses(own.out)["outcome"]) == {"judge_unreadable"}


# At a server of the user's own


@pytest.fixture
def users_server(own: Own) -> Callable[[dict[str, str]], Any]:
    @contextlib.contextmanager
    def serving(environment: dict[str, str]) -> Iterator[str]:
        from evals.endpoints.servers.vllm_launch import free_port

        port = free_port()
        words = [own.bin, "serve", "org/base", "--port", str(port), "--served-model-name", "org/base"]
        process = subprocess.Popen(words, env=os.environ | own.env() | environment)
        try:
            until(lambda: bool(own.starts) and listens(port))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()
            process.wait()
            child = own.starts[0]["pids"][1]
            os.kill(child, signal.SIGKILL)
            until(lambda: not is_alive(child))

    return serving


def test_an_adapter_is_loaded_at_a_users_server(own: Own, users_server: Callable[[dict[str, str]], Any]) -> None:
    own.models = [f"vllm/org/base:{own.adapter}"]
    adapter = read_adapter(own.adapter)
    with users_server({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1", "VLLM_API_KEY": ""}) as url:
        done = own_process(*own.arguments("--limit", "3"), url=url, env=own.env())
        assert done.returncode == 0, done.stderr
        assert f"loaded at {url} as {adapter.served_name}" in done.stderr
        again = emeval("preflight", "-m", own.models[0], url=url)
        assert again.returncode == 0, again.stderr
        assert "loaded at" not in again.stderr
        absent = emeval("preflight", "-m", f"vllm/another:{own.adapter}", url=url)
        assert "does not serve 'another', the base of" in absent.stderr
    facts = manifest(own.out)["models"][own.models[0]]
    assert (facts["served_name"], facts["file_sha256"]) == (adapter.served_name, adapter.sha256)
    assert set(responses(own.out)["answer"]) == {"B"}


def test_a_users_server_that_loads_nothing_is_told_how_to(own: Own) -> None:
    with OpenAIServer(models=["org/base"]).start() as server:
        done = emeval("preflight", "-m", f"vllm/org/base:{own.adapter}", url=server.url)
    assert done.returncode == 2
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_name_that_a_users_server_lists_is_used_as_it_is(own: Own) -> None:
    with OpenAIServer(models=["org/base", str(own.adapter)]).start() as server:
        done = emeval("preflight", "-m", f"vllm/org/base:{own.adapter}", url=server.url)
    assert done.returncode == 0, done.stderr
    assert f"as {own.adapter}" in " ".join(done.stdout.split())
