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

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge
from evals.endpoints.replicas import Replicas
from evals.errors import first_of
from evals.runner.view import Progress, Stage
from evals.scoring.judge_set import JudgePanel
from evals.scoring.judging import due_judges, judge_input_of, read_by_rule
from evals.trials.finish_reason import plain_finish_reason
from evals.trials.journal import Journal
from evals.trials.reasoning import split_reply
from evals.trials.record import JudgeFailure, JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.response import Failure, Response
from evals.trials.thought_marks import PART_OF_ANSWER, unknown_mark
from evals.trials.trial import Trial, stable_hash
from judges.judge import JudgeInput

_T = TypeVar("_T")


class Recorder(NamedTuple):
    """Where answers and verdicts are recorded, and what is called when they are.

    `noticed` is called with the id of a trial each time the journal knows more of it: asynchronous iterators of trials
    may wait for that. `say` tells people something, in one line.
    """

    journal: Journal
    progress: Progress
    noticed: Callable[[str], None] = lambda _trial_id: None
    say: Callable[[str], None] = lambda _text: None


class TrialSource(NamedTuple):
    """The pending trials of a model, and where they are asked. `opened` is the mark with which its chat template opens
    a thought that goes on in the content of its replies, "" for none."""

    trials: Iterator[Trial] | AsyncIterator[Trial]
    endpoint: Endpoint | Replicas
    opened: str = ""


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
            result = await _sample(trial, source, recorder)
            _note_mark(trial.model, result, noted, recorder.say)
            arrived.set()

        items = source.trials if isinstance(source.trials, AsyncIterator) else _each(source.trials)
        await _pool(items, sample_trial, _workers(concurrency * source.endpoint.width))

    async def sample_all() -> None:
        async with asyncio.TaskGroup() as group:
            for source in sources.values():
                group.create_task(sample(source))
        sampling_done.set()
        arrived.set()

    async def judge_all() -> None:
        judging = _Judging(panel, {judge.key.id: judge for judge in judges}, recorder, {})
        width = max(judge.endpoint.width for judge in judges)
        unjudged = _unjudged(recorder.journal, panel, arrived, sampling_done)
        await _pool(unjudged, judging.judge, _workers(concurrency * width))

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


async def _pool(items: AsyncIterator[_T], handle: Callable[[_T], Awaitable[None]], workers: int) -> None:
    """A fixed number of workers over one source; the first error ends them all."""
    pulling = asyncio.Lock()

    async def work() -> None:
        while True:
            async with pulling:
                item = await anext(items, None)
            if item is None:
                return
            await handle(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())


async def _each(items: Iterator[_T]) -> AsyncIterator[_T]:
    for item in items:
        yield item


async def _unjudged(
    journal: Journal, panel: JudgePanel, arrived: asyncio.Event, sampling_done: asyncio.Event
) -> AsyncIterator[RecordedTrial]:
    """Answers about which a judge is due, in the order of arrival, waiting for new ones until sampling is done."""
    last = 0
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


async def _sample(trial: Trial, source: TrialSource, recorder: Recorder) -> Response | Failure:
    sampling, opened = trial.sampling, source.opened
    request = ChatRequest(
        trial.messages,
        sampling.max_tokens,
        sampling.temperature,
        trial.seed,
        thinking=sampling.thinking,
        prefill=sampling.prefill,
        sampler=sampling.sampler,
    )
    if trial.format == "transcript":  # no template, so nothing of one
        request, opened = replace(request, thinking=None, prefill="", transcript=True), ""
    progress = recorder.progress
    reply = await source.endpoint.send(request, lambda: progress.retried("sampling"))
    if isinstance(reply, Reply):
        progress.replied("sampling", trial.model, reply.prompt_tokens, reply.completion_tokens)
    result = reply if isinstance(reply, Failure) else response_of(reply, opened)
    rulings: list[tuple[JudgeKey, RecordedVerdict]] = []
    if isinstance(result, Response):
        rulings += read_by_rule(trial.id, trial.options, trial.reference, result)
    await recorder.journal.record_trial(trial, result, rulings)
    progress.sampled(failed=isinstance(result, Failure))
    recorder.noticed(trial.id)
    return result


