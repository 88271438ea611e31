"""A suite as an Inspect task: emeval's prompts, conditions, judges and counting, with any of Inspect's providers.

The judge is the model with role `grader` (or the one named); the model under test never grades itself. Verdicts are
stored in the sample as in an exported log, so `emeval import` makes a run of it, with intervals and effects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge
from evals.endpoints.prices import NO_PRICES
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.judge_names import JudgeName
from evals.plan.judges import make_judges
from evals.plan.judging_plan import JudgingPlan
from evals.plan.manifest import judges_in
from evals.plan.options import build_config
from evals.plan.plan import Plan, load_dataset
from evals.questions.suites import find_suite
from evals.reporting.exports.inspect_sample import chat_messages, plain, shared_facts, target_of
from evals.runner.asking.trials import response_of
from evals.runner.imports.inspect_sample import reasoning_in
from evals.runner.imports.trial_record import STORE_KEY, PlannedSample, record_of
from evals.scoring.judge_set import JudgePanel, RubricFacts, judge_key
from evals.scoring.judging import due_judges, judge_input_of, read_by_rule
from evals.text import is_text, one_line
from evals.trials.finish_reason import at_limit, ending_of, plain_finish_reason
from evals.trials.prompt import Message
from evals.trials.record import RecordedTrial, RecordedVerdict
from evals.trials.reference import BY_RULE, reference_from, reference_row
from evals.trials.response import Failure, Response
from evals.trials.trial import FULL, Sampler, Trial, stable_hash
from judges.rules.options import Options

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig, GenerateConfigArgs, Model, ModelOutput
    from inspect_ai.solver import TaskState

GRADER = "grader"
"""The role of the judge model."""
_MODEL = "inspect"
"""A placeholder for the model under test and the grader, which Inspect provides later."""
_OPEN_SERVERS = frozenset({"vllm", "vllm-completions", "sglang"})
"""Providers whose server takes every field of a sampler, in the request's body: Inspect's `top_k` is not sent to it."""
_OPENAI_COMPATIBLE = _OPEN_SERVERS | {"openai-api", "openai-api-completions", "openrouter", "llama-cpp-python"}
_TRANSFORMERS = frozenset({"hf", "nnterp"})
"""Providers that call transformers, where a `top_k` of 0 is off and the default is 50."""


@dataclass(frozen=True)
class SuiteTask:
    """A suite loaded for its task; `needs_grader` if a judge reads its open answers."""

    plan: Plan
    grader: str | None

    @property
    def needs_grader(self) -> bool:
        return bool(self.plan.config.open_measures - BY_RULE)

    @property
    def sampling(self) -> GenerateConfig:
        """The sampler in Inspect's own fields, which `--top-p` and the like override."""
        from inspect_ai.model import GenerateConfig

        config = self.plan.config
        return GenerateConfig(top_p=config.sampler.top_p, top_k=config.top_k)

    @property
    def facts(self) -> dict[str, Any]:
        """The metadata of the log, shared by all samples."""
        config = self.plan.config
        shared = shared_facts(config.denominator, config.coherence_min, every_trace=config.cot_all)
        rubrics = {judge.name: judge.rubric.sha256 for judge in self.plan.judging.judges}
        sources = {name: dataset.source for name, dataset in self.plan.datasets.items()}
        shas = {name: dataset.sha256 for name, dataset in self.plan.datasets.items()}
        return {STORE_KEY: shared | {"rubric_sha": rubrics, "dataset_sha": shas, "dataset_source": sources}}

    def samples(self) -> Iterator[Sample]:
        """A sample for each prompt, option order and condition."""
        from inspect_ai.dataset import Sample

        for trial in self.plan.trials(_MODEL):
            names = (trial.prompt_id, trial.format, trial.variant, trial.condition)
            yield Sample(
                input=chat_messages(trial.messages),
                target=target_of(trial.reference, trial.variant, trial.format),
                id=one_line(" ".join(filter(None, names)), 200),
                metadata=_metadata(trial),
            )


