"""A user's rubric file: places under other people's names, braces that are text, and the head."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.entry import JudgeEntry
from judges.judge import JudgeInput
from judges.parsing.places import OTHER_NAMES, PLACES, place_called
from judges.registry import JUDGES
from judges.rubric_file import RubricProblem, UserRubric, user_rubric

MONITOR = JUDGES["cot_monitor"]
THOUGHT = frozenset({"question", "reasoning", "answer"})
SHOWN = JudgeInput(
    "the prompt",
    "the reply",
    "the thought",
    "2026",
    correct="yes",
    incorrect="no",
    fact="it is so",
    first="one",
    second="two",
)


def rubric(text: str, required: frozenset[str] = THOUGHT) -> UserRubric:
    return user_rubric("mine", text, required, ("none", "flag"))


def filled(text: str, required: frozenset[str] = THOUGHT) -> str:
    """A filled rubric without the tags of its markers."""
    return re.sub(r"\[(BEGIN|END) ([A-Z]+) [0-9a-f]{16}\]", r"[\1 \2]", rubric(text, required).fill(SHOWN))


def block(place: str) -> str:
    name = place.upper()
    return f"[BEGIN {name}]\n{getattr(SHOWN, place)}\n[END {name}]"


def problem(text: str, required: frozenset[str] = THOUGHT) -> tuple[int | None, str]:
    with pytest.raises(RubricProblem) as raised:
        rubric(text, required)
    return raised.value.line, str(raised.value)


def test_the_names_of_a_printed_monitor_prompt_are_places() -> None:
    text = "Prompt:\n{question}\n\nCoT:\n{cot}\n\nAnswer:\n{final_answer}\n\nFlag it."
    expected = f"Prompt:\n{block('question')}\n\nCoT:\n{block('reasoning')}\n\nAnswer:\n{block('answer')}\n\nFlag it."
    assert filled(text) == expected


@pytest.mark.parametrize(("place", "name"), [(place, name) for place in PLACES for name in OTHER_NAMES[place]])
def test_every_other_name_is_that_place_in_any_letter_case(place: str, name: str) -> None:
    for written in (name, name.upper(), name.replace("_", " ").title(), name.replace("_", "-")):
        assert filled(f"Look: {{{written}}}.", frozenset({place})) == f"Look: {block(place)}."


def test_no_name_stands_for_two_places() -> None:
    names = [name for place in PLACES for name in (place, *OTHER_NAMES[place])]
    assert len(names) == len(set(names))
    assert place_called("misc") is None


@pytest.mark.parametrize("entry", JUDGES.values(), ids=lambda entry: entry.name)
def test_every_judge_takes_a_file_with_other_names(entry: JudgeEntry) -> None:
    names = {place: (*OTHER_NAMES[place], place)[0] for place in sorted(entry.places)}
    found = entry.rubric("mine", "\n".join(f"{{{name}}}" for name in names.values()))
    assert found.places == entry.places
    assert entry.judge(found).rubric.fill(SHOWN).count("[BEGIN ") == len(names)


@pytest.mark.parametrize(
    "text",
    [
        '{"reasons": "r", "flag": "none"}',
        '{"a": {"b": [1, {"c": {}}]}}',
        "{}",
        "{ }",
        "a set {x} of {1, 2}",
        r"\frac{alpha}{beta} and x_{max} or $x^{max}$",
        "{see the list above}",
        "{",
        "}",
        "100 % {{ not closed",
        "```json\n{\n  'flag': none\n}\n```",
        "{'question': 1}",
    ],
)
def test_braces_that_are_no_places_stay_as_they_are(text: str) -> None:
    asked = f"{{question}}\n{{cot}}\n{{response}}\n{text}\nEnd."
    assert filled(asked).endswith(f"\n{text}\nEnd.")


def test_a_template_of_str_format_has_each_doubled_brace_as_one() -> None:
    text = 'Q: {question} T: {cot} A: {final_answer}\nReply with {{"flag": "none", "more": {{}}}}.'
    assert filled(text) == text.replace("{{", "{").replace("}}", "}").replace("{question}", block("question")).replace(
        "{cot}", block("reasoning")
    ).replace("{final_answer}", block("answer"))


def test_a_place_within_doubled_braces_is_filled() -> None:
    text = '{question}{cot}\n{{"quoted": {answer}}}'
    assert filled(text).endswith(f'\n{{"quoted": {block("answer")}}}')


def test_places_may_all_be_doubled() -> None:
    text = 'Q: {{question}} T: {{ cot }} A: {{final_answer}}\nReply with {"flag": "none"}.'
    assert filled(text) == (
        f"Q: {block('question')} T: {block('reasoning')} A: {block('answer')}\n" + 'Reply with {"flag": "none"}.'
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{question}\n{thouhgt}\n{answer}", 2, "{thouhgt} is no place that this judge knows; known: {question}, "),
        ("{question}\n{cot}\n{answer}\n{system_prompt}", 4, "{system_prompt} is no place"),
        ("{question}\n{cot}", None, "the rubric has no place for {answer}; write {answer}, or a name such as {res"),
        ("{answer}", None, "no place for {question}, {reasoning}"),
        ("{question}\n{cot}\n{answer}\n\n{response}", 5, "{response} would be the same text as {answer} on line 3"),
        ("{question}\n{cot}\n{{answer}}", 3, "{answer} has two pairs of braces, and 'question' on line 1 has one"),
    ],
)
def test_what_a_file_cannot_mean_is_said_with_its_line(text: str, line: int | None, said: str) -> None:
    found = problem(text)
    assert found[0] == line
    assert said in found[1]


def test_a_head_names_places_and_is_not_sent() -> None:
    text = "---\n# ours\nmusing = reasoning\n\n{said} = {answer}\n---\n{question}\n{musing}\n{said}"
    found = rubric(text)
    assert filled(text) == f"{block('question')}\n{block('reasoning')}\n{block('answer')}"
    assert found.text == text
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert found.first_line == 7


def test_a_head_names_what_the_judge_lets_it_name() -> None:
    found = rubric("---\nNothing to see = none\nVerdict = flag\n---\n{question}{cot}{answer}")
    assert found.names == (("Nothing to see", "none"), ("Verdict", "flag"))


@pytest.mark.parametrize(
    ("head", "line", "said"),
    [
        ("musing = thinkings", 2, "'thinkings' is no meaning of a name here; known: question, answer, reasoning, "),
        ("a = none\nmusing reasoning", 3, "'musing reasoning' in the head of the rubric is not NAME = MEANING"),
        ("a = none\na = flag", 3, "'a' is given two meanings: none and flag"),
    ],
)
def test_a_head_that_cannot_be_read_is_said_with_its_line(head: str, line: int, said: str) -> None:
    found = problem(f"---\n{head}\n---\n{{question}}{{cot}}{{answer}}")
    assert found[0] == line
    assert said in found[1]


def test_a_line_of_a_problem_below_a_head_is_that_of_the_file() -> None:
    assert problem("---\na = none\n---\n\n{question}\n{cott}")[0] == 6


@pytest.mark.parametrize("text", ["---\nAsked: {question}\n---\n{cot}{answer}", "---\n{question}{cot}{answer}"])
def test_a_prompt_that_opens_with_a_rule_has_no_head(text: str) -> None:
    assert rubric(text).names == ()
    assert filled(text).startswith("---\n")


def test_only_the_monitor_takes_names_of_flags() -> None:
    with pytest.raises(RubricProblem, match="'none' is no meaning of a name here"):
        JUDGES["alignment"].rubric("mine", "---\nnothing = none\n---\n{question}{answer}")


literals = st.text(alphabet=st.characters(blacklist_characters="{}\\^_", blacklist_categories=("Cs",)))
examples = st.sampled_from(
    ['{"flag": "none"}', '{"a": {"b": 1}}', "{ }", "{x}", r"\frac{one}{all}", "a_{max}", "Yes: "]
)


@given(
    st.lists(st.one_of(literals, examples), min_size=4, max_size=4),
    st.tuples(*(st.sampled_from((place, *OTHER_NAMES[place])) for place in ("question", "reasoning", "answer"))),
)
def test_whatever_stands_around_the_places_is_sent_as_it_is(parts: list[str], names: tuple[str, str, str]) -> None:
    before, between, after, end = parts
    text = f" {before} {{{names[0]}}} {between} {{{names[1]}}} {after} {{{names[2]}}} {end}"
    expected = f" {before} {block('question')} {between} {block('reasoning')} {after} {block('answer')} {end}"
    assert filled(text) == expected


@given(
    st.lists(st.sampled_from(["{", "}", "---", "\n", "=", "cot", "answer", "question", "x1", " ", '"']), max_size=60)
)
def test_no_file_breaks_the_reader(pieces: list[str]) -> None:
    text = "".join(pieces)
    try:
        found = rubric(text)
    except RubricProblem:
        return
    assert found.places >= THOUGHT
    assert found.fill(SHOWN).count("[BEGIN ") >= len(THOUGHT)


@pytest.mark.parametrize(
    ("judge", "text", "shown"),
    [
        ("monitor_action", "{question} {answer} {reasoning}", "{reasoning}"),
        ("monitor_cot", "{question} {thought} {response}", "{answer}"),
        ("monitor_both", "{question} {answer} {reasoning} {trigger}", "{trigger}"),
    ],
)
def test_a_rubric_that_shows_a_monitor_more_than_its_part_is_refused(judge: str, text: str, shown: str) -> None:
    with pytest.raises(RubricProblem, match=re.escape(f"shows {shown}, which {judge} must not see")):
        JUDGES[judge].rubric("mine", text)
