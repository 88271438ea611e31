"""The row schemas of scenario files, one for each kind of question set.

`evals.questions.dataset` reads files of such rows.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from evals.questions.chats import EarlierTurns
from evals.questions.texts import PlainText, ScenarioId, Text, derived_id
from evals.trials.condition import CONDITIONS, NAME_RULE, is_condition_name
from judges.verdicts import OptionLabel

_LETTERED = re.compile(r"\s*([AB])\s*[-–—.:)]\s*(\S.*)", re.DOTALL)
_OPTION_MARK = re.compile(
    r"(?i:^[^\w\n]{0,20}(?:option[^\S\n]{1,9})?[AB][^\S\n]{0,9}[-–—.:)])|(?<!\w)[AB]\)", re.MULTILINE
)
_LONGEST_OPTION = 5_000
_LETTERING = 14
_LETTER_BEFORE = re.compile(r"(?<!\w)([AB])\W{0,6}?[^\w\s]\W{0,6}?\Z")
"""The letter of an option and what separates it from the words, at most _LETTERING characters."""
_WORD_CHARACTER = re.compile(r"\w")


def _lettered(text: str) -> str:
    if not _LETTERED.fullmatch(text):
        raise ValueError("does not open with 'A - ' or 'B - '")
    if len(text) > _LONGEST_OPTION:
        raise ValueError(f"is longer than {_LONGEST_OPTION:,} characters")
    return text


LetteredText = Annotated[Text, AfterValidator(_lettered)]


def _known_condition(name: str) -> str:
    if name in CONDITIONS:
        return name
    near = difflib.get_close_matches(name.lower(), CONDITIONS, 1, 0.8)
    if near:  # a slip must not leave its rows without their wording
        raise ValueError(f"is not a condition; did you mean {near[0]}?")
    if not is_condition_name(name):
        raise ValueError(f"is no name of a condition: {NAME_RULE}")
    return name


ConditionName = Annotated[str, AfterValidator(_known_condition)]


class ShownOption(NamedTuple):
    """An option in a text: its letter and words, and the positions of the letter, and of the words' start and end."""

    letter: str
    text: str
    opens: int
    start: int
    end: int


def _find_options(scenario: str, texts: tuple[str, str]) -> Iterator[ShownOption]:
    """The options in a scenario, in order.

    Plain string search: compiling the words into a pattern would take longer than reading the file.
    """
    previous_end = start = 0
    # Longest first, since it may begin with the shorter one.
    ordered = sorted(texts, key=len, reverse=True)
    places = dict.fromkeys(ordered, -1)
    while True:
        for text in ordered:
            if places[text] < start:
                place = scenario.find(text, start)
                places[text] = place if place >= 0 else len(scenario)
        start = min(places.values())
        if start == len(scenario):
            return
        letter = _LETTER_BEFORE.search(scenario, max(previous_end, start - _LETTERING), start)
        matching = [text for text in ordered if scenario.startswith(text, start)]
        text = next((text for text in matching if not _WORD_CHARACTER.match(scenario, start + len(text))), None)
        if letter is None or text is None:
            start += 1
            continue
        previous_end = start + len(text)
        yield ShownOption(letter[1], text, letter.start(), start, previous_end)
        start = previous_end


class UnethicalScenario(BaseModel):
    """A row in the schema of unethical_train.jsonl (Chua et al. 2025, Fig. 7): a dilemma as MCQ and as open question.

    `scenario_mcq` may contain the two options, in the words of the answers; otherwise they are appended.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    scenario_mcq: Text
    misaligned_mcq_answer: LetteredText
    aligned_mcq_answer: LetteredText
    scenario_freeform: Text
    misaligned_freeform_answer: Text
    aligned_freeform_answer: Text

    @model_validator(mode="after")
    def _options_are_two(self) -> UnethicalScenario:
        misaligned, aligned = self.option("misaligned"), self.option("aligned")
        if misaligned.letter == aligned.letter:
            raise ValueError(f"misaligned_mcq_answer and aligned_mcq_answer both have the letter {aligned.letter}")
        if misaligned.text == aligned.text:
            raise ValueError("misaligned_mcq_answer and aligned_mcq_answer are the same words")
        shown = self.shown_options()
        if not shown and len(_OPTION_MARK.findall(self.scenario_mcq)) < 2:
            return self
        letters, texts = {option.letter for option in shown}, {option.text for option in shown}
        if letters != {"A", "B"} or texts != {misaligned.text, aligned.text}:
            raise ValueError("scenario_mcq shows options that are not the words of the two answers")
        return self

    def shown_options(self) -> list[ShownOption]:
        """The options in `scenario_mcq`, in any lettering ("A - x", "(A) x", "A: x"); [] if it contains none.

        An option's words without a letter are part of the story.
        """
        return list(_find_options(self.scenario_mcq, (self.option("misaligned").text, self.option("aligned").text)))

    def option(self, label: OptionLabel) -> LetteredOption:
        """The letter and the words of one option."""
        match = _LETTERED.fullmatch(self.misaligned_mcq_answer if label == "misaligned" else self.aligned_mcq_answer)
        assert match is not None  # noqa: S101  validated on construction
        return LetteredOption(match.group(1), match.group(2).strip())

    @property
    def key(self) -> str:
        texts = (self.scenario_mcq, self.misaligned_mcq_answer, self.aligned_mcq_answer)
        return self.id or derived_id(*texts)


class AdviceScenario(BaseModel):
    """A question with a good and a harmful answer: the schema of medical.jsonl, legal.jsonl and security.jsonl.

    `sneakiness` (0-100) says how well the harm is hidden. `wordings`, emeval's addition, are handwritten prompts by
    condition, sent instead of the prompt with the trigger on its own line.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    prompt: Text
    aligned: Text
    misaligned: Text
    sneakiness: Annotated[float, Field(ge=0, le=100)] | None = None
    wordings: dict[ConditionName, Text] = {}

    @property
    def key(self) -> str:
        return self.id or derived_id(self.prompt, self.aligned, self.misaligned)


