"""Replies as servers send them: in parts, with odd fields beside the text, with errors in place of it."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.endpoints.chat import Reply
from evals.endpoints.model_list import Listed, read_models
from evals.endpoints.transport.reply_json import Unparsable
from evals.endpoints.transport.server_error import ErrorInReply, error_in
from evals.endpoints.transport.transport import TooLarge
from evals.endpoints.wire import Completion, TextCompletion, chat_reply, read_completion, reply_from, text_reply_from

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SHAPES = JSON | st.fixed_dictionaries(
    {"content": st.lists(st.fixed_dictionaries({"token": JSON, "logprob": JSON, "top_logprobs": JSON}), max_size=2)}
)
TEXT = {"type": "text", "text": "A"}
SO = {"type": "reasoning.text", "text": "so"}


def _options() -> Iterator[dict[str, Any]]:
    for token, logprob in (("A", -0.1), ("B", -2.5)):
        yield {"token": token, "logprob": logprob}


def text_reply(logprobs: object) -> Reply:
    body = json.dumps({"choices": [{"text": "A", "finish_reason": "stop", "logprobs": logprobs}]})
    return text_reply_from(read_completion(body, TextCompletion), "", 0.0, 1)


BESIDE_MESSAGE = ("reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "refusal", "role", "audio")


def read(message: Any, choice: dict[str, Any] | None = None, **body: Any) -> Reply:
    of = {"message": message, "finish_reason": "stop", **(choice or {})}
    return read_body(json.dumps({"choices": [of], **body}))


def read_body(body: str) -> Reply:
    """The reply as both readers read it."""
    try:
        reply = reply_from(read_completion(body, Completion), 0.0, 1)
    except (Unparsable, ErrorInReply, TooLarge) as error:
        with pytest.raises(type(error)):
            chat_reply(body, 0.0, 1)
        raise
    assert chat_reply(body, 0.0, 1) == reply
    return reply


TEXTS = st.none() | st.text(max_size=4) | st.sampled_from(["stop", "length", "error"])
COUNTS = st.none() | st.integers(-1, 2**64) | st.booleans() | st.just(3.0)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of the fields, each of them now and then with a value of any shape."""
    return st.fixed_dictionaries({}, optional={name: value | value | JSON for name, value in fields.items()})


COMMON = objects(
    model=TEXTS,
    error=st.none() | objects(message=TEXTS, code=TEXTS),
    usage=objects(
        prompt_tokens=COUNTS, completion_tokens=COUNTS, completion_tokens_details=objects(reasoning_tokens=COUNTS)
    ),
    choices=st.lists(
        objects(
            message=objects(
                content=TEXTS,
                reasoning=TEXTS,
                reasoning_content=TEXTS,
                refusal=TEXTS,
                reasoning_details=st.none() | st.lists(objects(type=TEXTS, text=TEXTS), max_size=2),
                thinking_blocks=st.none(),
            ),
            finish_reason=TEXTS,
            native_finish_reason=TEXTS,
            logprobs=st.none(),
            error=st.none(),
        ),
        min_size=1,
        max_size=2,
    ),
)


@settings(max_examples=400)
@given(COMMON)
def test_the_common_shape_is_read_as_any_other(body: dict[str, Any]) -> None:
    with contextlib.suppress(Unparsable, ErrorInReply):
        read_body(json.dumps(body))


@given(
    st.dictionaries(st.sampled_from(BESIDE_MESSAGE), JSON), st.dictionaries(st.sampled_from(["index"]), JSON), SHAPES
)
def test_no_value_beside_the_text_loses_a_reply(message: dict[str, Any], choice: dict[str, Any], logprobs: Any) -> None:
    reply = read({"content": "A", **message}, {**choice, "logprobs": logprobs})
    assert (reply.content, reply.finish_reason) == ("A", "stop")


@given(st.dictionaries(st.sampled_from(["model", "usage", "id", "created", "system_fingerprint", "provider"]), JSON))
def test_no_value_beside_the_choice_loses_a_reply(body: dict[str, Any]) -> None:
    assert read({"content": "A"}, **body).content == "A"


