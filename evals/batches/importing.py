"""Results of batch files into the journal of their run: each becomes what the same request would be online."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import NamedTuple, TypeVar

from evals.batches.outcomes import outcome_of
from evals.batches.pending import DueRequest, due_requests, pending_judgements, recorded_trials, why_online
from evals.batches.results import ResultFile, Results, unknown
from evals.batches.unserved import UnservedJudges, UnservedModel, unserved_judges, unserved_model
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import judge_request, ruling_of
from evals.plan.manifest import ModelFacts, write_manifest
from evals.plan.plan import Plan
from evals.runner.asking.trials import request_of, response_of
from evals.runner.pipeline import note_mark
from evals.runner.session import RunSession
from evals.scoring.judging import read_by_rule
from evals.trials.record import JudgeFailure, JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.response import Failure, Response
from evals.trials.trial import Trial

_CHUNK = 200
_CHUNK_CHARACTERS = 16_000_000
"""Results in one transaction, and the characters of their replies: what a kill may lose, and what stands in memory."""
_Item = TypeVar("_Item")
Rulings = list[tuple[JudgeKey, RecordedVerdict]]


class StageCounts(NamedTuple):
    """Requests of one stage. `recorded` now, `failed` of those; `known` were recorded before; `pending` are still
    missing."""

    recorded: int = 0
    failed: int = 0
    known: int = 0
    pending: int = 0

    def plus(self, *, recorded: int = 0, failed: int = 0, known: int = 0) -> StageCounts:
        return self._replace(recorded=self.recorded + recorded, failed=self.failed + failed, known=self.known + known)


class ImportCounts(NamedTuple):
    """What came of an import. `pending` judge requests are those that are due by now. `doubles` are lines that were in
    the files more than once."""

    answers: StageCounts
    judge: StageCounts
    doubles: int

    @property
    def is_all(self) -> bool:
        """Whether nothing is missing any more."""
        return not self.answers.pending and not self.judge.pending


def import_results(session: RunSession, plan: Plan, files: Sequence[ResultFile]) -> ImportCounts:
    """Record the results in `files`, in any order; what is recorded already stays as it is.

    The journal of the session is open for writing, and nobody else is writing to it. A request without a result stays
    pending. Raises BadInput, with file and line, before anything is written where a result cannot be read or belongs
    to no request of the run, and JournalFull later on, when importing again does the rest.
    """
    results = Results(files, session.view.say, max_reply_mb=plan.config.max_reply_mb)
    return _Import(session, plan, results).run()


class _Import:
    def __init__(self, session: RunSession, plan: Plan, results: Results) -> None:
        self._session, self._plan, self._results = session, plan, results
        self._journal, self._say = session.journal, session.view.say
        specs = {name: spec for name, spec in plan.specs.items() if spec.provider != "local"}
        most = plan.config.max_reply_mb
        self._models = {name: unserved_model(spec, self._say, max_reply_mb=most) for name, spec in specs.items()}
        judgings = (it for it in plan.judgings if it.judge_spec is None or it.judge_spec.provider != "local")
        judges = (unserved_judges(judging, self._say) for judging in judgings)
        self._judges = [found for found in judges if found is not None]
        self._answers = StageCounts()
        self._judged = StageCounts()

    def run(self) -> ImportCounts:
        answering, has_judgements = self._check()
        self._note_models(answering)
        if answering:
            for chunk in _chunks(self._new_answers(), _answer_length):
                self._journal.record_all(chunk)
        if has_judgements:
            for judges in self._judges:
                self._record_judgements(judges)
        pending = max(0, self._session.manifest.trials_planned - self._journal.recorded())
        # Failures are outcomes: they are asked again only where somebody wants it.
        due = sum(1 for judges in self._judges for _ in pending_judgements(self._journal, judges))
        answers, judge = self._answers._replace(pending=pending), self._judged._replace(pending=due)
        return ImportCounts(answers, judge, self._results.doubles)

    # --- what is there -----------------------------------------------------------------------------------------------

    def _check(self) -> tuple[set[str], bool]:
        """The models whose answers there are, and whether there are judges' replies. Raises BadInput for a result that
        belongs to no request."""
        unmatched = set(self._results.ids())
        answering: set[str] = set()
        for trial in self._trials():
            unmatched.remove(trial.id)
            answering.add(trial.model)
        has_judgements = bool(unmatched)
        for judges in self._judges if unmatched else ():
            for trial in chain(recorded_trials(self._journal), self._as_recorded()):
                known = {ruling.request_id for ruling in trial.rulings.values()} & unmatched
                unmatched -= known
                self._judged = self._judged.plus(known=len(known))
                unmatched -= {ruling.request_id for _, ruling in self._rulings(trial, judges, {})[0]}
        if unmatched:
            first = min(unmatched, key=self._results.place_of)
            raise unknown(self._results.where(first), first)
        return answering, has_judgements

    def _trials(self) -> Iterator[Trial]:
        """The trials that there are results for, in the order of the plan."""
        for name in self._models:
            for trial in self._plan.trials(name):
                if trial.id in self._results and not why_online(self._plan, trial):
                    yield trial

    def _note_models(self, answering: set[str]) -> None:
        """Write into the manifest, before the first answer, that nobody has checked where these were made."""
        manifest = self._session.manifest
        facts = dict(manifest.models)
        for name in answering:
            known = facts.get(name) or _facts_of(self._models[name])
            facts[name] = known.model_copy(update={"by_file": True})
        if facts != manifest.models:
            manifest = manifest.model_copy(update={"models": facts})
            write_manifest(self._session.folder, manifest)
            self._session = self._session._replace(manifest=manifest)

    # --- answers -----------------------------------------------------------------------------------------------------

    def _new_answers(self) -> Iterator[tuple[Trial, Response | Failure, Rulings]]:
        noted: dict[str, set[str]] = {name: set() for name in self._models}
        had_some = self._journal.recorded() > 0
        for trial in self._trials():
            if had_some and self._journal.has_trial(trial.id):
                self._answers = self._answers.plus(known=1)
                continue
            result, rulings = self._result_of(trial)
            note_mark(trial.model, result, noted[trial.model], self._say)
            self._answers = self._answers.plus(recorded=1, failed=isinstance(result, Failure))
            yield trial, result, rulings

    def _result_of(self, trial: Trial) -> tuple[Response | Failure, Rulings]:
        """What a trial has ended in, and the rulings on it that need no judge model."""
        reply = outcome_of(self._results.read(trial.id), self._models[trial.model].endpoint, request_of(trial))
        if isinstance(reply, Failure):
            return reply, []
        result = response_of(reply)
        return result, list(read_by_rule(trial.id, trial.options, trial.reference, result))

    def _as_recorded(self) -> Iterator[RecordedTrial]:
        """The new answers as they will be recorded, for what their judges have said in the same files."""
        for trial in self._trials():
            if not self._journal.has_trial(trial.id):
                result, rulings = self._result_of(trial)
                yield RecordedTrial(
                    trial_id=trial.id,
                    arrival=0,
                    position=trial.position,
                    suite=trial.suite,
                    format=trial.format,
                    model=trial.model,
                    prompt_id=trial.prompt_id,
                    variant=trial.variant,
                    condition=trial.condition,
                    trigger=trial.trigger,
                    repeat=trial.repeat,
                    messages=trial.messages,
                    result=result,
                    rulings={key.id: ruling for key, ruling in rulings},
                    reference=trial.reference,
                    distractor=trial.distractor,
                )

    # --- judges ------------------------------------------------------------------------------------------------------

    def _record_judgements(self, judges: UnservedJudges) -> None:
        fresh: dict[str, RecordedVerdict] = {}

        def rows() -> Iterator[tuple[str, Rulings]]:
            for trial in recorded_trials(self._journal):
                rulings, new = self._rulings(trial, judges, fresh)
                if rulings:
                    failed = sum(isinstance(ruling.verdict, JudgeFailure) for ruling in new)
                    self._judged = self._judged.plus(recorded=len(new), failed=failed)
                    yield trial.trial_id, rulings

        for chunk in _chunks(rows(), lambda row: _length(row[1])):
            self._journal.record_all_rulings(chunk)
            fresh.clear()  # from here on the journal answers for them

    def _rulings(
        self, trial: RecordedTrial, judges: UnservedJudges, fresh: dict[str, RecordedVerdict]
    ) -> tuple[Rulings, list[RecordedVerdict]]:
        """What there is to record of the judges of an answer, those among them that are due only after the verdict of
        another; and the replies that no answer had before. `fresh` are those that the journal does not have yet."""
        rulings: Rulings = []
        new: list[RecordedVerdict] = []
        while True:
            found: Rulings = []
            for due in due_requests(trial, judges):
                known = fresh.get(due.request_id) or self._journal.ruling_on(due.judge.key.id, due.request_id)
                if known is not None:
                    # Its tokens were spent once.
                    found.append((due.judge.key, replace(known, prompt_tokens=None, completion_tokens=None)))
                elif due.request_id in self._results:
                    ruling = self._said(due)
                    found.append((due.judge.key, ruling))
                    fresh[due.request_id] = ruling
                    new.append(ruling)
            if not found:
                return rulings, new
            rulings += found
            trial = replace(trial, rulings=trial.rulings | {key.id: ruling for key, ruling in found})

    def _said(self, due: DueRequest) -> RecordedVerdict:
        request = judge_request(due.judge, due.text)
        endpoint = due.judge.endpoint
        assert isinstance(endpoint, Endpoint)  # noqa: S101  as unserved_judges makes them
        return ruling_of(due.judge, outcome_of(self._results.read(due.request_id), endpoint, request), due.request_id)


def _facts_of(model: UnservedModel) -> ModelFacts:
    return ModelFacts(base_url=model.base_url, served_name=model.spec.served_name, served=None, file_sha256=None)


def _answer_length(row: tuple[Trial, Response | Failure, Rulings]) -> int:
    result = row[1]
    return len(result.raw) + len(result.raw_reasoning) if isinstance(result, Response) else len(result.detail)


def _length(rulings: Rulings) -> int:
    return sum(len(ruling.reply) for _, ruling in rulings)


def _chunks(items: Iterable[_Item], length: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """The items, some at a time; `length` is the characters of one."""
    chunk: list[_Item] = []
    total = 0
    for item in items:
        chunk.append(item)
        total += length(item)
        if len(chunk) >= _CHUNK or total >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk
