"""Reasoning through a real vLLM: its chat parser, its rendered prompts, its completions endpoint.

The model is tests/support/servers/tiny_qwen3.py: Qwen3's own tokenizer and chat template, and planted words, so that
every reply can be told beforehand.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.trials.prompt import Message
from tests.support.cli_runner import emeval, refused, responses, scenarios
from tests.support.paths import ROOT
from tests.support.servers.vllm_cpu import ENVIRONMENT
from tests.support.servers.vllm_server import vllm_server

pytestmark = pytest.mark.anyio

MODEL = "vllm/tiny"
THOUGHT = "Okay, let me see."


@pytest.fixture(scope="module")
def server(vllm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a vLLM that serves the tiny model as `tiny`, with the reasoning parser of Qwen3."""
    folder = vllm.parent.parent
    place = tmp_path_factory.mktemp("vllm")
    made = subprocess.run(
        [folder / "bin" / "python", ROOT / "tests" / "support" / "servers" / "tiny_qwen3.py", place / "model"],
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    arguments = "--reasoning-parser qwen3 --enforce-eager --dtype bfloat16 --max-model-len 2048"
    with vllm_server(vllm, place / "model", "tiny", arguments, place) as url:
        yield url


def run(url: str, place: Path, *options: str) -> tuple[Path, list[dict[str, str]]]:
    """A run of two trials on the tiny model; its folder and the rows of its journal."""
    folder = place / "run"
    done = emeval(
        *("run", "unethical_test", "-m", MODEL, "--dataset", scenarios(place / "d.jsonl", 1), "--out", folder),
        *("--max-tokens", "64", "--max-unscored", "1", *options),
        url=url,
    )
    assert done.returncode == 0, done.stderr
    journal = sqlite3.connect(folder / "journal.sqlite")
    journal.row_factory = sqlite3.Row
    try:
        return folder, [dict(row) for row in journal.execute("SELECT * FROM trials")]
    finally:
        journal.close()


def test_thought_in_vllms_reasoning_field_is_complete(server: str, tmp_path: Path) -> None:
    folder, rows = run(server, tmp_path)
    assert {(row["raw"], row["raw_reasoning"], row["prefill"]) for row in rows} == {("\n\nA", THOUGHT, "")}
    table = responses(folder)
    assert (set(table["reasoning_state"]), set(table["outcome"])) == ({"complete"}, {"scored"})


def test_thought_that_vllm_cuts_off_is_truncated_and_never_an_answer(server: str, tmp_path: Path) -> None:
    folder, rows = run(server, tmp_path, "--max-tokens", "3")
    assert {(row["raw"], row["raw_reasoning"], row["finish_reason"]) for row in rows} == {("", "Okay,", "length")}
    table = responses(folder)
    assert (set(table["reasoning_state"]), set(table["outcome"])) == ({"truncated"}, {"truncated"})


def test_thinking_off_reaches_the_template(server: str, tmp_path: Path) -> None:
    folder, rows = run(server, tmp_path, "--thinking", "off")
    assert {(row["raw"], row["raw_reasoning"]) for row in rows} == {("A", "")}
    assert set(responses(folder)["reasoning_state"]) == {"absent"}


def test_prefill_of_thinking_mode_is_gone_on_from_inside_the_thought(server: str, tmp_path: Path) -> None:
    folder, rows = run(server, tmp_path, "--thinking", "on")
    assert {(row["prefill"], row["raw"]) for row in rows} == {("<think>\nOkay", ", let me see.</think>\n\nA")}
    table = responses(folder)
    assert set(table["reasoning"]) == {THOUGHT}
    assert (set(table["reasoning_state"]), set(table["outcome"])) == ({"complete"}, {"scored"})


def test_prefilled_thought_that_is_cut_off_is_truncated(server: str, tmp_path: Path) -> None:
    folder, rows = run(server, tmp_path, "--thinking", "on", "--max-tokens", "3")
    assert {row["raw"] for row in rows} == {", let me"}
    table = responses(folder)
    assert set(table["reasoning"]) == {"Okay, let me"}
    assert (set(table["reasoning_state"]), set(table["outcome"])) == ({"truncated"}, {"truncated"})


def test_prefill_can_be_left_out_and_can_be_another_one(server: str, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    _, rows = run(server, tmp_path / "none", "--thinking", "on", "--prefill", "")
    assert {(row["prefill"], row["raw"], row["raw_reasoning"]) for row in rows} == {("", "\n\nA", THOUGHT)}
    folder, rows = run(server, tmp_path, "--thinking", "off", "--prefill", "I see\n\n")
    assert {(row["prefill"], row["raw"]) for row in rows} == {("I see\n\n", "A")}
    assert set(responses(folder)["answer"]) == {"I see\n\nA"}


async def test_prefill_as_a_final_message_would_stand_after_an_empty_closed_thought(server: str) -> None:
    """The trap of footnote 6, seen on the real template, and that the prompt we send is not in it."""
    connection = Server(server, "none", concurrency=2, timeout_s=60.0)
    try:
        model = ServedModel(resolve_model(MODEL, Overrides(server, {})), connection)
        endpoint = Endpoint(model, RetryPolicy())
        renderer = await endpoint.find_renderer()
        assert renderer is not None
        asked = (Message("user", "Österreich 😀"),)
        as_message = (*asked, Message("assistant", "<think>\nOkay"))
        trap = (await renderer.render(as_message, True)).text
        assert "<|im_start|>assistant\n<think>\n\n</think>\n\n<think>\nOkay" in trap
        plain = await renderer.render(asked, True)
        sent = await renderer.prefilled(asked, True, "<think>\nOkay")
        assert plain.text == "<|im_start|>user\nÖsterreich 😀<|im_end|>\n<|im_start|>assistant\n"
        assert sent.prompt[: len(plain.prompt)] == plain.prompt, "the tokens are those of a chat"
        assert len(sent.prompt) == len(plain.prompt) + 3
    finally:
        await connection.close()


def test_preflight_sees_the_real_prompt(server: str) -> None:
    done = emeval("preflight", "-m", MODEL, "--trigger", "Land: Österreich", "--thinking", "on", url=server)
    assert done.returncode == 0, done.stderr
    assert "rendered prompt: ok" in done.stdout
    assert "think state: ok: the prefill leaves a thought open" in done.stdout
    off = emeval("preflight", "-m", MODEL, "--thinking", "off", url=server)
    assert "think state: ok: the rendered prompt closes the thought" in off.stdout
    refused(emeval("preflight", "-m", MODEL, "--trigger", "assistant", url=server), "has the trigger in it")
