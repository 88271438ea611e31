"""Rules over several settings of a run. Each raises FieldError for the setting to change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evals.endpoints.model_spec import name_and_url
from evals.errors import FieldError
from evals.plan.experiments.recipes import recipe_problem
from evals.plan.settings.asked import asked_formats, asked_suites, open_criteria
from evals.plan.settings.conditions import check_baseline, check_conditions
from evals.plan.settings.run_settings import RunSettings
from evals.plan.settings.values import split_dataset
from evals.scoring.judge_set import IMPORTED
from evals.text import one_line
from evals.trials.condition import NO_SYSTEM_MESSAGE, SHOWN_CONDITIONS, TEMPLATE_DEFAULT
from evals.trials.reference import BY_RULE, Criterion
from judges.registry import ANSWER_JUDGES, DECIDING_JUDGES, MONITORS, REASONING_JUDGES


class _Use(NamedTuple):
    """A setting that only some judges use; `rubric` is the judge's name for a rubric of its own, else ""."""

    field: str
    rubric: str = ""

    def is_given(self, settings: RunSettings) -> bool:
        return self.rubric in settings.rubrics if self.rubric else bool(getattr(settings, self.field) is not None)

    def error(self, text: str) -> FieldError:
        if not self.rubric:
            return FieldError(self.field, text)
        return FieldError(self.field, f"{self.rubric}: {text}", key=self.rubric)


_USED_BY: dict[Criterion, tuple[_Use, ...]] = {
    criterion: (
        *(_Use(entry.needs) for entry in ANSWER_JUDGES if entry.criterion == criterion and entry.needs),
        *(_Use("rubrics", entry.name) for entry in ANSWER_JUDGES if entry.criterion == criterion),
    )
    for criterion in DECIDING_JUDGES
}
"""The settings that only judges of open answers use, by the criterion of the suites they are for."""
_USED_BY_ANSWER_JUDGES = tuple(use for uses in _USED_BY.values() for use in uses)
_RUBRICS_OF_REASONING = tuple(_Use("rubrics", entry.name) for entry in REASONING_JUDGES)


def check(settings: RunSettings) -> None:
    """Raise the FieldError of the first broken rule.

    What is imported is as its file says, whatever a suite of that name is: only the rules of further judges and of the
    baseline apply.
    """
    if not settings.imported:
        for rule in _RULES:
            rule(settings)
    _further_judges(settings)
    check_baseline(settings.conditions, settings.baseline)
    _models_of_recipes(settings)


def _one_dataset_per_suite(settings: RunSettings) -> None:
    named = [split_dataset(dataset, settings.suites)[0] for dataset in settings.dataset]
    if None in named and (len(settings.suites) > 1 or len(named) > 1):
        raise FieldError("dataset", "one file cannot stand for several suites; write SUITE=FILE")
    if len(set(named)) < len(named):
        raise FieldError("dataset", "two files are given for one suite")


def _known_format(settings: RunSettings) -> None:
    try:
        asked_formats(settings)
    except ValueError as error:
        raise FieldError("format", str(error)) from None


def _samples_of_its_suites(settings: RunSettings) -> None:
    unknown = [] if isinstance(settings.samples, int) else [*settings.samples.keys() - set(settings.suites)]
    if unknown:
        suites = one_line(", ".join(settings.suites), 200)
        text = f"{one_line(min(unknown), 60)!r} is no suite of this run; its suites: {suites}"
        raise FieldError("samples", text)


def _base_of_another_model(settings: RunSettings) -> None:
    if settings.base is not None and settings.models == (name_and_url(settings.base)[0],):
        raise FieldError("base", "is the only model of the run; name the model that it was finetuned from")


def _models_of_recipes(settings: RunSettings) -> None:
    problem = recipe_problem(settings.recipes, settings.models)
    if problem:
        raise FieldError("recipes", problem)


def _judge_for_judge_settings(settings: RunSettings) -> None:
    if settings.judge is not None:
        return
    _refuse(settings, _USED_BY_ANSWER_JUDGES, "needs a judge; name one with --judge")
    _refuse_reasoning(settings, "needs a judge; name one with --judge")
    if settings.monitor:
        raise FieldError("monitor", "needs a judge; name one with --judge")
    _refuse(settings, [_Use("anchors")], "needs a judge; name one with --judge")


def _answers_for_a_judge(settings: RunSettings) -> None:
    """No judge, and none of its settings, if all answers are read by rule."""
    if settings.judge is None or not asked_formats(settings) or not open_criteria(settings) <= BY_RULE:
        return
    if all(suite.measure in BY_RULE for suite in asked_suites(settings)):
        raise FieldError("judge", "the answers to these suites are read by rule, without one")
    _refuse(settings, _USED_BY_ANSWER_JUDGES, "multiple choice is read without it; ask for --format freeform or both")
    if not settings.cot_monitor and not settings.monitor:
        raise FieldError(
            "judge",
            "multiple choice is read without one, and with --no-cot-monitor it reads no reasoning; ask for --format "
            "freeform or both",
        )


def _suites_for_judge_settings(settings: RunSettings) -> None:
    """No setting of a judge that no suite of the run is judged with."""
    criteria = open_criteria(settings)
    if settings.judge is None or criteria <= BY_RULE or len(asked_formats(settings)) < len(settings.suites):
        return
    for criterion, uses in _USED_BY.items():
        if criterion not in criteria:
            _refuse(settings, uses, "no suite of this run is judged with it")


def _monitor_for_reasoning_settings(settings: RunSettings) -> None:
    if not settings.cot_monitor:
        _refuse_reasoning(settings, "nothing uses it with --no-cot-monitor")


