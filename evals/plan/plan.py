"""A config with every file read and every name resolved: what can be wrong without a server is found here."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from evals.endpoints.model_spec import ModelSpec, Overrides, name_and_url, resolve_model
from evals.endpoints.prices import Tariff
from evals.endpoints.providers.fit import check_one_key, check_sampler, check_temperatures
from evals.endpoints.providers.table import OPENAI_URL
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.judges import file_judges, labels_counted
from evals.plan.judging_plan import JudgingPlan, located, plan_judging, plan_other_judgings, planned_tariffs
from evals.plan.own_questions.loading import is_table, load_questions
from evals.plan.plugins import check_plugins
from evals.plan.settings.samples import DEFAULT_SAMPLES, samples_of_suite
from evals.plan.settings.via import BY_BATCH, BY_RAY, BY_VLLM
from evals.plan.stopping.draws import Family, families
from evals.questions.dataset import Dataset, Source
from evals.questions.source import questions_of
from evals.questions.suites import OF_A_FILE, SUITES, find_suite
from evals.scoring.judge_set import needs_judge_model
from evals.text import one_line
from evals.trials.condition import (
    CONDITIONS,
    NO_SYSTEM_MESSAGE,
    TEMPLATE_DEFAULT,
    RenderedMessages,
    Template,
    Trigger,
    render,
)
from evals.trials.prompt import Prompt, has_system, with_system
from evals.trials.record import Cell
from evals.trials.reference import UserQuestion, criterion_of
from evals.trials.template_use import check_templates
from evals.trials.trial import Recorded, Sampling, Trial, plan_trial, plan_trials


@dataclass(frozen=True)
class Plan:
    """What a run samples, and how it is judged: by the judge that counts, then by those that are `also` asked.

    What can be wrong without a server has been checked.
    """

    datasets: dict[str, Dataset]
    specs: dict[str, ModelSpec]
    judging: JudgingPlan
    also: tuple[JudgingPlan, ...] = ()
    base_spec: ModelSpec | None = None

    @property
    def config(self) -> RunConfig:
        return self.judging.config

    @property
    def judgings(self) -> tuple[JudgingPlan, ...]:
        """The judging that counts, then the others."""
        return (self.judging, *self.also)

    def tariffs(self) -> dict[str, Tariff]:
        """What the tokens of each model cost that is asked, the judges among them."""
        return planned_tariffs(self.judgings, self.specs.values())

    @property
    def trigger(self) -> Trigger | None:
        config = self.config
        if config.trigger is None:
            return None
        return Trigger(config.trigger, config.placement, config.decoy, config.distractor)

    @property
    def templates(self) -> dict[str, Template]:
        """What the run's own conditions do to a prompt."""
        return self.config.condition_templates

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the question files before they are asked."""
        return tuple(note for dataset in self.datasets.values() for note in dataset.notes)

    def unasked_wordings(self) -> list[str]:
        """Names of wordings by hand that are no condition of this run, nor one that every run knows."""
        named = {name for prompt in self.prompts() for name, _ in prompt.wordings}
        return sorted(named - {*CONDITIONS, *self.config.conditions})

    @property
    def leaves_out_system(self) -> bool:
        """Whether some prompts are to be sent without the chat template's own system message."""
        wanted = (self.config.system, *(template.system for template in self.templates.values()))
        return NO_SYSTEM_MESSAGE in wanted

    @property
    def has_system_messages(self) -> bool:
        """Whether some prompt, in any wording or condition, has a system message."""
        if any(template.system not in (None, NO_SYSTEM_MESSAGE) for template in self.templates.values()):
            return True
        chats = ((prompt.messages, *dict(prompt.wordings).values()) for prompt in self.prompts())
        return any(has_system(messages) for chat in chats for messages in chat)

    def prompts(self) -> Iterator[Prompt]:
        """The prompts of every suite, with the run's system message where they have none of their own.

        Raises BadInput where a suite is about the trigger and there is none, and for a system message without a use.
        """
        system, is_used = self.config.system_text, self.config.system == TEMPLATE_DEFAULT
        for name, dataset in self.datasets.items():
            suite, trigger = find_suite(name), self.config.trigger
            if suite.needs_trigger and trigger is None:
                raise BadInput(f"--trigger is missing: {name} asks about it")
            for prompt in suite.prompts(dataset, self.config.formats[name]):
                if self.config.option_order == "file" and not prompt.in_file_order:
                    continue
                asked = prompt if suite.for_trigger is None or trigger is None else suite.for_trigger(prompt, trigger)
                is_used = is_used or not has_system(asked.messages)
                self._refuse_lost_system(asked)
                yield asked if system is None else with_system(asked, system)
        if not is_used:
            raise BadInput("--system: every prompt of this run has a system message of its own; leave it out")

    def _refuse_lost_system(self, prompt: Prompt) -> None:
        """Raises BadInput for a condition whose system message would take the place of the prompt's own."""
        for name, template in self.templates.items():
            if template.system is not None and has_system(dict(prompt.wordings).get(name, prompt.messages)):
                raise BadInput(
                    f"--conditions: {name}: system: {one_line(prompt.id, 60)!r} of {prompt.suite} has a system message "
                    "of its own, which is part of the question; run these questions without that condition"
                )

    def conditions_of(self, suite_name: str) -> tuple[str, ...]:
        """The run's conditions, of those that the suite can be asked under. Raises BadInput where there is none."""
        able = find_suite(suite_name).conditions or self.config.conditions
        conditions = tuple(name for name in self.config.conditions if name in able)
        if not conditions:
            raise BadInput(f"--conditions: {suite_name} is asked under {' and '.join(able)} alone")
        return conditions

    @property
    def sampling(self) -> Sampling:
        config = self.config
        return Sampling(
            config.temperature,
            config.max_tokens,
            config.thinking_switch,
            config.assistant_prefill,
            config.sampler,
            default_system=config.system != NO_SYSTEM_MESSAGE,
        )

    def sampling_of(self, prompt: Prompt) -> Sampling:
        """The run's sampling, with what the prompt asks for itself unless the run was told otherwise."""
        told, sampling = self.config.over_questions, self.sampling
        if prompt.temperature is not None and "temperature" not in told:
            sampling = replace(sampling, temperature=prompt.temperature)
        if prompt.max_tokens is not None and "max_tokens" not in told:
            sampling = replace(sampling, max_tokens=prompt.max_tokens)
        return sampling

    def samples_of(self, prompt: Prompt) -> int:
        told = samples_of_suite(self.config.samples, prompt.suite)
        if told is None or "samples" not in self.config.over_questions:
            told = prompt.samples or told
        return DEFAULT_SAMPLES if told is None else told

    def sample_trials(self, model: str) -> list[Trial]:
        """The trials of one prompt of each suite and format, once in each condition."""
        first: dict[tuple[str, str], Prompt] = {}
        for prompt in self.prompts():
            first.setdefault((prompt.suite, prompt.format), prompt)
        return list(self._trials_of(first.values(), model, samples=1))

    def trials(self, model: str, recorded: Recorded | None = None) -> Iterator[Trial]:
        """The trials of a model that are not `recorded`."""
        return self._trials_of(self.prompts(), model, samples=self.samples_of, recorded=recorded)

    def _trials_of(
        self,
        prompts: Iterable[Prompt],
        model: str,
        *,
        samples: int | Callable[[Prompt], int],
        recorded: Recorded | None = None,
    ) -> Iterator[Trial]:
        config = self.config
        return plan_trials(
            prompts,
            model=model,
            conditions=self.conditions_of,
            trigger=self.trigger,
            samples=samples,
            sampling=self.sampling_of,
            seed=config.seed,
            templates=self.templates,
            recorded=recorded,
        )

    def families(self) -> tuple[Family, ...]:
        """The prompts in the order in which they are drawn where sampling may stop early."""
        return families(self.prompts(), self.samples_of, self.config.seed)

    def drawn_trial(self, family: Family, number: int, condition: str, model: str) -> Trial:
        """The draw of this number of a family, under one of its conditions."""
        drawn = family.draw(number)
        prompt = family.prompts[drawn.prompt]
        position = family.position(number, self.conditions_of(family.suite).index(condition))
        sampling, seed = self.sampling_of(prompt), self.config.seed
        trigger, templates = self.trigger, self.templates
        return plan_trial(prompt, condition, model, trigger, sampling, seed, drawn.repeat, position, templates)

    def cells(self) -> dict[Cell, int]:
        """Trials planned in each cell; with a rule that ends sampling early, the most there can be.

        Raises BadInput when a condition cannot be worded, or the rule be followed.
        """
        config = self.config
        cells: dict[Cell, int] = {}
        by_rule: set[str] = set()
        samples = self.samples_of if config.rule is None else self._draws_of()
        asked = ((prompt, name) for prompt in self.prompts() for name in self.conditions_of(prompt.suite))
        for prompt, condition in asked:
            trigger = self._rendered(prompt, condition).trigger
            for model in config.models:
                measure = criterion_of(prompt.reference)
                if measure == "hit" and isinstance(prompt.reference, UserQuestion):
                    by_rule |= set() if needs_judge_model(prompt.reference) else {prompt.id}
                cell = Cell(prompt.suite, prompt.format, model, condition, trigger, prompt.id, measure)
                cells[cell] = cells.get(cell, 0) + samples(prompt)
        if config.rule is not None:
            from evals.plan.stopping.state import check_rule

            for name, dataset in self.datasets.items():
                if labels_counted(dataset) is not None:
                    raise BadInput(
                        f"--until: a rule is about one rate, and {name} has one for each label; leave it out"
                    )
            cells = {cell: planned for cell, planned in cells.items() if planned}
            check_rule(config.rule, cells, judged=config.judge is not None, by_rule=by_rule)
        return cells

    def _rendered(self, prompt: Prompt, condition: str) -> RenderedMessages:
        """Raises BadInput when the condition cannot be worded."""
        try:
            return render(prompt, condition, self.trigger, self.config.seed, 0, self.templates)
        except ValueError:
            raise BadInput(f"--trigger is missing: condition {condition!r} needs one") from None

    def _draws_of(self) -> Callable[[Prompt], int]:
        """How often a prompt is drawn if sampling does not stop early."""

        def name(prompt: Prompt) -> tuple[str, ...]:
            return prompt.suite, prompt.format, prompt.id, prompt.variant

        draws = {
            name(family.prompts[index]): count for family in self.families() for index, count in family.counts().items()
        }
        return lambda prompt: draws.get(name(prompt), 0)