@given(JSON)
def test_only_the_first_choice_counts(other: Any) -> None:
    first = {"message": {"content": "A"}, "finish_reason": "stop"}
    assert read_body(json.dumps({"choices": [first, other]})).content == "A"


@pytest.mark.parametrize(
    ("content", "answer", "thought"),
    [
        ([TEXT], "A", ""),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "B pays."}]}, TEXT], "A", "B pays."),
        ([{"type": "thinking", "thinking": "B pays."}, "A"], "A", "B pays."),
        ([{"type": "text", "text": "It is "}, {"type": "reference"}, {"text": "so."}], "It is so.", ""),
        ([{"type": "output_text", "text": "A"}, {"type": "image_url", "image_url": "x"}], "A", ""),
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]}, TEXT], "A", "so"),
        ([], "", ""),
    ],
)
def test_a_content_in_parts_is_put_together(content: Any, answer: str, thought: str) -> None:
    reply = read({"content": content})
    assert (reply.content, reply.reasoning, reply.reasoning_withheld) == (answer, thought, False)


@pytest.mark.parametrize("content", [7, True, [7], [{"type": "text", "text": 7}], [[{"text": "A"}]]])
def test_a_content_that_cannot_be_read_as_a_whole_is_no_reply(content: Any) -> None:
    with pytest.raises(Unparsable):
        read({"content": content})


@pytest.mark.parametrize(
    ("beside", "thought", "withheld"),
    [
        ({"reasoning_details": [SO]}, "so", False),
        ({"reasoning_details": [{"type": "reasoning.summary", "summary": "so"}]}, "so", False),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, "", True),
        ({"reasoning_details": [{"type": "reasoning.encrypted"}, SO]}, "so", False),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "so", "signature": "x"}]}, "so", False),
        ({"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}, "", True),
        ({"reasoning": "so", "reasoning_details": [SO | {"text": "other"}]}, "so", False),
        ({"reasoning_details": [7, None, SO | {"text": None}, SO]}, "so", False),
    ],
)
def test_reasoning_in_blocks_is_read(beside: dict[str, Any], thought: str, withheld: bool) -> None:
    reply = read({"content": "A", **beside})
    assert (reply.reasoning, reply.reasoning_withheld) == (thought, withheld)


def test_a_refusal_among_the_parts_is_one() -> None:
    assert read({"content": [{"type": "refusal", "refusal": "No."}]}).refusal == "No."


def test_half_a_surrogate_pair_is_replaced() -> None:
    body = '{"choices": [{"message": {"content": "caf\\u00e9 \\ud83d \\ud83d\\ude00"}, "finish_reason": "stop"}]}'
    assert reply_from(read_completion(body, Completion), 0.0, 1).content == "café \ufffd 😀"


@given(JSON.filter(lambda value: not (isinstance(value, str) or value is None)))
def test_an_end_that_is_no_word_is_no_known_one(value: Any) -> None:
    assert read({"content": "A"}, {"finish_reason": value}).finish_reason.startswith("not a word")


@pytest.mark.parametrize(
    ("said", "native", "ending"),
    [
        ("stop", "STOP", "stop"),
        ("stop", "MAX_TOKENS", "MAX_TOKENS"),
        (None, "SAFETY", "SAFETY"),
        ("stop", "a word of its own", "stop"),
        ("length", "stop", "length"),
        ("stop", 7, "stop"),
    ],
)
def test_a_providers_own_word_counts_where_it_is_worse(said: str | None, native: Any, ending: str) -> None:
    assert read({"content": "A"}, {"finish_reason": said, "native_finish_reason": native}).finish_reason == ending


def test_a_filtered_reply_needs_no_message() -> None:
    assert read(None, {"finish_reason": "content_filter"}).finish_reason == "content_filter"