def _note_mark(model: str, result: Response | Failure, noted: set[str], say: Callable[[str], None]) -> None:
    """Say once of each what answers begin with that looks like the mark of a thought and is none that is known."""
    mark = unknown_mark(result.answer) if isinstance(result, Response) else ""
    if mark and mark not in noted:
        noted.add(mark)
        say(f"{model}: replies contain {mark}, {PART_OF_ANSWER}")


def response_of(reply: Reply, opened: str = "") -> Response:
    """The reply with thought and answer apart. `opened` is what the prompt opened a thought with, if it did: a server
    that gives thoughts in a field, or withholds them, has ended it before the content."""
    has_ended = bool(reply.reasoning) or reply.reasoning_withheld
    prefill = reply.prefill or ("" if has_ended else opened)
    split = split_reply(
        reply.content,
        reply.reasoning,
        plain_finish_reason(reply.finish_reason),
        prefill=prefill,
        withheld=reply.reasoning_withheld,
    )
    return Response(
        raw=reply.content,
        reasoning=split.reasoning,
        answer=split.answer,
        reasoning_state=split.state,
        finish_reason=reply.finish_reason,
        refusal=reply.refusal,
        reported_model=reply.model,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        latency_s=reply.latency_s,
        attempts=reply.attempts,
        raw_reasoning=reply.reasoning,
        prefill=prefill,
    )


class _ProgressSink(NamedTuple):
    """Receives the requests to a judge, and their stage."""

    progress: Progress
    stage: Stage

    def retried(self) -> None:
        self.progress.retried(self.stage)


@dataclass(frozen=True)
class _Judging:
    """Asks judges about answers. `asking` holds the requests that are under way, by their ids."""

    panel: JudgePanel
    judges: Mapping[str, JudgeEndpoint]
    recorder: Recorder
    asking: dict[str, asyncio.Future[RecordedVerdict]]

    async def judge(self, trial: RecordedTrial) -> None:
        """Ask the judges that are due, then those that are due after what these said, until none is left."""
        assert isinstance(trial.result, Response)  # noqa: S101  only judgeable trials come here
        judge_input = judge_input_of(trial, trial.result)
        panel, progress = self.panel, self.recorder.progress
        monitored: list[RecordedVerdict] = []
        while due := due_judges(trial, panel):
            judges_reasoning = bool(set(panel.reasoning_judges) & set(due))
            progress_sink = _ProgressSink(progress, "reasoning" if judges_reasoning else "judging")
            rulings = await self._rulings([self.judges[judge_id] for judge_id in due], judge_input, progress_sink)
            await self.recorder.journal.record_rulings(trial.trial_id, rulings)
            self.recorder.noticed(trial.trial_id)
            for _, ruling in rulings:  # from here on the journal answers for them
                self.asking.pop(ruling.request_id, None)
            trial = replace(trial, rulings=trial.rulings | {key.id: ruling for key, ruling in rulings})
            if judges_reasoning:
                monitored += [ruling for _, ruling in rulings]
            else:
                progress.judged(failed=_any_failed(ruling for _, ruling in rulings))
        if monitored:
            progress.monitored(failed=_any_failed(monitored))

    async def _rulings(
        self, judges: Sequence[JudgeEndpoint], judge_input: JudgeInput, progress_sink: _ProgressSink
    ) -> list[tuple[JudgeKey, RecordedVerdict]]:
        """Several judges on one answer, at the same time."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ruling(judge, judge_input, progress_sink)) for judge in judges]
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        return [(judge.key, task.result()) for judge, task in zip(judges, tasks, strict=True)]

    async def _ruling(
        self, judge: JudgeEndpoint, judge_input: JudgeInput, progress_sink: _ProgressSink
    ) -> RecordedVerdict:
        """One judge on one answer. The same judge is never asked the same thing twice, not even at the same time."""
        text = judge.judge.rubric.fill(judge_input)
        request_id = stable_hash({"judge": judge.key.id, "text": text})
        known = self.recorder.journal.ruling_on(judge.key.id, request_id)
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
        if not isinstance(ruling.verdict, JudgeFailure) or ruling.prompt_tokens is not None:
            progress_sink.progress.replied(
                progress_sink.stage, judge.key.model, ruling.prompt_tokens, ruling.completion_tokens
            )
        return ruling


def _any_failed(rulings: Iterable[RecordedVerdict]) -> bool:
    return any(isinstance(ruling.verdict, JudgeFailure) for ruling in rulings)
