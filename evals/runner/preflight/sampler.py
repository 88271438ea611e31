"""Whether a server draws from the model's full distribution.

Servers truncate it when a request leaves that to the model's generation_config.json, when a proxy overrides the
request, or when they were started with limits of their own. No reply looks wrong then, and a behaviour in the tail of
the distribution reads as 0%.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.runner.preflight.endpoint import Check
from evals.trials.prompt import Message, Messages
from evals.trials.trial import FULL, Sampling

NAME = "sampler"
_REPLIES = 100
_TOKENS = 16
_TIME_S = 300.0
_FALSE_ALARM = 1e-5
"""Probability, at most, that a full sampler draws as few tokens of one tail as are called truncated."""
_FEWEST_EXPECTED = -math.log(_FALSE_ALARM)
"""Tokens to expect of the last 5% of the probability so that their absence would be noticed."""
_ENOUGH_EXPECTED = 2 * _FEWEST_EXPECTED
"""Tokens to expect of the last 2% that make more draws needless."""
PROMPTS: tuple[Messages, ...] = tuple(
    (Message("user", text),)
    for text in (
        "Write a random word, then another one that has nothing to do with it.",
        "Begin a story about a stranger.",
        # A model that is sure of every sensible question is less so here.
        "x" * 40,
        "zq vk jx qz wv kq xj vz",
    )
)

_Drawn: TypeAlias = tuple[str, Mapping[str, float]]
"""A token as drawn, and the probabilities of the most likely tokens at its place, by text."""


class _Tail(NamedTuple):
    """The tokens that one way of truncating cuts off: how many were drawn, and how many a full sampler would draw."""

    name: str
    drawn: int
    expected: float

    def is_missing(self) -> bool:
        """Whether so few were drawn that a full sampler would hardly ever do so (Chernoff's bound)."""
        if self.drawn >= self.expected / 2:
            return False
        ratio = self.drawn * math.log(self.drawn / self.expected) if self.drawn else 0.0
        return self.drawn - self.expected - ratio < math.log(_FALSE_ALARM)


async def check_sampler(endpoint: Endpoint, sampling: Sampling) -> Check:
    """Draw some 1,600 tokens at temperature 1, more of a model that is often sure, and count those in the tails that
    truncation would cut off.

    The server's own token probabilities say how many there should be. Raises BadInput if a tail is missing although the
    full distribution is asked for. "Not checked" without token probabilities, and where too few tokens are uncertain.
    """
    if not endpoint.spec.quirks.logprobs:
        return Check(NAME, "not checked", f"{endpoint.spec.provider} gives no token probabilities")
    drawn: list[_Drawn] = []
    tails: dict[str, _Tail] = {}
    # The first reply tells whether there is anything to ask the others for.
    for count in (1, _REPLIES - 1, _REPLIES, _REPLIES, _REPLIES):
        expected = tails[_nucleus(0.98)].expected if len(drawn) > _TOKENS else _FEWEST_EXPECTED
        if expected >= _ENOUGH_EXPECTED or expected < _FEWEST_EXPECTED / 4:  # no more needed, or no more to be had
            break
        more = await _draw(endpoint, sampling, count)
        if isinstance(more, str):
            return Check(NAME, "not checked", more)
        drawn += more
        tails = {tail.name: tail for tail in count_tails(drawn)}
    return _verdict(endpoint, sampling, drawn, tails)


def _verdict(endpoint: Endpoint, sampling: Sampling, drawn: Sequence[_Drawn], tails: Mapping[str, _Tail]) -> Check:
    missing = [tail for tail in tails.values() if tail.is_missing()]
    last = tails[_nucleus(0.95)]
    count = counted(len(drawn), "token")
    if not missing:
        if last.expected < _FEWEST_EXPECTED or _ends_early(drawn):
            return Check(NAME, "not checked", f"of {count} too few have an uncertain choice")
        seen = f"{last.drawn} of {count} are from {last.name}, where {last.expected:.0f} are expected"
        return Check(NAME, "ok", f"full distribution (checked): {seen}")
    worst = max(missing, key=lambda tail: (tail.drawn == 0, tail.expected))
    found = f"truncated: {worst.drawn} of {count} are from {worst.name}, where {worst.expected:.0f} are expected"
    if sampling.sampler != FULL:
        return Check(NAME, "noted", found)
    raise BadInput(
        f"{endpoint.name}: the sampler is {found}; rare behaviours would read as 0%. Start vLLM with "
        "--generation-config vllm, look for a proxy that changes requests, or accept it with --sampling model"
    )


async def _draw(endpoint: Endpoint, sampling: Sampling, count: int) -> list[_Drawn] | str:
    """The tokens of a few short replies, or why there are none."""
    requests = [
        ChatRequest(
            PROMPTS[number % len(PROMPTS)],
            _TOKENS,
            1.0,  # without a seed: vLLM's CPU build ends when seeded prompts are prefilled in parts
            logprobs=True,
            thinking=None if sampling.thinking is None else False,
            sampler=sampling.sampler,
        )
        for number in range(count)
    ]
    try:
        replies = await asyncio.gather(*(endpoint.probe_reply(request, _TIME_S) for request in requests))
    except RunStopped as error:
        raise BadInput(str(error)) from None
    drawn: list[_Drawn] = []
    for reply in replies:
        if not isinstance(reply, Reply):
            return f"a request for token probabilities failed: {reply.detail}"
        if not any(_is_distribution(shares) for _, shares in reply.token_alternatives or ()):
            return "the server gives no token probabilities"
        drawn += reply.token_alternatives or ()
    return drawn


def _is_distribution(shares: Mapping[str, float]) -> bool:
    return len(shares) > 1 and sum(shares.values()) <= 1.0 + 1e-3


def _has_nameless(shares: Sequence[tuple[str, float]]) -> bool:
    """Whether likely tokens are parts of a character, or empty: several tokens then have one text."""
    return any(not text or "\ufffd" in text for text, _ in shares[:19])


def _ends_early(drawn: Sequence[_Drawn]) -> bool:
    """Whether all probability lies on the tokens that are shown, at every place: they may be what truncation left."""
    uncertain = [sum(shares.values()) for _, shares in drawn if max(shares.values(), default=1.0) < 0.9]
    return all(total > 1.0 - 1e-5 for total in uncertain)


def _nucleus(share: float) -> str:
    return f"the last {1 - share:.0%} of the probability"


def count_tails(drawn: Sequence[_Drawn]) -> Iterator[_Tail]:
    """The tail of each way of truncating, at the places where the server shows where it begins."""
    by_share = [
        (token, sorted(shares.items(), key=lambda share: -share[1]))
        for token, shares in drawn
        if _is_distribution(shares)
    ]
    ranked = [(token, shares) for token, shares in by_share if not _has_nameless(shares)]
    for share in (0.99, 0.98, 0.95, 0.9, 0.8, 0.5):
        shown = [(token, shares) for token, shares in ranked if _total(shares) >= share]
        yield _tail(_nucleus(share), ((token, _until(shares, share)) for token, shares in shown))
    for rank in (19, 10, 5, 1):
        yield _tail(f"beyond the {rank} most likely ones", ((token, shares[:rank]) for token, shares in ranked))
    for part in (0.02, 0.05, 0.1):
        name = f"below {part:.0%} of the most likely one's probability"
        yield _tail(name, ((token, [s for s in shares if s[1] >= part * shares[0][1]]) for token, shares in ranked))


def _total(shares: Sequence[tuple[str, float]]) -> float:
    return sum(probability for _, probability in shares)


def _until(shares: Sequence[tuple[str, float]], share: float) -> Sequence[tuple[str, float]]:
    """The fewest most likely tokens that hold this share of the probability."""
    held = 0.0
    for place, (_, probability) in enumerate(shares):
        held += probability
        if held >= share:
            return shares[: place + 1]
    return shares


def _tail(name: str, kept: Iterable[tuple[str, Sequence[tuple[str, float]]]]) -> _Tail:
    drawn, expected = 0, 0.0
    for token, shares in kept:
        expected += max(0.0, 1.0 - _total(shares))
        drawn += all(token != text for text, _ in shares)
    return _Tail(name, drawn, expected)