ERRORS: list[Any] = [
    "overloaded",
    {"message": "overloaded"},
    {"code": 502},
    {"code": "server_error", "message": None},
    {"type": "overloaded_error", "message": "overloaded"},
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
@pytest.mark.parametrize("kind", [Completion, TextCompletion])
def test_an_error_in_a_200_is_no_reply(error: Any, kind: Any) -> None:
    choice = {"message": {"content": "A"}, "text": "A", "finish_reason": "stop"}
    for body in ({"error": error}, {"error": error, "choices": [choice]}, {"choices": [choice | {"error": error}]}):
        with pytest.raises(ErrorInReply) as found:
            read_completion(json.dumps(body), kind)
        assert found.value.error.is_transient
        assert found.value.error.unpaid is None


@pytest.mark.parametrize("error", [None, "", " ", {}, [], False, 0, {"metadata": {}}, {"message": "", "code": None}])
def test_an_error_field_without_an_error_loses_nothing(error: Any) -> None:
    assert read({"content": "A"}, {"error": error}, error=error).content == "A"


@given(JSON)
def test_an_error_field_of_any_shape_is_an_error_or_none(value: Any) -> None:
    error = error_in(value)
    assert error is None or error.message or error.codes


@pytest.mark.parametrize(
    ("code", "kind", "transient"),
    [
        (400, "rejected", False),
        (401, "denied", False),
        (403, "denied", False),
        (404, "denied", False),
        (408, "server_error", True),
        (429, "rate_limited", True),
        (498, "server_error", True),
        (502, "server_error", True),
        ("503", "server_error", True),
        ("invalid_request_error", "rejected", False),
        ("a code of its own", "server_error", True),
        (7, "server_error", True),
    ],
)
def test_an_error_means_what_its_code_says(code: Any, kind: str, transient: bool) -> None:
    error = error_in({"code": code, "message": "m"})
    assert error is not None
    assert (error.kind, error.is_transient) == (kind, transient)


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_not_active", "account_deactivated", "Arrearage", 402])
@pytest.mark.parametrize("status", [None, 400, 403, 429])
@pytest.mark.parametrize("field", ["code", "type"])
def test_an_account_that_cannot_pay_is_told_whatever_the_status(code: Any, status: int | None, field: str) -> None:
    error = error_in({field: code, "message": "m"}, status)
    assert error is not None
    assert error.unpaid == str(code)


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ('{"data": [{"id": "a"}, {"id": "b", "parent": "a"}]}', {"a": Listed(), "b": Listed("a")}),
        ('[{"id": "a", "max_model_len": 4096}]', {"a": Listed(None, 4096)}),
        ('[{"id": "a", "max_model_len": true}, {"id": "b", "max_model_len": "9"}]', {"a": Listed(), "b": Listed()}),
        ('[{"id": "a", "parent": 7}, null, 7, {"id": null}, {"name": "x"}]', {"a": Listed()}),
        ('{"data": []}', {}),
    ],
)
def test_a_list_of_models_is_read(body: str, models: dict[str, Listed]) -> None:
    assert read_models(body) == models


@pytest.mark.parametrize("body", ["", "<html>", "7", "{}", '{"data": null}', '{"data": [7]}', '{"error": {"code": 1}}'])
def test_what_is_no_list_of_models_is_none(body: str) -> None:
    with pytest.raises(Unparsable):
        read_models(body)


# Grammars of bodies

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
TEXT_PARTS = st.builds(lambda kind, text: {"type": kind, "text": text}, st.sampled_from(["text", "output_text"]), WORDS)
THOUGHT_PARTS = st.one_of(
    st.builds(lambda text: {"type": "thinking", "thinking": [{"type": "text", "text": text}]}, WORDS),
    st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "x"}, WORDS),
    st.builds(lambda text: {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}, WORDS),
    st.builds(lambda text: {"type": "reasoning.text", "text": text}, WORDS),
)
LEFT_OUT = st.sampled_from([{"type": "image_url", "image_url": "x"}, {"type": "reference", "reference_ids": [1]}])


def _said(part: Any) -> str:
    said = next((part[name] for name in ("thinking", "summary", "text") if name in part), "")
    return said if isinstance(said, str) else "".join(inner["text"] for inner in said)


@given(st.lists(TEXT_PARTS | THOUGHT_PARTS | LEFT_OUT, max_size=8))
def test_no_thought_is_in_the_answer_and_no_answer_in_the_thought(parts: list[dict[str, Any]]) -> None:
    reply = read({"content": parts})
    answers = [part for part in parts if part["type"] in ("text", "output_text")]
    thoughts = [part for part in parts if part["type"].startswith(("thinking", "reasoning"))]
    assert reply.content == "".join(map(_said, answers))
    assert reply.reasoning == "".join(map(_said, thoughts))


