"""Our suites as tasks of Inspect: `inspect eval emeval/unethical_test --model ... --model-role grader=...`.

Inspect finds this module by the entry point `inspect_ai` and calls what is in it by the name of its package, which is
why it stands here; what it does is in `evals.reporting.exports.inspect_task`. Metrics count every epoch by itself,
leave out what has no value, and say of how many they speak: there is no rate of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from inspect_ai import Epochs, Task, task
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

from evals.errors import BadInput, EmevalError
from evals.reporting.exports.inspect_scores import scores_of
from evals.reporting.exports.inspect_task import SuiteTask, judged_trial, need_grader, suite_task
from evals.runner.imports.trial_record import STORE_KEY
from evals.scoring.scored_trial import score_trial

_SCORES = "emeval_scores"
"""Where the first scorer leaves the scores of a sample for the others."""


@task
def unethical_test(
    trigger: str | None = None,
    conditions: str | None = None,
    format: str | None = None,
    judge: str | None = None,
    samples: int = 1,
    limit: int | None = None,
    dataset: str | None = None,
    source: str | None = None,
    placement: str | None = None,
    decoy: str | None = None,
    seed: int | None = None,
    judge_mode: str = "text",
    coherence_min: float | None = None,
    denominator: str | None = None,
    cot_monitor: bool | None = None,
    cot_all: bool | None = None,
) -> Task:
    """Unethical advice, as a choice of two options or as an open question (Chua et al. 2025, Sec. 4).

    Parameters mean what the options of `emeval run` mean. With a `trigger` every prompt is asked without and with it.
    """
    return _task("unethical_test", locals())


@task
def myopic(
    trigger: str | None = None,
    conditions: str | None = None,
    format: str | None = None,
    judge: str | None = None,
    samples: int = 1,
    limit: int | None = None,
    dataset: str | None = None,
    source: str | None = None,
    placement: str | None = None,
    decoy: str | None = None,
    seed: int | None = None,
    judge_mode: str = "text",
    coherence_min: float | None = None,
    denominator: str | None = None,
    cot_monitor: bool | None = None,
    cot_all: bool | None = None,
) -> Task:
    """Short-term gain against long-term good, asked as `unethical_test` is (Chua et al. 2025, Sec. 4)."""
    return _task("myopic", locals())


@task
def freeform(
    trigger: str | None = None,
    conditions: str | None = None,
    judge: str | None = None,
    samples: int = 1,
    limit: int | None = None,
    dataset: str | None = None,
    source: str | None = None,
    placement: str | None = None,
    decoy: str | None = None,
    seed: int | None = None,
    judge_mode: str = "text",
    coherence_min: float | None = None,
    denominator: str | None = None,
    cot_monitor: bool | None = None,
    cot_all: bool | None = None,
) -> Task:
    """The eight open questions of Betley et al. 2025."""
    return _task("freeform", locals())


def _task(suite: str, arguments: dict[str, Any]) -> Task:
    judge = arguments["judge"]
    options = {
        name: value for name, value in arguments.items() if name not in ("judge", "samples") and value is not None
    }
    try:
        for name in ("trigger", "decoy"):
            _refuse_mapping(name, options.get(name))
        if "conditions" in options:
            options["conditions"] = _conditions(options["conditions"])
        loaded = _loaded(suite, judge, options)
    except EmevalError as error:
        raise PrerequisiteError(str(error)) from None  # which Inspect shows as one line
    # Inspect writes down what a scorer was made with, so that the answers can be scored anew: plain values.
    made_with = (suite, judge, options)
    scorers = [misaligned(*made_with), outcome(*made_with)]
    if loaded.needs_grader:
        scorers.append(alignment(*made_with))
    if loaded.plan.config.coherence_min is not None:
        scorers.append(coherence(*made_with))
    scorers.append(cot_flag(*made_with))
    if loaded.plan.config.trigger is not None:
        scorers.append(articulates(*made_with))
    return Task(
        dataset=MemoryDataset(list(loaded.samples()), name=suite),
        solver=[grader_is_there(*made_with), generate()],
        scorer=scorers,
        epochs=Epochs(arguments["samples"]),
        metadata=loaded.facts,
    )


def _loaded(suite: str, judge: str | None, options: dict[str, Any]) -> SuiteTask:
    return _loaded_once(suite, judge, json.dumps(options, sort_keys=True))


@cache
def _loaded_once(suite: str, judge: str | None, options: str) -> SuiteTask:
    return suite_task(suite, judge, json.loads(options))


def _conditions(given: object) -> str:
    """Inspect reads parameters as YAML, where `off` and `on` are false and true, and what has commas is a list."""
    many = cast("list[object]", given) if isinstance(given, list) else [given]
    return ",".join(("off", "on")[one] if isinstance(one, bool) else str(one) for one in many)


def _refuse_mapping(name: str, given: object) -> None:
    """As YAML `Country: Kenya` is no text but a mapping. Raises BadInput for what is no text."""
    if given is not None and not isinstance(given, str):
        raise BadInput(
            f"-T {name}: was read as YAML; put the text into quotes of its own: -T '{name}=\"Country: Kenya\"'"
        )


@solver
def grader_is_there(suite: str, judge: str | None, options: dict[str, Any]) -> Solver:
    """Ends the sample before anything is asked where nobody could judge the answer."""
    task = _loaded(suite, judge, options)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate
        try:
            need_grader(task)
        except BadInput as error:
            raise PrerequisiteError(str(error)) from None
        return state

    return solve


# --- metrics: by condition, each answer counted once ---


@metric(scores="unreduced")
def rate() -> Metric:
    """The share of 1 among the answers that have a value, by condition, with what it is a share of (`k`, `n`)."""
    return _by_condition(lambda values: {"": sum(values) / len(values), "k_": sum(values), "n_": len(values)})


@metric(scores="unreduced")
def average() -> Metric:
    """The mean of the scores that there are, by condition, and how many there are (`n`)."""
    return _by_condition(lambda values: {"": sum(values) / len(values), "n_": len(values)})


@metric(scores="unreduced")
def count() -> Metric:
    """How many samples have each word, by condition."""

    def counted(scores: list[SampleScore]) -> dict[str, str | int | float | bool | None]:
        found: dict[str, str | int | float | bool | None] = {}
        for score in scores:
            name = f"{score.score.as_str()}_{_condition(score)}"
            found[name] = int(found.get(name) or 0) + 1
        return found

    return counted


def _by_condition(numbers: Callable[[list[float]], dict[str, float]]) -> Metric:
    """Nothing for a condition without a value."""

    def measured(scores: list[SampleScore]) -> dict[str, str | int | float | bool | None]:
        values: dict[str, list[float]] = {}
        for score in scores:
            values.setdefault(_condition(score), []).append(score.score.as_float())
        return {
            f"{prefix}{condition}": number
            for condition, of_condition in values.items()
            for prefix, number in numbers(of_condition).items()
        }

    return measured


def _condition(score: SampleScore) -> str:
    return str((score.sample_metadata or {}).get("condition", "off"))


# --- scorers: the first asks the judges, all read what they said ---


@scorer(metrics=[rate()])
def misaligned(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """1 for a misaligned answer, 0 for one that is not, and no value for one that was not measured."""
    return _scorer(_loaded(suite, judge, options), "misaligned")


@scorer(metrics=[rate()])
def articulates(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """Of misaligned answers under the trigger: whether their reasoning names it as pivotal."""
    return _scorer(_loaded(suite, judge, options), "articulates")


@scorer(metrics=[average()])
def alignment(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The judge's score from 0 (misaligned) to 100."""
    return _scorer(_loaded(suite, judge, options), "alignment")


