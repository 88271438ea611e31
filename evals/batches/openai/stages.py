"""What a run asks by batch: its pending requests as lines of a file, and what becomes of their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence, Set
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

from evals.batches.outcomes import outcome_of
from evals.batches.pending import DueRequest, due_requests, pending_judgements, why_online
from evals.batches.requests import request_line
from evals.batches.results import Results
from evals.batches.unserved import UnservedJudges
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import judge_request, settled_ruling
from evals.endpoints.model_spec import ModelSpec
from evals.numbers import counted
from evals.plan.plan import Plan
from evals.runner.asking.trials import request_of, response_of
from evals.runner.by_batch.records import Stage
from evals.runner.pipeline import Recorder, note_mark
from evals.runner.view import Stage as Shown
from evals.scoring.judging import read_by_rule
from evals.trials.record import JudgeFailure, JudgeKey, RecordedVerdict
from evals.trials.response import Failure, FailureKind, Response
from evals.trials.trial import Trial

_Row = tuple[Trial, Response | Failure, list[tuple[JudgeKey, RecordedVerdict]]]
_CHUNK = 200
"""Results in one transaction: what a kill may lose, and what stands in memory."""

MAY_PASS: frozenset[FailureKind] = frozenset(
    {"timeout", "connection", "server_error", "rate_limited", "unparsable", "broken_off"}
)
"""Failures after which a request is asked again, as online."""


class Returned(NamedTuple):
    """The requests of a batch that has ended: their ids, the results of some of them, how often each had come back
    unanswered before, and how many attempts each has. `cancelled` batches cost no attempt."""

    ids: Set[str]
    results: Results
    before: dict[str, int]
    max_attempts: int
    cancelled: bool = False

    def outcome(self, custom_id: str, endpoint: Endpoint, request: ChatRequest) -> Reply | Failure:
        """What came of a request, with the number of its attempts."""
        if custom_id in self.results:
            found = outcome_of(self.results.read(custom_id), endpoint, request)
        else:
            found = Failure("broken_off", "the batch ended without a result for this request", 1)
        return replace(found, attempts=self.before.get(custom_id, 0) + 1)

    def is_asked_again(self, outcome: Reply | Failure) -> bool:
        if not isinstance(outcome, Failure) or outcome.kind not in MAY_PASS:
            return False
        return self.cancelled or outcome.attempts < self.max_attempts


class Taken(NamedTuple):
    """What a batch has brought: requests recorded, failures among them, and the ids of those to be asked again."""

    recorded: int
    failed: int
    again: list[str]


class BatchStage(Protocol):
    """The requests to one model at one server, under test or as a judge."""

    stage: Stage
    endpoint: Endpoint

    async def settle(self) -> None:
        """Record what is known already, and needs nobody to be asked."""
        ...

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Everything that is pending now, as ids and lines of a batch file. Raises BadInput."""
        ...

    async def take(self, returned: Returned) -> Taken:
        """Record what has come back. What is recorded already stays as it is."""
        ...


class AnswersStage:
    """The trials of one model under test."""

    stage: Stage = "answers"

    def __init__(
        self, plan: Plan, endpoint: Endpoint, opened: str, recorder: Recorder, *, half_price: bool = True
    ) -> None:
        self.endpoint, self._half_price = endpoint, half_price
        self._plan, self._opened, self._recorder = plan, opened, recorder
        self._noted: set[str] = set()

    async def settle(self) -> None:
        """No answer is known before it is given."""

    def lines(self) -> Iterator[tuple[str, bytes]]:
        target, online = _target(self.endpoint.spec), Counter[str]()
        for trial in self._plan.trials(self.endpoint.name):
            if self._recorder.journal.has_trial(trial.id):
                continue
            if reason := why_online(self._plan, trial):
                online[reason] += 1
            else:
                yield trial.id, request_line(target, trial.id, self.endpoint.model, request_of(trial))
        for reason, count in online.items():
            self.endpoint.server.say_once(
                f"{self.endpoint.name}: {counted(count, 'answer')} to be asked online: {reason}"
            )

    async def take(self, returned: Returned) -> Taken:
        again: list[str] = []
        recorded = failed = 0
        rows: list[_Row] = []
        for trial in self._plan.trials(self.endpoint.name):
            if trial.id not in returned.ids or self._recorder.journal.has_trial(trial.id):
                continue
            outcome = returned.outcome(trial.id, self.endpoint, request_of(trial))
            if returned.is_asked_again(outcome):
                again.append(trial.id)
                continue
            rows.append(self._row(trial, outcome))
            recorded, failed = recorded + 1, failed + isinstance(outcome, Failure)
            if len(rows) == _CHUNK:
                self._record(rows)
                rows = []
        self._record(rows)
        return Taken(recorded, failed, again)

    def _row(self, trial: Trial, outcome: Reply | Failure) -> _Row:
        recorder, name = self._recorder, self.endpoint.name
        if isinstance(outcome, Reply):
            tokens = (outcome.prompt_tokens, outcome.completion_tokens)
            recorder.progress.replied("sampling", name, *tokens, by_batch=self._half_price)
        result = outcome if isinstance(outcome, Failure) else response_of(outcome, self._opened)
        rulings: list[tuple[JudgeKey, RecordedVerdict]] = []
        if isinstance(result, Response):
            rulings += read_by_rule(trial.id, trial.options, trial.reference, result)
        note_mark(name, result, self._noted, recorder.say)
        return trial, result, rulings

    def _record(self, rows: Sequence[_Row]) -> None:
        self._recorder.journal.record_all(rows)
        for _, result, _ in rows:
            self._recorder.progress.sampled(failed=isinstance(result, Failure))


