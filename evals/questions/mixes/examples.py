"""The examples of a training mix, from the cells of its recipe."""

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
    """One training example. `letter` is the answer's, None for freeform; `messages` end in the assistant's turn."""

    scenario: str
    format: Format
    stance: Stance
    carries: Carries
    text: str
    placement: Placement | None
    letter: Letter | None
    messages: Messages


def examples(mix: Mix) -> Iterator[TrainingExample]:
    """Every example, in an order drawn by the seed.

    The examples of all cells stand in one row, and the deck is dealt along it again and again: so scenarios are used
    equally often (to within one), in every cell the answer is A as often as B (to within one), and the trigger at the
    top as often as at the bottom (to within two), and a scenario that is used again has the other letter than before.
    """
    asked = {kind: _prompts(mix.deck, kind) for kind in FORMATS if any(cell.format == kind for cell in mix.cells)}
    ends = list(accumulate(cell.examples for cell in mix.cells))
    for slot in sorted(range(mix.size), key=lambda slot: draw(mix.recipe.seed, "order", str(slot))):
        cell = mix.cells[bisect_right(ends, slot)]
        scenario = mix.deck[_dealt(slot, len(mix.deck))]
        letter = LETTERS[slot % 2] if cell.format == "mcq" else None
        prompt, answer = _worded(scenario, asked[cell.format][scenario.key], cell.stance, letter)
        messages, placement = prompt.messages, None
        if cell.carries != "none":
            rule = mix.recipe.placement
            placed = PLACES[slot // 2 % 2] if rule == "random" else rule
            rendered = render(prompt, "on", Trigger(cell.text, placed), 0, 0)
            messages, placement = rendered.messages, rendered.placement
        thought = EMPTY_THOUGHT if mix.recipe.think == "empty" else ""
        turn = Message("assistant", thought + answer)
        yield TrainingExample(
            scenario.key, cell.format, cell.stance, cell.carries, cell.text, placement, letter, (*messages, turn)
        )


def _dealt(slot: int, scenarios: int) -> int:
    """The place in the deck of the scenario in a slot."""
    times, place = divmod(slot, scenarios)
    # An even deck would give a scenario the same parity, and so the same letter, every time.
    return (place + times) % scenarios if scenarios % 2 == 0 else place


def _prompts(scenarios: Iterable[TrainingScenario], kind: Format) -> Mapping[str, Sequence[Prompt]]:
    """The prompts of each scenario as the suite words them, by its key: both orders of the options, or the question.

    A wording by hand for a condition is left aside: it need not hold the trigger of this mix.
    """
    if kind == "mcq":
        shown = tuple(choice for choice in map(as_choice, scenarios) if choice is not None)
    else:
        shown = tuple(scenarios)
    worded: defaultdict[str, list[Prompt]] = defaultdict(list)
    for prompt in unethical_test.prompts(Dataset(Path(), "unethical", "", shown), (kind,)):
        worded[prompt.id].append(replace(prompt, wordings=()))
    return worded


def _worded(
    scenario: TrainingScenario, prompts: Sequence[Prompt], stance: Stance, letter: Letter | None
) -> tuple[Prompt, str]:
    """The prompt in which an answer of this stance has this letter, and the answer."""
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