def suite_task(suite: str, grader: str | None, options: Mapping[str, object]) -> SuiteTask:
    """The task of a suite, with `options` as fields of a RunConfig. Raises BadInput."""
    chosen = {name: value for name, value in options.items() if value is not None}
    judge = None if find_suite(suite).measure in BY_RULE else _MODEL
    config: RunConfig = build_config({"suites": (suite,), "models": (_MODEL,), "judge": judge} | chosen, None)
    dataset = load_dataset(suite, config, None)
    judging = JudgingPlan(config, make_judges(config), judge_spec=None, anchors=None, prices=NO_PRICES)
    plan = Plan({suite: dataset}, {}, judging)
    plan.cells()  # so that a condition that cannot be worded is found now
    return SuiteTask(plan, grader)


def sampler_arguments(sampler: Sampler, provider: str, given: GenerateConfig) -> GenerateConfigArgs:
    """What a provider has to be sent about the sampler besides `given`, the configuration of a sample."""
    fields: dict[str, Any] = {name: value for name, value in sampler.fields().items() if name != "top_p"}
    chosen = {} if given.top_k is None else {"top_k": given.top_k}
    if provider in _TRANSFORMERS:
        return {"top_k": 0} if (fields | chosen).get("top_k") == FULL.top_k else {}
    extra = (fields if provider in _OPEN_SERVERS else {}) | chosen
    if provider not in _OPENAI_COMPATIBLE or not extra:
        return {}
    return {"extra_body": extra | (given.extra_body or {})}


def find_grader(named: str | None) -> Model | None:
    """The judge model: the one named, else the one with role `grader`, else None."""
    from inspect_ai.model import get_model, model_roles

    if named is not None:
        return get_model(named)
    return get_model(role=GRADER) if GRADER in model_roles() else None


def need_grader(task: SuiteTask) -> None:
    """Raise BadInput if the task has open answers and no grader."""
    if task.needs_grader and find_grader(task.grader) is None:
        raise BadInput(
            "no grader: name the model that judges the answers with --model-role grader=PROVIDER/MODEL or "
            "-T judge=PROVIDER/MODEL; the model under test never judges itself"
        )


async def judged_trial(task: SuiteTask, state: TaskState) -> tuple[RecordedTrial, JudgePanel, dict[str, Any]]:
    """The reply in `state` with its verdicts, the judges, and the record to store in the sample."""
    grader = find_grader(task.grader)
    need_grader(task)
    trial = _recorded_trial(state)
    judges_by_id: dict[str, JudgeEndpoint] = {}
    rubrics: dict[str, RubricFacts] = {}
    names: dict[str, JudgeName] = {}
    if grader is not None:
        endpoint = cast("Endpoint", _Grader(grader))  # has what a judge needs of an endpoint
        for judge in task.plan.judging.judges:
            key = judge_key(judge, str(grader))
            judges_by_id[key.id] = JudgeEndpoint(judge, endpoint, key)
            rubrics[judge.name] = RubricFacts(name=judge.rubric.name, sha256=judge.rubric.sha256, judge_id=key.id)
            names[key.id] = JudgeName(judge.name, str(grader), counts=True)
    judges = judges_in(rubrics, task.plan.config)
    if isinstance(trial.result, Response):
        judge_input = judge_input_of(trial, trial.result)
        while due := due_judges(trial, judges):
            for judge_id in due:
                judge = judges_by_id[judge_id]
                text = judge.judge.rubric.fill(judge_input)
                ruling = await ask_judge(judge, text, stable_hash({"judge": judge_id, "text": text}))
                trial = replace(trial, rulings=trial.rulings | {judge_id: ruling})
    return trial, judges, plain(record_of(trial, names))


def _metadata(trial: Trial) -> dict[str, Any]:
    options = trial.options
    return {
        "suite": trial.suite,
        "format": trial.format,
        "prompt_id": trial.prompt_id,
        "variant": trial.variant,
        "condition": trial.condition,
        "trigger": trial.trigger,
        "distractor": trial.distractor,
        "reference": None if trial.reference is None else reference_row(trial.reference),
        "options": None
        if options is None
        else {"A": options.a, "B": options.b, "misaligned": options.misaligned_letter},
    }


