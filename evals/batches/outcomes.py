"""A line of results as the reply or the failure that the same request would have ended in online.

OpenAI and vLLM give `response` and `error`, Anthropic gives `result`. A completion goes through the same reading as one
from a server. A failure that may pass is recorded as one, too: nobody asks again here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast, get_args

from pydantic import ValidationError

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.retries import Transient
from evals.endpoints.transport.plain_completion import PlainCompletion, read_plain
from evals.endpoints.transport.reply_json import Unparsable
from evals.endpoints.transport.server_error import ErrorInReply, ServerError, error_in
from evals.endpoints.transport.transport import TooLarge, is_success
from evals.endpoints.wire import chat_reply, plain_reply
from evals.trials.response import Failure, FailureKind

_NEVER_ASKED: dict[str, tuple[FailureKind, str]] = {
    "expired": ("timeout", "the batch expired before this request was answered"),
    "canceled": ("broken_off", "the batch was cancelled before this request was answered"),
}
_CODES = {"batch_expired": "expired", "batch_cancelled": "canceled", "batch_canceled": "canceled"}
"""Of OpenAI's errors those that say that nobody was asked."""
_OUR_CODE = "emeval:"
_KINDS: dict[str, FailureKind] = {f"{_OUR_CODE}{kind}": kind for kind in get_args(FailureKind)}
"""Errors of a file that emeval's own workers have written (evals.batches.ray): they know what the failure was."""


def failure_code(kind: str) -> str:
    """The code in a line of results for a failure of that kind, whose detail is the message."""
    return f"{_OUR_CODE}{kind}"


def outcome_of(line: Mapping[str, Any], endpoint: Endpoint, request: ChatRequest) -> Reply | Failure:
    """What the line of a request says. Remarks about it go to the endpoint's server, which tells people."""
    try:
        body = _body_of(line, endpoint)
    except RecursionError:
        body = Failure("unparsable", "the result's body is nested too deeply", 1)
    if isinstance(body, Failure):
        return body
    try:
        reply = plain_reply(body, 0.0, 1) if isinstance(body, PlainCompletion) else chat_reply(body, 0.0, 1)
        return endpoint.checked(reply, request, 1)
    except Transient as error:
        return error.failure
    except (Unparsable, ValidationError):
        return Failure("unparsable", "the result's body is not a chat completion", 1)
    except ErrorInReply as found:
        codes = endpoint.server.clean(", ".join(dict.fromkeys(found.error.codes)))[:60]
        return _failure(found.error, f"error in a 200 ({codes or 'no code'})", endpoint)
    except TooLarge as error:
        return Failure("too_large", str(error), 1)


def failure_in(line: Mapping[str, Any], endpoint: Endpoint) -> Failure | None:
    """What a line without a completion says of its request, None for one with a body to read."""
    try:
        body = _body_of(line, endpoint)
    except RecursionError:
        return None
    return body if isinstance(body, Failure) else None


def _body_of(line: Mapping[str, Any], endpoint: Endpoint) -> str | PlainCompletion | Failure:
    """The completion in a line, as a text unless it is of the common shape, or why it has none."""
    if "result" in line:
        return _anthropic(_fields(line["result"]), endpoint)
    response = _fields(line.get("response"))
    status, body = response.get("status_code"), response.get("body")
    error = line.get("error")
    if type(status) is int and is_success(status) and not error:
        return read_plain(_fields(body)) or json.dumps(body)
    return _openai_failure(status if type(status) is int else None, body, error, endpoint)


def _openai_failure(status: int | None, body: object, error: object, endpoint: Endpoint) -> Failure:
    """Of a request without a completion. OpenAI has the error of the API in the body; vLLM has it beside the
    response, within another object or as a text."""
    said = _fields(body).get("error") or _fields(error).get("error") or error or body
    code = str(_fields(said).get("code"))
    if code in _CODES:
        return _never_asked(_CODES[code])
    if code in _KINDS:
        return Failure(_KINDS[code], endpoint.server.clean(str(_fields(said).get("message"))), 1)
    if status is not None and is_success(status):
        status = None
    found = error_in(said, status) or ServerError("no message", (), status)
    return _failure(found, f"status {status}" if status is not None else "error in the batch", endpoint)


def _anthropic(result: Mapping[str, Any], endpoint: Endpoint) -> str | Failure:
    kind = str(result.get("type"))
    if kind == "succeeded":
        return _as_completion(_fields(result.get("message")))
    if kind in _NEVER_ASKED:
        return _never_asked(kind)
    error = _fields(result.get("error"))
    found = error_in(error.get("error") or error) or ServerError("no message")
    return _failure(found, "error in the batch", endpoint)


def _as_completion(message: Mapping[str, Any]) -> str:
    """Anthropic's message as a chat completion: its blocks are parts of the content, of which those of thoughts are
    reasoning, and its word for the end is one that is known."""
    usage = _fields(message.get("usage"))
    cached = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    prompt = [usage[name] for name in cached if type(usage.get(name)) is int]
    return json.dumps(
        {
            "model": message.get("model"),
            "choices": [
                {
                    "message": {"content": message.get("content")} if "content" in message else None,
                    "finish_reason": message.get("stop_reason"),
                }
            ],
            "usage": {
                "prompt_tokens": sum(prompt) if "input_tokens" in usage else None,
                "completion_tokens": usage.get("output_tokens"),
            },
        }
    )


def _never_asked(why: str) -> Failure:
    kind, detail = _NEVER_ASKED[why]
    return Failure(kind, detail, 1)


def _failure(error: ServerError, where: str, endpoint: Endpoint) -> Failure:
    return Failure(error.kind, f"{where}: {endpoint.server.clean(error.message)}", 1)


def _fields(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
