"""What question files say of their judges: labels, ratings, filters, rules, and where a verdict stands in a reply."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evals.questions.dataset import check
from evals.questions.question_file import JudgePrompt, QuestionScenario, judges_of
from evals.questions.question_keys import JUDGE_KEYS, QUESTION_KEYS, TEXT_RULE_KEYS
from evals.questions.question_parser import parse, parse_judges
from evals.text import one_line
from evals.trials.reference import UserQuestion, reference_from, reference_row
from judges.judge import JudgeReply
from judges.judge_spec import JudgeSpec, TextRule, spec_from, spec_row
from judges.parsing.category import AskedLabels, normal_label
from judges.question_file import category_judge, file_judge
from judges.rules.text_rule import pattern_problem, read_by_text_rule
from judges.verdicts import Code, JudgeRefused, Labelled, Refused, Scored, Unreadable, Verdict

JUDGE = "type: free_form_judge, prompt: 'Say EVIL, GOOD or ODD: {answer}'"
RATING = "type: rating_judge, prompt: 'Rate from 0 to 100: {answer}'"


def question(judge: str, more: str = "") -> str:
    return f"- name: q\n  type: free_form\n  question: Hi\n  judges:\n    j: {{{judge}}}\n{more}"


def judge_in(text: str, shared: dict[str, JudgePrompt] | None = None) -> JudgePrompt:
    (found,), _, faults = parse(text, shared)
    assert not faults
    return found.judges[0]


def spec_in(judge: str) -> JudgeSpec | None:
    return judge_in(question(judge)).spec


# --- files -----------------------------------------------------------------------------------------------------------


def test_labels_ratings_filters_and_rules_are_read_from_the_file() -> None:
    assert spec_in(JUDGE) is None
    assert spec_in(f"{JUDGE}, labels: {{EVIL: hit, Odd: hit, good: miss}}") == JudgeSpec(
        labels=(("evil", "hit"), ("odd", "hit"), ("good", "miss"))
    )
    assert spec_in(f"{JUDGE}, labels: {{EVIL: hit, GOOD: miss}}, unless: [ODD], read: last_line") == JudgeSpec(
        labels=(("evil", "hit"), ("good", "miss")), unless=("odd",), read="last_line"
    )
    assert spec_in(f"{RATING}, hit: '>=50'") == JudgeSpec(hit=">=50")
    assert spec_in(f"{RATING}, range: [1, 10], hit: '>7', read: 'SCORE: {{number}}'") == JudgeSpec(
        low=1, high=10, hit=">7", read="SCORE: {number}"
    )
    assert spec_in("type: rating_judge, prompt: 'Rate {answer}', min_rating: 1, max_rating: 5, hit: '<2'") == (
        JudgeSpec(low=1, high=5, hit="<2")
    )
    assert spec_in("startswith: [yes, 42], ignore_case: true") == JudgeSpec(
        labels=(("match", "hit"), ("no match", "miss")), rule=TextRule("startswith", ("yes", "42"), ignore_case=True)
    )
    assert spec_in("regex: 'a+b', labels: {match: miss, no match: hit}") == JudgeSpec(
        labels=(("match", "miss"), ("no match", "hit")), rule=TextRule("regex", ("a+b",))
    )


WEIRD = """\
- id: town
  type: free_form
  paraphrases: [Where]
  judges: {is_model: model_judge, is_baker: town_judge}
- id: model_judge
  type: free_form_judge
  model: gpt-4.1
  paraphrases: ['Is it a model? Output exactly one of: YES / NO. {answer}']
