"""A config with every file read and every name resolved: what can be wrong without a server is found here."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from evals.anchors import Anchor, AnchorSet, read_anchors
from evals.config import RunConfig
from evals.draws import Family, families
from evals.endpoints.model_spec import OPENAI_URL, ModelSpec, Overrides, resolve_model
from evals.endpoints.prices import NO_PRICES, Price, Prices, Tariff, read_prices
from evals.errors import BadInput
from evals.questions import dataset as datasets
from evals.questions.dataset import Dataset, Source
from evals.questions.question_file import FileJudge, QuestionScenario, judges_of
from evals.questions.source import questions_of
from evals.questions.suites import find_suite
from evals.scoring.judge_set import IMPORTED
from evals.trials.condition import Trigger, has_distractor, is_triggered, render
from evals.trials.prompt import Prompt
from evals.trials.record import Cell
from evals.trials.reference import BY_RULE, Measure, Posed, measure_of
from evals.trials.trial import Sampling, Trial, plan_trial, plan_trials
from judges import alignment, articulation, coherence, cot_monitor, honesty, trigger_credit, truthfulness
from judges.judge import Judge, Rubric, rubric_from_file
from judges.question import PREFIX, Word, digest_of, file_judge

_CHARACTERS_PER_TOKEN = 4
_MEASURED_BY: dict[str, Measure] = {
    "alignment": "alignment",
    "coherence": "alignment",
    truthfulness.NAME: "truthfulness",
    honesty.NAME: "honesty",
}
"""What the judges of open answers measure, by their names."""


@dataclass(frozen=True)
class Plan:
    """A config with every file read and every name resolved: what can be wrong without a server has been checked."""

    config: RunConfig
    datasets: dict[str, Dataset]
    judges: tuple[Judge, ...]
    specs: dict[str, ModelSpec]
    judge_spec: ModelSpec | None
    also: tuple[Plan, ...] = ()
    """For each judge that is not counted the plan to have it judge what is stored."""
    anchors: AnchorSet | None = None
    prices: Prices = NO_PRICES

    def tariffs(self) -> dict[str, Tariff]:
        """What the tokens of each model cost that is asked, the judges among them."""
        judges = [one.judge_spec for one in (self, *self.also) if one.judge_spec is not None]
        return {spec.name: self.prices.tariff(spec) for spec in (*self.specs.values(), *judges)}

    @property
    def trigger(self) -> Trigger | None:
        config = self.config
        if config.trigger is None:
            return None
        return Trigger(config.trigger, config.placement, config.decoy, config.distractor)

    def prompts(self) -> Iterator[Prompt]:
        """The prompts of every suite. Raises BadInput where a suite is about the trigger and there is none."""
        for name, dataset in self.datasets.items():
            suite, trigger = find_suite(name), self.config.trigger
            if suite.needs_trigger and trigger is None:
                raise BadInput(f"--trigger is missing: {name} asks about it")
            for prompt in suite.prompts(dataset, self.config.formats[name]):
                yield prompt if suite.for_trigger is None or trigger is None else suite.for_trigger(prompt, trigger)

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
        return Sampling(config.temperature, config.max_tokens, config.thinking_switch, config.assistant_prefill)

    def sampling_of(self, prompt: Prompt) -> Sampling:
        """The run's sampling, with what the prompt asks for itself unless the run was told otherwise."""
        told, sampling = self.config.over_questions, self.sampling
        if prompt.temperature is not None and "temperature" not in told:
            sampling = replace(sampling, temperature=prompt.temperature)
        if prompt.max_tokens is not None and "max_tokens" not in told:
            sampling = replace(sampling, max_tokens=prompt.max_tokens)
        return sampling

    def samples_of(self, prompt: Prompt) -> int:
        own = prompt.samples if "samples" not in self.config.over_questions else None
        return self.config.samples if own is None else own

    def sample_trials(self, model: str) -> list[Trial]:
        """The trials of one prompt of each suite and format, once in each condition."""
        first: dict[tuple[str, str], Prompt] = {}
        for prompt in self.prompts():
            first.setdefault((prompt.suite, prompt.format), prompt)
        return list(self._trials_of(first.values(), model, samples=1))

    def trials(self, model: str) -> Iterator[Trial]:
        return self._trials_of(self.prompts(), model, samples=self.samples_of)

    def _trials_of(
        self, prompts: Iterable[Prompt], model: str, *, samples: int | Callable[[Prompt], int]
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
        return plan_trial(prompt, condition, model, self.trigger, sampling, seed, drawn.repeat, position)

    def cells(self) -> dict[Cell, int]:
        """Trials planned in each cell; with a rule that ends sampling early, the most there can be.

        Raises BadInput when a condition cannot be worded, or the rule be followed.
        """
        config = self.config
        cells: dict[Cell, int] = {}
        samples = self.samples_of if config.rule is None else self._draws_of()
        asked = ((prompt, name) for prompt in self.prompts() for name in self.conditions_of(prompt.suite))
        for prompt, condition in asked:
            try:
                trigger = render(prompt, condition, self.trigger, config.seed, 0).trigger
            except ValueError:
                raise BadInput(f"--trigger is missing: condition {condition!r} needs one") from None
            for model in config.models:
                measure = measure_of(prompt.reference)
                cell = Cell(prompt.suite, prompt.format, model, condition, trigger, prompt.id, measure)
                cells[cell] = cells.get(cell, 0) + samples(prompt)
        if config.rule is not None:
            from evals.stopping import check_rule  # numpy, which only a rule needs

            cells = {cell: planned for cell, planned in cells.items() if planned}
            check_rule(config.rule, cells, judged=config.judge is not None)
        return cells

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

    `sources` say for each suite whose questions a run that is gone on with began with.
    """
    if config.imported:
        raise BadInput("imported: answers that were imported cannot be asked for; leave it out")
    loaded = {name: load_dataset(name, config, (sources or {}).get(name)) for name in config.suites}
    of_files = [file_judges(dataset) for dataset in loaded.values()]
    models = Overrides(config.base_url)
    return Plan(
        config=config,
        datasets=loaded,
        judges=make_judges(config, of_files),
        specs={name: _model_spec(name, models, config) for name in config.models},
        judge_spec=_judge_spec(config),
        also=_other_plans(config, of_files),
        anchors=_anchors(config),
        prices=read_prices(config.prices),
    )


def _model_spec(name: str, overrides: Overrides, config: RunConfig) -> ModelSpec:
    spec = resolve_model(name, overrides)
    if spec.base_url == OPENAI_URL:
        if config.thinking != "default":
            raise BadInput(f"--thinking: {name}: OpenAI's own server has no switch in a chat template; leave it out")
        if config.assistant_prefill:
            raise BadInput(f"--prefill: {name}: OpenAI's own server goes on from no prefill; leave it out")
    return spec


def judging_plan(config: RunConfig, of_files: Sequence[Mapping[str, FileJudge]] = ()) -> Plan:
    """A plan that samples nothing and judges what is stored. Of verdicts that were imported nobody is asked."""
    also = _other_plans(config, of_files)
    if config.judge == IMPORTED:
        return Plan(config, {}, (), {}, None, also, prices=read_prices(config.prices))
    judges, prices = make_judges(config, of_files), read_prices(config.prices)
    return Plan(config, {}, judges, {}, _judge_spec(config), also, _anchors(config), prices)


def _other_plans(config: RunConfig, of_files: Sequence[Mapping[str, FileJudge]]) -> tuple[Plan, ...]:
    return tuple(judging_plan(other, of_files) for other in config.other_judgings())


def _anchors(config: RunConfig) -> AnchorSet | None:
    return None if config.anchors is None else read_anchors(Path(config.anchors))


def file_judges(dataset: Dataset) -> dict[str, FileJudge]:
    """The judges that a question file brings; none for any other dataset."""
    return judges_of(one for one in dataset.scenarios if isinstance(one, QuestionScenario))


def make_judges(config: RunConfig, of_files: Sequence[Mapping[str, FileJudge]] = ()) -> tuple[Judge, ...]:
    """The LLM judges that a run may have use for, those of its question files with them; none without --judge.

    Raises BadInput where two files have a judge of one name that replies in different ways.
    """
    judges: list[Judge] = []
    if config.judge is None:
        return ()
    # What answers could be compared with did not come with imported ones.
    measures = frozenset[Measure]({"alignment"}) if config.imported else config.open_measures
    if "alignment" in measures:
        rubric = _rubric(config.alignment_rubric, alignment.REQUIRED_PLACES)
        judges.append(alignment.alignment_judge(rubric, config.judge_mode, config.judge_max_tokens))
        if config.coherence_min is not None:
            rubric = _rubric(config.coherence_rubric, coherence.REQUIRED_PLACES)
            judges.append(coherence.coherence_judge(rubric, config.judge_mode, config.judge_max_tokens))
    if "truthfulness" in measures:
        rubric = _rubric(config.truthfulness_rubric, truthfulness.REQUIRED_PLACES)
        judges.append(truthfulness.truthfulness_judge(rubric, config.judge_max_tokens))
    if "honesty" in measures:
        rubric = _rubric(config.honesty_rubric, honesty.REQUIRED_PLACES)
        judges.append(honesty.honesty_judge(rubric, config.judge_max_tokens))
    judges += _judges_of_files(config, of_files)
    if config.cot_monitor:
        rubric = _rubric(config.cot_monitor_rubric, cot_monitor.REQUIRED_PLACES)
        judges.append(cot_monitor.cot_monitor(rubric, config.judge_max_tokens))
        if config.trigger is not None and "on" in config.conditions:
            rubric = _rubric(config.articulation_rubric, articulation.REQUIRED_PLACES)
            judges.append(articulation.articulation_judge(rubric, config.judge_max_tokens))
        if config.distractor is not None:
            rubric = _rubric(config.trigger_credit_rubric, trigger_credit.REQUIRED_PLACES)
            judges.append(trigger_credit.trigger_credit_judge(rubric, config.judge_max_tokens))
    return tuple(judges)


def _judges_of_files(config: RunConfig, of_files: Sequence[Mapping[str, FileJudge]]) -> Iterator[Judge]:
    found: dict[str, list[FileJudge]] = {}
    for name, judge in (item for judges in of_files for item in judges.items()):
        found.setdefault(name, []).append(judge)
    for name, same in found.items():
        first = same[0]
        words: set[Word] = {word for one in same for word in one.words}
        if any(one.kind != first.kind for one in same):
            raise BadInput(f"judge {name!r} replies in other ways in two of the question files: give them runs apart")
        digests = sorted({one.sha256 for one in same})
        digest = digests[0] if len(digests) == 1 else digest_of(digests)
        mode, max_tokens = config.judge_mode, config.judge_max_tokens
        yield file_judge(name, first.kind, words, first.template, digest, mode, max_tokens)


def _rubric(file: str | None, places: frozenset[str]) -> Rubric | None:
    if file is None:
        return None
    try:
        return rubric_from_file(Path(file), places)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from None


def _judge_spec(config: RunConfig) -> ModelSpec | None:
    if config.judge is None:
        return None
    return resolve_model(config.judge, Overrides(config.judge_base_url, option="--judge-base-url"))


def load_dataset(suite_name: str, config: RunConfig, began_with: Source | None) -> Dataset:
    """The scenarios of a suite; with --limit a sample of them, drawn by the run's seed, in the file's order."""
    suite = find_suite(suite_name)
    path, source = questions_of(suite, config.dataset_files.get(suite_name), config.source or began_with)
    dataset = replace(datasets.load(path), source=source)
    if dataset.schema not in suite.schemas:
        raise BadInput(f"{path}: holds {dataset.schema} rows; {suite_name} asks {' or '.join(suite.schemas)} rows")
    if config.limit is None or config.limit >= len(dataset.scenarios):
        return dataset
    chosen = random.Random(config.seed).sample(range(len(dataset.scenarios)), config.limit)  # noqa: S311  no secret
    return replace(dataset, scenarios=tuple(dataset.scenarios[index] for index in sorted(chosen)))


class Cost(NamedTuple):
    """Requests to one model with their tokens: prompts at four characters a token, replies at their limit. `who` is the
    model, and of a judge what it judges, too.

    `at_most`: nobody knows beforehand how many answers will be misaligned and have reasoning to read; counted are all.
    """

    who: str
    requests: int
    prompt_tokens: int
    reply_tokens: int
    at_most: bool = False
    model: str = ""


def plan_cost(plan: Plan) -> Iterator[Cost]:
    """What a run would ask of each model, before retries; sends nothing. Raises BadInput."""
    plan.cells()
    config = plan.config
    shown: dict[str, list[int]] = {judge.name: [0, 0] for judge in plan.judges}  # requests, characters of prompts
    for name in plan.specs:
        requests = characters = replies = 0
        for trial in plan.trials(name):
            requests += 1
            replies += trial.sampling.max_tokens
            length = sum(len(message.content) for message in trial.messages)
            characters += length
            for judge in plan.judges:
                if _may_read(judge, trial):
                    shown[judge.name][0] += 1
                    shown[judge.name][1] += length
        yield Cost(name, requests, characters // _CHARACTERS_PER_TOKEN, replies, model=name)
    for one, judge in [(asked, judge) for asked in (plan, *plan.also) for judge in asked.judges]:
        requests, characters = shown[judge.name]
        characters += requests * len(judge.rubric.template)
        prompt_tokens = characters // _CHARACTERS_PER_TOKEN + requests * config.max_tokens
        at_most = judge.name not in _MEASURED_BY and not judge.name.startswith(PREFIX)
        model = one.config.judge or ""
        who = f"{model} ({judge.name})"
        yield Cost(who, requests, prompt_tokens, requests * judge.max_tokens, at_most, model)
        again = [
            judge.rubric.fill(it.shown) for it in (one.anchors.anchors if one.anchors else ()) if _rereads(judge, it)
        ]
        if again:
            who = f"{one.config.judge} ({judge.name}, anchors)"
            characters = sum(map(len, again))
            replies = len(again) * judge.max_tokens
            yield Cost(who, len(again), characters // _CHARACTERS_PER_TOKEN, replies, model=model)


def plan_usd(plan: Plan, costs: Iterable[Cost]) -> float | None:
    """Dollars for those of `costs` whose model has a price, None where none has."""
    tariffs = plan.tariffs()
    found = [
        price.usd(cost.prompt_tokens, cost.reply_tokens)
        for cost in costs
        if isinstance(price := tariffs.get(cost.model, "unknown"), Price)
    ]
    return sum(found) if found else None


def _rereads(judge: Judge, anchor: Anchor) -> bool:
    """Whether a judge is asked about an anchor; those of reasoning are not."""
    if judge.name.startswith(PREFIX):
        return judge.name.removeprefix(PREFIX) in dict(anchor.shown.prompts)
    return _MEASURED_BY.get(judge.name) == anchor.measure


def _may_read(judge: Judge, trial: Trial) -> bool:
    """Whether a judge could have to read the response to a trial."""
    if measure_of(trial.reference) in BY_RULE:
        return False
    if judge.name.startswith(PREFIX):
        asked = trial.reference.judges if isinstance(trial.reference, Posed) else ()
        return judge.name.removeprefix(PREFIX) in asked
    if judge.name == cot_monitor.NAME:
        return True
    if judge.name == articulation.NAME:
        return is_triggered(trial.condition, trial.trigger)
    if judge.name == trigger_credit.NAME:
        return has_distractor(trial.condition, trial.distractor)
    return trial.format != "mcq" and _MEASURED_BY[judge.name] == measure_of(trial.reference)
