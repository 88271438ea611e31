"""Servers that repeat the key they were given: it stands in no file and no message."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evals.endpoints.transport.key_redactor import MARK, KeyRedactor
from tests.support.cli_runner import emeval, responses, scenarios
from tests.support.servers.openai_server import Answer, OpenAIServer, Raw

KEY = "sk-Proj+0a1B/2c3D=4e5F"
KEYS = st.text("abcdefghijkLMNOPQ0123456789-_+/=.~", min_size=20, max_size=80)
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "lower": str.lower,
    "swapped": str.swapcase,
    "percent": lambda key: quote(key, safe=""),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "login": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "dump": lambda key: base64.b64encode(f'{{"Authorization": "Bearer {key}"}}'.encode()).decode(),
    "url-safe": lambda key: base64.urlsafe_b64encode(f"x{key}y".encode()).decode(),
    "spaced": " ".join,
    "wrapped": lambda key: "\n  ".join((key[:7], key[7:])),
    "hidden": "\u200b".join,
    "indented": lambda key: f"{key[:9]}\r\n{' ' * 40}{key[9:]}",
}


@pytest.mark.parametrize("form", WRITTEN)
@settings(max_examples=25)
@given(key=KEYS, before=st.text(max_size=30), after=st.text(max_size=30))
def test_a_key_is_found_however_it_is_written(form: str, key: str, before: str, after: str) -> None:
    redacted = KeyRedactor(key).redact(before + WRITTEN[form](key) + after)
    assert MARK in redacted
    inner = key[3:-3]  # base64 shares its first and last characters with what stands around the key
    assert WRITTEN[form](inner).strip("=")[2:-2] not in redacted.replace(before, "").replace(after, "")


@given(text=st.text(max_size=300), key=KEYS)
def test_a_text_without_the_key_stays_as_it_is(text: str, key: str) -> None:
    assume(key.lower() not in "".join(text.split()).lower())
    assert KeyRedactor(key).redact(text) == text


@pytest.mark.parametrize("key", ["", "none", "EMPTY", "not-needed", "no-key-required", "a", "token", "password"])
def test_a_word_in_place_of_a_key_mangles_no_text(key: str) -> None:
    text = f"None of it is EMPTY; the {key} is not-needed."
    assert KeyRedactor(key).redact(text) == text


@pytest.mark.parametrize("piece", ["s ", "s", "sk-", "s\u200b", "SSSS\n"])
def test_long_texts_cost_linear_time(piece: str) -> None:
    redactor = KeyRedactor("s" * 40 + "k1")
    started = time.process_time()
    redactor.redact(piece * 100_000 + "s" * 40 + "k1")
    assert time.process_time() - started < 5


def echo(body: Any, _seen: int) -> Raw:
    """A reply that holds the key wherever there is a place for a text."""
    message = {"content": f"A - {KEY}", "reasoning": f"my key is {KEY.upper()}", "refusal": f"no, {KEY}"}
    choice = {"message": message, "finish_reason": f"stop: {KEY}"}
    return Raw(json.dumps({"model": f"{body['model']}-{KEY}", "choices": [choice]}).encode())


def echo_in_answer(body: Any, seen: int) -> Raw:
    said = json.loads(echo(body, seen).body)
    said["choices"][0]["finish_reason"] = "stop"
    return Raw(json.dumps(said, ensure_ascii=True).encode())


@pytest.mark.parametrize("script", [echo, echo_in_answer], ids=["everywhere", "answer"])
def test_an_echoed_key_is_in_no_file_of_a_run_and_in_no_message(script: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with OpenAIServer(script, models=("subject", f"other-{KEY}")).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 2)),
            *("--judge", "vllm/subject", "--format", "both", "--out", folder, "--no-preflight", "--max-attempts", "1"),
            url=server.url,
            env={"VLLM_API_KEY": KEY},
        )
        assert {chat.authorization for chat in server.chats} == {f"Bearer {KEY}"}
    assert done.returncode in (0, 1, 2), done.stderr
    shown = done.stdout + done.stderr
    found = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for form in (KEY, KEY.upper(), quote(KEY, safe="")):
        assert form not in shown
        assert [file for file, data in found.items() if form.encode() in data] == []
    if script is echo_in_answer and done.returncode != 2:
        assert "repeats its key in replies: it is stored as [key]" in shown
        assert any(MARK in answer for answer in responses(folder)["answer"])


def test_an_echoed_key_in_an_error_is_in_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    hidden = WRITTEN["dump"](KEY)
    script = {"Case 1": Raw(f"Bearer {KEY} {hidden}".encode(), status=400), "": Answer("A")}
    with OpenAIServer(script, models=("subject",)).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 3)),
            *("--out", folder, "--no-preflight", "--max-unscored", "1"),
            url=server.url,
            env={"VLLM_API_KEY": KEY},
        )
    assert done.returncode == 0, done.stderr
    journal = (folder / "journal.sqlite").read_bytes()
    assert b"Bearer [key]" in journal
    assert KEY.encode() not in journal
    assert hidden.encode() not in journal