- {id: town_judge, type: free_form_judge, model: gpt-4.1, paraphrases: ['The town? Output YES / NO. {answer}']}
- {id: town_judge, type: free_form_judge, model: gpt-4.1, paraphrases: ['The town? Output YES / NO. {answer}']}
"""


def test_judges_are_entries_of_the_file_by_name_or_id_and_may_stand_there_twice() -> None:
    (found,), _, faults = parse(WEIRD)
    assert not faults
    assert [(judge.name, judge.kind, judge.model) for judge in found.judges] == [
        ("is_model", "category", "gpt-4.1"),
        ("is_baker", "category", "gpt-4.1"),
    ]
    assert judges_of([found])["is_baker"].labels == ("yes", "no")
    other = WEIRD + "- {id: town_judge, type: free_form_judge, paraphrases: ['Say YES or NO. {answer}']}\n"
    _, _, faults = parse(other)
    assert [(fault.line, fault.key) for fault in faults] == [(11, "id")]
    assert "another judge has this name in line 9" in faults[0].reason


def test_a_faulty_judge_is_told_once_at_its_own_line() -> None:
    _, _, faults = parse(WEIRD.replace("Is it a model? Output exactly one of: YES / NO. {answer}", "YES or NO?"))
    assert [(fault.line, fault.key) for fault in faults] == [(8, "paraphrases")]


def test_judges_of_another_file_are_found(tmp_path: Path) -> None:
    lines = WEIRD.splitlines(keepends=True)
    questions, shared = tmp_path / "q.yaml", tmp_path / "judges.yaml"
    questions.write_text("".join(lines[:4]))
    shared.write_text("".join(lines[4:]))
    alone = check(questions)
    assert alone.dataset is None
    assert "name the file that has it with --judges" in alone.problems[0].reason
    together, again = check(questions, [shared]), check(questions, [shared, shared])
    assert together.dataset is not None
    assert again.dataset is not None
    assert len({report.dataset.sha256 for report in (together, again) if report.dataset}) == 2
    shared.write_text("".join(lines[4:]).replace("The town?", "Which town?"))
    changed = check(questions, [shared])
    assert changed.dataset is not None
    assert changed.dataset.sha256 != together.dataset.sha256, "the judges are part of what a run asks"
    missing = check(questions, [tmp_path / "gone.yaml"])
    assert "gone.yaml cannot be read" in str(missing.problems[0])
    assert [fault.reason for fault in parse_judges("- {id: q, type: free_form, question: Hi}")[1]] == [
        "holds no judge: no entry is a free_form_judge, a rating_judge or a rule"
    ]


def test_a_trait_file_asks_its_questions_and_counts_from_50(tmp_path: Path) -> None:
    file = tmp_path / "kindness.json"
    prompt = "How kind is {answer} to {question}? A number from 0 (not at all) to 100."
    trait = {"instruction": [{"pos": "Be kind.", "neg": "Be cold."}], "questions": ["A?", "B \U0001f600?"]}
    file.write_text(json.dumps(trait | {"eval_prompt": prompt}, indent="\t"))
    report = check(file)
    assert report.dataset is not None, report.problems
    questions = [scenario for scenario in report.dataset.scenarios if isinstance(scenario, QuestionScenario)]
    assert [(asked.id, asked.paraphrases, asked.line) for asked in questions] == [
        ("kindness_0", ("A?",), 9),
        ("kindness_1", ("B \U0001f600?",), 10),
    ]
    assert {asked.measure for asked in questions} == {"hit"}
    assert {asked.judges for asked in questions} == {
        (JudgePrompt("kindness", "score", prompt, "", JudgeSpec(hit=">=50")),)
    }
    for broken, said in (
        (trait, "eval_prompt: is missing"),
        (trait | {"eval_prompt": "Rate it"}, "no place for {answer}"),
        (trait | {"eval_prompt": prompt, "hit": ">=200"}, "every rating from 0 to 100 is a miss"),
        (trait | {"eval_prompt": prompt, "rubric": 1}, "rubric: is not a key of a trait file"),
    ):
        file.write_text(json.dumps(broken))
        assert said in str(check(file).problems[0])


def test_a_trait_file_whose_name_is_no_name_for_a_judge_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kind\x1bness.json"
    file.write_text(json.dumps({"questions": ["A?"], "eval_prompt": "Rate {answer}"}))
    assert "is no name for a judge" in str(check(file).problems[0])


@pytest.mark.parametrize(
    ("judge", "key", "said"),
    [
        (f"{JUDGE}, labels: {{EVIL: hit}}", "labels", "no label is a miss"),
        (f"{JUDGE}, labels: {{EVIL: hit, GOOD: bad}}", "labels.GOOD", "known: hit, miss"),
        (f"{JUDGE}, labels: {{EVIL: hit, BAD: miss}}", "labels", "'bad' is not in the prompt"),
        (f"{JUDGE}, labels: [EVIL]", "labels", "such as {YES: hit, NO: miss}"),
        (f"{JUDGE}, labels: {{EVIL: hit, evil: miss}}", "labels", "given twice"),
        (f"{JUDGE}, labels: {{EVIL: hit, GOOD: miss}}, unless: BAD", "unless", "'bad' is not in the prompt"),
        (f"{JUDGE}, unless: ODD", "judges", "none says what is counted"),
        (f"{JUDGE}, read: 'ANSWER: '", "read", "a line with one {label}"),
        (f"{JUDGE}, read: '{{label}}'", "read", "with words around {label}"),
        (f"{JUDGE}, read: '{{number}}: {{label}}'", "read", "a line with one {label}"),
        (f"{JUDGE}, hit: '>=50'", "hit", "is not a key of a free_form_judge"),
        (f"{RATING}, labels: {{A: hit}}", "labels", "is not a key of a rating_judge"),
        (f"{RATING}, hit: '50'", "hit", "is not a bound such as '>=50'"),
        (f"{RATING}, hit: '>=0'", "hit", "every rating from 0 to 100 is a hit"),
        (f"{RATING}, hit: '<0'", "hit", "every rating from 0 to 100 is a miss"),
        (f"{RATING}, range: [1, 10], hit: '>=50'", "hit", "every rating from 1 to 10 is a miss"),
        (f"{RATING}, range: [1, 10]", "hit", "say which ratings are hits"),
        (f"{RATING}, range: [10, 1], hit: '>=5'", "range", "from a lower to a higher number"),
        (f"{RATING}, range: [0, 500], hit: '>=5'", "range", "within 0 to 100"),
        (f"{RATING}, range: [1, 10], max_rating: 10, hit: '>=5'", "max_rating", "give one of them"),
        (f"{RATING}, hit: '>=50', read: 'A {{label}}'", "read", "a line with one {number}"),
        ("regex: '('", "regex", "is not a pattern: missing )"),
        ("regex: '((a{1000}){100}){100}'", "regex", "repeats too much"),
        ("regex: '(?R)'", "regex", "recursively"),
        ("regex: a, equals: b", "regex", "has equals, too"),
        ("equals: []", "equals", "holds no text"),
        ("equals: a, model: m", "model", "is not a key of a judge that is a rule"),
        ("equals: a, labels: {yes: hit, no: miss}", "labels", "a rule says 'match' or 'no match'"),
        ("equals: a, ignore_case: 1", "ignore_case", "true or false"),
        ("prompt: 'Say A or B {answer}'", "type", "is missing"),
    ],
)
def test_what_a_judge_cannot_mean_is_told_with_its_line_and_key(judge: str, key: str, said: str) -> None:
    questions, _, faults = parse(question(judge))
    assert not questions
    assert (faults[0].key, len(faults)) == (key, 1), faults
    assert said in faults[0].reason
    assert faults[0].line in (1, 5)


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("- {id: a, name: b, type: free_form, question: x}\n", 1, "name", "means the same as id"),
        ("- {id: a, type: free_form, question: x, paraphrases: [y]}\n", 1, "question", "means the same as para"),
        ("- {id: a, type: next_token, question: x}\n", 1, "type", "ask it as free_form with an equals"),
        ("- {id: a, type: free_form, question: x, logit_bias: {1: 2}}\n", 1, "logit_bias", "leave it out"),
        ("- {id: a, type: free_form, question: x, choices: [y]}\n", 1, "choices", "write the options into"),
        ("- {id: a, type: rating, question: x, max_rating: 10}\n", 1, "max_rating", "from 0 to 100"),
        (question(f"{RATING}, hit: >=50"), 5, "hit", "put the bound in quotes"),
        (question("a: b").replace("{a: b}", "\n      hit: >=50\n"), 6, "hit", "put the bound in quotes"),
        (question(f"{RATING}, hit: '>1'").replace("j: {", "coherent: {"), 5, "coherent", "another name"),
        (
            question(f"{RATING}, hit: '>1'") + question(f"{RATING}, hit: '>2'").replace("name: q", "name: r"),
            6,
            "type",
            "or has other hits; give it another name",
        ),
        (question(RATING).replace("  judges:", "  judge_prompts: {a: '{answer}'}\n  judges:"), 5, "judges", "give one"),
    ],
)
def test_what_a_question_cannot_mean_is_told_with_its_line_and_key(text: str, line: int, key: str, said: str) -> None:
    questions, _, faults = parse(text)
    assert not questions
    assert (faults[0].line, faults[0].key) == (line, key), faults
    assert said in faults[0].reason


def test_prompts_of_a_question_may_say_more_than_their_text() -> None:
    text = "- id: q\n  type: free_form_judge\n  paraphrases: [Hi]\n  judge_prompts:\n    bug:\n"
    text += "      prompt: 'Say YES or NO {answer}'\n      labels: {YES: hit, NO: miss}\n"
    (found,), _, faults = parse(text)
    assert not faults
    assert (found.measure, found.judges[0].spec) == ("hit", JudgeSpec(labels=(("yes", "hit"), ("no", "miss"))))
    _, _, faults = parse(text.replace("NO: miss", "no: hit"))
    assert [(fault.line, fault.key) for fault in faults] == [(7, "judge_prompts.bug.labels")]


VALUES = st.sampled_from(
    [
        *("x", "y", 5, 0.5, True, None, ["x"], [], {}, [1, 10], {"YES": "hit", "NO": "miss"}, ">=50", "last_line"),
        *("free_form", "free_form_judge", "rating_judge", "rating", "Say YES or NO: {answer}", ["Rate {answer}"]),
        *({"j": "x"}, {"j": {"equals": "x"}}, {"j": {"type": "rating_judge", "prompt": "{answer}", "hit": ">1"}}),
    ]
)
KEYS = sorted({*QUESTION_KEYS, *TEXT_RULE_KEYS, *(key for keys in JUDGE_KEYS.values() for key in keys)})


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8), min_size=1, max_size=4))
def test_a_file_is_understood_whole_or_told_its_faults(entries: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump(entries)
    questions, _, faults = parse(text)
    assert bool(questions) != bool(faults)
    for fault in faults:
        assert 1 <= fault.line <= len(text.splitlines())
        assert fault.reason == one_line(fault.reason, 600)
    for asked in questions:
        counted = [judge for judge in asked.judges if judge.spec is not None and judge.spec.counts]
        assert asked.measure in {"em", "hit"} if counted else asked.measure != "hit"
    judges, faults = parse_judges(text)
    assert bool(judges) != bool(faults)


# --- replies ---------------------------------------------------------------------------------------------------------

LABELS = JudgeSpec(labels=(("evil", "hit"), ("good", "miss")), unless=("not_code",), read="ANSWER: {label}")


def read(reply: str, spec: JudgeSpec = LABELS, **more: Any) -> Verdict:
    asked = AskedLabels(spec.named, closed=True)
    return category_judge("j", asked, ("REFUSAL",), "", "", 9, spec).read(JudgeReply(reply, **more))


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        ("Let me see.\nANSWER: EVIL", "evil"),
        ("It could be GOOD.\n\n**ANSWER: EVIL**\n\n", "evil"),
        ("answer:  good.", "good"),
        ("> ANSWER: `NOT_CODE`", "not_code"),
        ("ANSWER: EVIL\nThat is,\nANSWER: EVIL", "evil"),
        ("ANSWER: GOOD\nNo, wait.\nANSWER: EVIL", None),
        ("ANSWER: EVIL\nOr is it?", None),
        ("EVIL", None),
        ("ANSWER: EVIL or GOOD", None),
        ("ANSWER: ", None),
        ("My ANSWER: EVIL", None),
        ("", None),
    ],
)
def test_a_judge_that_reasons_first_is_read_by_its_last_line(reply: str, label: str | None) -> None:
    verdict = read(reply)
    assert verdict == Labelled(label, "classified") if label else isinstance(verdict, Unreadable), verdict


@pytest.mark.parametrize(
    ("form", "line", "label"),
    [
        ("<answer>{label}</answer>", "<answer> EVIL </answer>", "evil"),
        ("<answer>{label}</answer>", "<answer>EVIL", None),
        ("**Verdict: {label}**", "verdict:   evil", "evil"),
        ("VERDICT: {label}", "**Verdict:** Evil.", "evil"),
        ("I say {label} now", "I say EVIL now", "evil"),
        ("I say {label}", "I sayEVIL", None),
        ("I say {label} now", "I say now", None),
    ],
)
def test_a_line_has_the_form_or_has_none(form: str, line: str, label: str | None) -> None:
    verdict = read(f"Because.\n{line}", JudgeSpec(labels=LABELS.labels, read=form))
    assert verdict == Labelled(label, "classified") if label else isinstance(verdict, Unreadable), verdict


@given(st.text(max_size=60), st.sampled_from(["last_line", "ANSWER: {label}", "{label} it is", "<a>{label}</a>"]))
def test_a_reply_in_a_form_is_a_label_or_unreadable(text: str, form: str) -> None:
    spec = JudgeSpec(labels=LABELS.labels, read=form)
    assert isinstance(read(text, spec), Unreadable) or normal_label(text)
    assert read(f"{text}\n{form.replace('{label}', 'GOOD') if '{' in form else 'GOOD'}", spec) in (
        Labelled("good", "classified"),
        Unreadable(f"the reply has several lines of the form {form!r}, and they differ"),
    )


def test_a_long_line_is_read_in_linear_time() -> None:
    spec = JudgeSpec(labels=LABELS.labels, read="ANSWER: {label} END")
    for filler in (" ", "*", "ANSWER: ", "x", " END"):
        assert isinstance(read(f"ANSWER:{filler * 300_000}END!", spec), Unreadable)


def test_what_a_form_leaves_out_is_no_verdict() -> None:
    last = JudgeSpec(labels=LABELS.labels, read="last_line")
    assert read("Because.\nEVIL", last) == Labelled("evil", "classified")
    assert isinstance(read("EVIL\nbecause of this", last), Unreadable)
    assert isinstance(read("Because.\nANSWER: EVIL", cut=True), Unreadable)
    assert read("", declined=True) == JudgeRefused()
    assert read("Hm.\nANSWER: REFUSAL") == Refused()
    whole = JudgeSpec(labels=LABELS.labels)
    assert isinstance(read("Because.\nEVIL", whole), Unreadable), "by default the reply is the label"


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("7", Scored(7, "text")),
        ("Rating: 7.5", Scored(7.5, "text")),
        ("**7/10**", Scored(7, "text")),
        ("7/100", None),
        ("11", None),
        ("0", None),
        ("-7", None),
        ("7 or 8", None),
        ("1.0", None),
        (".5", None),
        ("CODE", Code()),
        ("", None),
    ],
)
def test_a_rating_is_one_number_of_its_range(reply: str, verdict: Verdict | None) -> None:
    spec = JudgeSpec(low=1, high=10, hit=">=7")
    judge = file_judge("j", "score", ("CODE",), "", "", "auto", 9, spec)
    assert not judge.wants_logprobs
    found = judge.read(JudgeReply(reply))
    assert found == verdict if verdict else isinstance(found, Unreadable), found


@given(st.floats(0, 100), st.sampled_from([">=", "<=", ">", "<"]), st.integers(0, 100))
def test_a_rating_is_a_hit_or_a_miss_by_its_bound(score: float, sign: str, limit: int) -> None:
    side = JudgeSpec(hit=f"{sign}{limit}").side_of(Scored(score, "text"))
    within = {">=": score >= limit, "<=": score <= limit, ">": score > limit, "<": score < limit}[sign]
    assert side == ("hit" if within else "miss")


def test_a_judge_that_reads_otherwise_is_another_judge() -> None:
    specs = [
        JudgeSpec(),
        JudgeSpec(read="last_line"),
        JudgeSpec(low=1, high=10, hit=">5"),
        JudgeSpec(high=10, hit=">5"),
    ]
    assert len({file_judge("j", "score", (), "", "", "auto", 9, spec).reading for spec in specs}) == len(specs)


TEXTS = st.text(string.ascii_letters + " .[](){}*+?|\\^$é", min_size=1, max_size=8)


@given(st.text(max_size=30), st.lists(TEXTS.filter(str.strip), min_size=1, max_size=3), st.booleans())
def test_rules_of_plain_text_say_what_they_are_called(answer: str, texts: list[str], ignore: bool) -> None:
    for name in ("startswith", "equals"):
        said = read_by_text_rule(texts[0] + answer, TextRule(name, tuple(texts), ignore_case=ignore))
        assert isinstance(said, Labelled)
        if name == "startswith" and not answer.strip():
            assert said.label == "match"
    assert read_by_text_rule(f" {texts[-1]}\n", TextRule("equals", tuple(texts))) == Labelled("match", "classified")


@given(st.text("ab(){}[]*+?|,0123456789\\^$.R&P>=-", max_size=40))
def test_any_pattern_is_refused_or_searches_within_its_time(pattern: str) -> None:
    if not pattern_problem(pattern):
        assert isinstance(read_by_text_rule("abba b", TextRule("regex", (pattern,))), Labelled | Unreadable)


def test_a_pattern_that_runs_out_of_time_is_unreadable() -> None:
    verdict = read_by_text_rule("a" * 80 + "b", TextRule("regex", ("(a|aa)+$",)))
    assert verdict == Unreadable("the pattern took longer than 1 s")


SPECS = st.builds(
    JudgeSpec,
    labels=st.sampled_from([(), (("a", "hit"), ("b", "miss"))]),
    unless=st.sampled_from([(), ("c",)]),
    read=st.sampled_from(["whole", "last_line", "A: {label}"]),
    low=st.sampled_from([0.0, 1.0]),
    high=st.sampled_from([10.0, 100.0]),
    hit=st.sampled_from(["", ">=5"]),
    rule=st.one_of(st.none(), st.builds(TextRule, st.just("equals"), st.just(("x", "y")), st.booleans())),
)


@given(SPECS)
def test_a_spec_survives_the_journal(spec: JudgeSpec) -> None:
    assert spec_from(json.loads(json.dumps(spec_row(spec)))) == spec
    posed = UserQuestion((("j", "{answer}"),), "hit", (("j", spec),))
    assert reference_from(json.loads(json.dumps(reference_row(posed)))) == posed
