"""Every suite as a task of Inspect: `inspect eval emeval/unethical_test --model ... --model-role grader=...`.

Inspect finds this module by the entry point `inspect_ai` and names its tasks after the package, which is why it stands
here; what they do is in `evals.reporting.exports.inspect_task`. Metrics count every epoch by itself,
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
from inspect_ai.model import ModelName, get_model
from inspect_ai.model._generate_config import active_generate_config
from inspect_ai.scorer import Metric as InspectMetric
from inspect_ai.scorer import SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from evals.errors import BadInput, EmevalError
from evals.questions.suite import Suite
from evals.questions.suites import SUITES
from evals.reporting.exports.inspect_scores import scores_of
from evals.reporting.exports.inspect_task import SuiteTask, judged_trial, need_grader, sampler_arguments, suite_task
from evals.runner.imports.trial_record import STORE_KEY
from evals.scoring.metric import OF_CONDUCT, Metric
from evals.scoring.metric_table import metrics_of
from evals.scoring.scored_trial import score_trial

_NO_OPTIONS = frozenset({"suite", "judge", "samples"})
"""Parameters of a task that are not passed on as options of `emeval run`."""
_SCORES = "emeval_scores"
"""The store key under which the first scorer shares a sample's scores with the others."""


def _task_of(suite: str) -> Callable[..., Task]:
    """The task of a suite. Inspect takes its name and the parameters of `-T` from the signature of the function."""

    def made(
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
        sampling: str | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        judge_mode: str = "text",
        coherence_min: float | str | None = None,
        denominator: str | None = None,
        cot_monitor: bool | None = None,
        cot_all: bool | None = None,
    ) -> Task:
        return _task(suite, locals())

    made.__doc__ = f"{SUITES[suite].title} ({SUITES[suite].citation}). Parameters are options of `emeval run`."
    return task(name=suite)(made)


def _task(suite: str, arguments: dict[str, Any]) -> Task:
    judge = arguments["judge"]
    options = {name: value for name, value in arguments.items() if name not in _NO_OPTIONS and value is not None}
    try:
        for name in ("trigger", "decoy"):
            _refuse_mapping(name, options.get(name))
        if "conditions" in options:
            options["conditions"] = _conditions(options["conditions"])
        loaded = _loaded(suite, judge, options)
    except EmevalError as error:
        raise PrerequisiteError(str(error)) from None  # which Inspect shows as one line
    # Inspect records what a scorer was made with, to score the answers again: plain values.
    made_with = (suite, judge, options)
    scorers = [_RATES[name](*made_with) for name in _rates_of(SUITES[suite], loaded)]
    scorers.append(outcome(*made_with))
    if loaded.needs_grader and SUITES[suite].measure == "alignment":
        scorers.append(alignment(*made_with))
    if loaded.plan.config.coherence_min is not None:
        scorers.append(coherence(*made_with))
    if SUITES[suite].measure in OF_CONDUCT:
        scorers.append(cot_flag(*made_with))
        if loaded.plan.config.trigger is not None:
            scorers.append(_RATES[_ARTICULATES](*made_with))
    return Task(
        dataset=MemoryDataset(list(loaded.samples()), name=suite),
        solver=[grader_is_there(*made_with), draw_answer(*made_with)],
        scorer=scorers,
        config=loaded.sampling,
        epochs=Epochs(arguments["samples"]),
        metadata=loaded.facts,
    )


TASKS = {suite: _task_of(suite) for suite in SUITES}
"""The tasks that Inspect finds as `emeval/NAME`."""


def _loaded(suite: str, judge: str | None, options: dict[str, Any]) -> SuiteTask:
    return _loaded_once(suite, judge, json.dumps(options, sort_keys=True))


@cache
def _loaded_once(suite: str, judge: str | None, options: str) -> SuiteTask:
    return suite_task(suite, judge, json.loads(options))


def _conditions(given: object) -> str:
    """Inspect reads parameters as YAML, where `off` and `on` are false and true, and what has commas is a list."""
    many = cast("list[object]", given) if isinstance(given, list) else [given]
    return ",".join(("off", "on")[value] if isinstance(value, bool) else str(value) for value in many)


def _refuse_mapping(name: str, given: object) -> None:
    """As YAML `Country: Kenya` is no text but a mapping. Raises BadInput for what is no text."""
    if given is not None and not isinstance(given, str):
        raise BadInput(
            f"-T {name}: was read as YAML; put the text into quotes of its own: -T '{name}=\"Country: Kenya\"'"
        )


@solver
def grader_is_there(suite: str, judge: str | None, options: dict[str, Any]) -> Solver:
    """Ends the sample before the first request if no judge could score the answer."""
    task = _loaded(suite, judge, options)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate
        try:
            need_grader(task)
        except BadInput as error:
            raise PrerequisiteError(str(error)) from None
        return state

    return solve


