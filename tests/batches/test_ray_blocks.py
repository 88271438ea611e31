"""What a worker of `--via ray` makes of a reply, what becomes of blocks that are left, what is refused; without Ray."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.batches.outcomes import outcome_of
from evals.batches.ray.asker import Asker, AskerSettings, Outcome, result_line
from evals.batches.results import Results, spooled
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.cli_runner import KEY, emeval, recorded, refused, responses, scenarios, told_again
from tests.support.runs import WITH_JUDGE, server
from tests.support.runs_by_batch import attempts
from tests.support.servers.openai_server import OpenAIServer, Raw, Status, last_message

ID = "0123456789abcdef" * 2
RUN = ("--format", "freeform", "--no-preflight", "--max-unscored", "1")


async def asked(live: OpenAIServer) -> tuple[Outcome, Reply | Failure, Reply | Failure]:
    """What a worker hands over for a request, what its line is read as, and what the same request ends in online."""
    spec = ModelSpec("vllm/test-model", "vllm", "test-model", live.url, "VLLM_API_KEY")
    request = ChatRequest((Message("user", "Case 1"),), 8, seed=1)
    limits = RetryPolicy(max_attempts=2, first_wait_s=0.0)
    here = Server(live.url, KEY, concurrency=1, timeout_s=5.0, max_reply_mb=1)
    asker = Asker(AskerSettings(spec, True, 1, 5.0, 2, 5.0, 1, "aiohttp"))
    body = {"model": "test-model", "messages": [{"role": "user", "content": "Case 1"}], "max_tokens": 8, "seed": 1}
    try:
        async with asker() as session, await session.post("", data=json.dumps(json.dumps(body))) as answer:
            outcome = await answer.json()
        endpoint = Endpoint(ServedModel(spec, here), limits)
        online = await endpoint.send(request)
        with spooled("block", [result_line(ID, outcome)]) as file:
            results = Results([file], lambda _text: None, max_reply_mb=1)
            return outcome, outcome_of(results.read(ID), endpoint, request), online
    finally:
        await here.close()
        await asker.close()


def completion(content: Any, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"id": "1", "model": "test-model", "choices": [choice | more], "usage": {"completion_tokens": 1}}


SHARP = ("\u2028", '"}\n{"custom_id":"', KEY, "".join(f"{char}\n" for char in KEY), "\ud83d", "\x00", "🙂", "Infinity")
TEXTS = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(SHARP)), max_size=4).map("".join)
EXTRAS = st.recursive(
    st.one_of(st.none(), st.integers(-(10**30), 10**30), st.floats(), TEXTS), lambda inner: st.lists(inner, max_size=3)
)
DEEP = [b'{"choices":' + b"[" * depth + b"]" * depth + b"}" for depth in (300, 900, 5_000)]
BODIES = st.one_of(
    st.builds(completion, TEXTS, logprobs=EXTRAS).map(lambda body: json.dumps(body).encode()),
    st.builds(completion, TEXTS, finish_reason=st.sampled_from(["length", "error", None, "what"])).map(
        lambda body: json.dumps(body, indent=1, ensure_ascii=True).encode()
    ),
    st.sampled_from([*DEEP, b"", b"{}", b"[1]", b"7", b'{"error": {"code": 503}}', b'{"n": ' + b"9" * 5_000 + b"}"]),
    st.sampled_from([json.dumps(completion("é" * 300_000)).encode(), json.dumps(completion("é" * 499_950)).encode()]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_a_reply_that_went_over_ray_is_what_it_is_online(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with OpenAIServer(Raw(body), models=("test-model",)).start() as live:
        outcome, found, online = asyncio.run(asked(live))
    assert KEY not in json.dumps(outcome)
    if isinstance(found, Failure) and found.kind == "too_large":
        return  # a line adds to its body
    assert type(found) is type(online)
    if isinstance(found, Failure) and isinstance(online, Failure):
        assert (found.kind, found.detail, outcome["attempts"]) == (online.kind, online.detail, online.attempts)
    for name in ("content", "reasoning", "finish_reason", "answered_as", "completion_tokens"):
        assert getattr(found, name, None) == getattr(online, name, None)


def test_an_account_that_cannot_pay_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    gone = Status(429, "You exceeded your current quota.", code="insufficient_quota")

    async def down() -> str:
        asker = Asker(AskerSettings(spec_at(live.url), True, 1, 5.0, 2, 5.0, 1, "aiohttp"))
        async with (
            asker() as session,
            await session.post(
                "", data=json.dumps('{"model":"test-model","messages":[{"role":"user","content":"Hi"}]}')
            ) as answer,
        ):
            outcome = await answer.json()
        await asker.close()
        return outcome["down"]

    with OpenAIServer(gone, models=("test-model",)).start() as live:
        assert "the account's quota is used up (429)" in asyncio.run(down())


def spec_at(url: str) -> ModelSpec:
    return ModelSpec("vllm/test-model", "vllm", "test-model", url, "VLLM_API_KEY")


@pytest.mark.parametrize("retried", [False, True], ids=["resume", "retry failed"])
def test_blocks_that_were_left_are_recorded_first_and_once(tmp_path: Path, retried: bool) -> None:
    run, data = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 8)
    with server().start() as live:
        planned = ["run", "unethical_test", "-m", "vllm/subject", "--dataset", data, "--out", run, *RUN]
        assert emeval(*planned, "--via", "ray", "--plan-only", url=live.url).returncode == 0
        assert emeval("batch", "export", run, "--for", "vllm", *told_again(run), url=live.url).returncode == 0
        lines = [line for file in run.rglob("requests-*.jsonl") for line in file.read_text().splitlines()]
        ids = [json.loads(line)["custom_id"] for line in lines]
        folder = run / "ray"
        folder.mkdir()
        body = json.dumps(completion("An answer that was there", finish_reason="stop") | {"model": "subject"})
        there = Outcome(body=body, kind="", detail="", attempts=3, down="")
        late = Outcome(body="", kind="timeout", detail="no complete reply within 9 s", attempts=2, down="")
        for number, outcomes in enumerate(([there, late], [there])):
            block = folder / f"block-{number:06}.results.jsonl"
            block.write_text("".join(f"{result_line(ids.pop(), outcome)}\n" for outcome in outcomes))
        more = ["--retry-failed"] if retried else []
        done = emeval("resume", run, *told_again(run), "--via", "online", *more, url=live.url)
        assert done.returncode == 0, done.stderr
        assert "recording 2 blocks of results that an earlier session left" in done.stderr
        assert sum("case" in last_message(chat.body) for chat in live.chats) == 8 - 3 + retried
    table = responses(run)
    assert len(table) == recorded(run) == 8
    assert list(table["answer"]).count("An answer that was there") == 2
    assert list(table["outcome"]).count("failed") == (not retried)
    assert attempts(run) == {1, 3} | (set() if retried else {2})
    assert not folder.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["-m", "local/organism"], "--via: local/organism: emeval serves it itself"),
        (["-m", "vllm/subject", "--base-url", "@urls.txt"], "its workers read no file of URLs"),
        (
            ["-m", "vllm/subject", "--judge", "local/reference-judge"],
            "--judge-via: local/reference-judge: emeval serves",
        ),
        (["-m", "vllm/subject", "--judge", "vllm/j", "--judge-base-url", "@urls.txt"], "read no file of URLs"),
        (["-m", "vllm/subject", "--ray-address", "somewhere"], "--ray-address: give local, auto, or the HOST:PORT"),
    ],
)
def test_what_no_worker_can_ask_is_one_line(tmp_path: Path, more: list[str], said: str) -> None:
    (tmp_path / "urls.txt").write_text("http://127.0.0.1:9/v1\n")
    via = "--judge-via" if "--judge" in more else "--via"
    asked = ["run", "unethical_test", via, "ray", "--out", tmp_path / "run", *more]
    refused(emeval(*asked, url="http://127.0.0.1:9/v1", cwd=tmp_path), said)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("via", [["--via"], ["--judge", "vllm/judge", "--judge-via"]], ids=["models", "judges"])
def test_without_ray_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, via: list[str]) -> None:
    monkeypatch.setattr("evals.runner.run.find_spec", lambda name: None)  # the standard library's
    asked = ["run", "unethical_test", "-m", "vllm/subject", *via, "ray", "--out", tmp_path / "run"]
    refused(emeval(*asked, url="http://127.0.0.1:9/v1"), f"{via[-1]} ray needs Ray: pip install 'ray[data]<3,>=")


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: make .venv/.ready")
    data = scenarios(tmp_path / "d.jsonl", 2)
    with server().start() as live:
        asked = ["run", "unethical_test", "-m", "vllm/subject", "--dataset", data, "--out", tmp_path / "run", *RUN]
        done = emeval(*asked, "--via", "ray", "--ray-address", "127.0.0.1:1", url=live.url)
    assert done.returncode == 3
    last = done.stderr.splitlines()[-1]
    assert "emeval: Ray at 127.0.0.1:1: ConnectionRefusedError: " in last
    Path(last.partition("its log: ")[2].partition(" (")[0]).unlink()


@pytest.mark.parametrize("judged", [False, True], ids=["models", "judges"])
def test_a_manifest_is_not_believed_about_the_cluster(tmp_path: Path, judged: bool) -> None:
    run, data = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 2)
    url = "http://127.0.0.1:9/v1"
    planned = ["run", "unethical_test", "-m", "vllm/subject", "--dataset", data, "--out", run, *RUN]
    if judged:
        planned += [*WITH_JUDGE, "--judge-via", "ray"]
    else:
        planned += ["--via", "ray"]
    assert emeval(*planned, "--ray-address", "10.9.9.9:6379", "--plan-only", url=url).returncode == 0
    assert told_again(run)[-2:] == ["--ray-address", "10.9.9.9:6379"]
    refused(emeval("resume", run, "--dataset", data, url=url), "give the same again: --ray-address 10.9.9.9:6379")