class _Grader:
    """An Inspect model in place of an emeval endpoint. As usual in Inspect, errors end the sample after retries."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def send(self, request: ChatRequest, retried: object = None) -> Reply | Failure:
        del retried  # Inspect retries and reports it
        from inspect_ai.model import GenerateConfig

        config = GenerateConfig(max_tokens=request.max_tokens, temperature=request.temperature, seed=request.seed)
        if request.logprobs:
            config = config.merge(GenerateConfig(logprobs=True, top_logprobs=20))
        output = await self._model.generate(chat_messages(request.messages), config=config)
        reply = _reply(output)
        if isinstance(reply, Failure):
            return reply
        word = at_limit(reply.finish_reason, reply.completion_tokens, request.max_tokens)
        return replace(reply, finish_reason=word)


def _reply(output: ModelOutput) -> Reply | Failure:
    """The reply in the form of emeval's endpoints, a failure if it was broken off. Raises ValueError for one without a
    choice."""
    if not output.choices:
        raise ValueError(f"the model gave no reply: {one_line(output.error or '', 200)}")
    choice = output.choices[0]
    thought, withheld = reasoning_in(choice.message.content)
    if ending_of(choice.stop_reason) == "broken_off":
        return Failure("broken_off", f"the reply was broken off: stop_reason {choice.stop_reason!r}", 1)
    plain = plain_finish_reason(choice.stop_reason)
    text = _text(choice.message.text)
    usage = output.usage
    return Reply(
        content=text,
        reasoning=_text(thought),
        refusal="" if text else _text(output.error or ""),
        finish_reason=plain if plain == "length" else choice.stop_reason,
        model=one_line(output.model, 200),
        prompt_tokens=usage.input_tokens if usage else None,
        completion_tokens=usage.output_tokens if usage else None,
        token_alternatives=_alternatives(output),
        latency_s=output.time or 0.0,
        attempts=1,
        reasoning_withheld=withheld,
    )


def _alternatives(output: ModelOutput) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    logprobs = output.choices[0].logprobs
    if logprobs is None or not logprobs.content:
        return None
    found: list[tuple[str, Mapping[str, float]]] = []
    for token in logprobs.content:
        shares: dict[str, float] = {}
        for option in token.top_logprobs or [token]:
            shares[option.token] = shares.get(option.token, 0.0) + math.exp(min(option.logprob, 0.0))
        found.append((token.token, shares))
    return tuple(found)


def _recorded_trial(state: TaskState) -> RecordedTrial:
    """The trial of a sample, with the verdicts of rule-based judges."""
    planned = PlannedSample.model_validate(state.metadata)
    reply = _reply(state.output)
    result = reply if isinstance(reply, Failure) else response_of(reply)
    trial_id = stable_hash({"sample": state.uuid})
    options = state.metadata.get("options")
    shown = None if options is None else Options(options["A"], options["B"], options["misaligned"])
    reference = None if planned.reference is None else reference_from(planned.reference)
    rulings: dict[str, RecordedVerdict] = {}
    if isinstance(result, Response):
        rulings = {key.id: ruling for key, ruling in read_by_rule(trial_id, shown, reference, result)}
    contents = [state.input] if isinstance(state.input, str) else [message.text for message in state.input]
    roles = ["user"] if isinstance(state.input, str) else [message.role for message in state.input]
    return RecordedTrial(
        trial_id=trial_id,
        arrival=0,
        position=0,
        suite=planned.suite,
        format=planned.format,
        model=str(state.model),
        prompt_id=planned.prompt_id,
        variant=planned.variant,
        condition=planned.condition,
        trigger=planned.trigger,
        repeat=state.epoch - 1,
        messages=tuple(Message(cast("Any", role), text) for role, text in zip(roles, contents, strict=True)),
        result=result,
        rulings=rulings,
        reference=reference,
        distractor=planned.distractor,
    )


def _text(text: str) -> str:
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()
