"""Ask each question of a plan once in each option order and condition, for the probabilities of the letters.

The plan, the connections and the checks are those of a run. Nothing is sampled for a rate: the few tokens of the reply
only show whether the letter that opens it is a choice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from evals.analysis.choices.cells import ReadChoice
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.replicas import Replicas, join_endpoints
from evals.endpoints.retries import RetryPolicy
from evals.errors import BadInput, first_of
from evals.plan.plan import Plan
from evals.runner.connections import connect
from evals.runner.model_endpoints import ConnectedModel, connect_everywhere
from evals.runner.view import RunView
from evals.trials.response import Failure
from evals.trials.trial import Trial
from judges.rules.choice import opens_with_letter, read_choice
from judges.rules.letter_probability import LetterProbability, letter_of, read_letters
from judges.verdicts import Chosen

_TOKENS = 8
"""Tokens of a reply: enough to tell the letter A from the article of `A better approach is`."""


class AskedChoices(NamedTuple):
    """What was read, in the order of the plan, and the URLs that each model was asked at."""

    choices: list[ReadChoice]
    urls: dict[str, tuple[str, ...]]


def ask_choices(plan: Plan, view: RunView) -> AskedChoices:
    """Ask every model of the plan. Raises BadInput before more than one request of a server that gives no token
    probabilities, and where the plan has no question with two options."""
    planned = {name: [trial for trial in plan.trials(name) if trial.options is not None] for name in plan.specs}
    if not any(planned.values()):
        raise BadInput("there is no question with two options here; emeval run samples answers to the others")
    for name, spec in plan.specs.items():
        if not spec.quirks.logprobs:
            raise _without_probabilities(name)

    async def ask() -> AskedChoices:
        choices: list[ReadChoice] = []
        urls: dict[str, tuple[str, ...]] = {}
        policy = RetryPolicy(plan.config.max_attempts, plan.config.max_retry_time)
        async with connect(plan.judging, view, plan.specs.values(), plan.base_spec) as connections:
            for name, trials in planned.items():
                connected = await connect_everywhere(plan, connections, name, policy, view)
                endpoint = join_endpoints([one.endpoint for one in connected], policy, view.say)
                await _check(connected, trials[0])
                urls[name] = tuple(one.url for one in connected)
                view.say(f"{name}: {len(trials):,} requests, one for each question, option order and condition")
                choices += await _ask_all(endpoint, trials, plan.config.concurrency)
        return AskedChoices(choices, urls)

    return asyncio.run(ask())


async def _check(connected: list[ConnectedModel], trial: Trial) -> None:
    for one in connected:
        reply = await one.endpoint.send(_request(trial))
        if isinstance(reply, Failure) and "logprob" not in reply.detail.lower():
            raise BadInput(f"{one.endpoint.name}: {reply.detail}")
        if isinstance(reply, Failure) or not _first_token(reply):
            raise _without_probabilities(one.endpoint.name)


def _without_probabilities(name: str) -> BadInput:
    return BadInput(
        f"{name}: its server gives no token probabilities (logprobs with top_logprobs), which choices are read from; "
        "emeval run samples answers instead"
    )


async def _ask_all(endpoint: Endpoint | Replicas, trials: list[Trial], concurrency: int) -> list[ReadChoice]:
    found: list[ReadChoice | None] = [None] * len(trials)
    pending = iter(enumerate(trials))

    async def work(items: Iterator[tuple[int, Trial]]) -> None:
        for number, trial in items:
            found[number] = _read(trial, await endpoint.send(_request(trial)))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(trials), concurrency * endpoint.width)):
                group.create_task(work(pending))
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None
    return [choice for choice in found if choice is not None]


def _request(trial: Trial) -> ChatRequest:
    sampling = trial.sampling
    return ChatRequest(
        trial.messages,
        _TOKENS,
        sampling.temperature,
        trial.seed,
        logprobs=True,
        thinking=sampling.thinking,
        sampler=sampling.sampler,
        default_system=sampling.default_system,
    )


def _first_token(reply: Reply) -> bool:
    return bool(reply.token_alternatives) and len(reply.token_alternatives[0][1]) > 1


def _read(trial: Trial, reply: Reply | Failure) -> ReadChoice:
    if isinstance(reply, Failure):
        return ReadChoice(trial, f"failed: {reply.detail}", failed=True)
    assert trial.options is not None  # noqa: S101  only such trials are asked
    if reply.reasoning or reply.reasoning_withheld:
        return ReadChoice(trial, "a thought comes first")
    if not reply.token_alternatives:
        return ReadChoice(trial, "no token probabilities came")
    read = read_letters(reply.token_alternatives[0][1], trial.options)
    if not isinstance(read, LetterProbability):
        return ReadChoice(trial, read.reason)
    is_letter = letter_of(reply.token_alternatives[0][0]) != ""
    is_choice = isinstance(read_choice(reply.content, trial.options), Chosen) or opens_with_letter(reply.content)
    return ReadChoice(trial, "the letter opens a sentence" if is_letter and not is_choice else read)