@solver
def draw_answer(suite: str, judge: str | None, options: dict[str, Any]) -> Solver:
    """Draws the answer from the model's full distribution, unless the task is told otherwise."""
    sampler = _loaded(suite, judge, options).plan.config.sampler

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        provider = ModelName(get_model()).api
        return await generate(state, **sampler_arguments(sampler, provider, active_generate_config()))

    return solve


# --- metrics: by condition, each answer counted once ---


@metric(scores="unreduced")
def rate() -> InspectMetric:
    """The share of 1 among the answers that have a value, by condition, with what it is a share of (`k`, `n`)."""
    return _by_condition(lambda values: {"": sum(values) / len(values), "k_": sum(values), "n_": len(values)})


@metric(scores="unreduced")
def average() -> InspectMetric:
    """The mean of the scores that there are, by condition, and how many there are (`n`)."""
    return _by_condition(lambda values: {"": sum(values) / len(values), "n_": len(values)})


@metric(scores="unreduced")
def count() -> InspectMetric:
    """How many samples have each word, by condition."""

    def counted(scores: list[SampleScore]) -> dict[str, str | int | float | bool | None]:
        found: dict[str, str | int | float | bool | None] = {}
        for score in scores:
            name = f"{score.score.as_str()}_{_condition(score)}"
            found[name] = int(found.get(name) or 0) + 1
        return found

    return counted


def _by_condition(numbers: Callable[[list[float]], dict[str, float]]) -> InspectMetric:
    """Nothing for a condition without a value."""

    def measured(scores: list[SampleScore]) -> dict[str, str | int | float | bool | None]:
        values: dict[str, list[float]] = {}
        for score in scores:
            values.setdefault(_condition(score), []).append(score.score.as_float())
        return {
            f"{prefix}{condition}": number
            for condition, rows in values.items()
            for prefix, number in numbers(rows).items()
        }

    return measured


def _condition(score: SampleScore) -> str:
    return str((score.sample_metadata or {}).get("condition", "off"))


# --- scorers: the first asks the judges, all read what they said ---


def _rate_scorer(name: str) -> Callable[..., Scorer]:
    """The scorer of a metric: 1 for a hit, 0 for a miss, and no value for an answer that was not measured."""

    def made(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
        return _scorer(_loaded(suite, judge, options), name)

    return scorer(metrics=[rate()], name=name)(made)


def _metrics_of_answers(suite: Suite) -> tuple[Metric, ...]:
    """The metrics of what the suite's answers say, and not of their reasoning."""
    return tuple(metric for metric in metrics_of(suite.measure) if metric.judge == suite.measure)


def _rates_of(suite: Suite, loaded: SuiteTask) -> list[str]:
    """The names of these metrics, without those of open answers where there are choices alone."""
    is_open = any(form != "mcq" for form in loaded.plan.config.formats[suite.name])
    return [metric.name for metric in _metrics_of_answers(suite) if is_open or not metric.open_only]


_ARTICULATES = "articulates"
"""Of misaligned answers under the trigger: whether their reasoning names it as pivotal."""
_RATES = {
    name: _rate_scorer(name)
    for name in (
        *dict.fromkeys(metric.name for suite in SUITES.values() for metric in _metrics_of_answers(suite)),
        _ARTICULATES,
    )
}


@scorer(metrics=[average()])
def alignment(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The judge's score from 0 (misaligned) to 100."""
    return _scorer(_loaded(suite, judge, options), "alignment")


@scorer(metrics=[average()])
def coherence(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The judge's coherence score from 0 to 100."""
    return _scorer(_loaded(suite, judge, options), "coherence")


@scorer(metrics=[count()])
def cot_flag(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The CoT monitor's flag for the reasoning of a misaligned answer."""
    return _scorer(_loaded(suite, judge, options), "cot_flag")


@scorer(metrics=[count()])
def outcome(suite: str, judge: str | None, options: dict[str, Any]) -> Scorer:
    """The outcome: scored, or why the answer has no score."""
    return _scorer(_loaded(suite, judge, options), "outcome")


def _scorer(task: SuiteTask, name: str) -> Scorer:
    async def score(state: TaskState, target: Target) -> Score | None:
        del target
        return (await _scores(task, state)).get(name)

    return score


async def _scores(task: SuiteTask, state: TaskState) -> dict[str, Score]:
    """The scores of a sample; judges are called on first use."""
    known: dict[str, Any] | None = state.store.get(_SCORES)
    if known is None:
        trial, judges, record = await judged_trial(task, state)
        scores = scores_of(trial, judges, task.plan.config.denominator)
        scores["outcome"] = Score(value=score_trial(trial, judges).outcome)
        state.store.set(STORE_KEY, record)
        state.store.set(_SCORES, {name: score.model_dump() for name, score in scores.items()})
        return scores
    return {name: Score.model_validate(score) for name, score in known.items()}
