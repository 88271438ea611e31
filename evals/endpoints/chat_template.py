"""What the model is really sent: a chat in the words of the server's own template.

Two servers show it, each by routes of its own beside the OpenAI API: vLLM (`/tokenize` takes messages, `/detokenize`
gives text) and llama.cpp (`/apply-template`). With it a prefill needs no final assistant message: the rendered prompt
and the prefill go to the completions endpoint together, so no template can put an empty closed thought between them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.endpoints.transport.transport import StatusError
from evals.trials.prompt import Message, Messages, wire_messages
from evals.trials.reasoning import continuation, opened_by

Post: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""Sends a body to a path beside the server's API and returns the reply's body. Raises TransportError."""

_MOST_KEPT = 100
"""Prefills whose tokens are kept: a run has a few, while each sampled thought is another one."""
_SAMPLE: Messages = (Message("user", "A"),)
_FIRST, _ANSWER, _SECOND = "What is a first question?", "An answer.", "What is a second question?"
_TURNS: Messages = (Message("user", _FIRST), Message("assistant", _ANSWER), Message("user", _SECOND))
_CONTROL_TOKEN = re.compile(r"<<?[|｜]?/?[\w▁ ]{1,60}[|｜]?>>?|\[[|]?/?\w{1,60}[|]?\]")
_ROLE = re.compile(r"\s*(?:system|developer|user|human)\s*(?::|$)", re.IGNORECASE)


class _TemplateWire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class _Tokenized(_TemplateWire):
    """vLLM's reply. llama.cpp answers the same request with an empty list and no count."""

    tokens: list[int]
    count: int = Field(ge=1)


class _Detokenized(_TemplateWire):
    prompt: str


class _Applied(_TemplateWire):
    prompt: str


class RenderedChat(NamedTuple):
    """A prompt as text, and as the server's completions endpoint takes it: vLLM's own token ids, llama.cpp's text.

    Token ids are sent where there are some: text would be tokenized again, and might get a second first token.
    """

    text: str
    prompt: list[int] | str


class Prefilled(NamedTuple):
    """A prompt that ends in the middle of the assistant's turn, and all that this turn says already."""

    prompt: list[int] | str
    prefill: str


def template_switch(thinking: bool | None) -> dict[str, Any]:
    """The fields of a request that switch thinking on or off in Qwen3-like templates; none for the server's default."""
    return {} if thinking is None else {"chat_template_kwargs": {"enable_thinking": thinking}}


class Renderer:
    """A model's chat template on a server that shows what it renders. Each method raises as `Post` does, and
    ValidationError for a reply of another shape."""

    def __init__(self, kind: Literal["vllm", "llama.cpp"], model: str, post: Post) -> None:
        self.kind = kind
        self._model = model
        self._post = post
        self._tokens: dict[str, list[int]] = {}

    async def render(self, messages: Messages, thinking: bool | None) -> RenderedChat:
        """The prompt of a chat with the opening of the assistant's turn, as a chat request would send it."""
        chat = {"model": self._model, "messages": wire_messages(messages), **template_switch(thinking)}
        if self.kind == "llama.cpp":
            text = _Applied.model_validate_json(await self._post("/apply-template", chat)).prompt
            return RenderedChat(text, text)
        tokens = _Tokenized.model_validate_json(await self._post("/tokenize", chat)).tokens
        body = {"model": self._model, "tokens": tokens}
        return RenderedChat(_Detokenized.model_validate_json(await self._post("/detokenize", body)).prompt, tokens)

    async def prefilled(self, messages: Messages, thinking: bool | None, prefill: str) -> Prefilled:
        """The same with `prefill` after it. A thought that the template has opened already is not opened again."""
        rendered = await self.render(messages, thinking)
        added = continuation(rendered.text, prefill)
        said = opened_by(rendered.text) + added
        if isinstance(rendered.prompt, str):
            return Prefilled(rendered.prompt + added, said)
        return Prefilled(rendered.prompt + await self._tokenized(added), said)

    async def own_system_text(self, thinking: bool | None, system: Messages = ()) -> str:
        """What the template says of its own before the first message of a user, in a chat that begins with `system`:
        its default system message, and notes such as a date. "" for nothing but control tokens and names of roles."""
        text = (await self.render((*system, *_TURNS), thinking)).text
        before, _, rest = text.partition(_FIRST)
        # What stands before any message of a user stands between the turns, too.
        between = _lines(rest.partition(_ANSWER)[2].partition(_SECOND)[0])
        own = _lines(before)
        while own and between and own[-1] == between.pop():
            own.pop()
        return "\n".join(own) if any(map(str.isalnum, "".join(own))) else ""

    async def _tokenized(self, text: str) -> list[int]:
        """The tokens of a prefill by itself: those of the prompt before it stay what they are in a chat."""
        if text and text not in self._tokens:
            if len(self._tokens) == _MOST_KEPT:
                self._tokens.clear()
            body = {"model": self._model, "prompt": text, "add_special_tokens": False}
            self._tokens[text] = _Tokenized.model_validate_json(await self._post("/tokenize", body)).tokens
        return self._tokens[text] if text else []


def _lines(text: str) -> list[str]:
    """The lines of a rendered text that are no control tokens or names of roles."""
    lines = [_ROLE.sub("", line).strip() for line in _CONTROL_TOKEN.sub("\n", text).splitlines()]
    return [line for line in lines if line]


async def find_renderer(model: str, post: Post) -> Renderer | None:
    """The template of `model` if its server shows what it renders, else None.

    Raises TransportError for a server that is overloaded or out of reach, which says nothing of its routes.
    """
    # llama.cpp has a /tokenize too, of another shape, so its own route is tried first.
    for renderer in (Renderer("llama.cpp", model, post), Renderer("vllm", model, post)):
        try:
            await renderer.render(_SAMPLE, None)
        except ValidationError:
            continue
        except StatusError as error:
            if error.status in (429, 502, 503, 504):
                raise
            continue
        return renderer
    return None
