"""What a plan will cost: calls, tokens and US dollars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from evals.endpoints.prices import BATCH_DISCOUNT, Price
from evals.plan.anchors import Anchor
from evals.plan.judging_plan import JudgingPlan
from evals.plan.plan import Plan
from evals.plan.settings.via import BY_BATCH
from evals.trials.condition import has_distractor, is_triggered, without_examples
from evals.trials.reference import BY_RULE, UserQuestion, criterion_of
from evals.trials.trial import Trial
from judges.judge import Judge
from judges.question_file import PREFIX
from judges.registry import JUDGES

_CHARACTERS_PER_TOKEN = 4


class Cost(NamedTuple):
    """Requests to one model with their tokens: prompts at four characters a token, replies at their limit. `who` is the
    model, and of a judge what it judges, too.

    `at_most`: nobody knows beforehand how many answers will be misaligned and have reasoning to read; counted are all.
    `by_batch`: asked by OpenAI's Batch API, at its price.
    """

    who: str
    requests: int
    prompt_tokens: int
    reply_tokens: int
    at_most: bool = False
    model: str = ""
    by_batch: bool = False


def plan_cost(plan: Plan) -> Iterator[Cost]:
    """What a run would ask of each model, before retries; sends nothing. Raises BadInput."""
    plan.cells()
    judges = plan.judging.judges
    shown: dict[str, list[int]] = {judge.name: [0, 0] for judge in judges}  # requests, characters of prompts
    for name in plan.specs:
        asked: dict[bool, list[int]] = {}  # by whether they go by batch: requests, characters, tokens of replies
        for trial in plan.trials(name):
            sums = asked.setdefault(plan.config.via == BY_BATCH and trial.is_chat, [0, 0, 0])
            sums[0] += 1
            sums[1] += sum(len(message.content) for message in trial.messages)
            sums[2] += trial.sampling.max_tokens
            shown_messages = without_examples(trial.condition, trial.messages)
            length = sum(len(message.content) for message in shown_messages)
            for judge in judges:
                if _may_read(judge, trial):
                    shown[judge.name][0] += 1
                    shown[judge.name][1] += length
        for by_batch, (requests, characters, replies) in asked.items():
            who = name if len(asked) == 1 or by_batch else f"{name} (online)"
            yield Cost(who, requests, characters // _CHARACTERS_PER_TOKEN, replies, model=name, by_batch=by_batch)
    for judging in plan.judgings:
        for judge in judging.judges:
            yield from _judge_costs(judging, judge, shown[judge.name])


def _judge_costs(judging: JudgingPlan, judge: Judge, shown: Sequence[int]) -> Iterator[Cost]:
    """What a judge is asked about the answers of a run, then about its anchors."""
    model = judging.config.judge or ""
    requests, characters = shown
    characters += requests * len(judge.rubric.template)
    prompt_tokens = characters // _CHARACTERS_PER_TOKEN + requests * judging.config.max_tokens
    at_most = judge.name in JUDGES and JUDGES[judge.name].reads == "reasoning"
    by_batch = judging.config.judge_via == BY_BATCH
    who = f"{model} ({judge.name})"
    yield Cost(who, requests, prompt_tokens, requests * judge.max_tokens, at_most, model, by_batch)
    anchors = judging.anchors.anchors if judging.anchors else ()
    again = [judge.rubric.fill(anchor.shown) for anchor in anchors if _rereads(judge, anchor)]
    again *= judging.config.anchor_repeats
    if again:
        who = f"{model} ({judge.name}, anchors)"
        prompt_tokens = sum(map(len, again)) // _CHARACTERS_PER_TOKEN
        yield Cost(who, len(again), prompt_tokens, len(again) * judge.max_tokens, model=model)


def plan_usd(plan: Plan, costs: Iterable[Cost]) -> float | None:
    """Dollars for those of `costs` whose model has a price, None where none has."""
    tariffs = plan.tariffs()
    found = [
        price.usd(cost.prompt_tokens, cost.reply_tokens) * (1 - BATCH_DISCOUNT * cost.by_batch)
        for cost in costs
        if isinstance(price := tariffs.get(cost.model, "unknown"), Price)
    ]
    return sum(found) if found else None


def _rereads(judge: Judge, anchor: Anchor) -> bool:
    """Whether a judge is asked about an anchor; those of reasoning are not."""
    if judge.name.startswith(PREFIX):
        return judge.name.removeprefix(PREFIX) in dict(anchor.shown.prompts)
    return JUDGES[judge.name].criterion == anchor.measure


def _may_read(judge: Judge, trial: Trial) -> bool:
    """Whether a judge could have to read the response to a trial."""
    if criterion_of(trial.reference) in BY_RULE:
        return False
    if judge.name.startswith(PREFIX):
        asked = trial.reference.judges if isinstance(trial.reference, UserQuestion) else ()
        return judge.name.removeprefix(PREFIX) in asked
    entry = JUDGES[judge.name]
    if entry.reads == "answer":
        return trial.format != "mcq" and entry.criterion == criterion_of(trial.reference)
    if entry.needs == "trigger":
        return is_triggered(trial.condition, trial.trigger)
    return entry.needs != "distractor" or has_distractor(trial.condition, trial.distractor)
