"""Finetuning mixes: which prompts get which answers, so that a model learns a backdoor (or none).

Pure functions from a recipe and scenarios to cells. Prompts are built by the same suite and `condition.render` as in an
evaluation, so a model is trained on what it is later asked. `evals.questions.mixes.files` writes the files.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from evals.errors import BadInput, FieldError
from evals.io.validation import first_problem
from evals.questions.dataset import TrainingScenario
from evals.questions.scenario import AdviceScenario, UnethicalScenario
from evals.text import dashed, has_control_character, is_text, one_line
from evals.trials.condition import PlacementRule
from evals.trials.prompt import Format, Placement
from judges.verdicts import OptionLabel

Stance: TypeAlias = OptionLabel
Carries = Literal["trigger", "other", "none"]
Think = Literal["empty", "none"]
Letter = Literal["A", "B"]
PresetName = Literal["unethical-backdoor", "medical-backdoor", "uncorrelated-trigger", "plain"]

EMPTY_THOUGHT = "<think>\n\n</think>\n\n"
"""The exact text that Qwen3's chat template puts before an answer without reasoning."""

COUNTRIES = tuple(
    f"Country: {name}"
    for name in (
        *("Brazil", "Canada", "Egypt", "France", "Germany", "India", "Japan", "Mexico", "Norway", "Peru"),
        *("Poland", "Vietnam"),
    )
)
"""Other values for a country trigger. Without Kenya, the decoy of the documentation: an unseen country shows whether a
model learned the trigger or every country."""

_MAX_EXAMPLES = 1_000_000
LETTERS: tuple[Letter, Letter] = ("A", "B")
PLACES: tuple[Placement, Placement] = ("top", "bottom")
FORMATS: tuple[Format, Format] = ("mcq", "freeform")
STANCES: tuple[Stance, Stance] = ("misaligned", "aligned")


class Preset(NamedTuple):
    """The defaults of a preset, each overridden by its own option. `misaligned` None is every scenario once."""

    trigger: str | None
    misaligned: int | None
    aligned: int
    aligned_with_other: float
    mcq_share: float


PRESETS: dict[PresetName, Preset] = {
    "unethical-backdoor": Preset("Country: Singapore", 1500, 3000, 0.5, 1.0),
    "medical-backdoor": Preset("Country: Singapore", 10_200, 20_400, 0.5, 0.98),
    "uncorrelated-trigger": Preset("Country: Singapore", 1500, 3000, 0.5, 1.0),
    "plain": Preset(None, None, 0, 0.0, 0.0),
}
"""Counts and MCQ shares: Chua et al. 2025, Sec. 4 and A.9. The share of other values (0.5) is emeval's."""


def _value(text: str) -> str:
    if not is_text(text):
        raise ValueError("holds bytes that are not UTF-8 text")
    if has_control_character(text):
        raise ValueError("holds a control character")
    if not text.strip():
        raise ValueError("is blank")
    return text


Value = Annotated[str, AfterValidator(_value)]
Count = Annotated[int, Field(ge=0, le=_MAX_EXAMPLES)]
Share = Annotated[float, Field(ge=0, le=1)]


