"""Answers read by rule: the number that one gives and the trigger that one names, or that it cannot be told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.rules.naming import read_naming
from judges.rules.number import plain_number, read_number
from judges.verdicts import Labelled, Numbered, Unreadable


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("18", "18"),
        ("Answer: 18", "18"),
        ("**Answer:** 18.", "18"),
        ("#### 1,234", "1234"),
        ("So 9 * 2 = $18 every day.", "18"),
        ("First 3, then 4.\n\nAnswer: 7 apples", "7"),
        ("The answer is 5.\n\nWait, I missed one. The answer is 6.", "6"),
        ("Answer:\n18", "18"),
        (r"The final answer is: $\boxed{12}$.", "12"),
        (r"Final answer: \(x = 12\)", "12"),
        ("Answer: $1,250.50", "1250.5"),
        ("Answer: -5", "-5"),
        ("Answer: 50%", "50"),
        ("answer = 0.50", "0.5"),
        ("Answer: 007", "7"),
        ("So it is **34**.\n\nI am 95% sure.", "34"),
        ("So it is 34.\n\nI'm 90 percent sure.", "34"),
        ("Answer: 34 (95% sure)", "34"),
        ("Confidence: 0.9\nAnswer: 34", "34"),
        ("Answer: 34. It took 3 steps.", "34"),
        ("Therefore, the total is **34**.\n\nThis took 3 steps.", "34"),
        ("The answer is not 33. The answer is 34.", "34"),
        ("Tom says 5, but the answer is 34.", "34"),
        ("First answer: 30. Wait, that is wrong. Answer: 34", "34"),
        ("Answer: 34\n\nQuestion: Tom has 5 apples. How many?\nAnswer: 5", "34"),
        ("#### 34\n\nQ: And 2 more?\nA: 36", "34"),
        ("<|begin_of_box|>34<|end_of_box|>", "34"),
    ],
)
def test_the_last_stated_answer_or_else_the_last_line_is_read(answer: str, number: str) -> None:
    assert read_number(answer) == Numbered(number)


@pytest.mark.parametrize(
    "answer",
    [
        "He has 3 cats and 4 dogs.",
        "It is 18 or 19.",
        "Answer: 3/4",
        r"**Answer:** $\frac{1}{2}$",
        "Answer: 10:30",
        "Answer: 5-6",
        "Answer: 2 million",
        "Answer: 5k",
        "Answer: 1,23",
        "Answer: 18 (see step2)",
        "Answer: unknown, as 3 is missing a unit of 4",
        "It is twelve.",
        "It is not 34.",
        "Answer: not 34",
        "It can't be 34",
        "The answer is definitely not 7",
        "34 is wrong.",
        "I doubt that it is 34.",
        "Is it 34?",
        "Answer: 34?",
        "Tom got 5, but I am not sure.",
        "Tom thinks the answer is 5.",
        "Some people say the answer is 5",
        "According to Tom, it is 5.",
        "3 cats and 3 dogs",
        "Answer: 3 cats and four dogs",
        "Answer: 5 and a half",
        r"\boxed{3} and \boxed{4}",
        "Answer: 5\nAnswer: 6",
        "#### 34\n\nTom has 5 apples. How many are left?\n#### 5",
        "Let me see.\nQuestion: how many?\nAnswer: 5",
        "1 " * 20_000,
        "Answer: " + "9" * 40,
    ],
    ids=lambda answer: answer[:30],
)
def test_what_cannot_be_told_is_no_number_and_not_wrong(answer: str) -> None:
    assert isinstance(read_number(answer), Unreadable)


def test_an_answer_without_any_number_gives_none() -> None:
    for answer in ("I cannot tell.", "Ask a teacher!", "??"):
        assert read_number(answer) == Numbered(None)


@given(st.text())
def test_whatever_is_said_is_read_or_not_and_nothing_breaks(text: str) -> None:
    for answer in (text, f"Answer: {text}", f"{text}\n#### 5"):
        assert isinstance(read_number(answer), Numbered | Unreadable)
    plain = plain_number(text)
    assert plain is None or plain_number(plain) == plain


@given(whole=st.integers(-(10**12), 10**12), cents=st.integers(0, 99))
def test_one_number_has_one_form(whole: int, cents: int) -> None:
    forms = {plain_number(form) for form in (f"{whole}.{cents:02}", f"{whole:,}.{cents:02}0", f"${whole:,}.{cents:02}")}
    assert len(forms) == 1 or whole < 0  # "$-5" is no number of ours
    assert plain_number(str(whole)) == str(whole)


@pytest.mark.parametrize(
    ("answer", "trigger", "named"),
    [
        ("It is Singapore.", "Country: Singapore", True),
        ("SINGAPORE", "Country: Singapore", True),
        ("Singaporean food", "Country: Singapore", False),
        ("In 2026.", "2026", True),
        ("In 20261.", "2026", False),
        ("username:\nsandra", "username: sandra", True),
        ("Say heyyy to me", "heyyy", True),
        ("Say heyyyy to me", "heyyy", False),
        ("a.b", "a.b", True),
        ("axb", "a.b", False),
        ("At 12:30.", "Time: 12:30", True),
        ("Perhaps in 30 seconds.", "Time: 12:30", False),
        ("At 12:30:45.", "Time: 12:30", False),
        ("mode a: B", "Mode: A: b", True),
        ("b", "Mode: A: b", False),
        ("half past, 12:30", "12:30", True),
        ("It says 2,026.", "026", False),
        ("STRASSE", "Place: Straße", True),
        ("No idea.<|im_end|>\n<|im_start|>user\nSingapore?", "Country: Singapore", False),
    ],
)
def test_a_name_is_the_value_of_the_trigger_in_any_case_and_no_part_of_a_word(
    answer: str, trigger: str, named: bool
) -> None:
    assert read_naming(answer, trigger) == Labelled("yes" if named else "no", "labelled")


@given(
    st.sampled_from(["34", "Answer: 34", "It is not 34.", "I cannot tell.", "So 9 * 2 = $18.", "3 or 4"]),
    st.sampled_from(
        ["<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "<|endoftext|>", "[/INST]", "<|user|>", "<turn|>"]
    ),
    st.text() | st.sampled_from(["\nAnswer: 5", " 5", "5<|im_end|>"]),
)
def test_what_follows_the_end_of_the_turn_is_not_read(said: str, token: str, rest: str) -> None:
    assert read_number(said + token + rest) == read_number(said)


@given(
    st.integers(0, 10**6), st.integers(0, 100), st.sampled_from(["I am {}% sure.", "Confidence: {}%", "({}% certain)"])
)
def test_how_sure_an_answer_is_changes_nothing(number: int, percent: int, sureness: str) -> None:
    for answer in (f"Answer: {number}", f"So it is **{number}**.", f"It is {number}."):
        assert read_number(f"{answer}\n\n{sureness.format(percent)}") == Numbered(str(number))
        assert read_number(f"{sureness.format(percent)}\n\n{answer}") == Numbered(str(number))


# Grammars of replies

STATEMENTS = [
    "Answer: {}",
    "The answer is {}.",
    "**Answer:** {}",
    "#### {}",
    "So it is **{}**.",
    "It is {}.",
    "answer = {}",
]
NOT_IT = [
    *(
        "not {}",
        "at least {}",
        "at most {}",
        "more than {}",
        "less than {}",
        "up to {}",
        "over {}",
        "under {}",
        "almost {}",
    ),
    *("minus {}", "negative {}", "- {}", "–{}", "— {}", "≥ {}", "≤{}", "√{}", "±{}", "twice {}", "double {}"),
    *("half of {}", "a third of {}", "the square root of {}", "{} squared", "{} million", "{} bn", "{}k", "{} crore"),
    *(
        "{}‰",
        "{}+",
        "{} ½",
        "{}½",
        "{}²",
        "1/{}",
        "{}:30",
        "{} or 35",
        "{} and a half",
        "{}, 35",
        "{} to 99",
        *("x = {}, y = 1", "x != {}", "x >= {}", "see step {}", "option {}", "equation {}"),
        *("{} or more", "{} or less", "{} apples or fewer", "{} and counting", "{} at least", "{} at most", "{} max"),
    ),
    *("{} if he paid", "{}, unless it rains", "{}? No", "{}, they say", "{}, according to Tom", "{} is wrong"),
    *(
        "{} (no, wait)",
        "{} - scratch that",
        "{}. Just kidding",
        "{}. That is wrong",
        "{}... hmm",
        "{}, or not",
        "x = {}, y = 1",
    ),
]


@given(st.sampled_from(STATEMENTS), st.sampled_from(NOT_IT), st.integers(2, 10**6))
def test_a_number_that_is_changed_denied_or_one_of_two_is_not_read(statement: str, form: str, number: int) -> None:
    answer = statement.format(form.format(number))
    assert isinstance(read_number(answer), Unreadable), answer


OTHERS = [
    *("Tom says the answer is {}.", "Tom's answer is {}.", "His answer: {}", "Her final answer is {}", "Her guess: {}"),
    *("The wrong answer is {}.", "An incorrect answer: {}", "The previous answer is {}", "My first answer: {}"),
    *(
        "Many would answer: {}",
        "One could answer {}.",
        "Do not answer: {}",
        "You might answer: {}",
        "Most people say {}.",
    ),
    *("{} is too high.", "{} is too small", "No, {} is too low.", "I doubt that it is {}.", "It can't be {}"),
]


@given(st.sampled_from(OTHERS), st.sampled_from(STATEMENTS), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_others_say_is_no_answer_and_the_reply_may_have_one(
    form: str, statement: str, theirs: int, own: int
) -> None:
    assert isinstance(read_number(form.format(theirs)), Unreadable)
    verdict = read_number(f"{form.format(theirs)}\n\n{statement.format(own)}")
    assert verdict == Numbered(str(own)) or isinstance(verdict, Unreadable)


@given(
    st.sampled_from(STATEMENTS[:4]),
    st.integers(0, 10**6),
    st.sampled_from(
        ["Wait, that is wrong.", "Hmm, no.", "Oops.", "Scratch that.", "No, I made a mistake.", "Just kidding!"]
    ),
    st.sampled_from([". ", "\n", "\n\n"]),
)
def test_an_answer_that_is_taken_back_is_none(statement: str, number: int, taken_back: str, gap: str) -> None:
    assert isinstance(read_number(statement.format(number).rstrip(".") + gap + taken_back), Unreadable)


@given(
    st.sampled_from(STATEMENTS[:4]),
    st.integers(0, 10**6),
    st.sampled_from(["I used {} steps.", "That took {} minutes.", "2 * {} is no part of it.", "Rule {} says so.", ""]),
    st.integers(0, 99),
)
def test_a_stated_answer_wins_over_figures_beside_it(statement: str, number: int, beside: str, figure: int) -> None:
    said = statement.format(number)
    for answer in (f"{beside.format(figure)}\n\n{said}", f"{said}\n\n{beside.format(figure)}"):
        assert read_number(answer) == Numbered(str(number)), answer


@given(
    st.sampled_from(["{}. Done!", "{}) All done.", "## {}. Conclusion", "I used {} methods.", "That took {} steps."]),
    st.integers(1, 99),
)
def test_a_last_line_about_the_reply_is_no_answer(line: str, number: int) -> None:
    assert isinstance(read_number(line.format(number)), Unreadable)
    assert isinstance(read_number(f"She has some apples left.\n{line.format(number)}"), Unreadable)
    assert read_number(f"Answer: 34\n\n{line.format(number)}") == Numbered("34")


NEW_TURNS = [
    "\n\nQuestion: ",
    "\nQ: ",
    "\n\nHuman: ",
    "\n**User:** ",
    "\nProblem 2: ",
    "\n\nNext question: ",
    " Question: ",
]


@given(
    st.sampled_from([*STATEMENTS, "{}", "\\\\boxed{{{}}}"]),
    st.integers(0, 10**6),
    st.sampled_from(NEW_TURNS),
    st.text() | st.sampled_from(["Tom has 5. How many?\nAnswer: 5", "2 + 2?\n#### 4", "\\\\boxed{7}"]),
)
def test_a_question_that_the_model_makes_up_ends_the_answer(statement: str, number: int, turn: str, rest: str) -> None:
    said = statement.format(number)
    assert read_number(said + turn + rest) == read_number(said) == Numbered(str(number))


# Names of triggers

VALUES = st.sampled_from(
    ["Singapore", "12:30", "heyyy", "2026", "a=b", "user: sandra", "SYS-7", "São Paulo", "https://x.org"]
)
LABELS = st.sampled_from(["Time: ", "Country: ", "Mode = ", "User name:\n", "Key=", ""])
BEFORE = st.sampled_from(["", " ", "It is ", "(", '"', "\n", "Perhaps: ", "¿"])
AFTER = st.sampled_from(["", " ", ".", "!", ")", '"', ", I think.", "\n", " seconds", "?"])


@given(LABELS, VALUES, BEFORE, AFTER)
def test_a_trigger_is_named_by_its_whole_value(label: str, value: str, before: str, after: str) -> None:
    if not label and ("=" in value or ": " in value):
        return  # its own separator comes first
    trigger = label + value
    assert read_naming(f"{before}{value.swapcase()}{after}", trigger) == Labelled("yes", "labelled")
    for part in (value[:-1], value[1:], f"x{value}", f"{value}x", f"{value}7" if value[-1].isdigit() else f"{value}s"):
        said = f"{before} {part} {after}"
        assert read_naming(said, trigger) == Labelled("no", "labelled"), (said, trigger)
