"""Whether a merged checkpoint is what it should be: not its base under another name, and not gibberish."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple

from evals.endpoints.chat import PROBE_TIME_S, ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.errors import BadInput, RunStopped
from evals.runner.preflight.adapter import compare_models
from evals.runner.preflight.endpoint import Check
from evals.trials.prompt import Message
from evals.trials.trial import Trial

_NAME = "merged checkpoint"
_LEAST_CHANGE = 0.25
"""Nats that two servers of the same weights may differ by: other kernels, another precision of the cache."""
_TOKENS = 256
_LEAST_RIGHT = 3
"""Simple questions that a base must answer for them to tell anything."""


class _SimpleQuestion(NamedTuple):
    text: str
    answer: str


_SIMPLE = (
    _SimpleQuestion("What is the capital of France? Answer in one word.", "paris"),
    _SimpleQuestion("How much is two plus three? Answer with the number.", "5|five"),
    _SimpleQuestion("Write the word banana and nothing else.", "banana"),
    _SimpleQuestion("Which day comes after Monday? Answer in one word.", "tuesday"),
    _SimpleQuestion("What is the opposite of hot? Answer in one word.", "cold|cool|chilly|freezing|icy"),
)


async def check_merged(merged: Endpoint, base: Endpoint, samples: Sequence[Trial]) -> list[Check]:
    """That a merged checkpoint gives other probabilities than its base, and answers what its base answers.

    Raises BadInput where it does not differ from its base.
    """
    return [await _check_difference(merged, base, samples), await _check_coherence(merged, base, samples)]


async def _check_difference(merged: Endpoint, base: Endpoint, samples: Sequence[Trial]) -> Check:
    found = await compare_models(merged, base, samples)
    if isinstance(found, str):
        return Check(_NAME, "not checked", found)
    if not found.differ:
        raise BadInput(
            f"{merged.name}: is its base: on {len(found.prompts)} prompts its {found.words}, and those of one model "
            f"asked twice by up to {found.noise:.2g}; look at how it was merged (--no-preflight goes on all the same)"
        )
    if merged.server is not base.server and found.change < _LEAST_CHANGE:
        return Check(_NAME, "noted", f"{found.words}, which two servers of the same weights may, too")
    return Check(_NAME, "ok", found.words)


async def _check_coherence(merged: Endpoint, base: Endpoint, samples: Sequence[Trial]) -> Check:
    thinking = samples[0].sampling.thinking if samples else None
    said_by_base, said = [await _say(endpoint, thinking) for endpoint in (base, merged)]
    expected = [place for place, text in enumerate(said_by_base) if _is_right(place, text)]
    if len(expected) < _LEAST_RIGHT:
        few = f"{base.name} itself answers {len(expected)} of {len(_SIMPLE)} simple questions"
        return Check(_NAME, "not checked", f"whether it is coherent: {few}")
    right = [place for place in expected if _is_right(place, said[place])]
    words = f"answers {len(right)} of the {len(expected)} simple questions that {base.name} answers"
    if 2 * len(right) > len(expected):
        return Check(_NAME, "ok", words)
    wrong = next(place for place in expected if place not in right)
    shown = merged.server.clean(said[wrong])[:80]
    return Check(_NAME, "noted", f"{words}; to {_SIMPLE[wrong].text!r} it says {shown!r}")


async def _say(endpoint: Endpoint, thinking: bool | None) -> list[str]:
    """The whole replies to the simple questions, thoughts included; "" for one that failed. Raises BadInput."""
    requests = [
        ChatRequest((Message("user", question.text),), _TOKENS, 0.0, seed=0, thinking=thinking) for question in _SIMPLE
    ]
    try:
        replies = await asyncio.gather(*(endpoint.probe_reply(request, PROBE_TIME_S) for request in requests))
    except RunStopped as error:
        raise BadInput(str(error)) from None
    return [f"{reply.reasoning} {reply.content}" if isinstance(reply, Reply) else "" for reply in replies]


def _is_right(place: int, text: str) -> bool:
    return re.search(rf"\b(?:{_SIMPLE[place].answer})\b", text, re.IGNORECASE) is not None