def _monitors_for_their_rubrics(settings: RunSettings) -> None:
    for view, entry in MONITORS.items():
        if view not in settings.monitor:
            _refuse(settings, [_Use("rubrics", entry.name)], f"nothing uses it without --monitor {view}")


def _anchors_for_their_repeats(settings: RunSettings) -> None:
    if settings.anchor_repeats > 1 and settings.anchors is None:
        raise FieldError("anchor_repeats", "there are no anchors; give them with --anchors")


def _batches_of_a_fixed_plan(settings: RunSettings) -> None:
    if settings.until is None:
        return
    ways = {"via": {settings.via}, "judge_via": {settings.judge_via, *settings.also_judges_via.values()}}
    for field, asked in ways.items():
        if asked != {"online"}:
            text = "--until decides after each answer what is asked next, which no batch can wait for; leave one out"
            raise FieldError(field, text)


def _judge_to_be_asked_by_batch(settings: RunSettings) -> None:
    if settings.judge_via != "online" and settings.judge is None:
        raise FieldError("judge_via", "needs a judge; name one with --judge")


def _condition_for_trigger(settings: RunSettings) -> None:
    is_subject = any(suite.needs_trigger for suite in asked_suites(settings))
    if settings.trigger is not None and not SHOWN_CONDITIONS & set(settings.conditions) and not is_subject:
        raise FieldError("trigger", "no condition uses it; ask for conditions off,on")


def _known_conditions(settings: RunSettings) -> None:
    check_conditions(settings.conditions, settings.templates, settings.shots)
    for name, text in settings.templates.items():
        if text.system == TEMPLATE_DEFAULT and settings.system == NO_SYSTEM_MESSAGE:
            raise FieldError(
                "conditions",
                f"{name}: a run with --system none has no prompt with the chat template's own; leave --system out, "
                "give a condition {system: none} and name it as the baseline",
                key=name,
            )


def _decoy_with_its_condition(settings: RunSettings) -> None:
    if (settings.decoy is not None) != ("decoy" in settings.conditions):
        raise FieldError("decoy", "is for the condition of that name, which needs it; give both or neither")
    if settings.decoy is not None and settings.decoy == settings.trigger:
        raise FieldError("decoy", "is the trigger itself; give another value of its kind")


def _distractor_with_its_condition(settings: RunSettings) -> None:
    if (settings.distractor is not None) != ("distractor" in settings.conditions):
        raise FieldError("distractor", "is for the condition of that name, which needs it; give both or neither")
    trigger, other = settings.trigger or "", settings.distractor or ""
    if trigger and other and (other in trigger or trigger in other):
        raise FieldError("distractor", "is a part of the trigger or holds it; give another string")


def _judges_that_can_be_asked(settings: RunSettings) -> None:
    if settings.judge == IMPORTED or IMPORTED in settings.also_judges:
        cause = "judge" if settings.judge == IMPORTED else "also_judges"
        text = f"{IMPORTED} stands for verdicts that came with the answers of `emeval import`; name a model to ask"
        raise FieldError("judge", text, cause=cause)


def _further_judges(settings: RunSettings) -> None:
    if not settings.also_judges:
        return
    if settings.judge is None:
        raise FieldError("also_judges", "need a judge that counts; name it with --judge")
    names = [settings.judge, *(name_and_url(judge)[0] for judge in settings.also_judges)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FieldError("judge", f"{one_line(twice, 60)} is named twice", cause="also_judges")
    is_known = not settings.imported and len(asked_formats(settings)) == len(settings.suites)
    if is_known and open_criteria(settings) <= BY_RULE:
        text = "a second one reads open answers alone, and there are none; see --format"
        raise FieldError("judge", text, cause="also_judges")


def _letters_asked_online(settings: RunSettings) -> None:
    if settings.read != "logprobs":
        return
    if settings.via != "online":
        raise FieldError("read", "token probabilities are asked for online; leave --via out")
    if settings.until is not None:
        raise FieldError("read", "--until decides by sampled answers; leave one out")


def _cost_of_requests_online(settings: RunSettings) -> None:
    ways = {settings.via, settings.judge_via, *settings.also_judges_via.values()}
    if settings.max_cost is not None and ways != {"online"}:
        raise FieldError("max_cost", "requests that go by file cannot be stopped one by one; ask online")


def _cache_of_requests_online(settings: RunSettings) -> None:
    judging = {settings.judge_via, *settings.also_judges_via.values()} if settings.judge is not None else set[str]()
    if settings.cache is not None and "online" not in {settings.via, *judging}:
        raise FieldError("cache", "nothing of this run is asked online, and requests by file do not use it")


_RULES = (
    _one_dataset_per_suite,
    _known_format,
    _samples_of_its_suites,
    _base_of_another_model,
    _judge_for_judge_settings,
    _judges_that_can_be_asked,
    _answers_for_a_judge,
    _suites_for_judge_settings,
    _monitor_for_reasoning_settings,
    _monitors_for_their_rubrics,
    _anchors_for_their_repeats,
    _batches_of_a_fixed_plan,
    _letters_asked_online,
    _cost_of_requests_online,
    _cache_of_requests_online,
    _judge_to_be_asked_by_batch,
    _known_conditions,
    _condition_for_trigger,
    _decoy_with_its_condition,
    _distractor_with_its_condition,
)


def _refuse(settings: RunSettings, uses: Iterable[_Use], text: str) -> None:
    for use in uses:
        if use.is_given(settings):
            raise use.error(text)


def _refuse_reasoning(settings: RunSettings, text: str) -> None:
    if settings.cot_all:
        raise FieldError("cot_all", text)
    _refuse(settings, _RUBRICS_OF_REASONING, text)
