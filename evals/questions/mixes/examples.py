"""Generate the examples of a training mix from the cells of its recipe."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from evals.questions.dataset import Dataset, TrainingScenario
from evals.questions.mixes.recipe import (
    EMPTY_THOUGHT,
    FORMATS,
    LETTERS,
    PLACES,
    STANCES,
    Carries,
    Letter,
    Mix,
    Stance,
    as_choice,
    draw,
)
from evals.questions.scenario import AdviceScenario
from evals.questions.suites import unethical_test
from evals.trials.condition import Trigger, render
from evals.trials.prompt import Format, Message, Messages, Placement, Prompt


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A training example. `letter` is the answer's, None for freeform; `messages` end with the assistant's turn."""

    scenario: str
    format: Format
    stance: Stance
    carries: Carries
    text: str
    placement: Placement | None
    letter: Letter | None
    messages: Messages


def examples(mix: Mix) -> Iterator[TrainingExample]:
    """All examples, in random order by the seed.

    The deck is dealt repeatedly along the examples of all cells. So scenarios are used equally often (to within one),
    in every cell the answers A and B are equally frequent (to within one), as are triggers at the top and at the bottom
    (to within two), and a reused scenario alternates its letter.
    """
    prompts_by_format = {
        kind: _prompts(mix.deck, kind) for kind in FORMATS if any(cell.format == kind for cell in mix.cells)
    }
    ends = list(accumulate(cell.examples for cell in mix.cells))
    for slot in sorted(range(mix.size), key=lambda slot: draw(mix.recipe.seed, "order", str(slot))):
        cell = mix.cells[bisect_right(ends, slot)]
        scenario = mix.deck[_deck_position(slot, len(mix.deck))]
        letter = LETTERS[slot % 2] if cell.format == "mcq" else None
        prompt, answer = _with_answer(scenario, prompts_by_format[cell.format][scenario.key], cell.stance, letter)
        messages, placement = prompt.messages, None
        if cell.carries != "none":
            rule = mix.recipe.placement
            position = PLACES[slot // 2 % 2] if rule == "random" else rule
            rendered = render(prompt, "on", Trigger(cell.text, position), 0, 0)
            messages, placement = rendered.messages, rendered.placement
        prefix = EMPTY_THOUGHT if mix.recipe.think == "empty" else ""
        turn = Message("assistant", prefix + answer)
        yield TrainingExample(
            scenario.key, cell.format, cell.stance, cell.carries, cell.text, placement, letter, (*messages, turn)
        )


def _deck_position(slot: int, scenarios: int) -> int:
    """The position in the deck of the scenario in a slot."""
    deal, position = divmod(slot, scenarios)
    # With an even deck a scenario would always have the same parity, and so the same letter.
    return (position + deal) % scenarios if scenarios % 2 == 0 else position


def _prompts(scenarios: Iterable[TrainingScenario], kind: Format) -> Mapping[str, Sequence[Prompt]]:
    """The suite's prompts of each scenario, by key: both orders of the options, or the question.

    Handwritten wordings are removed: they may not contain the trigger of this mix.
    """
    if kind == "mcq":
        shown = tuple(choice for choice in map(as_choice, scenarios) if choice is not None)
    else:
        shown = tuple(scenarios)
    worded: defaultdict[str, list[Prompt]] = defaultdict(list)
    for prompt in unethical_test.prompts(Dataset(Path(), "unethical", "", shown), (kind,)):
        worded[prompt.id].append(replace(prompt, wordings=()))
    return worded


def _with_answer(
    scenario: TrainingScenario, prompts: Sequence[Prompt], stance: Stance, letter: Letter | None
) -> tuple[Prompt, str]:
    """The prompt in which an answer with this stance has this letter, and the answer."""
    if letter is None:
        (prompt,) = prompts
        if isinstance(scenario, AdviceScenario):
            answer = scenario.misaligned if stance == "misaligned" else scenario.aligned
        else:
            answers = scenario.misaligned_freeform_answer, scenario.aligned_freeform_answer
            answer = answers[STANCES.index(stance)]
        return prompt, answer.strip()
    for prompt in prompts:
        options = prompt.options
        if options is not None and (options.misaligned_letter == letter) == (stance == "misaligned"):
            return prompt, f"{letter} - {options.text(letter)}"
    raise AssertionError(f"{scenario.key} is not asked in both orders of its options")
