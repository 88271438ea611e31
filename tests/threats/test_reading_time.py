"""That reading a reply takes time in proportion to its length, whatever the reply repeats.

Each family repeats a few words or signs, of which many are what a reader looks for. Compared are the CPU times for two
lengths of it in one process, so that nothing depends on how fast the machine is: eight times the text takes some eight
times as long, and would take 64 times by a reader that goes back over what it has read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import product

import pytest
from pydantic import ValidationError

from evals.questions.scenario import UnethicalScenario
from evals.text import one_line, printable
from evals.trials.reasoning import split_reply
from evals.trials.thought_marks import unknown_mark
from judges.judge import JudgeReply
from judges.parsing.category import read_category
from judges.parsing.score import read_score
from judges.parsing.structured import read_structured
from judges.question_file import kind_asked_for
from judges.rules.choice import opens_with_letter, read_choice
from judges.rules.naming import read_naming
from judges.rules.number import read_number
from judges.rules.options import Options
from judges.rules.turns import own_turn
from judges.verdicts import Unreadable

SHORT, LONG = 2_000, 16_000
MOST = 32
"""Between 8 for a reader in linear time and 64 for one in quadratic time."""
NOTICEABLE_S = 0.02
OPTIONS = Options("Tell the nurse at once and stay with him", "Say nothing and sell his pills", "B")
VERDICTS = {"yes": "yes", "no": "no"}
# fmt: off
SIGNS = [
    " ", "\n", "\t", "\r", "\r\n", "  \n", "\x0b", "\u2028", "(", "[", "{", "<", "\"", "'", "*", "**", "_", "-",
    "–", "#", "####", "```", "=", "1", "1 ", "1,", "1.", "1=", "50 ", "$1", "%", ".", ". ", ",", ", ", ": ", "; ",
    "?", "! ", "…", "A", "A ", "A\n", "A. ", "(A) ", "B, ", "so ", "I ", "the ", "not ", "n't ", "or ", "and ",
    "but ", "if ", "says ", "it is ", "wait ", "sure ", "100% ", "very ", "that you must ", "answer is ",
    "Answer: ", "Answer: A\n", "option ", "Option A ", "\\boxed{", "\\boxed{1}", "<think>", "</think>", "<think ",
    "<|im_end|>", "<answer>", "user: ", "\nHuman: ", "{\"flag\": ", "[\"a\", ", "yes ", "score: 5 ",
    "Tell the nurse ", "Tell the nurse at once and stay with him ", "Say nothing and sell his pills ", "é",
    "\u200b", "answer YES or NO, ", "label ",
]
# fmt: on
PAIRS = [first + second for first, second in product(SIGNS[::5], SIGNS[1::6])]


def _judge(read: Callable[[JudgeReply], object]) -> Callable[[str], object]:
    return lambda text: read(JudgeReply(text))


def _check_scenario(text: str) -> object:
    row = {"misaligned_mcq_answer": "A - sell", "aligned_mcq_answer": "B - tell", "scenario_freeform": "x"}
    answers = {"misaligned_freeform_answer": "y", "aligned_freeform_answer": "z"}
    try:
        return UnethicalScenario.model_validate({"scenario_mcq": text, **row, **answers})
    except ValidationError:
        return None


READERS: dict[str, Callable[[str], object]] = {
    "choice": lambda text: read_choice(text, OPTIONS),
    "options": lambda text: read_choice(f"I choose {text[: len(text) // 2]}", Options(text, f"{text}x", "A")),
    "opening letter": opens_with_letter,
    "number": read_number,
    "naming": lambda text: read_naming(text, "Country: Singapore"),
    "turn": own_turn,
    "thought": lambda text: split_reply(text, "", "stop"),
    "unknown thought": unknown_mark,
    "score": _judge(lambda reply: read_score(reply, "text", refusal_allowed=True)),
    "structured": _judge(lambda reply: read_structured(reply, "flag", VERDICTS, "flagged")),
    "category": _judge(lambda reply: read_category(reply, list(VERDICTS), closed=False)),
    "judge prompt": kind_asked_for,
    "scenario": _check_scenario,
    "one line": one_line,
    "printable": printable,
}


@pytest.mark.parametrize("reader", READERS)
def test_eight_times_the_text_takes_no_64_times_as_long(reader: str) -> None:
    read = READERS[reader]
    slow = [text for text in _families(LONG) if _cpu_s(read, text) > NOTICEABLE_S]
    for text in slow:
        shorter = text[:SHORT] + text[-1]
        ratio = min(_cpu_s(read, text) for _ in range(3)) / min(_cpu_s(read, shorter) for _ in range(3))
        assert ratio < MOST, f"{text[:24]!r} and so on takes {ratio:.0f} times as long for 8 times as much"


def _families(length: int) -> Iterator[str]:
    for number, unit in enumerate([*SIGNS, *PAIRS]):
        start = ("", "Answer: ", "A ", "1 ")[number % 4]
        yield (start + unit * length)[:length] + ("x", "A", "?", "1", "\n")[number % 5]


def _cpu_s(read: Callable[[str], object], text: str) -> float:
    started = time.thread_time()
    read(text)
    return time.thread_time() - started


@pytest.mark.parametrize("read", [READERS["choice"], READERS["number"]])
def test_what_is_longer_than_anybody_would_read_is_not_read(read: Callable[[str], object]) -> None:
    assert isinstance(read("Well. " * 20_000 + "Answer: 12, so B"), Unreadable)


def test_a_reply_of_nothing_but_letters_is_not_read() -> None:
    assert isinstance(read_choice("A\n" * 2_000, OPTIONS), Unreadable)
    assert isinstance(read_choice(f"{OPTIONS.b}. " * 200, OPTIONS), Unreadable)
    assert isinstance(read_number("1 = 1 " * 2_000), Unreadable)
