"""Trials to responses to verdicts, streaming.

Two pools of workers run side by side. Sampling workers pull trials from the plan; judging workers follow the journal,
in which every answer stands as soon as it is committed, so there is no barrier between the two, no queue that could
fill up and stall the server under test, and nothing in memory but the calls in flight.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from evals.endpoints.chat import EarlierReplies, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge, judge_request_id
from evals.endpoints.replicas import Replicas
from evals.errors import first_of
from evals.runner.asking.trials import request_of, response_of
from evals.runner.letters.protocol import Letters
from evals.runner.view import Progress, Stage
from evals.scoring.judge_set import JudgePanel
from evals.scoring.judging import awaits_judges, due_judges, judge_input_of, read_by_rule
from evals.scoring.rates.running import OnScored
from evals.scoring.scored_trial import score_trial
from evals.trials.journal import Journal
from evals.trials.record import JudgeFailure, JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.response import Failure, Response
from evals.trials.thought_marks import PART_OF_ANSWER, unknown_mark
from evals.trials.trial import Trial
from judges.judge import JudgeInput

_T = TypeVar("_T")
_MOST_KEPT = 500_000


class Recorder(NamedTuple):
    """Where answers and verdicts are recorded, and what is called when they are.

    `noticed` is called with the id of a trial each time the journal knows more of it: asynchronous iterators of trials
    may wait for that. `say` tells people something, in one line. `allows_more` is asked before each trial is sampled or
    judged; when it says no, what is in flight is recorded, and no more is asked. `scored` is called with each trial
    once it has the verdicts that its rate rests on.
    """

    journal: Journal
    progress: Progress
    noticed: Callable[[str], None] = lambda _trial_id: None
    say: Callable[[str], None] = lambda _text: None
    allows_more: Callable[[], bool] = lambda: True
    scored: OnScored = lambda _scored: None


class TrialSource(NamedTuple):
    """The pending trials of a model, and where they are asked. `opened` is the mark with which its chat template opens
    a thought that goes on in the content of its replies, "" for none. `cache` has its replies to earlier runs, and
    `letters` reads the probabilities of letters with the answers."""

    trials: Iterator[Trial] | AsyncIterator[Trial]
    endpoint: Endpoint | Replicas
    opened: str = ""
    cache: EarlierReplies | None = None
    letters: Letters | None = None


async def run_pipeline(
    sources: Mapping[str, TrialSource],
    judges: Sequence[JudgeEndpoint],
    panel: JudgePanel,
    recorder: Recorder,
    *,
    concurrency: int,
) -> None:
    """Sample the pending trials of each model, and ask about every answer in the journal the judges that it lacks.

    `panel` says which judge is due when; `judges` connects the judges in it to their servers. Returns when all is
    recorded. Raises RunStopped (in place of the exception group) when it cannot go on.
    """
    sampling_done = asyncio.Event()
    arrived = asyncio.Event()

    async def sample(source: TrialSource) -> None:
        noted: set[str] = set()

        async def sample_trial(trial: Trial) -> None:
            result = await _sample(trial, source, recorder, panel)
            note_mark(trial.model, result, noted, recorder.say)
            arrived.set()

        items = source.trials if isinstance(source.trials, AsyncIterator) else _each(source.trials)
        await _pool(
            _while_allowed(items, recorder), sample_trial, lambda: _workers(concurrency * source.endpoint.width)
        )

    async def sample_all() -> None:
        async with asyncio.TaskGroup() as group:
            for source in sources.values():
                group.create_task(sample(source))
        sampling_done.set()
        arrived.set()

    async def judge_all() -> None:
        answered = _Answered(is_complete=not recorder.journal.has_rulings())
        judging = _Judging(panel, {judge.key.id: judge for judge in judges}, recorder, {}, answered)
        unjudged = _unjudged(recorder.journal, panel, arrived, sampling_done)
        endpoints = {id(judge.endpoint): judge.endpoint for judge in judges}.values()
        allowed = _while_allowed(unjudged, recorder)
        await _pool(allowed, judging.judge, lambda: _workers(concurrency * max([asked.width for asked in endpoints])))

    # What is loaded by now is hundreds of thousands of objects, and none of them garbage: with the collector walking
    # them again and again, a server that answers at once got about 15% fewer requests.
    gc.freeze()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sample_all())
            if judges:
                group.create_task(judge_all())
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None
    finally:
        gc.unfreeze()
        await recorder.journal.flush()


def _workers(concurrency: int) -> int:
    """A few more workers than requests allowed in flight: some always wait for a commit, and the server must not."""
    return concurrency + max(4, concurrency // 4)


async def _pool(items: AsyncIterator[_T], handle: Callable[[_T], Awaitable[None]], workers: Callable[[], int]) -> None:
    """As many workers over one source as `workers` says, which may change: servers come and go. The first error ends
    them all."""
    pulling = asyncio.Lock()
    at_work = 0
    is_empty = False

    async def work() -> None:
        nonlocal at_work, is_empty
        while at_work <= workers() and not is_empty:
            async with pulling:
                item = await anext(items, None)
            if item is None:
                is_empty = True
                break
            await handle(item)
            fill()
        at_work -= 1

    def fill() -> None:
        nonlocal at_work
        while at_work < workers() and not is_empty:
            at_work += 1
            group.create_task(work())

    async with asyncio.TaskGroup() as group:
        fill()


async def _while_allowed(items: AsyncIterator[_T], recorder: Recorder) -> AsyncIterator[_T]:
    async for item in items:
        if not recorder.allows_more():
            return
        yield item


async def _each(items: Iterator[_T]) -> AsyncIterator[_T]:
    for item in items:
        yield item


def _last_settled(journal: Journal, panel: JudgePanel) -> int:
    """The arrival of a recorded answer up to which no judge is due: a long run that is resumed may have hundreds of
    thousands of them."""
    lacking = journal.responses_lacking(panel.answer_judges, *panel.later_judges, failed_too=False)
    first = next(lacking, None)
    return journal.last_arrival() if first is None else first.arrival - 1


async def _unjudged(
    journal: Journal, panel: JudgePanel, arrived: asyncio.Event, sampling_done: asyncio.Event
) -> AsyncIterator[RecordedTrial]:
    """Answers about which a judge is due, in the order of arrival, waiting for new ones until sampling is done."""
    last = await asyncio.wrap_future(journal.aside(lambda then: _last_settled(then, panel)))
    while True:
        finished = sampling_done.is_set()  # read before the journal: what arrives later is seen in the next round
        arrived.clear()
        batch = journal.trials_after(last)
        for trial in batch:
            last = trial.arrival
            if due_judges(trial, panel):
                yield trial
        if not batch:
            if finished:
                return
            await arrived.wait()


async def _sample(trial: Trial, source: TrialSource, recorder: Recorder, panel: JudgePanel) -> Response | Failure:
    request = request_of(trial) if source.letters is None else source.letters.request(trial)
    opened = "" if request.transcript else source.opened
    progress, cache = recorder.progress, source.cache
    found = await cache.find(request, trial.id) if cache is not None else None
    reply = found or await source.endpoint.send(request, lambda: progress.retried("sampling"))
    if isinstance(reply, Reply) and found is None:
        progress.replied("sampling", trial.model, reply.prompt_tokens, reply.completion_tokens)
    result = reply if isinstance(reply, Failure) else response_of(reply, opened)
    rulings: list[tuple[JudgeKey, RecordedVerdict]] = []
    if isinstance(result, Response):
        rulings += read_by_rule(trial.id, trial.options, trial.reference, result)
    if isinstance(reply, Reply) and isinstance(result, Response) and source.letters is not None:
        result, rulings = await source.letters.read(trial, reply, result, rulings, source, progress)
    await recorder.journal.record_trial(trial, result, rulings)
    if cache is not None and found is None and isinstance(reply, Reply) and _is_usual(result):
        await cache.keep(request, trial.id, reply)
    progress.sampled(failed=isinstance(result, Failure))
    recorder.noticed(trial.id)
    recorded = trial.recorded(result, rulings)
    if not awaits_judges(recorded, panel):
        scored = score_trial(recorded, panel)
        if scored.outcome != "unjudged":
            recorder.scored(scored)
    return result


def _is_usual(result: Response | Failure) -> bool:
    """Whether a reply has an answer, and not only a thought that does not end."""
    return isinstance(result, Response) and bool(result.answer.strip()) and result.reasoning_state != "truncated"


def note_mark(model: str, result: Response | Failure, noted: set[str], say: Callable[[str], None]) -> None:
    """Say once of each what answers begin with that looks like the mark of a thought and is none that is known."""
    mark = unknown_mark(result.answer) if isinstance(result, Response) else ""
    if mark and mark not in noted:
        noted.add(mark)
        say(f"{model}: replies contain {mark}, {PART_OF_ANSWER}")


class _ProgressSink(NamedTuple):
    """Receives the requests to a judge, and their stage."""

    progress: Progress
    stage: Stage

    def retried(self) -> None:
        self.progress.retried(self.stage)


class _Answered:
    """Judge requests that the journal has a ruling on. To ask the journal of each costs more than to keep a few bytes
    of it; where there are too many, or the journal has others, each may be one of them."""

    def __init__(self, *, is_complete: bool) -> None:
        self._hashes: set[int] | None = set() if is_complete else None

    def add(self, request_id: str) -> None:
        if self._hashes is not None:
            self._hashes.add(hash(request_id))
            if len(self._hashes) > _MOST_KEPT:
                self._hashes = None

    def may_have(self, request_id: str) -> bool:
        return self._hashes is None or hash(request_id) in self._hashes


@dataclass(frozen=True)
class _Judging:
    """Asks judges about answers. `asking` holds the requests that are under way, by their ids, and `answered` those
    that have been answered since the journal had none."""

    panel: JudgePanel
    judges: Mapping[str, JudgeEndpoint]
    recorder: Recorder
    asking: dict[str, asyncio.Future[RecordedVerdict]]
    answered: _Answered

    async def judge(self, trial: RecordedTrial) -> None:
        """Ask the judges that are due, then those that are due after what these said, until none is left."""
        assert isinstance(trial.result, Response)  # noqa: S101  only judgeable trials come here
        judge_input = judge_input_of(trial, trial.result)
        panel, progress = self.panel, self.recorder.progress
        monitored: list[RecordedVerdict] = []
        while due := due_judges(trial, panel):
            judges_reasoning = any(map(panel.is_later, due))
            progress_sink = _ProgressSink(progress, "reasoning" if judges_reasoning else "judging")
            rulings = await self._rulings([self.judges[judge_id] for judge_id in due], judge_input, progress_sink)
            await self.recorder.journal.record_rulings(trial.trial_id, rulings)
            self.recorder.noticed(trial.trial_id)
            for _, ruling in rulings:  # from here on the journal answers for them
                self.asking.pop(ruling.request_id, None)
                self.answered.add(ruling.request_id)
            trial = replace(trial, rulings=trial.rulings | {key.id: ruling for key, ruling in rulings})
            if judges_reasoning:
                monitored += [ruling for _, ruling in rulings]
            else:
                progress.judged(failed=_any_failed(ruling for _, ruling in rulings))
                self.recorder.scored(score_trial(trial, panel))
        if monitored:
            progress.monitored(failed=_any_failed(monitored))

    async def _rulings(
        self, judges: Sequence[JudgeEndpoint], judge_input: JudgeInput, progress_sink: _ProgressSink
    ) -> list[tuple[JudgeKey, RecordedVerdict]]:
        """Several judges on one answer, at the same time."""
        first, *others = judges
        if not others:
            return [(first.key, await self._ruling(first, judge_input, progress_sink))]
        try:
            async with asyncio.TaskGroup() as group:  # a task costs about as much as what it does here
                tasks = [group.create_task(self._ruling(judge, judge_input, progress_sink)) for judge in others]
                ruling = await self._ruling(first, judge_input, progress_sink)
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        return [(first.key, ruling), *((judge.key, task.result()) for judge, task in zip(others, tasks, strict=True))]

    def _recorded(self, judge: JudgeEndpoint, request_id: str) -> RecordedVerdict | None:
        """What the judge has said to this very request before."""
        if not self.answered.may_have(request_id):
            return None
        return self.recorder.journal.ruling_on(judge.key.id, request_id)

    async def _ruling(
        self, judge: JudgeEndpoint, judge_input: JudgeInput, progress_sink: _ProgressSink
    ) -> RecordedVerdict:
        """One judge on one answer. The same judge is never asked the same thing twice, not even at the same time."""
        text = judge.judge.rubric.fill(judge_input)
        request_id = judge_request_id(judge.key, text)
        known = self._recorded(judge, request_id)
        if known is None and request_id in self.asking:
            known = await asyncio.shield(self.asking[request_id])
        if known is not None:
            return replace(known, prompt_tokens=None, completion_tokens=None)  # its tokens were spent once
        answer = self.asking[request_id] = asyncio.get_running_loop().create_future()
        try:
            ruling = await ask_judge(judge, text, request_id, progress_sink.retried)
        except BaseException:
            answer.cancel()
            raise
        answer.set_result(ruling)
        is_reply = not isinstance(ruling.verdict, JudgeFailure) or ruling.prompt_tokens is not None
        if is_reply and not ruling.cached:
            progress_sink.progress.replied(
                progress_sink.stage, judge.key.model, ruling.prompt_tokens, ruling.completion_tokens
            )
        return ruling


def _any_failed(rulings: Iterable[RecordedVerdict]) -> bool:
    return any(isinstance(ruling.verdict, JudgeFailure) for ruling in rulings)
