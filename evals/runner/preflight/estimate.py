"""What a run would take: calls and tokens from its plan, time from how fast a server answers one short request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from evals.endpoints.chat import PROBE, PROBE_TIME_S, ChatRequest
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.servers.llama_cpp import SLOTS
from evals.errors import RunStopped
from evals.numbers import counted
from evals.plan.cost.planned import Cost, plan_cost, plan_usd
from evals.plan.plan import Plan
from evals.plan.spend import usd_words
from evals.trials.response import Failure
from evals.trials.trial import SERVER_DEFAULT, Sampler

_TOKENS = 32


class Pace(NamedTuple):
    """How fast one request was answered: seconds for the reply, and for each of its tokens. None: not known.

    `lanes` is how many requests the server works on at a time, where that is known.
    """

    reply_s: float | None = None
    token_s: float | None = None
    lanes: int | None = None


async def measure_pace(endpoint: Endpoint, thinking: bool | None = None, sampler: Sampler = SERVER_DEFAULT) -> Pace:
    """The pace of one short request that nothing else stands in the way of."""
    lanes = SLOTS if endpoint.spec.provider == "local" else None
    try:
        reply = await endpoint.probe_reply(
            ChatRequest(PROBE, _TOKENS, thinking=thinking, sampler=sampler), PROBE_TIME_S
        )
    except RunStopped:
        return Pace(lanes=lanes)
    if isinstance(reply, Failure):
        return Pace(lanes=lanes)
    tokens = reply.completion_tokens
    return Pace(reply.latency_s, reply.latency_s / tokens if tokens else None, lanes)


def estimate(plan: Plan, paces: Mapping[str, Pace]) -> Iterator[str]:
    """A line for each model and judge, then one on the time in all.

    Time is a rough range: at its lower end every reply takes as long as the test request did, at its upper end every
    reply is as long as it may be. Both hold that the server keeps the pace of a single request with `concurrency` of
    them at a time, which one that is full does not. Models are asked at the same time, and judges while they answer.
    """
    spans: dict[str, tuple[float, float]] = {}
    unknown: dict[str, None] = {}
    for cost in plan_cost(plan):
        most = "at most " if cost.at_most else ""
        usd, likely = plan_usd(plan, [cost]), plan_usd(plan, [cost], likely=True)
        price = "" if usd is None or likely is None else f"; likely {usd_words(likely)}, at most {usd_words(usd)}"
        yield (
            f"{cost.who}: {most}{counted(cost.requests, 'request')}, about "
            f"{counted(cost.prompt_tokens, 'prompt token')}, likely {cost.likely_reply_tokens:,} and at most "
            f"{counted(cost.reply_tokens, 'reply token')}{price}"
        )
        name = cost.who if cost.who in plan.specs else cost.who.rpartition(" (")[0]
        span = _span(cost, paces.get(name, Pace()), plan.config.concurrency)
        if span is None:
            unknown[name] = None
            continue
        low, high = spans.get(name, (0.0, 0.0))
        spans[name] = (low + (0.0 if cost.at_most else span[0]), high + span[1])
    if not spans:
        yield "time: not known: a test request did not tell how long a token takes"
        return
    low, high = max(low for low, _ in spans.values()), max(high for _, high in spans.values())
    without = f"; without {', '.join(unknown)}, whose pace is not known" if unknown else ""
    yield (
        f"time: about {_words(low)} (replies as short as a test reply) to {_words(high)} (all as long as they may be); "
        f"rough: one test request, and {plan.config.concurrency} at a time as fast as one{without}"
    )


def _span(cost: Cost, pace: Pace, concurrency: int) -> tuple[float, float] | None:
    if pace.reply_s is None or pace.token_s is None:
        return None
    at_once = min(concurrency, pace.lanes or concurrency)
    # Even one that has room for all of them answers none faster than one.
    waves = max(cost.requests / at_once, 1.0) if cost.requests else 0.0
    longest = cost.reply_tokens / cost.requests * pace.token_s if cost.requests else 0.0
    return waves * pace.reply_s, waves * max(longest, pace.reply_s)


def _words(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 1.0):.0f} s"
