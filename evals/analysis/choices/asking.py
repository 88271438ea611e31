"""Ask each question of a plan in each option order and condition for the probabilities of the letters.

The plan, the connections and the checks are those of a run. Without a thought each is asked once, and the few tokens of
the reply only show whether the letter that opens it is a choice. With thinking on a thought is sampled first, as often
as the plan has samples, and the letters are read after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from evals.endpoints.chat import Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.replicas import Replicas, join_endpoints
from evals.endpoints.retries import RetryPolicy
from evals.errors import BadInput, first_of
from evals.numbers import counted
from evals.plan.plan import Plan
from evals.runner.connections import connect
from evals.runner.letters.reading import (
    AfterThought,
    letter_request,
    read_reply,
    read_thought_reply,
    thinks,
    thought_request,
)
from evals.runner.letters.servers import check_letters, without_probabilities
from evals.runner.model_endpoints import connect_everywhere
from evals.runner.view import RunView
from evals.scoring.choices.cells import ReadChoice, cell_of
from evals.trials.response import Failure
from evals.trials.trial import Trial
from judges.rules.letter_probability import LetterProbability


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
            raise without_probabilities(name)

    async def ask() -> AskedChoices:
        choices: list[ReadChoice] = []
        urls: dict[str, tuple[str, ...]] = {}
        policy = RetryPolicy(plan.config.max_attempts, plan.config.max_retry_time)
        async with connect(plan.judging, view, plan.specs.values(), plan.base_spec) as connections:
            for name, trials in planned.items():
                connected = await connect_everywhere(plan, connections, name, policy, view)
                endpoint = join_endpoints([one.endpoint for one in connected], policy, view.say)
                await check_letters([one.endpoint for one in connected], trials[0])
                urls[name] = tuple(one.url for one in connected)
                view.say(f"{name}: {_requests(trials)}")
                choices += await _ask_all(endpoint, trials, plan.config.concurrency)
        return AskedChoices(choices, urls)

    return asyncio.run(ask())


def _requests(trials: list[Trial]) -> str:
    if not thinks(trials[0]):
        return f"{len(trials):,} requests, one for each question, option order and condition"
    thoughts = counted(1 + max(trial.repeat for trial in trials), "thought")
    return f"{2 * len(trials):,} requests: {thoughts} for each question, option order and condition, and what follows"


async def _ask_all(endpoint: Endpoint | Replicas, trials: list[Trial], concurrency: int) -> list[ReadChoice]:
    found: list[ReadChoice | None] = [None] * len(trials)
    pending = iter(enumerate(trials))

    async def work(items: Iterator[tuple[int, Trial]]) -> None:
        for number, trial in items:
            found[number] = await _read(endpoint, trial)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(trials), concurrency * endpoint.width)):
                group.create_task(work(pending))
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None
    return [choice for choice in found if choice is not None]


async def _read(endpoint: Endpoint | Replicas, trial: Trial) -> ReadChoice:
    assert trial.options is not None  # noqa: S101  only such trials are asked
    thought = None
    if thinks(trial):
        reply = await endpoint.send(thought_request(trial))
        after = read_thought_reply(trial, reply)
        if not isinstance(after, AfterThought):
            return _choice(trial, after, reply)
        thought, request = after
    else:
        request = letter_request(trial)
    reply = await endpoint.send(request)
    return _choice(trial, read_reply(trial.options, reply), reply, thought)


def _choice(
    trial: Trial, read: LetterProbability | str, reply: Reply | Failure, thought: str | None = None
) -> ReadChoice:
    letter = trial.options.misaligned_letter if trial.options else ""
    place = (cell_of(trial), trial.prompt_id, trial.variant, trial.repeat)
    return ReadChoice(*place, letter, read, isinstance(reply, Failure), thought)
