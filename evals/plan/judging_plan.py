"""A judge model with everything that it will be asked: what can be wrong about judging without a server is found here.

Apart from `evals.plan.plan`, because stored answers are judged, and judges attacked, without any sampling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.endpoints.fleet.url_file import first_urls
from evals.endpoints.model_spec import ModelSpec, Overrides, resolve_model
from evals.endpoints.prices import Prices, Tariff, read_prices
from evals.errors import BadInput
from evals.plan.anchors import AnchorSet, read_anchors
from evals.plan.config import RunConfig
from evals.plan.judges import make_judges
from evals.plan.settings.via import BY_BATCH, BY_RAY
from evals.questions.question_file import FileJudge
from evals.scoring.judge_set import IMPORTED, RubricFacts, judge_key
from judges.judge import Judge


@dataclass(frozen=True)
class JudgingPlan:
    """What one judge model is asked: its judges with their rubrics, and the anchors that it judges again.

    `judges` is empty, and `judge_spec` None, where nobody is asked.
    """

    config: RunConfig
    judges: tuple[Judge, ...]
    judge_spec: ModelSpec | None
    anchors: AnchorSet | None
    prices: Prices

    def rubric_facts(self) -> dict[str, RubricFacts]:
        """The rubrics, by the judge's name."""
        model = self.config.judge or ""
        return {
            judge.name: RubricFacts(
                name=judge.rubric.name, sha256=judge.rubric.sha256, judge_id=judge_key(judge, model).id
            )
            for judge in self.judges
        }


def plan_judging(config: RunConfig, judges_by_file: Sequence[Mapping[str, FileJudge]]) -> JudgingPlan:
    """Read and resolve what the judge of `config` needs. Raises BadInput.

    `judges_by_file` are the judges of question files.
    """
    return JudgingPlan(
        config=config,
        judges=make_judges(config, judges_by_file),
        judge_spec=_judge_spec(config),
        anchors=None if config.anchors is None else read_anchors(Path(config.anchors)),
        prices=read_prices(config.prices),
    )


def plan_rejudging(config: RunConfig, judges_by_file: Sequence[Mapping[str, FileJudge]]) -> JudgingPlan:
    """The same for stored answers, whose verdicts may be imported ones: for these nobody is asked."""
    if config.judge == IMPORTED:
        return JudgingPlan(config, (), None, None, read_prices(config.prices))
    return plan_judging(config, judges_by_file)


def plan_other_judgings(
    config: RunConfig, judges_by_file: Sequence[Mapping[str, FileJudge]]
) -> tuple[JudgingPlan, ...]:
    """A plan for each judge whose verdicts are stored and do not count."""
    return tuple(plan_rejudging(other, judges_by_file) for other in config.other_judgings())


def planned_tariffs(judgings: Sequence[JudgingPlan], models: Iterable[ModelSpec] = ()) -> dict[str, Tariff]:
    """What the tokens of each model cost that is asked: `models`, then the judges."""
    prices = judgings[0].prices
    judges = [judging.judge_spec for judging in judgings if judging.judge_spec is not None]
    return {spec.name: prices.tariff(spec) for spec in (*models, *judges)}


def _judge_spec(config: RunConfig) -> ModelSpec | None:
    if config.judge is None:
        return None
    option = "--judge-base-url"
    overrides = Overrides(config.judge_base_url, option=option, providers=config.providers)
    spec = located(resolve_model(config.judge, overrides), config, option)
    if config.judge_mode == "logprob" and not spec.quirks.logprobs:
        raise BadInput(f"--judge-mode: {spec.name}: {spec.provider} gives no token probabilities; say auto or text")
    if config.judge_via == BY_BATCH:
        spec.check_batches("--judge-via")
    elif config.judge_via == BY_RAY:
        spec.check_workers("--judge-via")
    return spec


def located(spec: ModelSpec, config: RunConfig, option: str) -> ModelSpec:
    """The model at the servers that its file of URLs lists now, if it has one: none yet where the run waits for a
    first. Raises BadInput for a file that cannot be used."""
    if spec.urls_file is None:
        return spec
    return spec.at(first_urls(spec.urls_file, option, may_be_empty=config.wait_for_servers > 0))
