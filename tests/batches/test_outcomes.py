"""One line of results, in the shape of OpenAI, vLLM or Anthropic, as one reply or one failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.batches.outcomes import outcome_of
from evals.batches.unserved import unserved_model
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.trials.finish_reason import ending_of
from evals.trials.prompt import Message
from evals.trials.response import Failure

REQUEST = ChatRequest((Message("user", "What?"),), 64)
BODY = {"model": "m", "choices": [{"message": {"content": "This."}, "finish_reason": "stop"}]}


def outcome(line: dict[str, Any], said: list[str] | None = None) -> Reply | Failure:
    spec = resolve_model("vllm/m", Overrides("http://127.0.0.1:9/v1", {}))
    model = unserved_model(spec, (said if said is not None else []).append, max_reply_mb=32.0)
    return outcome_of(line, model.endpoint, REQUEST)


def of_openai(status: object, body: object, error: object = None) -> Reply | Failure:
    return outcome({"response": {"status_code": status, "request_id": "r", "body": body}, "error": error})


def of_anthropic(kind: str, **fields: Any) -> Reply | Failure:
    return outcome({"result": {"type": kind, **fields}})


FAILURES = {
    "OpenAI turns it down": (
        of_openai(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
        Failure("rejected", "status 400: too long", 1),
    ),
    "vLLM turns it down": (
        of_openai(400, None, {"error": {"message": "too long", "type": "BadRequestError", "code": 400}}),
        Failure("rejected", "status 400: too long", 1),
    ),
    "vLLM says why in a text": (of_openai(400, None, "no stream"), Failure("rejected", "status 400: no stream", 1)),
    "too many": (of_openai(429, {"error": {"message": "slow"}}), Failure("rate_limited", "status 429: slow", 1)),
    "no key": (of_openai(401, {"error": {"message": "key"}}), Failure("denied", "status 401: key", 1)),
    "its server": (of_openai(503, None), Failure("server_error", "status 503: no message", 1)),
    "expired": (
        outcome({"response": None, "error": {"code": "batch_expired", "message": "late"}}),
        Failure("timeout", "the batch expired before this request was answered", 1),
    ),
    "cancelled": (
        outcome({"response": None, "error": {"code": "batch_cancelled", "message": "no"}}),
        Failure("broken_off", "the batch was cancelled before this request was answered", 1),
    ),
    "an error alone": (
        outcome({"response": None, "error": {"code": "odd", "message": "odd\u001b[31m"}}),
        Failure("server_error", "error in the batch: odd[31m", 1),
    ),
    "an error beside a 200": (
        of_openai(200, BODY, {"message": "half"}),
        Failure("server_error", "error in the batch: half", 1),
    ),
    "an error in a 200": (
        of_openai(200, {"error": {"message": "half", "code": "x"}}),
        Failure("server_error", "error in a 200 (x): half", 1),
    ),
    "no completion": (
        of_openai(200, {"id": "x"}),
        Failure("unparsable", "the result's body is not a chat completion", 1),
    ),
    "no body": (of_openai(200, None), Failure("unparsable", "the result's body is not a chat completion", 1)),
    "no status": (of_openai("200", BODY), Failure("server_error", "error in the batch: no message", 1)),
    "Anthropic turns it down": (
        of_anthropic("errored", error={"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}),
        Failure("rejected", "error in the batch: no", 1),
    ),
    "Anthropic is overloaded": (
        of_anthropic("errored", error={"type": "error", "error": {"type": "overloaded_error", "message": "no"}}),
        Failure("server_error", "error in the batch: no", 1),
    ),
    "Anthropic expired": (
        of_anthropic("expired"),
        Failure("timeout", "the batch expired before this request was answered", 1),
    ),
    "Anthropic cancelled": (
        of_anthropic("canceled"),
        Failure("broken_off", "the batch was cancelled before this request was answered", 1),
    ),
    "Anthropic says nothing": (
        of_anthropic("succeeded"),
        Failure("unparsable", "the result's body is not a chat completion", 1),
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_of_the_kind_that_it_is_online(name: str) -> None:
    found, wanted = FAILURES[name]
    assert found == wanted


def test_a_message_of_anthropic_is_read_with_its_thoughts_and_its_end() -> None:
    blocks = [
        {"type": "thinking", "thinking": "I think ", "signature": "s"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "this."},
    ]
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": None, "output_tokens": 9}
    message = {"model": "m-20250101", "content": blocks, "stop_reason": "end_turn", "usage": usage}
    reply = of_anthropic("succeeded", message=message)
    assert isinstance(reply, Reply)
    assert (reply.content, reply.reasoning, reply.finish_reason) == ("It is this.", "I think ", "end_turn")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.answered_as) == (12, 9, "")
    hidden = of_anthropic("succeeded", message=message | {"content": [{"type": "redacted_thinking", "data": "x"}]})
    assert isinstance(hidden, Reply)
    assert hidden.reasoning_withheld


@pytest.mark.parametrize(
    ("word", "ending"),
    [("end_turn", "whole"), ("stop_sequence", "whole"), ("max_tokens", "cut"), ("refusal", "filtered")],
)
def test_the_words_of_anthropic_for_an_end_are_known(word: str, ending: str) -> None:
    message = {"model": "m", "content": [{"type": "text", "text": "x"}], "stop_reason": word, "usage": {}}
    reply = of_anthropic("succeeded", message=message)
    assert isinstance(reply, Reply)
    assert ending_of(reply.finish_reason) == ending


def test_a_body_nested_as_deeply_as_json_allows_is_a_failure() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert of_openai(200, {"model": "m", "x": deep}) in (
        Failure("unparsable", "the result's body is nested too deeply", 1),
        Failure("unparsable", "the result's body is not a chat completion", 1),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 600) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["response", "result", "error", "status_code", "body", "choices", "message", "content", "type", "code"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(line=st.dictionaries(st.sampled_from(["response", "result", "error"]), JSON, min_size=1))
def test_any_line_is_one_outcome(line: dict[str, Any]) -> None:
    found = outcome(json.loads(json.dumps(line)))
    assert isinstance(found, Reply | Failure)