class Retry(NamedTuple):
    """Which recorded failures are asked again: those of the models under test, those of the judges."""

    trials: bool
    rulings: bool


def make_plan(config: RunConfig, sources: Mapping[str, Source] | None = None) -> Plan:
    """Read and resolve everything that `config` names. Raises BadInput.

    `sources`: the question source each suite started with, when resuming.
    """
    if config.imported:
        raise BadInput("imported: answers that were imported cannot be asked for; leave it out")
    if sources is None:
        _check_thinking(config)
    check_plugins(config)
    if config.judges and not config.question_files:
        raise BadInput("--judges: no suite of this run is a question file; leave it out")
    tables = (is_table(find_suite(name), file, config.columns) for name, file in config.dataset_files.items())
    if config.columns and not any(tables):
        raise BadInput("--columns: no suite of this run asks a table of questions; leave it out")
    loaded = {name: load_dataset(name, config, (sources or {}).get(name)) for name in config.suites}
    judges_by_file = [file_judges(dataset) for dataset in loaded.values()]
    models = Overrides(config.base_url, providers=config.providers)
    plan = Plan(
        datasets=loaded,
        specs={name: _model_spec(name, models, config) for name in config.models},
        judging=plan_judging(config, judges_by_file),
        also=plan_other_judgings(config, judges_by_file),
        base_spec=_base_spec(config),
    )
    if sources is None:
        for spec in plan.specs.values():
            _check_fit(plan, spec)
        _check_letters(plan)
    if config.base_url is not None:
        base = [plan.base_spec] if plan.base_spec is not None and name_and_url(config.base or "")[1] is None else []
        check_one_key("--base-url", {spec.name: spec.key_variable for spec in (*plan.specs.values(), *base)})
    if plan.templates:
        check_templates(plan.prompts(), plan.conditions_of, plan.templates, plan.sampling)
    return plan


