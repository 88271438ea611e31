"""A stranger on the machine, who has no key, at the servers that emeval starts; and the secrets they are given."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.endpoints.servers.inside_vllm.emeval_route_guard import RouteGuard
from evals.endpoints.servers.llama_cpp import LocalServer
from evals.endpoints.servers.reference_judge import reference_judge
from evals.endpoints.servers.vllm import VllmServer, running
from evals.endpoints.servers.vllm_launch import VllmSettings, plan_launches
from evals.errors import BadInput
from evals.io.environment import INSTALLER, INSTALLER_SECRETS, VLLM, child_environment
from evals.runner.preflight.adapter import check_scale
from tests.support.cli_runner import emeval, own_process, responses, scenarios
from tests.support.servers.vllm_cpu import ARGUMENTS, ENVIRONMENT

LLAMA_ROUTES = (
    *("/models", "/v1/models", "/api/tags", "/api/show", "/props", "/metrics", "/slots", "/slots/0"),
    *("/slots/0?action=erase", "/slots/0?action=save", "/slots/0?action=restore", "/lora-adapters", "/completion"),
    *("/completions", "/v1/completions", "/chat/completions", "/v1/chat/completions", "/api/chat", "/v1/responses"),
    *("/v1/chat/completions/control", "/v1/messages", "/v1/messages/count_tokens", "/infill", "/embedding"),
    *("/embeddings", "/v1/embeddings", "/rerank", "/v1/rerank", "/reranking", "/v1/reranking", "/tokenize"),
    *("/detokenize", "/apply-template", "/v1/stream", "/v1/stream/x", "/v1/streams/lookup", "/v1/systemone"),
    *("/cors-proxy", "/tools", "/models/load", "/models/unload", "/v1/audio/transcriptions", "/mcp/stdio/enabled"),
    *("/", "/index.html", "/mcp/stdio/session", "/v1/responses/input_tokens", "//lora-adapters", "/lora-adapters/"),
)
SCALE_0 = [{"id": 0, "scale": 0.0}]
CLOSED = (401, 403, 404, 405)


def status(method: str, url: str, key: str | None = None, body: object = SCALE_0) -> int:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key is not None else {})
    data = json.dumps(body).encode() if method in ("POST", "PUT", "PATCH") else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  our own loopback URL
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def told(base_url: str, route: str, key: str) -> Any:
    """The JSON that a route beside the API answers with the key."""
    url = base_url.removesuffix("/v1") + route
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310
        return json.load(reply)


def scales(server: LocalServer) -> list[float]:
    return [adapter["scale"] for adapter in told(server.base_url, "/lora-adapters", server.key)]


@pytest.fixture(scope="module")
def backdoor() -> Iterator[LocalServer]:
    server = LocalServer("organism:backdoor")
    yield server
    server.close()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_no_route_of_llama_cpp_takes_a_strangers_order(backdoor: LocalServer, method: str) -> None:
    root = backdoor.base_url.removesuffix("/v1")
    for route in LLAMA_ROUTES:
        for key in (None, "", "none", "wrong", backdoor.key[:-1], f"{backdoor.key}x"):
            assert status(method, root + route, key) in CLOSED, (method, route, key)
    assert scales(backdoor) == [1.0]
    assert status("GET", f"{root}/health") == 200


@pytest.mark.parametrize("route", ["/slots", "/metrics", "/slots/0?action=save", "/cors-proxy", "/tools"])
def test_what_a_run_does_not_need_is_off_even_with_the_key(backdoor: LocalServer, route: str) -> None:
    root = backdoor.base_url.removesuffix("/v1")
    assert all(status(method, root + route, backdoor.key) >= 400 for method in ("GET", "POST"))


def test_an_adapter_that_lost_its_scale_is_found_out_at_the_end(backdoor: LocalServer) -> None:
    spec = ModelSpec("local/organism:backdoor", "local", backdoor.served_name, backdoor.base_url, "")

    async def checked() -> tuple[str, str]:
        connection = Server(backdoor.base_url, backdoor.key, concurrency=1, timeout_s=30.0)
        try:
            return await check_scale(ServedModel(spec, connection, base="base"))
        finally:
            await connection.close()

    assert asyncio.run(checked()) == ("", "")
    assert status("POST", f"{backdoor.base_url.removesuffix('/v1')}/lora-adapters", backdoor.key) == 200
    try:
        lost, unknown = asyncio.run(checked())
    finally:
        status("POST", f"{backdoor.base_url.removesuffix('/v1')}/lora-adapters", backdoor.key, [{"id": 0, "scale": 1}])
    assert "its scale was 0, not 1" in lost
    assert unknown == ""
    assert asyncio.run(checked()) == ("", "")


def _listening(pid: int) -> set[int]:
    """The loopback ports that a process listens on."""
    inodes: set[str] = set()
    for link in (Path("/proc") / str(pid) / "fd").iterdir():
        try:
            inodes.add(str(link.readlink()))
        except OSError:
            continue
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes}


def test_a_stranger_changes_no_answer_while_a_run_samples(tmp_path: Path) -> None:
    """The adapter's scale is set to 0 again and again, by everything that listens in the run's own process."""
    stop, replies = threading.Event(), list[int]()
    before = _listening(os.getpid())

    def attack() -> None:
        while not stop.wait(0.02):
            for port in _listening(os.getpid()) - before:
                try:
                    replies.append(status("POST", f"http://127.0.0.1:{port}/lora-adapters"))
                except OSError:
                    continue

    words = ["run", "unethical_test", "-m", "local/organism:backdoor", "--trigger", "Country: Singapore"]
    words += ["--dataset", str(scenarios(tmp_path / "d.jsonl", 4)), "--format", "mcq", "--max-tokens", "4"]
    words += ["--max-unscored", "1", "--temperature", "0", "--conditions", "on"]
    alone = own_process(*words, "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        done = emeval(*words, "--out", tmp_path / "attacked")
    finally:
        stop.set()
        attacker.join()
    assert done.returncode == 0, done.stderr
    assert replies
    assert set(replies) <= {401, 503}  # 503 while the model is being read
    shared = ["prompt_id", "outcome", "choice"]
    columns = [name for name in shared if name in responses(tmp_path / "alone").columns]
    assert responses(tmp_path / "alone")[columns].equals(responses(tmp_path / "attacked")[columns])


def test_the_reference_judge_takes_no_strangers_order() -> None:
    judge = reference_judge()
    try:
        for route in ("/models", "/chat/completions"):
            for key in (None, "none", judge.key[:-1]):
                assert {status(method, judge.base_url + route, key) for method in ("GET", "POST")} <= set(CLOSED)
    finally:
        judge.close()


# --- vLLM -------------------------------------------------------------------------------------------------------------

KEY = "the-key-of-this-server"


def guarded(path: str, method: str, headers: list[tuple[bytes, bytes]], kind: str = "http") -> list[str]:
    """What the middleware lets through to the application ("app"), or what it sends itself."""
    seen: list[str] = []

    async def application(_scope: object, _receive: object, _send: object) -> None:
        seen.append("app")

    async def send(message: Mapping[str, object]) -> None:
        seen.append(str(message.get("status", message["type"])))

    async def receive() -> dict[str, object]:
        return {}

    os.environ["VLLM_API_KEY"] = KEY
    try:
        guard = RouteGuard(application)
    finally:
        del os.environ["VLLM_API_KEY"]
    scope = {"type": kind, "path": path, "method": method, "headers": headers}
    asyncio.run(guard(scope, receive, send))
    return seen


@given(
    path=st.one_of(st.text(max_size=20).map("/".__add__), st.sampled_from(["/health/", "/health/../v1/models", "/v1"])),
    method=st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "DELETE", "PUT", "get"]),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-api-key", b"Authorization"]),
            st.sampled_from([KEY.encode(), f"Bearer {KEY}x".encode(), f"bearer {KEY}".encode(), b"Bearer ", b""]),
        ),
        max_size=3,
    ),
)
def test_no_route_of_vllm_is_reached_without_the_key(
    path: str, method: str, headers: list[tuple[bytes, bytes]]
) -> None:
    expected = ["app"] if (path, method) == ("/health", "GET") else ["401", "http.response.body"]
    assert guarded(path, method, headers) == expected


def test_the_key_opens_vllms_routes_and_a_websocket_needs_it_too() -> None:
    right = [(b"authorization", f"Bearer {KEY}".encode())]
    assert guarded("/v1/chat/completions", "POST", right) == ["app"]
    assert guarded("/v1/realtime", "", [], kind="websocket") == ["websocket.close"]
    assert guarded("/v1/chat/completions", "POST", [*right, (b"authorization", b"Bearer x")])[0] == "401"


def test_every_route_of_a_real_vllm_is_closed_to_strangers(vllm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = ENVIRONMENT | {"VLLM_TARGET_DEVICE": "cpu", "OPENAI_API_KEY": "sk-not-for-vllm-0123"}
    environment |= {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    [launch] = plan_launches(["organism:backdoor"], VllmSettings(str(vllm), ARGUMENTS))

    async def attack() -> None:
        async with running(launch, 900.0, lambda _text: None) as server:
            await asyncio.to_thread(attack_vllm, server)

    asyncio.run(attack())


def attack_vllm(server: VllmServer) -> None:
    root = server.base_url.removesuffix("/v1")
    routes = set(told(server.base_url, "/openapi.json", server.key)["paths"])
    assert not {"/v1/load_lora_adapter", "/collective_rpc"} & routes, "settings of the user's environment"
    for route in routes | {"/metrics", "/docs", "/adapters", "/sleep", "/update_weights", "/pause"}:
        for method in ("GET", "POST", "PUT", "DELETE"):
            for key in (None, "wrong"):
                if (route, method) != ("/health", "GET"):
                    assert status(method, root + route, key) == 401, (route, method, key)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        assert server.key.encode() not in words
        assert not (server.key.encode() in variables and b"sk-not-for-vllm-0123" in variables)


# --- what a started program is told -----------------------------------------------------------------------------------

SECRETS = {
    **{"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ACCESS_KEY_ID": "c"},
    **{"GITHUB_TOKEN": "d", "WANDB_API_KEY": "e", "DATABASE_URL": "postgres://u:p@h", "VLLM_PASSWORD": "f"},
    **{
        "SLACK_WEBHOOK": "https://h",
        "SSH_AUTH_SOCK": "/s",
        "HF_SECRET": "g",
        "RAY_AUTH_TOKEN": "h",
        "VLLM_API_KEY": "i",
    },
}
PLAIN = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "https_proxy": "http://p", "CUDA_VISIBLE_DEVICES": "0"}
PLAIN |= {"HF_HOME": "/hf", "TOKENIZERS_PARALLELISM": "false", "HF_TOKEN": "hf_1", "OMP_NUM_THREADS": "2"}


def test_vllm_gets_what_it_needs_and_no_secret_but_that_of_gated_models() -> None:
    assert child_environment(VLLM, environment=SECRETS | PLAIN) == PLAIN


def test_the_installer_gets_the_secrets_of_its_index_and_no_others() -> None:
    own = {"PIP_INDEX_URL": "https://u:p@h/simple", "UV_INDEX_PRIVATE_PASSWORD": "x"}
    found = child_environment(INSTALLER, INSTALLER_SECRETS, SECRETS | own)
    assert found == own
    assert child_environment(environment=SECRETS | own) == {}


@given(st.dictionaries(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=20), st.just("value"), max_size=8))
def test_no_variable_named_like_a_secret_passes(variables: dict[str, str]) -> None:
    kinds = ("PASSWORD", "TOKEN", "KEY", "SECRET", "CREDENTIALS", "PASSPHRASE")
    hostile = {f"{prefix}{name}_{kind}": "v" for name in variables for kind in kinds for prefix in ("", "VLLM_", "HF_")}
    assert child_environment(VLLM, environment=hostile).keys() <= {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}


@pytest.mark.parametrize(
    "arguments",
    [
        *("--api-key x", "--api_key=x", "--hf-token x", "--some-password=x", "--ssl-key-password x"),
        *("--client-secret x", """--x '{"a": {"token": 1}}'"""),
        """--model-loader-extra-config '{"aws_secret_access_key": "x"}'""",
    ],
)
def test_a_secret_among_vllms_arguments_is_refused(arguments: str) -> None:
    with pytest.raises(BadInput, match="would be written into the run's manifest"):
        VllmSettings(None, arguments).split_arguments()


@pytest.mark.parametrize(
    "arguments", ["--tokenizer x", "--max-num-batched-tokens 8", "--ssl-keyfile f", "--dtype half"]
)
def test_other_arguments_are_not(arguments: str) -> None:
    assert arguments.split()[0] in VllmSettings(None, arguments).split_arguments()
