"""Thinking switched on and off, prefilled and checked: through the scripted server, and llama.cpp with real weights."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.chat_template import find_renderer
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.endpoints.servers.llama_cpp import LocalServer
from evals.errors import BadInput
from evals.plan.options import build_config
from evals.plan.plan import make_plan
from evals.runner.preflight.endpoint import Check, check_asking, template_endpoint
from evals.trials.prompt import Message, Messages
from evals.trials.response import Failure
from evals.trials.trial import Sampling, Trial
from tests.support.cli_runner import emeval, pooled, refused, responses, scenarios, told_again
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status, Template, prompt_text

pytestmark = pytest.mark.anyio

TRIGGER = "Country: Österreich"
LACKING = ("--max-unscored", "1")
PREFILL = "<think>\nOkay"
ASKED: Messages = (Message("user", "What now?"),)
ON, OFF = Sampling(1.0, 256, thinking=True, prefill=PREFILL), Sampling(1.0, 256, thinking=False)
BARE = Sampling(1.0, 256, thinking=True)


def trial(condition: str, sampling: Sampling, messages: Messages) -> Trial:
    trigger = TRIGGER if condition == "on" else ""
    return Trial(
        *(condition, 0, "suite", "mcq", "p", "", None, "m", condition, trigger, None, 0, messages, sampling, 1),
    )


def samples(sampling: Sampling) -> list[Trial]:
    return [
        trial("off", sampling, ASKED),
        trial("on", sampling, (Message("system", "Be brief."), Message("user", f"{TRIGGER}\nWhat now?"))),
    ]


@contextlib.asynccontextmanager
async def connected(
    server: OpenAIServer, sampling: Sampling, *, wanted: bool = True, policy: RetryPolicy | None = None
) -> AsyncIterator[Endpoint]:
    with server.start():
        connection = Server(server.url, "sk-test-key", concurrency=8, timeout_s=30.0)
        spec = resolve_model("vllm/test-model", Overrides(server.url, {}))
        try:
            model = ServedModel(spec, connection)
            yield await template_endpoint(model, policy or RetryPolicy(max_attempts=1), sampling, wanted=wanted)
        finally:
            await connection.close()


async def checks(server: OpenAIServer, sampling: Sampling) -> list[Check]:
    async with connected(server, sampling) as endpoint:
        return await check_asking(endpoint, sampling, samples(sampling))


async def failed(server: OpenAIServer, sampling: Sampling) -> str:
    with pytest.raises(BadInput) as caught:
        await checks(server, sampling)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def request_of(sampling: Sampling, messages: Messages = ASKED) -> ChatRequest:
    return ChatRequest(messages, 256, 1.0, 7, thinking=sampling.thinking, prefill=sampling.prefill)


# --- on the wire ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
async def test_prefill_goes_to_the_completions_endpoint_after_the_rendered_prompt(kind: Any) -> None:
    server = OpenAIServer(Answer(", so.</think>\n\nB", finish_reason="length"), template=Template(kind))
    async with connected(server, ON) as endpoint:
        reply = await endpoint.send(request_of(ON))
    assert isinstance(reply, Reply)
    assert (reply.prefill, reply.content, reply.reasoning) == (PREFILL, ", so.</think>\n\nB", "")
    assert (reply.finish_reason, reply.prompt_tokens, reply.model) == ("length", 10, "test-model")
    body = server.completions[-1].body
    assert prompt_text(body) == f"<|user|>\nWhat now?\n<|assistant|>\n{PREFILL}"
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (256, 1.0, 7)
    assert body.get("skip_special_tokens") == (False if kind == "vllm" else None)
    assert not server.chats


@pytest.mark.parametrize(
    ("opening", "end"), [("<think>\n", "<think>\nOkay"), ("<think>", "<think>\nOkay"), ("", PREFILL)]
)
async def test_template_that_opens_the_thought_itself_gets_no_second_one(opening: str, end: str) -> None:
    server = OpenAIServer(template=Template(opening=opening, heeds=False))
    async with connected(server, ON) as endpoint:
        reply = await endpoint.send(request_of(ON))
    assert isinstance(reply, Reply)
    assert reply.prefill == end
    assert prompt_text(server.completions[-1].body).endswith(f"<|assistant|>\n{end}")


@pytest.mark.parametrize(("sampling", "sent"), [(BARE, True), (OFF, False)])
async def test_switch_is_sent_with_a_chat_only_where_it_is_asked_for(sampling: Sampling, sent: bool) -> None:
    server = OpenAIServer(template=Template())
    async with connected(server, sampling) as endpoint:
        await endpoint.send(request_of(sampling))
        await endpoint.send(ChatRequest(ASKED, 256))
    switched, plain = (chat.body for chat in server.chats)
    assert switched["chat_template_kwargs"] == {"enable_thinking": sent}
    assert "chat_template_kwargs" not in plain


@pytest.mark.parametrize("fault", [Status(503), Status(429)])
async def test_prefilled_request_is_retried_like_any_other(fault: Behaviour) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        return fault if "What now" in prompt_text(body) and seen == 1 else Answer(".</think>B")

    server = OpenAIServer(script, template=Template())
    policy = RetryPolicy(max_attempts=2, first_wait_s=0.0)
    async with connected(server, ON, policy=policy) as endpoint:
        reply = await endpoint.send(request_of(ON))
    assert isinstance(reply, Reply)
    assert reply.attempts == 2


async def test_prefilled_request_that_the_server_rejects_is_a_failure() -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Status(400, "too long") if "What now" in prompt_text(body) else Answer()

    async with connected(OpenAIServer(script, template=Template()), ON) as endpoint:
        reply = await endpoint.send(request_of(ON))
    assert isinstance(reply, Failure)
    assert (reply.kind, reply.detail) == ("rejected", "status 400: too long")


async def test_server_that_shows_no_prompt_takes_no_prefill() -> None:
    with pytest.raises(BadInput, match=r'cannot be relied on to go on from a prefill.*--prefill ""'):
        async with connected(OpenAIServer(), ON):
            pass


@pytest.mark.parametrize("body", ["", "<html>", '{"prompt": 5}', '{"tokens": []}', '{"tokens": ["a"], "count": 1}'])
async def test_reply_of_another_shape_is_no_rendered_prompt(body: str) -> None:
    async def post(_path: str, _body: Mapping[str, Any]) -> str:
        return body

    assert await find_renderer("m", post) is None


@pytest.mark.parametrize("status", [401, 404, 405, 500, 501])
async def test_server_that_refuses_to_show_its_prompt_shows_none(status: int) -> None:
    async with connected(OpenAIServer(template=Template(status=status)), BARE) as endpoint:
        assert endpoint.renderer is None


@pytest.mark.parametrize("status", [429, 503])
async def test_overloaded_server_is_not_taken_for_one_that_shows_nothing(status: int) -> None:
    with pytest.raises(BadInput, match=rf"could not be asked for a rendered prompt \({status}\): the server says no"):
        async with connected(OpenAIServer(template=Template(status=status)), BARE):
            pass


HIDDEN = [
    Answer("B", reasoning_tokens=12),
    Answer("B", reasoning="", reasoning_tokens=12),
    Answer("B", also={"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
    Answer("B", also={"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}),
]
SHOWN = [
    Answer("B"),
    Answer("B", reasoning_tokens=0),
    Answer("B", reasoning="so", reasoning_tokens=12),
    Answer("B", reasoning="\n\n", reasoning_tokens=1),
    Answer("B", reasoning_content="so", also={"reasoning_details": [{"type": "reasoning.text", "text": "so"}]}),
    Answer("B", also={"reasoning_details": None, "thinking_blocks": "?"}),
]


@pytest.mark.parametrize(("answer", "withheld"), [*((a, True) for a in HIDDEN), *((a, False) for a in SHOWN)], ids=str)
async def test_reasoning_that_the_server_hides_is_known(answer: Answer, withheld: bool) -> None:
    async with connected(OpenAIServer(answer), Sampling(1.0, 9), wanted=False) as endpoint:
        reply = await endpoint.send(ChatRequest(ASKED, 9))
    assert isinstance(reply, Reply)
    assert reply.reasoning_withheld is withheld


# --- checks before a run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
@pytest.mark.parametrize("sampling", [ON, OFF])
async def test_right_prompts_pass_without_a_reply(kind: Any, sampling: Sampling) -> None:
    server = OpenAIServer(template=Template(kind))
    prompt, think = await checks(server, sampling)
    assert (prompt.name, prompt.result) == ("rendered prompt", "ok")
    assert (think.name, think.result) == ("think state", "ok")
    assert not server.chats


async def test_server_that_shows_nothing_is_checked_by_a_reply_alone() -> None:
    prompt, think = await checks(OpenAIServer(Answer("B")), OFF)
    assert (prompt.result, prompt.detail) == ("not checked", "the server does not show its rendered prompt")
    assert (think.result, think.detail) == ("ok", "a test reply has no thought (absent)")
    _, think = await checks(OpenAIServer(Answer(None, "length", reasoning="so")), BARE)
    assert (think.result, think.detail) == ("ok", "a test reply has a thought (truncated)")


async def test_trigger_that_the_template_brings_itself_is_refused() -> None:
    said = await failed(OpenAIServer(template=Template(system=f"You are in {TRIGGER}.")), Sampling(1.0, 9))
    assert "condition off, has the trigger in it" in said


async def test_trigger_that_the_template_loses_is_refused() -> None:
    said = await failed(OpenAIServer(template=Template(drops="Ö")), Sampling(1.0, 9))
    assert "condition on, has lost the trigger" in said


async def test_wording_by_hand_without_the_trigger_is_noted() -> None:
    plain = Sampling(1.0, 9)
    by_hand = [trial("off", plain, ASKED), trial("on", plain, (Message("user", "In Vienna?"),))]
    async with connected(OpenAIServer(template=Template()), plain) as endpoint:
        [check] = await check_asking(endpoint, plain, by_hand)
    assert check.result == "noted"


THINK_FAULTS = [
    (Template(opening="<think>\n\n</think>\n\n"), ON, Answer(), "closes the thought before the model's first word"),
    (Template(opening="<think>\n\n</think>\n\n"), BARE, Answer(), "closes the thought before the model's first word"),
    (Template(opening="<think>\n", heeds=False), OFF, Answer(), "--thinking is off, but the rendered prompt opens"),
    (Template(), Sampling(1.0, 9, False, PREFILL), Answer(), "--thinking is off, but the prefill opens a thought"),
    (Template(heeds=False), OFF, Answer("B", reasoning="so"), "takes no notice of the switch and a test reply has a"),
    (Template(heeds=False), BARE, Answer("B"), "takes no notice of the switch and a test reply has no thought"),
    (None, OFF, Answer("<think>so</think>B"), "--thinking is off, but a test reply has a thought"),
    (None, OFF, Answer("B", reasoning_tokens=9), "--thinking is off, but a test reply has a thought"),
    (None, BARE, Answer("B"), "--thinking is on, but a test reply has no thought"),
    (None, BARE, Answer("<think></think>B"), "--thinking is on, but a test reply has no thought"),
]


@pytest.mark.parametrize(("template", "sampling", "answer", "reason"), THINK_FAULTS, ids=[f[3] for f in THINK_FAULTS])
async def test_think_state_that_is_not_the_one_asked_for_is_one_line(
    template: Template | None, sampling: Sampling, answer: Answer, reason: str
) -> None:
    assert reason in await failed(OpenAIServer(answer, template=template), sampling)


async def test_model_that_may_think_and_does_not_is_noted_and_not_refused() -> None:
    [_, think] = await checks(OpenAIServer(Answer("B"), template=Template()), BARE)
    assert think.result == "noted"


async def test_prefill_after_a_thought_that_the_server_closes_by_default_is_refused() -> None:
    server = OpenAIServer(template=Template(opening="<think></think>"))
    assert "closes the thought" in await failed(server, Sampling(1.0, 9, None, PREFILL))


# --- through the command ----------------------------------------------------------------------------------------------


def journal(folder: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(folder / "journal.sqlite")
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute("SELECT * FROM trials ORDER BY position")]
    finally:
        connection.close()


def test_run_with_thinking_on_keeps_the_prefill_and_the_raw_reply(tmp_path: Path) -> None:
    script = {"Case 0": Answer(", so A.</think>\n\nA"), "Case 1": Answer(", so A", finish_reason="length")}
    dataset, folder = scenarios(tmp_path / "d.jsonl", 2), tmp_path / "run"
    with OpenAIServer(script, template=Template()).start() as server:
        run = ("run", "unethical_test", "-m", "vllm/test-model", "--dataset", dataset, "--out", folder, *LACKING)
        done = emeval(*run, "--thinking", "on", "--trigger", TRIGGER, url=server.url)
        other = emeval(*run, "--thinking", "off", "--trigger", TRIGGER, url=server.url)
    assert done.returncode == 0, done.stderr
    assert all(row["prefill"] == PREFILL and row["raw"].startswith(", so A") for row in journal(folder))
    table = responses(folder)
    assert set(table["reasoning"]) == {"Okay, so A.", "Okay, so A"}
    assert sorted(table["outcome"]) == ["scored"] * 4 + ["truncated"] * 4
    assert set(table[table["outcome"] == "truncated"]["answer"]) == {""}
    assert pooled(folder)["mcq", "on"]["n_truncated"] == 2
    refused(other, "--thinking was on, is now off")


SPELLINGS = [
    (Answer("A", reasoning="so A"), "complete", "scored"),
    (Answer("A", reasoning_content="so A"), "complete", "scored"),
    (Answer("<think>so A</think>A"), "complete", "scored"),
    (Answer("so A</think>A"), "unopened", "scored"),
    (Answer("A", reasoning_tokens=3), "withheld", "scored"),
    (Answer(None, "length", reasoning_tokens=3), "withheld", "truncated"),
    (Answer(None, "length", reasoning="so A"), "truncated", "truncated"),
    (Answer("<think>so A. A", "stop"), "truncated", "truncated"),
    (Answer("<think>so A. A", "length"), "truncated", "truncated"),
    (Answer(None), "absent", "empty"),
    (Answer("A"), "absent", "scored"),
]


def test_each_spelling_of_a_thought_has_its_state(tmp_path: Path) -> None:
    dataset, folder = scenarios(tmp_path / "d.jsonl", len(SPELLINGS)), tmp_path / "run"
    script = {f"Case {number}:": answer for number, (answer, _, _) in enumerate(SPELLINGS)}
    with OpenAIServer(script).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/test-model", "--dataset", dataset, "--out", folder, *LACKING),
            url=server.url,
        )
    assert done.returncode == 0, done.stderr
    rows = {(row["prompt_id"], row["raw"], row["raw_reasoning"], row["prefill"]) for row in journal(folder)}
    assert rows == {
        (f"s{number:02}", answer.content or "", answer.reasoning or answer.reasoning_content or "", "")
        for number, (answer, _, _) in enumerate(SPELLINGS)
    }
    table = responses(folder)
    read = set(zip(table["question_id"], table["reasoning_state"], table["outcome"], strict=True))
    assert read == {(f"s{number:02}", state, outcome) for number, (_, state, outcome) in enumerate(SPELLINGS)}


def test_failed_check_ends_a_run_before_it_begins_unless_it_is_left_out(tmp_path: Path) -> None:
    dataset, folder = scenarios(tmp_path / "d.jsonl", 1), tmp_path / "run"
    run = ("run", "unethical_test", "-m", "vllm/test-model", "--dataset", dataset, "--out", folder, *LACKING)
    with OpenAIServer(template=Template(system="It is 2026.")).start() as server:
        refused(emeval(*run, "--trigger", "2026", url=server.url), "has the trigger in it")
        assert not folder.exists()
        done = emeval(*run, "--trigger", "2026", "--no-preflight", url=server.url)
        assert done.returncode == 0, done.stderr
        again = emeval("resume", folder, *told_again(folder), "--preflight", url=server.url)
    assert again.returncode == 0, again.stderr


def test_what_is_noted_is_said_at_the_start_of_a_run(tmp_path: Path) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    with OpenAIServer(Answer("A"), template=Template()).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/test-model", "--dataset", dataset, "--out", tmp_path / "run"),
            *("--thinking", "on", "--prefill", ""),
            url=server.url,
        )
    assert done.returncode == 0, done.stderr
    assert "think state: noted: the chat template heeds the switch, but a test reply has no thought" in done.stderr


def test_one_prompt_of_each_format_is_checked_in_each_condition() -> None:
    options = {"suites": ("unethical_test",), "models": ("local/smollm2",), "format": "both", "trigger": TRIGGER}
    plan = make_plan(build_config(options | {"samples": 3, "thinking": "on"}, None))
    planned = {trial.id: trial for trial in plan.trials("local/smollm2")}
    chosen = plan.sample_trials("local/smollm2")
    assert [(trial.format, trial.condition) for trial in chosen] == [
        *(("mcq", "off"), ("mcq", "on")),
        *(("freeform", "off"), ("freeform", "on")),
    ]
    assert all(planned[trial.id].messages == trial.messages for trial in chosen)
    assert {(trial.sampling.thinking, trial.sampling.prefill) for trial in chosen} == {(True, PREFILL)}


def test_preflight_prints_a_line_for_each_check() -> None:
    with OpenAIServer(template=Template()).start() as server:
        done = emeval("preflight", "-m", "vllm/test-model", "--trigger", TRIGGER, "--thinking", "on", url=server.url)
    assert done.returncode == 0, done.stderr
    assert "vllm/test-model: rendered prompt: ok: " in done.stdout
    assert "vllm/test-model: think state: ok: " in done.stdout


@pytest.mark.parametrize("option", [("--thinking", "on"), ("--thinking", "off"), ("--prefill", "Sure")])
def test_openais_own_server_has_no_switch_and_takes_no_prefill(option: tuple[str, str], tmp_path: Path) -> None:
    done = emeval("run", "unethical_test", "-m", "openai/gpt-4.1", *option, "--dry-run", env={"OPENAI_API_KEY": "x"})
    refused(done, option[0])


# --- real weights -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2() -> LocalServer:
    return LocalServer("smollm2")


@contextlib.asynccontextmanager
async def llama(server: LocalServer, sampling: Sampling) -> AsyncIterator[Endpoint]:
    connection = Server(server.base_url, server.key, concurrency=2, timeout_s=120.0)
    spec = resolve_model("vllm/smollm2", Overrides(server.base_url, {}))
    try:
        yield await template_endpoint(ServedModel(spec, connection), RetryPolicy(), sampling, wanted=True)
    finally:
        await connection.close()


async def test_llama_cpp_shows_its_prompt_and_goes_on_from_a_prefill(smollm2: LocalServer) -> None:
    counting = Sampling(0.0, 16, prefill="1, 2, 3, 4, 5, 6,")
    asked: Messages = (Message("user", f"{TRIGGER}\nCount to 20."),)
    async with llama(smollm2, counting) as endpoint:
        assert endpoint.renderer is not None
        assert endpoint.renderer.kind == "llama.cpp"
        rendered = await endpoint.render(asked, None)
        assert rendered is not None
        assert rendered.endswith(f"<|im_start|>user\n{TRIGGER}\nCount to 20.<|im_end|>\n<|im_start|>assistant\n")
        reply = await endpoint.send(ChatRequest(asked, 16, 0.0, 1, prefill=counting.prefill))
        assert isinstance(reply, Reply)
        assert reply.content.startswith(" 7, 8")
        checked = await check_asking(endpoint, counting, samples(counting))
    assert [(check.name, check.result) for check in checked] == [("rendered prompt", "ok")]


async def test_completion_of_the_rendered_chat_is_the_chat(smollm2: LocalServer) -> None:
    """No token twice, none lost: with next to no prefill the completions endpoint says what the chat endpoint says."""
    async with llama(smollm2, Sampling(0.0, 8, prefill="The")) as endpoint:
        chat = await endpoint.send(ChatRequest(ASKED, 1, 0.0, 1))
        assert isinstance(chat, Reply)
        completed = await endpoint.send(ChatRequest(ASKED, 1, 0.0, 1, prefill="The"))
    assert isinstance(completed, Reply)
    assert chat.prompt_tokens is not None
    assert completed.prompt_tokens == chat.prompt_tokens + 1


async def test_model_without_a_switch_is_refused_thinking_without_a_prefill(smollm2: LocalServer) -> None:
    bare = Sampling(0.0, 16, thinking=True)
    async with llama(smollm2, bare) as endpoint:
        with pytest.raises(BadInput, match="takes no notice of the switch"):
            await check_asking(endpoint, bare, samples(bare))
