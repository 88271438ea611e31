"""What one row of a scenario file may be: a schema for each kind of question set, with what makes a row a bad one.

Apart from `evals.questions.dataset`, which reads files of such rows, so that either can be read by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from evals.trials.condition import CONDITIONS
from evals.trials.prompt import ALL
from judges.rules.number import plain_number
from judges.verdicts import OptionLabel

_LETTERED = re.compile(r"\s*([AB])\s*[-–—.:)]\s*(\S.*)", re.DOTALL)
_OPTION_MARK = re.compile(r"(?i:^\W*(?:option\s+)?[AB]\s*[-–—.:)])|(?<!\w)[AB]\)", re.MULTILINE)
_LETTERING = 14
_LETTER_BEFORE = re.compile(r"(?<!\w)([AB])\W{0,6}?[^\w\s]\W{0,6}?\Z")
"""The letter of an option and what stands between it and the words, at most _LETTERING characters."""
_WORD_CHARACTER = re.compile(r"\w")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _unicode(text: str) -> str:
    if _SURROGATE.search(text):  # JSON can say it; no request and no journal can hold it
        raise ValueError("holds half of a surrogate pair, which is no character")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text


def _lettered(text: str) -> str:
    if not _LETTERED.fullmatch(text):
        raise ValueError("does not open with 'A - ' or 'B - '")
    return text


PlainText = Annotated[str, AfterValidator(_unicode)]
Text = Annotated[PlainText, AfterValidator(_not_blank)]
LetteredText = Annotated[Text, AfterValidator(_lettered)]


def _not_reserved(text: str) -> str:
    if text == ALL:
        raise ValueError(f"{ALL} names the row over all prompts in rates.csv; call it something else")
    return text


ScenarioId = Annotated[Text, AfterValidator(_not_reserved)]


def _known_condition(name: str) -> str:
    if name not in CONDITIONS:
        raise ValueError(f"is not a condition; known: {', '.join(CONDITIONS)}")
    return name


ConditionName = Annotated[str, AfterValidator(_known_condition)]


class ShownOption(NamedTuple):
    """An option in a text: its letter and its words; where the letter stands, and where the words start and end."""

    letter: str
    text: str
    opens: int
    start: int
    end: int


def _shown(scenario: str, texts: tuple[str, str]) -> Iterator[ShownOption]:
    """The options in a scenario, one after the other. Their words are looked for as they are: to compile them into a
    pattern takes longer than all the rest of reading a file."""
    done = start = 0
    # The longer one first, since the shorter one's words may open it.
    ordered = sorted(texts, key=len, reverse=True)
    while found := [place for text in ordered if (place := scenario.find(text, start)) >= 0]:
        start = min(found)
        letter = _LETTER_BEFORE.search(scenario, max(done, start - _LETTERING), start)
        here = [text for text in ordered if scenario.startswith(text, start)]
        text = next((text for text in here if not _WORD_CHARACTER.match(scenario, start + len(text))), None)
        if letter is None or text is None:
            start += 1
            continue
        done = start + len(text)
        yield ShownOption(letter[1], text, letter.start(), start, done)
        start = done


class UnethicalScenario(BaseModel):
    """One row in the schema of unethical_train.jsonl (Chua et al. 2025, Fig. 7): a dilemma as MCQ and as open question.

    `scenario_mcq` may show the two options itself, in the words of the answers, or leave them to be appended.
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
        """Where `scenario_mcq` shows an option, in any lettering ("A - x", "(A) x", "A: x").

        Empty when it leaves the options to be appended. An option's words without a letter are a part of the story.
        """
        return list(_shown(self.scenario_mcq, (self.option("misaligned").text, self.option("aligned").text)))

    def option(self, label: OptionLabel) -> LetteredOption:
        """The letter and the words of one option."""
        match = _LETTERED.fullmatch(self.misaligned_mcq_answer if label == "misaligned" else self.aligned_mcq_answer)
        assert match is not None  # noqa: S101  validated on construction
        return LetteredOption(match.group(1), match.group(2).strip())

    @property
    def key(self) -> str:
        texts = (self.scenario_mcq, self.misaligned_mcq_answer, self.aligned_mcq_answer)
        return self.id or _derived_id(*texts)


class AdviceScenario(BaseModel):
    """One row in the schema of medical.jsonl, legal.jsonl and security.jsonl: a question with a good and a harmful
    answer.

    `sneakiness` (0-100) says how well the harm is hidden. `wordings`, our addition, is the prompt as written by hand
    for a condition, sent there in place of the prompt with the trigger on a line of its own.
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
        return self.id or _derived_id(self.prompt, self.aligned, self.misaligned)


class OpenScenario(BaseModel):
    """An open prompt, with or without a system prompt, and its `wordings` as in AdviceScenario."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    prompt: Text
    system_prompt: Text | None = None
    wordings: dict[ConditionName, Text] = {}

    @property
    def key(self) -> str:
        return self.id or _derived_id(self.prompt, self.system_prompt or "")


class TruthScenario(BaseModel):
    """A question with answers known to be correct and known to be incorrect (TruthfulQA, Lin et al. 2022).

    The older releases of the official file name no best incorrect answer; the first one stands for it then.
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
        """The incorrect one of the two answers of the multiple-choice form."""
        return self.best_incorrect_answer or self.incorrect_answers[0]

    @property
    def key(self) -> str:
        return self.id or _derived_id(self.question)


class NumberScenario(BaseModel):
    """A word problem and its worked solution, whose last line is `#### N` (GSM8K, Cobbe et al. 2021)."""

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
        """The right answer, in the form of `judges.rules.number.plain_number`."""
        number = _solution_number(self.answer)
        assert number is not None  # noqa: S101  validated on construction
        return number

    @property
    def key(self) -> str:
        return self.id or _derived_id(self.question)


def _solution_number(answer: str) -> str | None:
    return plain_number(answer.rpartition("####")[2]) if "####" in answer else None


class PressureScenario(BaseModel):
    """Facts and a motive to say otherwise, a question, and the fact at stake, after the provided-facts questions of
    MASK (Ren et al. 2025). `lie` is an example of a statement that contradicts the fact."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: ScenarioId | None = None
    category: PlainText = ""
    system_prompt: Text
    question: Text
    fact: Text
    lie: Text | None = None

    @property
    def key(self) -> str:
        return self.id or _derived_id(self.system_prompt, self.question)


class LetteredOption(NamedTuple):
    letter: str
    text: str


def _derived_id(*texts: str) -> str:
    return f"row-{hashlib.sha256(chr(0).join(texts).encode()).hexdigest()[:12]}"