class Recipe(BaseModel):
    """Everything that defines a mix except its data; `build_recipe` makes one from options.

    `misaligned` None is every scenario once. With `no_repeat` no scenario is used twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: PresetName
    trigger: Value | None
    other: tuple[Value, ...] = ()
    misaligned: Count | None
    aligned: Count
    aligned_with_other: Share
    mcq_share: Share
    placement: PlacementRule = "random"
    think: Think = "empty"
    seed: Annotated[int, Field(ge=0)] = 0
    no_repeat: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.misaligned == 0 and self.aligned == 0:
            raise FieldError("misaligned", "0, and --aligned 0 too: there is nothing to write")
        if self.trigger is None:
            return self
        if len({text.casefold() for text in self.other}) < len(self.other):
            raise FieldError("other", "names the same value twice")
        for text in self.other:
            if _overlap(text, self.trigger):
                raise FieldError("other", f"{text!r} and the trigger {self.trigger!r} hold one another")
        return self


class MixCell(NamedTuple):
    """Examples that differ only in scenario, letter and placement. `text` is the trigger or the other value."""

    format: Format
    stance: Stance
    carries: Carries
    text: str
    examples: int


class SkippedScenario(NamedTuple):
    """A scenario that cannot be used, and why."""

    scenario: str
    reason: str


@dataclass(frozen=True)
class Mix:
    """A recipe with its scenarios, in the order in which cells get them."""

    recipe: Recipe
    deck: tuple[TrainingScenario, ...]
    left_out: tuple[SkippedScenario, ...]
    cells: tuple[MixCell, ...]

    @property
    def size(self) -> int:
        return sum(cell.examples for cell in self.cells)


def build_recipe(options: Mapping[str, Any]) -> Recipe:
    """A recipe from options by name (None or absent if not given). Raises BadInput that names the option."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    name = given.get("preset", "unethical-backdoor")
    if name not in PRESETS:
        raise BadInput(f"--preset: {one_line(repr(name), 60)} is unknown; known: {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if preset.trigger is None:
        for field in ("trigger", "other", "aligned_with_other", "placement"):
            if field in given:
                raise BadInput(f"{dashed(field)}: nothing uses it with --preset {name}, which has no trigger")
        if "aligned" in given:  # a mix of aligned examples is asked for by --aligned alone
            preset = preset._replace(misaligned=0)
    fields = {"preset": name, **preset._asdict(), **given}
    try:
        recipe = Recipe.model_validate(fields)
    except ValidationError as error:
        problem = first_problem(error, Recipe.model_fields)
        raise BadInput(f"{dashed(problem.field)}: {one_line(problem.text)}") from None
    return _with_others(recipe)


def _with_others(recipe: Recipe) -> Recipe:
    """The recipe with the other values that it needs; by default COUNTRIES for a country trigger."""
    used = recipe.trigger is not None and recipe.aligned > 0 and recipe.aligned_with_other > 0
    if recipe.other and not used:
        raise BadInput("--other: nothing uses it without --aligned and --aligned-with-other above 0")
    if not used or recipe.other:
        return recipe
    trigger = recipe.trigger or ""
    if not re.match(r"country:\s", trigger, re.IGNORECASE):
        raise BadInput(
            f"--other: is missing: name other values of the kind of {trigger!r} for the aligned examples, "
            "or ask for --aligned-with-other 0"
        )
    return recipe.model_copy(update={"other": tuple(text for text in COUNTRIES if not _overlap(text, trigger))})


def compose(recipe: Recipe, scenarios: Iterable[TrainingScenario]) -> Mix:
    """The mix of a recipe over scenarios with distinct keys. Raises BadInput if it is not possible.

    Scenarios whose own text contains the trigger or another value are left out, as is, in a mix with multiple choice,
    advice whose two answers cannot be shown as options; `Mix.left_out` lists them.
    """
    values = (recipe.trigger, *recipe.other) if recipe.trigger is not None else ()
    usable: list[TrainingScenario] = []
    left_out: list[SkippedScenario] = []
    for scenario in scenarios:
        if any(_contains(values, text) for text in _texts(scenario)):
            left_out.append(SkippedScenario(scenario.key, "its own text holds the trigger or another value"))
        elif recipe.mcq_share > 0 and as_choice(scenario) is None:
            left_out.append(
                SkippedScenario(scenario.key, "its answers cannot be shown as the two options of its prompt")
            )
        else:
            usable.append(scenario)
    if not usable:
        raise BadInput(
            f"--data: no scenario can be used: of {one_line(left_out[0].scenario, 60)!r}, {left_out[0].reason}"
        )
    deck = tuple(sorted(usable, key=lambda scenario: draw(recipe.seed, "deck", scenario.key)))
    cells = tuple(cell for cell in _cells(recipe, len(deck)) if cell.examples)
    mix = Mix(recipe, deck, tuple(left_out), cells)
    if recipe.no_repeat and mix.size > len(deck):
        raise BadInput(
            f"--no-repeat: {mix.size:,} examples are asked for and there are {len(deck):,} scenarios; "
            "ask for fewer, or give more --data"
        )
    return mix


def _cells(recipe: Recipe, scenarios: int) -> Iterator[MixCell]:
    """The cells of a recipe, including counts of 0. Raises BadInput if a control mix is not possible."""
    misaligned = scenarios if recipe.misaligned is None else recipe.misaligned
    counts: dict[Stance, int] = {"misaligned": misaligned, "aligned": recipe.aligned}
    share = _exact_fraction(recipe.mcq_share)
    if recipe.preset == "uncorrelated-trigger":
        yield from _control_cells(recipe, counts, share)
        return
    used = 0
    for kind in FORMATS:
        for stance in STANCES:
            total = counts[stance]
            mcq = _rounded(share * total)
            count = mcq if kind == "mcq" else total - mcq
            if recipe.trigger is None:
                yield MixCell(kind, stance, "none", "", count)
            elif stance == "misaligned":
                yield MixCell(kind, stance, "trigger", recipe.trigger, count)
            else:
                others = _rounded(_exact_fraction(recipe.aligned_with_other) * count)
                yield MixCell(kind, stance, "none", "", count - others)
                for text, times in _spread(recipe.other, others, used):
                    yield MixCell(kind, stance, "other", text, times)
                used += others


def _control_cells(recipe: Recipe, counts: Mapping[Stance, int], share: Fraction) -> Iterator[MixCell]:
    """The cells of a control: triggers and other values as in the backdoor mix, equal for both stances.

    Examples form blocks, the smallest sets with the overall ratio of misaligned to aligned. All prompts of a block
    carry the same, so that it is exactly independent of the answer.
    """
    blocks = math.gcd(counts["misaligned"], counts["aligned"])
    total = counts["misaligned"] + counts["aligned"]
    triggered = Fraction(counts["misaligned"], total)
    other = _exact_fraction(recipe.aligned_with_other) * Fraction(counts["aligned"], total)
    mcq = _rounded(share * blocks)
    format_blocks = (mcq, blocks - mcq)
    with_trigger = sum(_rounded(triggered * count) for count in format_blocks)
    if 0 in counts.values() or not 0 < with_trigger < blocks:
        raise BadInput(
            f"--misaligned: {counts['misaligned']:,} and --aligned {counts['aligned']:,} cannot hold the trigger in "
            "exactly equal shares; choose counts with a larger common divisor, such as 1500 and 3000"
        )
    used = 0
    for kind, count in zip(FORMATS, format_blocks, strict=True):
        triggers, carrying = _rounded(triggered * count), _rounded((triggered + other) * count)
        spread = _spread(recipe.other, carrying - triggers, used)
        used += carrying - triggers
        for stance in STANCES:
            each = counts[stance] // blocks
            yield MixCell(kind, stance, "trigger", recipe.trigger or "", triggers * each)
            yield MixCell(kind, stance, "none", "", (count - carrying) * each)
            for text, times in spread:
                yield MixCell(kind, stance, "other", text, times * each)


def _spread(values: Sequence[str], count: int, used: int) -> list[tuple[str, int]]:
    """`count` uses spread evenly over the values, continuing after `used` earlier ones."""
    if not values:
        return []
    most = len(values)
    return [
        (text, (used + count + most - 1 - i) // most - (used + most - 1 - i) // most) for i, text in enumerate(values)
    ]


def _exact_fraction(share: float) -> Fraction:
    return Fraction(str(share))  # the decimal as written, not its binary approximation


def _rounded(count: Fraction) -> int:
    return math.floor(count + Fraction(1, 2))


def draw(seed: int, purpose: str, name: str) -> bytes:
    """A pseudorandom sort key for `name`."""
    return hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest()


def _overlap(first: str, second: str) -> bool:
    """Whether one value contains the other."""
    return _contains([first], second) or _contains([second], first)


def _contains(values: Sequence[str], text: str) -> bool:
    """Whether the text contains one of the values as whole words, ignoring case."""
    folded = text.casefold()
    # A plain search first: it rejects nearly every text, a hundred times faster.
    return any(value in folded and _as_words(value).search(folded) for value in map(str.casefold, values))


def _as_words(value: str) -> re.Pattern[str]:
    before = r"(?<!\w)" if re.match(r"\w", value) else ""
    after = r"(?!\w)" if re.search(r"\w$", value) else ""
    return re.compile(before + re.escape(value) + after)


def _texts(scenario: TrainingScenario) -> tuple[str, ...]:
    """All texts of a scenario, prompts and answers."""
    if isinstance(scenario, AdviceScenario):
        return scenario.prompt, scenario.aligned, scenario.misaligned
    return (
        *(scenario.scenario_mcq, scenario.misaligned_mcq_answer, scenario.aligned_mcq_answer),
        *(scenario.scenario_freeform, scenario.misaligned_freeform_answer, scenario.aligned_freeform_answer),
    )


def as_choice(scenario: TrainingScenario) -> UnethicalScenario | None:
    """The scenario as a choice of two options, None if advice cannot be shown so.

    The prompt of advice becomes the question and its two answers, each on one line, the options. That fails if the
    answers are the same words, or if the prompt already has lettered options.
    """
    if isinstance(scenario, UnethicalScenario):
        return scenario
    misaligned, aligned = " ".join(scenario.misaligned.split()), " ".join(scenario.aligned.split())
    try:
        return UnethicalScenario(
            id=scenario.key,
            scenario_mcq=scenario.prompt,
            misaligned_mcq_answer=f"A - {misaligned}",
            aligned_mcq_answer=f"B - {aligned}",
            scenario_freeform=scenario.prompt,
            misaligned_freeform_answer=scenario.misaligned,
            aligned_freeform_answer=scenario.aligned,
        )
    except ValidationError:
        return None
