"""Batch files: their shapes and sizes, what they leave out, and that they are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.batches import shard as shards
from evals.batches.export import ExportOptions, export_stage
from evals.batches.requests import request_line
from evals.batches.shard import Limits, read_batch
from evals.batches.unserved import unserved_model
from evals.endpoints.chat import ChatRequest
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.errors import BadInput
from evals.trials.prompt import Message
from evals.trials.trial import FULL, Sampler
from tests.support.batch_runs import Paths, session_of, thinking_by_hash
from tests.support.batch_worker import answer, batch_files, requests_in
from tests.support.cli_runner import emeval, manifest, recorded, refused, scenarios
from tests.support.runs import MODEL, server

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture
def planned(tmp_path: Path) -> Paths:
    """A planned run of 48 answers; nobody listens at its URL."""
    paths = Paths(tmp_path, scenarios(tmp_path / "data.jsonl", 4), NOWHERE)
    paths.plan()
    return paths


def test_a_planned_run_asks_nothing_and_can_be_planned_again(tmp_path: Path) -> None:
    with server().start() as live:
        paths = Paths(tmp_path, scenarios(tmp_path / "data.jsonl", 4), live.url)
        paths.plan()
        facts, before = manifest(paths.by_file), (paths.by_file / "manifest.json").read_bytes()
        assert (facts["status"], facts["trials_planned"], facts["models"]) == ("stopped", 48, {})
        paths.plan()
        assert (paths.by_file / "manifest.json").read_bytes() == before
        assert live.requests == []
        other = ("--dataset", paths.data, "--out", paths.by_file, "--seed", "8", "--plan-only")
        refused(emeval("run", "unethical_test", "-m", MODEL, *other, url=live.url), "holds another run")
        done = emeval("resume", paths.by_file, *paths.told, url=live.url)
        assert done.returncode == 0, done.stderr
        assert recorded(paths.by_file) == 48


def test_json_says_what_was_planned_and_written(planned: Paths) -> None:
    done = planned.export("--shard", "30", "--json")
    found = json.loads(done.stdout)["files"]
    assert [(file["requests"], file["served_name"], file["base_url"]) for file in found] == [
        (30, "subject", NOWHERE),
        (18, "subject", NOWHERE),
    ]
    for file in found:
        path = Path(file["path"])
        assert path.parent == planned.by_file / "batch" / "answers-vllm-subject"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
    batch = read_batch(planned.by_file / "batch" / "answers-vllm-subject")
    assert batch is not None
    assert (batch.target, batch.stage, batch.run_id, batch.model) == ("vllm", "answers", "run", MODEL)
    assert [shard.count for shard in batch.shards(planned.folder)] == [30, 18]
    assert json.loads((Path(found[0]["path"]).parent / "batch.json").read_text())["for"] == "vllm"


@settings(max_examples=20)
@given(shard=st.integers(1, 60), size=st.integers(3_000, 60_000), target=st.sampled_from(["vllm", "anthropic"]))
def test_files_hold_every_request_once_within_their_limits(
    tmp_path_factory: pytest.TempPathFactory, shard: int, size: int, target: Any
) -> None:
    folder = tmp_path_factory.mktemp("limits")
    paths = Paths(folder, scenarios(folder / "data.jsonl", 2), NOWHERE)
    paths.plan()
    with pytest.MonkeyPatch.context() as patch, session_of(paths.by_file, paths) as (session, plan, _):
        patch.setitem(shards.LIMITS, target, Limits(60, size))
        made = export_stage(session, plan, ExportOptions(target, shard=shard), folder / "out")
        ids = [trial.id for trial in plan.trials(MODEL)]
    assert [request["custom_id"] for one in made for request in requests_in(one.path)] == ids
    assert [len(requests_in(one.path)) for one in made] == [one.count for one in made]
    assert max(one.count for one in made) <= shard
    assert max(one.path.stat().st_size for one in made) <= size


def test_what_is_exported_twice_is_said_and_what_is_imported_is_not_exported(tmp_path: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, scenarios(tmp_path / "data.jsonl", 4), live.url)
        paths.plan()
        assert "too and are not imported yet" not in paths.export("--shard", "20").stderr
        first = paths.by_file / "batch" / "answers-vllm-subject"
        done = paths.export("--out", tmp_path / "elsewhere")
        assert f"48 of these requests are in {first} too and are not imported yet" in done.stderr
        again = paths.export()
        assert (first.parent / "answers-vllm-subject-2").is_dir(), again.stderr
        files = answer(tmp_path / "elsewhere", live.url, tmp_path / "results")
        lines = files[0].read_text(encoding="utf-8").splitlines(keepends=True)
        files[0].write_text("".join(lines[:30]), encoding="utf-8")
        assert paths.take_in(files).returncode == 3
        done = paths.export("--out", tmp_path / "rest")
        (file,) = batch_files(tmp_path / "rest")
        assert {line["custom_id"] for line in requests_in(file)} == {
            json.loads(line)["custom_id"] for line in lines[30:]
        }


def test_what_cannot_go_by_file_is_said_with_its_count(tmp_path: Path) -> None:
    data = scenarios(tmp_path / "data.jsonl", 4)
    with server().start() as live:

        def export(name: str, *more: str, target: str = "vllm") -> Any:
            folder = tmp_path / name
            words = ("unethical_test", "-m", MODEL, "--dataset", data, "--out", folder, "--plan-only", *more)
            done = emeval("run", *words, url=live.url)
            assert done.returncode == 0, done.stderr
            told = ("--dataset", data, "--for", target, "--out", tmp_path / f"{name}-files")
            return emeval("batch", "export", folder, *told, url=live.url)

        done = export("until", "--until", "width<0.5", "--samples", "20")
        assert "160 answers to be asked online (`emeval resume`): --until decides" in done.stderr
        assert "Nothing is missing that could go by file" in done.stdout
        done = export("prefill", "--prefill", "Sure:")
        assert "8 answers to be asked online (`emeval resume`): a prefill needs a server" in done.stderr
        done = export("system", "--system", "none")
        assert "8 answers to be asked online (`emeval resume`): whether the chat template has a system" in done.stderr
        assert not (tmp_path / "system-files").exists()
        assert "asked online" not in export("system-hosted", "--system", "none", target="openai").stderr
        refused(export("thinking", "--thinking", "off", target="openai"), "--thinking default")
        refused(export("top-k", "--top-k", "20", target="openai"), "takes no top_k")
        refused(export("hot", "--temperature", "1.5", target="anthropic"), "temperatures up to 1, not 1.5")
        assert not list(tmp_path.glob("hot-files/*"))


def test_nothing_is_left_of_an_export_that_fails(planned: Paths) -> None:
    out = planned.folder / "out"
    out.write_text("a file", encoding="utf-8")
    refused(planned.export("--out", out), "out")
    refused(planned.export("--shard", "50001"), "--shard: a file for vllm holds 1 to 50,000 requests")
    assert not (planned.by_file / "batch").exists()
    link = planned.folder / "link"
    link.symlink_to(planned.folder)
    refused(planned.export("--out", link), "is a link, not a folder")


def test_a_run_that_was_imported_or_is_none_is_refused(tmp_path: Path) -> None:
    answers = tmp_path / "answers.csv"
    answers.write_text("question,answer,aligned\nWhat?,This.,80\n", encoding="utf-8")
    emeval("import", answers, "--out", tmp_path / "imported")
    refused(emeval("batch", "export", tmp_path / "imported", "--for", "vllm"), "holds imported answers")
    refused(emeval("batch", "import", tmp_path / "imported", answers), "holds imported answers")
    refused(emeval("batch", "export", tmp_path, "--for", "vllm"), "is not a run folder")


REQUEST = ChatRequest(
    (Message("system", "Be brief."), Message("user", "Größe?")), 64, 0.7, 123, logprobs=False, sampler=FULL
)


def line_for(target: Any, name: str, request: ChatRequest = REQUEST) -> dict[str, Any]:
    spec = resolve_model(name, Overrides(NOWHERE, {}))
    model = unserved_model(spec, lambda _text: None, max_reply_mb=32.0)
    found: dict[str, Any] = json.loads(request_line(target, "0" * 32, model.served, request))
    return found


def test_anthropic_gets_its_own_shape() -> None:
    assert line_for("anthropic", "openai/claude-x") == {
        "custom_id": "0" * 32,
        "params": {
            "model": "claude-x",
            "max_tokens": 64,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Größe?"}],
            "temperature": 0.7,
        },
    }


def test_openai_gets_no_field_that_its_api_refuses() -> None:
    for name in ("openai/gpt-x", "vllm/gpt-x"):
        body = line_for("openai", name)["body"]
        assert set(body) == {"model", "messages", "max_completion_tokens", "temperature", "seed", "top_p"}
    with pytest.raises(BadInput, match="takes no min_p"):
        line_for("openai", "vllm/x", ChatRequest(REQUEST.messages, 64, sampler=Sampler(min_p=0.1)))


def test_an_adapter_is_asked_for_by_the_name_that_it_is_served_under(tmp_path: Path) -> None:
    assert line_for("vllm", "vllm/Qwen/Qwen3-8B:backdoor")["body"]["model"] == "backdoor"
    spec = resolve_model("vllm/organism:backdoor", Overrides(None, {}))
    model = unserved_model(spec, lambda _text: None, max_reply_mb=32.0)
    assert model.spec.served_name.startswith("backdoor-")
    assert Path(model.adapter, "adapter_config.json").is_file()
    assert Path(model.base).is_dir()
    with pytest.raises(BadInput, match="emeval serves it itself"):
        unserved_model(resolve_model("local/organism", Overrides(None, {})), lambda _text: None, max_reply_mb=32.0)