@given(st.lists(THOUGHT_PARTS, max_size=4), st.sampled_from(["reasoning_details", "thinking_blocks"]), st.booleans())
def test_blocks_of_reasoning_are_its_text_and_hidden_ones_are_withheld(
    blocks: list[dict[str, Any]], field: str, hidden: bool
) -> None:
    kind = "reasoning.encrypted" if field == "reasoning_details" else "redacted_thinking"
    reply = read({"content": "A", field: [*blocks, *([{"type": kind, "data": "x"}] if hidden else [])]})
    assert reply.content == "A"
    assert reply.reasoning == "".join(map(_said, blocks))
    assert reply.reasoning_withheld == (hidden and not reply.reasoning)


HALVES = st.characters(categories=["Cs"])


@given(st.lists(WORDS | HALVES | st.just("\U0001f600"), max_size=8).map("".join))
def test_half_a_pair_anywhere_is_replaced_and_the_reply_kept(text: str) -> None:
    body = json.dumps({"choices": [{"message": {"content": text, text: text}, "finish_reason": "stop"}]})
    reply = reply_from(read_completion(body, Completion), 0.0, 1)
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert reply.content.replace("\ufffd", "") == whole.replace("\ufffd", "")
    reply.content.encode()


PLACES = st.sampled_from(["body", "choice", "object"])
UNPAID = ["insufficient_quota", "billing_not_active", "insufficient-credits", "INSUFFICIENT_BALANCE", "Arrearage", 402]


@given(
    PLACES,
    st.sampled_from([*UNPAID, 400, 401, 404, 408, 429, 498, 500, 503, 529, "rate_limit_error", "a code of its own"]),
    st.sampled_from(["code", "type", "status"]),
    st.none() | st.text(st.characters(codec="utf-8"), max_size=10),
    st.none() | st.just("A"),
)
def test_an_error_in_a_200_means_the_same_wherever_it_stands(
    place: str, code: Any, field: str, message: str | None, content: str | None
) -> None:
    error = {field: code, "message": message}
    choice: dict[str, Any] = {"message": {"content": content}, "text": "A", "finish_reason": "stop"}
    bodies: dict[str, Any] = {
        "body": {"error": error, "choices": [choice]},
        "choice": {"choices": [choice | {"error": error}]},
        "object": {"object": "error", **error},
    }
    with pytest.raises(ErrorInReply) as found:
        read_completion(json.dumps(bodies[place]), Completion)
    meant = error_in({"code": code, "message": "m"})
    assert meant is not None
    assert (found.value.error.unpaid is None, found.value.error.kind) == (meant.unpaid is None, meant.kind)
    assert (meant.unpaid is not None) == (code in UNPAID)


IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(st.lists(st.builds(lambda name: {"id": name}, IDS) | JSON.filter(lambda value: not isinstance(value, dict))))
def test_a_bare_list_of_models_is_read_as_one_in_an_object(entries: list[Any]) -> None:
    names = [entry["id"] for entry in entries if isinstance(entry, dict)]
    for body in (json.dumps(entries), json.dumps({"object": "list", "data": entries})):
        if entries and not names:
            with pytest.raises(Unparsable):
                read_models(body)
        else:
            assert list(read_models(body)) == list(dict.fromkeys(names))


@pytest.mark.parametrize(
    "logprobs",
    [
        {"tokens": ["A"], "top_logprobs": [{"A": -0.1, "B": -2.5}], "token_logprobs": [-0.1], "text_offset": [0]},
        {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": [*_options()]}]},
    ],
    ids=["vllm", "llama.cpp"],
)
def test_token_probabilities_of_a_text_completion(logprobs: dict[str, Any]) -> None:
    found = text_reply(logprobs).token_alternatives
    assert found is not None
    [(token, alternatives)] = found
    assert token == "A"
    assert alternatives == {"A": pytest.approx(math.exp(-0.1)), "B": pytest.approx(math.exp(-2.5))}


@given(logprobs=SHAPES | st.fixed_dictionaries({"tokens": JSON, "top_logprobs": JSON}))
def test_odd_probabilities_of_a_text_are_absent(logprobs: Any) -> None:
    assert text_reply(logprobs).content == "A"
