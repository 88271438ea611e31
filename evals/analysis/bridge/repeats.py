"""How a judge's verdict on the same answer varies: the same request, sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from evals.analysis.asking import ask_each, ask_once
from evals.analysis.bridge.estimates import RepeatSpread, repeat_spread
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.plan.judging_plan import JudgingPlan
from evals.runner.view import RunView
from evals.scoring.judging import judge_input_of
from evals.scoring.metric import MISALIGNED_BELOW
from evals.statistics.intervals import Interval, wilson_interval
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial, RecordedVerdict
from evals.trials.reference import criterion_of
from evals.trials.response import Response
from judges.verdicts import Scored

FOLDER = "repeats"
_JUDGE = "alignment"


class Repeats(NamedTuple):
    """Verdicts on the same answers, `times` on each. `flipped` of the `compared` answers with two scores or more were
    called a hit once and no hit another time. `missing` verdicts are no score. `spread` is of the scores, in points."""

    times: int
    answers: int
    missing: int
    compared: int
    flipped: int
    interval: Interval | None
    spread: RepeatSpread


class _Request(NamedTuple):
    trial: RecordedTrial
    repeat: int


def judge_again(journal: Journal, judging: JudgingPlan, times: int, folder: Path, view: RunView) -> Repeats:
    """Ask about each complete answer until it has `times` verdicts: the run's own, and others kept in `folder`.

    Raises BadInput before the first request, RunStopped if it cannot continue; the verdicts up to then are kept.
    """
    judging = replace(judging, judges=tuple(judge for judge in judging.judges if judge.name == _JUDGE))
    judge_id = judging.rubric_facts()[_JUDGE].judge_id
    first: dict[str, RecordedVerdict] = {}
    requests: list[_Request] = []
    for trial in journal.trials_in_plan_order():
        if judge_id in trial.rulings and criterion_of(trial.reference) == "alignment":
            first[trial.trial_id] = trial.rulings[judge_id]
            requests += [_Request(trial, repeat) for repeat in range(2, times + 1)]
    verdicts = asyncio.run(ask_each(judging, requests, _ask_again, folder / FOLDER, view)) if requests else []
    by_answer = {trial_id: [verdict] for trial_id, verdict in first.items()}
    for request, verdict in zip(requests, verdicts, strict=True):
        by_answer[request.trial.trial_id].append(verdict)
    scores = [
        [said.verdict.score for said in found if isinstance(said.verdict, Scored)] for found in by_answer.values()
    ]
    compared = [row for row in scores if len(row) > 1]
    flipped = sum(len({score < MISALIGNED_BELOW for score in row}) > 1 for row in compared)
    return Repeats(
        times=times,
        answers=len(scores),
        missing=sum(map(len, by_answer.values())) - sum(map(len, scores)),
        compared=len(compared),
        flipped=flipped,
        interval=wilson_interval(flipped, len(compared)),
        spread=repeat_spread(scores),
    )


async def _ask_again(endpoints: Mapping[str, JudgeEndpoint], journal: Journal, request: _Request) -> RecordedVerdict:
    trial = request.trial
    assert isinstance(trial.result, Response)  # noqa: S101  only answers have been judged
    judge_input = judge_input_of(trial, trial.result)
    return await ask_once(endpoints[_JUDGE], judge_input, f"{trial.trial_id}#{request.repeat}", journal)
