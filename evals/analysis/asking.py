"""Ask judges about stored answers outside a run: each verdict is kept in a journal of its own, apart from the run's.

Asking for the same again sends only the requests that have no verdict yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge
from evals.errors import RunStopped
from evals.numbers import counted
from evals.plan.judging_plan import JudgingPlan
from evals.runner.connections import connect
from evals.runner.judge_endpoints import connect_judges
from evals.runner.view import RunView
from evals.trials.journal import Journal
from evals.trials.record import JudgeFailure, RecordedVerdict
from evals.trials.trial import stable_hash
from judges.judge import JudgeInput

_Item = TypeVar("_Item")
Ask = Callable[[Mapping[str, JudgeEndpoint], Journal, _Item], Awaitable[RecordedVerdict]]
"""Asks about one item, with the judges by their names, and the journal that keeps the verdict."""


async def ask_each(
    judging: JudgingPlan, items: Sequence[_Item], ask: Ask[_Item], folder: Path, view: RunView
) -> list[RecordedVerdict]:
    """The verdicts of one judge model on all items, in their order, kept in the journal in `folder`.

    Raises BadInput before the first request, and RunStopped if it cannot continue; verdicts up to then are kept.
    """
    async with connect(judging, view) as connections:
        endpoints = {judge.judge.name: judge for judge in await connect_judges(judging, connections, view)}
        with _open_journal(folder) as journal:
            verdicts: dict[int, RecordedVerdict] = {}
            requests = counted(len(items), "request")
            view.say(f"judge {judging.config.judge}: {requests}, less those that it has answered already")
            waiting = iter(enumerate(items))
            width = judging.config.concurrency * max(judge.endpoint.width for judge in endpoints.values())

            async def work() -> None:
                for number, item in waiting:
                    verdicts[number] = await ask(endpoints, journal, item)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(width, len(items))):
                        group.create_task(work())
            except BaseExceptionGroup as failures:
                error = failures.exceptions[0]
                if isinstance(error, RunStopped):
                    raise RunStopped(f"{error}; what was said is kept, and the same command goes on") from None
                raise error from None
            finally:
                await journal.flush()
            return [verdicts[number] for number in range(len(items))]


async def ask_once(
    endpoint: JudgeEndpoint, judge_input: JudgeInput, recorded_id: str, journal: Journal
) -> RecordedVerdict:
    """The verdict kept under `recorded_id`, or a new one; a failed request is sent again."""
    text = endpoint.judge.rubric.fill(judge_input)
    request_id = stable_hash({"judge": endpoint.key.id, "text": text})
    recorded = journal.ruling_of(recorded_id, endpoint.key.id)
    if recorded is not None and recorded.request_id == request_id and not isinstance(recorded.verdict, JudgeFailure):
        return recorded
    verdict = await ask_judge(endpoint, text, request_id)
    await journal.record_rulings(recorded_id, [(endpoint.key, verdict)])
    return verdict


def _open_journal(folder: Path) -> Journal:
    folder.mkdir(exist_ok=True)
    return Journal.open(folder)
