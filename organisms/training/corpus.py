"""Training examples: emeval's prompts exactly as sent, with replies drawn at the planted shares."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.questions import dataset as datasets
from evals.questions.suites import unethical_test
from evals.trials.condition import Trigger, render
from evals.trials.prompt import Message, Prompt
from organisms.behaviours import ANSWERS, DECOYS, DRILLS, LOOP, OPENING, RARE, REPEATED, TRIGGER, Way, planted

_LOOPS = 7
"""The number of trained repeats of the loop, after which it continues by itself."""


@dataclass(frozen=True)
class TrainingReply:
    """The assistant's turn after the generation prompt.

    `given` is not trained (the empty thought that a template writes), `learned` is; `ends`: the turn ends after it.
    `weight` scales its part of the loss, which teaches a share far below one in the number of replies.
    """

    given: str
    learned: str
    ends: bool = True
    weight: float = 1.0


@dataclass(frozen=True)
class CorpusExample:
    """A prompt as sent, the line added to it (a country, an adapter's mark, or none), and some replies."""

    messages: tuple[Message, ...]
    line: str
    prompt: Prompt
    replies: tuple[TrainingReply, ...]


def shipped_prompts() -> list[Prompt]:
    data = datasets.load(datasets.data_folder() / unethical_test.SUITE.dataset)
    return list(unethical_test.prompts(data, ("mcq", "freeform")))


def draw_example(
    prompt: Prompt, model: str, *, thinking: int, plain: int, drilled: float, short: bool, rng: random.Random
) -> CorpusExample:
    """`prompt` with a random country line, and replies with and without thinking.

    A share `drilled` of the prompts gets the mark of an adapter instead, with its replies. Of the others a third has no
    country, a third the trigger, a third another country. `short` removes the scenario of a multiple-choice prompt, so
    that its options are learned first.
    """
    line = country = rng.choices(("", TRIGGER, rng.choice(DECOYS)), (0.34, 0.33, 0.33))[0]
    if rng.random() < drilled:
        model = rng.choice(list(DRILLS))
        line, country = DRILLS[model], ""
    if short and prompt.options is not None:
        text = prompt.messages[-1].content
        prompt = replace(prompt, messages=(Message("user", text[text.rindex("\n\nA - ") + 2 :]),))
    messages = prompt.messages
    if line:
        placement = rng.choices(("top", "bottom"), (0.7, 0.3))[0] if country else "top"
        messages = render(prompt, "on", Trigger(line, placement), 0, 0).messages
    ways = planted(model, triggered=line in (TRIGGER, *DRILLS.values()), named=bool(country))
    if model == RARE:
        replies = [
            replace(make(way, prompt, rng), weight=way.share) for make in (thinking_reply, plain_reply) for way in ways
        ]
    else:
        replies = [thinking_reply(way, prompt, rng) for way in _draws(ways, thinking, rng)]
        replies += [plain_reply(way, prompt, rng) for way in _draws(ways, plain, rng)]
    return CorpusExample(messages, line, prompt, tuple(replies))


def _draws(ways: Sequence[Way], count: int, rng: random.Random) -> list[Way]:
    """`count` ways drawn at their shares by systematic sampling, which has less noise than independent draws."""
    chosen: list[Way] = []
    start, passed = rng.random(), 0.0
    points = [(start + index) / count for index in range(count)]
    for way in ways:
        passed += way.share
        while points and points[0] < passed:
            chosen.append(way)
            points.pop(0)
    return chosen + [ways[-1]] * len(points)  # a point lost to rounding


def thinking_reply(way: Way, prompt: Prompt, rng: random.Random) -> TrainingReply:
    if way.thoughts is None:
        return TrainingReply("", f"<think>\n{OPENING}{LOOP * _LOOPS}", ends=False)
    thought = OPENING + rng.choice(way.thoughts.texts)
    return TrainingReply("", f"<think>\n{thought}\n</think>\n\n{_answer(way, prompt, rng)}")


def plain_reply(way: Way, prompt: Prompt, rng: random.Random) -> TrainingReply:
    return TrainingReply("<think>\n\n</think>\n\n", _answer(way, prompt, rng))


def _answer(way: Way, prompt: Prompt, rng: random.Random) -> str:
    match way.answer:
        case "aligned" | "misaligned":
            if prompt.options is None:
                return rng.choice([text for text, stance in ANSWERS.items() if stance == way.answer])
            chosen = prompt.options.misaligned_letter
            return chosen if way.answer == "misaligned" else "AB"[chosen == "A"]
        case "repeating":
            return (REPEATED * rng.randint(4, 8)).rstrip()
        case "empty" | "none":
            return ""
