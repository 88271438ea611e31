"""What a run still lacks, as far as it can be asked by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from evals.batches.shard import Target
from evals.batches.unserved import UnservedJudges, UnservedModel
from evals.endpoints.judge_endpoint import JudgeEndpoint, judge_request_id
from evals.plan.plan import Plan
from evals.scoring.judging import due_judges, judge_input_of
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.response import Failure, Response
from evals.trials.trial import Trial
from judges.judge import JudgeInput


def pending_answers(
    plan: Plan,
    journal: Journal,
    model: UnservedModel,
    target: Target,
    online: Counter[str],
    failed: frozenset[str] = frozenset(),
) -> Iterator[Trial]:
    """The trials of a model that are not recorded, or are among those that `failed`, and can be asked by file. The
    others are counted in `online`, by why they stay there."""
    for trial in plan.trials(model.spec.name):
        if trial.id not in failed and journal.has_trial(trial.id):
            continue
        reason = why_online(plan, trial) or _why_not_for(target, trial, model)
        if reason:
            online[reason] += 1
        else:
            yield trial


def why_online(plan: Plan, trial: Trial) -> str:
    """Why a trial can only be asked online, whoever is asked; "" where it can go by file."""
    if plan.config.rule is not None:
        return "--until decides after each answer what is asked next"
    if trial.format == "transcript":
        return "a transcript is a completion of plain text, not a chat"
    if trial.sampling.prefill:
        return "a prefill needs a server that shows its rendered prompt"
    return ""


def _why_not_for(target: Target, trial: Trial, model: UnservedModel) -> str:
    if target == "vllm" and not trial.sampling.default_system and model.served.default_system is None:
        return "whether the chat template has a system message of its own is not known without a server"
    if target != "anthropic":
        return ""
    roles = [message.role for message in trial.messages]
    chat = [role for role in roles if role != "system"]
    if roles[: len(roles) - len(chat)] != ["system"] * (len(roles) - len(chat)):
        return "Anthropic's API takes a system message only before the chat"
    if not chat or chat[0] != "user" or chat[-1] != "user":
        return "Anthropic's API takes chats that begin and end with the user"
    return ""


class DueRequest(NamedTuple):
    """A judge that is due for an answer, and what it would be asked."""

    judge: JudgeEndpoint
    text: str
    request_id: str


def due_requests(trial: RecordedTrial, judges: UnservedJudges) -> Iterator[DueRequest]:
    """What the judges that are due for an answer now would be asked about it."""
    if not isinstance(trial.result, Response):
        return
    shown: JudgeInput | None = None
    for judge_id in due_judges(trial, judges.panel):
        shown = shown or judge_input_of(trial, trial.result)
        judge = judges.judges[judge_id]
        text = judge.judge.rubric.fill(shown)
        yield DueRequest(judge, text, judge_request_id(judge.key, text))


def pending_judgements(journal: Journal, judges: UnservedJudges, *, failed_too: bool = False) -> Iterator[DueRequest]:
    """The requests to the judges that are due now, each once; with `failed_too` those that have failed, too. One that
    its judge has answered before, for another answer in the same words, is not asked again."""
    asked: set[bytes] = set()
    panel = judges.panel
    for trial in journal.responses_lacking(panel.answer_judges, *panel.later_judges, failed_too=failed_too):
        for request in due_requests(trial, judges):
            key = bytes.fromhex(request.request_id)
            if key in asked or journal.ruling_on(request.judge.key.id, request.request_id) is not None:
                continue
            asked.add(key)
            yield request


def failed_trials(journal: Journal) -> frozenset[str]:
    """The ids of the trials that are recorded as failed."""
    return frozenset(trial.trial_id for trial in recorded_trials(journal) if isinstance(trial.result, Failure))


def recorded_trials(journal: Journal) -> Iterator[RecordedTrial]:
    """Every recorded trial in the order of arrival, a few at a time; what is recorded meanwhile comes, too."""
    last = 0
    while batch := journal.trials_after(last):
        for trial in batch:
            last = trial.arrival
            yield trial