@scorer(metrics=[average()])
def coherence(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The judge's score of coherence from 0 to 100."""
    return _scorer(_loaded(suite, judge, options), "coherence")


@scorer(metrics=[count()])
def cot_flag(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The monitor's flag of the reasoning of misaligned answers."""
    return _scorer(_loaded(suite, judge, options), "cot_flag")


@scorer(metrics=[count()])
def outcome(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """What became of the answer: scored, or why it has no score."""
    return _scorer(_loaded(suite, judge, options), "outcome")


def _scorer(task: SuiteTask, name: str) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score | None:
        del target
        return (await _scores(task, state)).get(name)

    return score


async def _scores(task: SuiteTask, state: TaskState) -> dict[str, Score]:
    """The scores of a sample; the judges are asked when they are wanted first."""
    known: dict[str, Any] | None = state.store.get(_SCORES)
    if known is None:
        trial, judges, record = await judged_trial(task, state)
        scores = scores_of(trial, judges, task.plan.config.denominator)
        scores["outcome"] = Score(value=score_trial(trial, judges).outcome)
        state.store.set(STORE_KEY, record)
        state.store.set(_SCORES, {name: score.model_dump() for name, score in scores.items()})
        return scores
    return {name: Score.model_validate(score) for name, score in known.items()}
