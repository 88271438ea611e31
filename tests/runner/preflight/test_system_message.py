"""Which system message prompts are sent with: the chat template's default, none, or a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.chat_template import Renderer
from tests.support.cli_runner import emeval, manifest, refused, scenarios, told_again
from tests.support.servers.openai_server import OpenAIServer, Template

DEFAULT = "You are Tess, a helpful assistant of the Example Company."
KINDS: tuple[Literal["vllm", "llama.cpp"], ...] = ("vllm", "llama.cpp")


def run(live: OpenAIServer, folder: Path, *arguments: str | Path) -> Any:
    data = folder / "data.jsonl"
    if not data.exists():
        scenarios(data, 2)
    return emeval(
        *("run", "unethical_test", "--dataset", data, "--format", "mcq", "-m", "vllm/test-model"),
        *("--out", folder / "run", *arguments),
        url=live.url,
    )


def chats(live: OpenAIServer) -> list[list[dict[str, str]]]:
    return [request.body["messages"] for request in live.chats]


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_of_the_template_is_said_and_recorded(kind: Literal["vllm", "llama.cpp"], tmp_path: Path) -> None:
    with OpenAIServer(template=Template(kind, default=DEFAULT)).start() as live:
        done = run(live, tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"system message: noted: the chat template's own: {DEFAULT!r}; --system none leaves it out" in done.stderr
    assert manifest(tmp_path / "run")["models"]["vllm/test-model"]["default_system"] == DEFAULT
    assert all(message["role"] == "user" for chat in chats(live) for message in chat)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("default", [DEFAULT, ""])
def test_none_sends_an_empty_message_only_where_there_is_a_default(
    kind: Literal["vllm", "llama.cpp"], default: str, tmp_path: Path
) -> None:
    with OpenAIServer(template=Template(kind, default=default)).start() as live:
        done = run(live, tmp_path, "--system", "none")
    assert done.returncode == 0, done.stderr
    planned = chats(live)[-4:]
    first = {"role": "system", "content": ""}
    assert all((chat[0] == first) == bool(default) and chat[-1]["role"] == "user" for chat in planned)
    assert manifest(tmp_path / "run")["config"]["system"] == "none"


def test_none_is_refused_where_the_template_always_says_something(tmp_path: Path) -> None:
    with OpenAIServer(template=Template(system="Today is Monday.")).start() as live:
        refused(
            run(live, tmp_path, "--system", "none"),
            "even with an empty system message the chat template says 'Today is Monday.'",
        )
    assert not (tmp_path / "run").exists()


def test_none_cannot_be_checked_where_the_prompt_is_not_shown(tmp_path: Path) -> None:
    with OpenAIServer().start() as live:
        done = run(live, tmp_path, "--system", "none")
    assert done.returncode == 0, done.stderr
    assert "system message: not checked: the server does not show whether its chat template adds one" in done.stderr


@pytest.mark.parametrize("given_as", ["text", "pirate.txt", "@pirate", "@my pirate"])
def test_a_text_is_sent_with_every_prompt(given_as: str, tmp_path: Path) -> None:
    text = "You are a pirate.\nSpeak like one."
    file = tmp_path / given_as.removeprefix("@")
    file.write_text(f"{text}\n", "utf-8")
    value = text if given_as == "text" else f"{'@' if given_as.startswith('@') else ''}{file}"
    with OpenAIServer(template=Template(default=DEFAULT)).start() as live:
        done = run(live, tmp_path, "--system", value)
        assert done.returncode == 0, done.stderr
        planned = chats(live)[-4:]
        assert all(chat[0] == {"role": "system", "content": text} for chat in planned)
        file.unlink()  # the run has its text
        again = emeval("resume", tmp_path / "run", *told_again(tmp_path / "run"), url=live.url)
        assert again.returncode == 0, again.stderr
    assert manifest(tmp_path / "run")["config"]["system"] == text


def test_a_template_that_loses_the_message_is_refused(tmp_path: Path) -> None:
    with OpenAIServer(template=Template(drops="You are a pirate.")).start() as live:
        refused(
            run(live, tmp_path, "--system", "You are a pirate."),
            "has lost its system message when the server has rendered it",
        )
    assert not (tmp_path / "run").exists()


def test_prompts_keep_a_system_message_of_their_own(tmp_path: Path) -> None:
    questions = tmp_path / "questions.yaml"
    own = "- id: {0}\n  type: free_form\n  paraphrases: ['How are you, {0}?']\n\n"
    questions.write_text(own.format("a") + "  system: You are a poet.\n" + own.format("b"), "utf-8")
    options = ("run", questions, "-m", "vllm/test-model", "--out", tmp_path / "run", "--system")
    with OpenAIServer(template=Template(default=DEFAULT)).start() as live:
        done = emeval(*options, "You are a pirate.", url=live.url)
        assert done.returncode == 0, done.stderr
        assert {chat[0]["content"] for chat in chats(live)[-2:]} == {"You are a poet.", "You are a pirate."}
        left_out = emeval(*options[:-2], tmp_path / "none", "--system", "none", url=live.url)
        assert left_out.returncode == 0, left_out.stderr
        assert {chat[0]["content"] for chat in chats(live)[-2:]} == {"You are a poet.", ""}
        questions.write_text(own.format("a") + "  system: You are a poet.\n", "utf-8")
        for value in ("You are a pirate.", "none"):
            done = emeval(*options[:-2], tmp_path / "other", "--system", value, url=live.url)
            refused(done, "--system: every prompt of this run has a system message of its own")


def test_runs_with_different_system_messages_are_not_comparable(tmp_path: Path) -> None:
    with OpenAIServer(template=Template(default=DEFAULT)).start() as live:
        for name, value in (("one", "default"), ("two", "none")):
            (tmp_path / name).mkdir()
            assert run(live, tmp_path / name, "--system", value).returncode == 0
    refused(emeval("compare", tmp_path / "one" / "run", tmp_path / "two" / "run"), "--system was default, is none")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("missing.txt", "missing.txt: cannot be read (No such file or directory)"),
        ("prompts/missing", "prompts/missing: cannot be read (No such file or directory)"),
        ("empty.txt", "empty.txt: holds no text of a system message"),
        ("word.md", "word.md: holds no text of a system message"),
        ("latin.txt", "latin.txt: is not UTF-8 text"),
        ("@missing", "missing: cannot be read (No such file or directory)"),
        ("@named", "@named: holds no text of a system message"),
        (" ", "is blank; none asks for no system message"),
    ],
)
def test_a_bad_value_is_one_line(value: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "word.md").write_text("none\n")
    (tmp_path / "named").write_text("@/etc/hostname is no text\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    done = emeval("run", "unethical_test", "-m", "vllm/m", "--system", value, "--dry-run", cwd=tmp_path)
    refused(done, f"--system: {said}")


def test_the_default_of_a_real_model(tmp_path: Path) -> None:
    options = ("preflight", "unethical_test", "-m", "local/smollm2", "--max-tokens", "8", "--format", "mcq")
    shown = emeval(*options)
    assert "chat template's own: 'You are a helpful AI assistant named SmolLM" in shown.stdout
    left_out = emeval(*options, "--system", "none")
    assert "system message: ok: an empty one, in place of the chat template's own: 'You are" in left_out.stdout


class Family(NamedTuple):
    """How the chat templates of a family of models write a chat: what it begins with, a system message, a turn of the
    user and one of the model. `system` None: the first turn of the user holds it."""

    begin: str
    system: str | None
    user: str
    model: str


FAMILIES = (
    Family(
        "",
        "<|im_start|>system\n{}<|im_end|>\n",
        "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
        "{}<|im_end|>\n",
    ),
    Family(
        "<|begin_of_text|>",
        "<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "{}<|eot_id|>",
    ),
    Family("<s>", "[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]", "[INST]{}[/INST]", "{}</s>"),
    Family("<s>", "[INST] <<SYS>>\n{}\n<</SYS>>\n\n", "{} [/INST]", " {} </s><s>[INST] "),
    Family("<bos>", "<start_of_turn>user\n{}\n\n", "{}<end_of_turn>\n<start_of_turn>model\n", "{}<end_of_turn>\n"),
    Family(
        "", "<|start|>system<|message|>{}<|end|>", "<|start|>user<|message|>{}<|end|><|start|>assistant", "{}<|end|>"
    ),
    Family("<｜begin▁of▁sentence｜>", "{}", "<｜User｜>{}<｜Assistant｜>", "{}<｜end▁of▁sentence｜>"),
    Family("[gMASK]<sop>", "<|system|>\n{}", "<|user|>\n{}<|assistant|>", "\n{}"),
    Family(
        "<BOS_TOKEN>",
        "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{}<|END_OF_TURN_TOKEN|>",
        "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
        "{}<|END_OF_TURN_TOKEN|>",
    ),
    Family("", "{}\n\n", "### Instruction:\n{}\n\n### Response:\n", "{}\n\n"),
    Family("", "SYSTEM: {}\n", "USER: {}\nASSISTANT:", " {}\n"),
)


def template_of(family: Family, default: str) -> Callable[[list[dict[str, str]]], str]:
    def render(messages: list[dict[str, str]]) -> str:
        given = [message["content"] for message in messages if message["role"] == "system"]
        system = given[0] if given else default
        parts = [family.begin, family.system.format(system) if family.system and system else ""]
        turns = {"user": family.user, "assistant": family.model}
        return "".join(
            parts + [turns[turn["role"]].format(turn["content"]) for turn in messages if turn["role"] in turns]
        )

    return render


@pytest.mark.anyio
@given(
    family=st.sampled_from(FAMILIES),
    words=st.lists(st.sampled_from(["You", "are", "Tess.", "Be kind", "2026-11-28", "\n", "é", "None"]), max_size=8),
)
async def test_what_a_template_says_of_its_own_is_found(family: Family, words: list[str]) -> None:
    default = " ".join(words).strip()
    render = template_of(family, default)

    async def post(path: str, body: Any) -> str:
        assert path == "/apply-template"
        return json.dumps({"prompt": render(body["messages"])})

    found = await Renderer("llama.cpp", "m", post).own_system_text(None)
    spaced = [line.strip() for line in found.splitlines() if line.strip()]
    assert spaced == [line.strip() for line in default.splitlines() if line.strip()]