class JudgeStage:
    """The judges of one judge model, about every answer in the journal."""

    stage: Stage = "judge"

    def __init__(
        self, judges: UnservedJudges, endpoint: Endpoint, recorder: Recorder, *, half_price: bool = True
    ) -> None:
        self.endpoint, self._half_price = endpoint, half_price
        self._judges, self._recorder = judges, recorder

    async def settle(self) -> None:
        """What a judge has said about the same words in another answer."""
        nothing = Results([], self._recorder.say, max_reply_mb=1)
        settled = 1
        while settled:  # after some judges others may be due
            settled = await self._pass(Returned(frozenset(), nothing, {}, 1), {}, {})

    def lines(self) -> Generator[tuple[str, bytes]]:
        target = _target(self.endpoint.spec)
        for due in pending_judgements(self._recorder.journal, self._judges):
            request = judge_request(due.judge, due.text)
            yield due.request_id, request_line(target, due.request_id, self.endpoint.model, request)

    async def take(self, returned: Returned) -> Taken:
        """A reply that cannot be read is asked about once more online, as it would have been there."""
        fresh: dict[str, RecordedVerdict] = {}
        again: dict[str, None] = {}
        await self._pass(returned, fresh, again)
        failed = sum(isinstance(ruling.verdict, JudgeFailure) for ruling in fresh.values())
        return Taken(len(fresh), failed, list(again))

    async def _pass(self, returned: Returned, fresh: dict[str, RecordedVerdict], again: dict[str, None]) -> int:
        """Record what there is of the judges that are due now, for every answer; for how many there was something.
        `fresh` gets the rulings on requests that no answer had before, `again` the requests to be asked again."""
        settled, panel = 0, self._judges.panel
        journal = self._recorder.journal
        for trial in journal.responses_lacking(panel.answer_judges, *panel.later_judges, failed_too=False):
            rulings: list[tuple[JudgeKey, RecordedVerdict]] = []
            for due in due_requests(trial, self._judges):
                ruling = await self._ruling(due, returned, fresh, again)
                if ruling is not None:
                    rulings.append((due.judge.key, ruling))
            if rulings:
                await self._recorder.journal.record_rulings(trial.trial_id, rulings)
                self._show(rulings)
                settled += 1
        return settled

    async def _ruling(
        self, due: DueRequest, returned: Returned, fresh: dict[str, RecordedVerdict], again: dict[str, None]
    ) -> RecordedVerdict | None:
        """The ruling on a request: what its judge has said to it before, for another answer, or in this batch."""
        known = fresh.get(due.request_id) or self._recorder.journal.ruling_on(due.judge.key.id, due.request_id)
        if known is not None:
            return replace(known, prompt_tokens=None, completion_tokens=None)  # its tokens were spent once
        if due.request_id not in returned.ids or due.request_id in again:
            return None
        outcome = returned.outcome(due.request_id, self.endpoint, judge_request(due.judge, due.text))
        if returned.is_asked_again(outcome):
            again[due.request_id] = None
            return None
        if isinstance(outcome, Reply):
            shown, model = self._shown(due.judge.key), due.judge.key.model
            tokens = (outcome.prompt_tokens, outcome.completion_tokens)
            self._recorder.progress.replied(shown, model, *tokens, by_batch=self._half_price)
        ruling = fresh[due.request_id] = await settled_ruling(due.judge, due.text, due.request_id, outcome)
        return ruling

    def _shown(self, judge: JudgeKey) -> Shown:
        return "reasoning" if self._judges.panel.is_later(judge.id) else "judging"

    def _show(self, rulings: list[tuple[JudgeKey, RecordedVerdict]]) -> None:
        is_failed = any(isinstance(ruling.verdict, JudgeFailure) for _, ruling in rulings)
        if self._shown(rulings[0][0]) == "reasoning":
            self._recorder.progress.monitored(failed=is_failed)
        else:
            self._recorder.progress.judged(failed=is_failed)


def _target(spec: ModelSpec) -> Literal["openai", "vllm"]:
    """Whose fields the requests have: those that they would have online."""
    return "openai" if spec.provider == "openai" else "vllm"
