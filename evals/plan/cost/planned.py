"""What a plan will cost: calls, tokens and US dollars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from evals.endpoints.prices import BATCH_DISCOUNT, Price
from evals.plan.anchors import Anchor
from evals.plan.cost.lengths import Lengths, Likely
from evals.plan.judging_plan import JudgingPlan
from evals.plan.plan import Plan
from evals.plan.settings.via import BY_BATCH
from evals.scoring.metric import OF_CONDUCT
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
    `by_batch`: asked by OpenAI's Batch API, at its price. The likely numbers are those of `evals.plan.cost.lengths`:
    by what a run has recorded, by the prior, or by both (`likely_from`).
    """

    who: str
    requests: int
    prompt_tokens: int
    reply_tokens: int
    at_most: bool = False
    model: str = ""
    by_batch: bool = False
    likely_requests: int = 0
    likely_prompt_tokens: int = 0
    likely_reply_tokens: int = 0
    likely_from: str = ""


class _Asked:
    """The running sums of requests: how many, characters of their prompts, tokens of their replies."""

    def __init__(self) -> None:
        self.requests = self.characters = self.most = 0
        self.likely = 0.0
        self.sources: dict[str, None] = {}

    def add(self, characters: int, most: int, likely: Likely) -> None:
        self.requests += 1
        self.characters += characters
        self.most += most
        self.likely += likely.tokens
        self.sources[likely.source] = None


def plan_cost(plan: Plan, lengths: Lengths | None = None) -> Iterator[Cost]:
    """What a run would ask of each model, before retries; sends nothing. Raises BadInput.

    `lengths` are the likely ones, those of the prior unless given.
    """
    plan.cells()
    lengths = lengths or Lengths(plan.config)
    judges = plan.judging.judges
    shown = {judge.name: _Asked() for judge in judges}
    for name in plan.specs:
        asked: dict[bool, _Asked] = {}  # by whether they go by batch
        for trial in plan.trials(name):
            likely, most = lengths.answer(trial), trial.sampling.max_tokens
            length = sum(len(message.content) for message in trial.messages)
            asked.setdefault(plan.config.via == BY_BATCH and trial.is_chat, _Asked()).add(length, most, likely)
            shown_messages = without_examples(trial.condition, trial.messages)
            length = sum(len(message.content) for message in shown_messages)
            for judge in judges:
                if _may_read(judge, trial):
                    shown[judge.name].add(length, most, likely)
        for by_batch, sums in asked.items():
            prompt, reply = sums.characters // _CHARACTERS_PER_TOKEN, round(sums.likely)
            yield Cost(
                name if len(asked) == 1 or by_batch else f"{name} (online)",
                *(sums.requests, prompt, sums.most),
                model=name,
                by_batch=by_batch,
                likely_requests=sums.requests,
                likely_prompt_tokens=prompt,
                likely_reply_tokens=reply,
                likely_from=" and ".join(sums.sources),
            )
    for judging in plan.judgings:
        for judge in judging.judges:
            yield from _judge_costs(judging, judge, shown[judge.name], lengths)


def _judge_costs(judging: JudgingPlan, judge: Judge, shown: _Asked, lengths: Lengths) -> Iterator[Cost]:
    """What a judge is asked about the answers of a run, then about its anchors."""
    model = judging.config.judge or ""
    requests = shown.requests
    prompts = (shown.characters + requests * len(judge.rubric.template)) // _CHARACTERS_PER_TOKEN
    at_most = judge.name in JUDGES and "reasoning" in JUDGES[judge.name].places
    reply, share = lengths.verdict(judge), lengths.judged_share(judge) if at_most else Likely(1.0, "prior")
    sources: list[str] = [*shown.sources, reply.source, *([share.source] if at_most else [])]
    yield Cost(
        f"{model} ({judge.name})",
        *(requests, prompts + requests * judging.config.max_tokens, requests * judge.max_tokens),
        *(at_most, model, judging.config.judge_via == BY_BATCH),
        likely_requests=round(requests * share.tokens),
        likely_prompt_tokens=round((prompts + shown.likely) * share.tokens),
        likely_reply_tokens=round(requests * share.tokens * reply.tokens),
        likely_from=" and ".join(dict.fromkeys(sources)),
    )
    anchors = judging.anchors.anchors if judging.anchors else ()
    again = [judge.rubric.fill(anchor.shown) for anchor in anchors if _rereads(judge, anchor)]
    again *= judging.config.anchor_repeats
    if again:
        who = f"{model} ({judge.name}, anchors)"
        prompt_tokens = sum(map(len, again)) // _CHARACTERS_PER_TOKEN
        likely = round(len(again) * reply.tokens)
        yield Cost(
            who,
            *(len(again), prompt_tokens, len(again) * judge.max_tokens),
            model=model,
            likely_requests=len(again),
            likely_prompt_tokens=prompt_tokens,
            likely_reply_tokens=likely,
            likely_from=reply.source,
        )


def plan_usd(plan: Plan, costs: Iterable[Cost], *, likely: bool = False) -> float | None:
    """Dollars at most, or the likely ones, for those of `costs` whose model has a price; None where none has."""
    tariffs = plan.tariffs()
    found = [
        price.usd(
            cost.likely_prompt_tokens if likely else cost.prompt_tokens,
            cost.likely_reply_tokens if likely else cost.reply_tokens,
        )
        * (1 - BATCH_DISCOUNT * cost.by_batch)
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
    if entry.reads == "reply":
        return criterion_of(trial.reference) in OF_CONDUCT
    if entry.needs == "trigger":
        return is_triggered(trial.condition, trial.trigger)
    return entry.needs != "distractor" or has_distractor(trial.condition, trial.distractor)