def _check_letters(plan: Plan) -> None:
    """Raise BadInput where letters are to be read and a question has none, or a server gives no probabilities."""
    if plan.config.read != "logprobs":
        return
    other = next((prompt for prompt in plan.prompts() if prompt.options is None), None)
    if other is not None:
        raise BadInput(f"--read logprobs: {other.suite} has questions without two options; see --format mcq")
    for name, spec in plan.specs.items():
        if not spec.quirks.logprobs:
            raise BadInput(f"--read logprobs: {name}: its server gives no token probabilities; leave --read out")


def _check_thinking(config: RunConfig) -> None:
    """Raise BadInput if a suite compares chats in which the model may think with transcripts, where it does not.

    Not for runs that are resumed, which earlier versions began without this rule.
    """
    for name, formats in config.formats.items():
        if not find_suite(name).thinks and len(formats) > 1 and config.thinking != "off":
            raise BadInput(
                f"--thinking: {name} compares the chat with a transcript, in which nothing is thought: give "
                "--thinking off, or one --format"
            )


def _base_spec(config: RunConfig) -> ModelSpec | None:
    """The model that merged checkpoints are compared with before the run, None where none is named or checked."""
    if config.base is None or not config.preflight:
        return None
    name, url = name_and_url(config.base)
    overrides = Overrides(url or config.base_url, option="--base", providers=config.providers)
    return located(resolve_model(name, overrides), config, "--base")