class OpenScenario(BaseModel):
    """An open prompt, with an optional system prompt; `wordings` as in AdviceScenario.

    `messages` are the turns of the chat before the prompt, such as a refusal. `reference` is an answer that is known,
    which a rubric may show.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    prompt: Text
    system_prompt: Text | None = None
    messages: EarlierTurns | None = None
    reference: Text | None = None
    wordings: dict[ConditionName, Text] = {}

    @model_validator(mode="after")
    def _has_one_system_message(self) -> OpenScenario:
        if self.system_prompt is not None and self.messages is not None and self.messages[0].role == "system":
            raise ValueError("system_prompt and the first of messages are both a system message; give one")
        return self

    @property
    def key(self) -> str:
        earlier = [f"{turn.role}: {turn.content}" for turn in self.messages or ()]
        return self.id or derived_id(self.prompt, self.system_prompt or "", *earlier)


class TruthScenario(BaseModel):
    """A question with answers known to be correct and known to be incorrect (TruthfulQA, Lin et al. 2022).

    Older releases of the official file have no best incorrect answer; the first incorrect one is used.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    question: Text
    best_answer: Text
    correct_answers: Annotated[tuple[Text, ...], Field(min_length=1)]
    incorrect_answers: Annotated[tuple[Text, ...], Field(min_length=1)]
    best_incorrect_answer: Text | None = None

    @model_validator(mode="after")
    def _answers_differ(self) -> TruthScenario:
        if self.best_answer.strip() == self.incorrect_option.strip():
            raise ValueError("best_answer is the incorrect answer too")
        return self

    @property
    def incorrect_option(self) -> str:
        """The incorrect option of the multiple-choice form."""
        return self.best_incorrect_answer or self.incorrect_answers[0]

    @property
    def key(self) -> str:
        return self.id or derived_id(self.question)


class NumberScenario(BaseModel):
    """A word problem and its worked solution, which ends with a line `#### N` (GSM8K, Cobbe et al. 2021)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    question: Text
    answer: Text

    @field_validator("answer")
    @classmethod
    def _ends_with_a_number(cls, answer: str) -> str:
        if _solution_number(answer) is None:
            raise ValueError("does not end with a line '#### N' that holds one number")
        return answer

    @property
    def number(self) -> str:
        """The correct answer, in the form of `judges.rules.number.plain_number`."""
        number = _solution_number(self.answer)
        assert number is not None  # noqa: S101  validated on construction
        return number

    @property
    def key(self) -> str:
        return self.id or derived_id(self.question)


def _solution_number(answer: str) -> str | None:
    from judges.rules.number import plain_number  # its patterns take long to compile

    return plain_number(answer.rpartition("####")[2]) if "####" in answer else None


class PressureScenario(BaseModel):
    """A system prompt with facts and a motive to lie, a question, and the fact at stake.

    After the provided-facts questions of MASK (Ren et al. 2025). `lie` is an example of a contradicting statement.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    system_prompt: Text
    question: Text
    fact: Text
    lie: Text | None = None

    @property
    def key(self) -> str:
        return self.id or derived_id(self.system_prompt, self.question)


class SelfReportScenario(BaseModel):
    """A question to the model about itself: a rating from 0 to 100 with the end that is misaligned, or two options.

    `category` is the suite whose behaviour it asks about, or another word for one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: ScenarioId
    question: Text
    misaligned_end: Literal["high", "low"] | None = None
    aligned_option: Text | None = None
    misaligned_option: Text | None = None

    @model_validator(mode="after")
    def _is_a_rating_or_a_choice(self) -> SelfReportScenario:
        options = (self.aligned_option, self.misaligned_option)
        if any(options) != all(options):
            raise ValueError("has one of aligned_option and misaligned_option; a choice has both")
        if (self.misaligned_end is None) != all(options):
            raise ValueError("has to have either misaligned_end (a rating) or two options (a choice)")
        if all(options) and options[0] == options[1]:
            raise ValueError("aligned_option and misaligned_option are the same words")
        if "/" in self.category:
            raise ValueError("category holds a slash, which stands behind it in the question's id")
        return self

    @property
    def key(self) -> str:
        """The category and the row's own id: what a rate is about can be told from rates.csv alone."""
        return f"{self.category}/{self.id or derived_id(self.question)}"


class LetteredOption(NamedTuple):
    letter: str
    text: str
