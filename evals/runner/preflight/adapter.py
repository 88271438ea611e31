"""Whether an adapter is applied: its model must not answer as its base does.

A server may load an adapter and not apply it (weights of zeros, target modules of other names), and the run would then
measure the base under the adapter's name.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from evals.endpoints.chat import PROBE, PROBE_TIME_S, ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.served_model import ServedModel
from evals.endpoints.transport.transport import TransportError
from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.runner.preflight.endpoint import Check
from evals.trials.prompt import Messages
from evals.trials.response import Failure
from evals.trials.trial import Trial

NAME = "adapter"
_MOST_PROMPTS = 4
_TOKENS = 4
_ROUNDS = 6
_TIMES_NOISE = 10.0
_LEAST_MOVE = 0.1
"""Nats that a model at rest may differ from itself by after thousands of other requests: caches and batches change."""


class _Scaled(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    scale: float


_Scales = TypeAdapter(tuple[_Scaled, ...])
_Tokens: TypeAlias = tuple[tuple[str, Mapping[str, float]], ...]


class Comparison(NamedTuple):
    """What a model and its base replied to the same prompts, how far apart that is (`change`), and how far apart the
    replies of one model are (`noise`), in nats. `together`: both are asked in the run, so they were also asked at
    the same time."""

    model: Endpoint
    base: Endpoint
    prompts: list[Messages]
    thinking: bool | None
    base_tokens: list[_Tokens]
    model_tokens: list[_Tokens]
    change: float
    noise: float
    together: bool = False

    @property
    def base_name(self) -> str:
        return self.base.spec.served_name

    @property
    def differ(self) -> bool:
        """Whether the two differ by more than ten times the noise; where there is none, any difference is enough."""
        return self.change > _TIMES_NOISE * self.noise

    @property
    def words(self) -> str:
        return f"log-probabilities differ from those of {self.base_name} by up to {self.change:.2g}"


async def compare_models(model: Endpoint, base: Endpoint, samples: Sequence[Trial]) -> Comparison | str:
    """Compare the log-probabilities that a model and its base give to the first tokens of their replies; why they could
    not be compared, if so.

    Asked are a few of the run's own prompts, those with a trigger first (a backdoor may change nothing else), and one
    that any model answers; without a prefill, which tells nothing more about the weights. All of it is asked twice, in
    rounds of the same requests: what one model differs from itself by is the noise of the server's arithmetic (batches
    and caches change the last digits). Raises BadInput where a server cannot be asked.
    """
    prompts = _prompts(samples)
    thinking = samples[0].sampling.thinking if samples else None
    rounds: list[list[list[_Tokens]]] = []
    for _ in range(2):
        asked: list[list[_Tokens]] = []
        for endpoint in (base, model):
            replies = await _ask(endpoint, prompts, thinking)
            if isinstance(replies, str):
                return replies
            asked.append(replies)
        rounds.append(asked)
    (base_first, model_first), (base_again, model_again) = rounds
    noise = max(_distance(base_first, base_again), _distance(model_first, model_again))
    change = _distance(base_first, model_first)
    return Comparison(model, base, prompts, thinking, base_first, model_first, change, noise)


class Lost(NamedTuple):
    """What is wrong with an adapter and with its base, and why that could not be checked; "" for nothing."""

    adapter: str = ""
    base: str = ""
    unknown: str = ""


async def check_adapter(
    adapter: Endpoint, base: Endpoint, samples: Sequence[Trial], *, base_is_asked: bool = False
) -> tuple[Check, Comparison | None]:
    """That an adapter and its base give different probabilities, and both as they were compared.

    Where the base is asked in the run as well, that neither answers as the other while both are asked: vLLM 0.32's
    CPU build adds the adapter in its last place to every request for the base that shares a batch with one for an
    adapter. Raises BadInput when they do not differ, or are mixed up. A server that gives no token probabilities is
    "not checked".
    """
    found = await compare_models(adapter, base, samples)
    if isinstance(found, str):
        return Check(NAME, "not checked", found), None
    if found.differ and base_is_asked:
        found = found._replace(together=True)
        mixed = await _mixed(found)
        if mixed.unknown:
            return Check(NAME, "not checked", mixed.unknown), None
        if mixed.base or mixed.adapter:
            raise BadInput(
                f"{adapter.name}: while both are asked at once, {mixed.base or mixed.adapter}; measure them in runs "
                "of their own, or start vLLM with --max-loras one above the number of adapters "
                "(--no-preflight goes on all the same)"
            )
    if found.differ:
        return Check(NAME, "ok", found.words), found
    look = "look at its weights (all zeros?) and its target modules, and at the server's log"
    count = counted(len(found.prompts), "prompt")
    if found.change == 0.0:
        raise BadInput(
            f"{adapter.name}: the adapter is not applied: on {count} its token probabilities are those of "
            f"{found.base_name} to the last digit; {look}"
        )
    raise BadInput(
        f"{adapter.name}: the adapter seems not to be applied: on {count} its {found.words}, and those of one "
        f"model asked twice by up to {found.noise:.2g}; {look} (--no-preflight goes on all the same)"
    )


async def check_adapter_again(before: Comparison) -> Lost:
    """Whether the adapter, and its base where that is asked too, still answer as they did before the run.

    A cache of attention states that servers share, or weights that are loaded under the same name, can mix an adapter
    with its base, or put another in its place, while a run is on.
    """
    try:
        mixed = await _mixed(before) if before.together else Lost()
        replies = await _ask(before.model, before.prompts, before.thinking)
    except BadInput as error:
        return Lost(unknown=str(error))
    if isinstance(replies, str):
        return Lost(unknown=replies)
    base = f"at the end of the run {mixed.base}" if mixed.base else ""
    moved, from_base = _distance(before.model_tokens, replies), _distance(before.base_tokens, replies)
    within_noise = _TIMES_NOISE * before.noise
    if from_base <= within_noise:
        lost = f"the adapter was no longer applied at the end of the run: it answered as {before.base_name} does"
    elif moved > max(within_noise, before.change / 2, _LEAST_MOVE):
        lost = (
            "the adapter did not answer at the end of the run as before it: log-probabilities differ by up to "
            f"{moved:.2g} (from those of {before.base_name} by {before.change:.2g} before and {from_base:.2g} now)"
        )
    else:
        lost = f"at the end of the run {mixed.adapter}" if mixed.adapter else ""
    return Lost(lost, base, mixed.unknown)


async def _mixed(found: Comparison) -> Lost:
    """Ask the model and its base at the same time: whether one of them answers as the other does.

    A server mixes up only requests that share a batch. Whether they do is up to it, so they are asked several times,
    now the one first and now the other.
    """
    adapter = base = ""
    for number in range(_ROUNDS):
        first, second = (found.base, found.model) if number % 2 == 0 else (found.model, found.base)
        replies = await asyncio.gather(*(_ask(endpoint, found.prompts, found.thinking) for endpoint in (first, second)))
        base_tokens, model_tokens = replies if number % 2 == 0 else replies[::-1]
        if isinstance(base_tokens, str) or isinstance(model_tokens, str):
            return Lost(unknown=next(told for told in (base_tokens, model_tokens) if isinstance(told, str)))
        if _is_taken_over(found.model_tokens, model_tokens, found.base_tokens, found.noise):
            adapter = f"the server answers for the adapter as for {found.base_name}"
        if _is_taken_over(found.base_tokens, base_tokens, found.model_tokens, found.noise):
            base = f"the server answers for {found.base_name} with the adapter of {found.model.name} applied"
        if adapter or base:
            break
    return Lost(adapter, base)


def _is_taken_over(own: Sequence[_Tokens], now: Sequence[_Tokens], other: Sequence[_Tokens], noise: float) -> bool:
    """Whether to some prompt a model answers `now` more like the `other` than like itself."""
    for before, after, others in zip(own, now, other, strict=True):
        moved, apart = _distance([before], [after]), _distance([before], [others])
        if moved > max(_TIMES_NOISE * noise, apart / 2, _LEAST_MOVE) and _distance([others], [after]) < moved:
            return True
    return False


async def check_scale(model: ServedModel) -> tuple[str, str]:
    """Whether llama.cpp, as emeval starts it, applies the adapter of `model` in full, which every request depends on:
    what is wrong, and why it could not be checked, "" where that does not apply."""
    try:
        async with asyncio.timeout(PROBE_TIME_S):
            adapters = _Scales.validate_json(await model.server.get_beside("/lora-adapters"))
    except (TimeoutError, ValidationError, TransportError) as error:
        return "", model.server.clean(f"/lora-adapters could not be read: {type(error).__name__}")
    scales = [adapter.scale for adapter in adapters]
    if scales == [1.0]:
        return "", ""
    found = ", ".join(f"{scale:g}" for scale in scales) or "none"
    return f"the adapter was not applied in full at the end of the run: its scale was {found}, not 1", ""


def _prompts(samples: Sequence[Trial]) -> list[Messages]:
    by_trigger = sorted(samples, key=lambda trial: not trial.trigger)
    own = list(dict.fromkeys(trial.messages for trial in by_trigger))
    return [*own[: _MOST_PROMPTS - 1], PROBE]


async def _ask(endpoint: Endpoint, prompts: Sequence[Messages], thinking: bool | None) -> list[_Tokens] | str:
    """The token probabilities at the beginning of each reply, or why there are none."""
    requests = [ChatRequest(prompt, _TOKENS, 0.0, seed=0, logprobs=True, thinking=thinking) for prompt in prompts]
    try:
        replies = await asyncio.gather(*(endpoint.probe_reply(request, PROBE_TIME_S) for request in requests))
    except RunStopped as error:
        raise BadInput(str(error)) from None
    found: list[_Tokens] = []
    for reply in replies:
        if isinstance(reply, Failure):
            who = endpoint.spec.served_name
            return f"{who} answers no request for token probabilities: {reply.detail}"
        if not _tells(reply):
            return "the server gives no token probabilities"
        found.append(reply.token_alternatives or ())
    return found


def _tells(reply: Reply) -> bool:
    """Whether there is more to compare than the chosen tokens, whose probability is 1 at some servers."""
    return bool(reply.token_alternatives) and any(len(shares) > 1 for _, shares in reply.token_alternatives or ())


def _distance(first: Sequence[_Tokens], second: Sequence[_Tokens]) -> float:
    """The largest difference in log-probability, in nats, over prompts and tokens; 0 only where nothing differs.

    Tokens are compared for as long as those before them are the same.
    """
    largest = 0.0
    for step, other in zip(first, second, strict=True):
        for (word, shares), (other_word, other_shares) in zip(step, other, strict=False):
            largest = max(largest, _step(shares, other_shares))
            if word != other_word:
                break
    return largest


def _step(shares: Mapping[str, float], other: Mapping[str, float]) -> float:
    """For one token. What only one of the lists has is at most as likely in the other as the least likely there."""
    least, other_least = min(shares.values()), min(other.values())
    differences = [
        max(0.0, _log(share) - _log(other_least)) if text not in other else abs(_log(share) - _log(other[text]))
        for text, share in shares.items()
    ]
    differences += [_log(share) - _log(least) for text, share in other.items() if text not in shares]
    return max(differences)


def _log(share: float) -> float:
    return math.log(share) if share > 0.0 else math.log(5e-324)