def _check_fit(plan: Plan, spec: ModelSpec) -> None:
    """Raises BadInput for what the provider of a model would ignore or refuse of what the run asks for."""
    config, quirks = plan.config, spec.quirks
    check_sampler(spec.name, quirks, {"top_p": config.top_p, "top_k": config.top_k})
    if quirks.max_temperature < 2:
        check_temperatures(spec.name, quirks, (plan.sampling_of(prompt).temperature for prompt in plan.prompts()))
    if not quirks.system and plan.has_system_messages:
        raise BadInput(
            f"{spec.name}: {spec.provider} takes no system messages, and prompts of this run have one; leave them out, "
            "or choose another provider"
        )


def _model_spec(name: str, overrides: Overrides, config: RunConfig) -> ModelSpec:
    spec = located(resolve_model(name, overrides), config, overrides.option)
    if config.via == BY_BATCH:
        spec.check_batches("--via")
    elif config.via == BY_VLLM:
        spec.check_run_batch("--via")
    elif config.via == BY_RAY:
        spec.check_workers("--via")
    if spec.base_url == OPENAI_URL:
        if config.thinking != "default":
            raise BadInput(
                f"--thinking: {name}: OpenAI's own server has no switch in a chat template; say --thinking default"
            )
        if config.assistant_prefill:
            raise BadInput(f"--prefill: {name}: OpenAI's own server goes on from no prefill; leave it out")
    return spec


def load_dataset(suite_name: str, config: RunConfig, began_with: Source | None) -> Dataset:
    """The scenarios of a suite; with --limit a sample of them, drawn by the run's seed, in the file's order."""
    suite = find_suite(suite_name)
    path, source = questions_of(suite, config.dataset_files.get(suite_name), config.source or began_with)
    dataset = replace(load_questions(suite, path, tuple(map(Path, config.judges)), config.columns), source=source)
    if dataset.schema not in suite.schemas:
        able = ", ".join(suite.name for suite in (*SUITES.values(), OF_A_FILE) if dataset.schema in suite.schemas)
        wanted = f"{suite_name} asks {' or '.join(suite.schemas)} rows"
        raise BadInput(f"{path}: holds {dataset.schema} rows; {wanted}. Suites of {dataset.schema} rows: {able}")
    if config.limit is None or config.limit >= len(dataset.scenarios):
        return dataset
    chosen = random.Random(config.seed).sample(range(len(dataset.scenarios)), config.limit)  # noqa: S311  no secret
    return replace(dataset, scenarios=tuple(dataset.scenarios[index] for index in sorted(chosen)))
