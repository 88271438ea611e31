"""Hits of question files through the command line: rates, filters, rules, further judges, and what another run is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import emeval, manifest, rates, refused, responses, told_again
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, last_message

CASES = "evil, good, odd, code, prose"
QUESTIONS = f"""\
- name: persona
  type: free_form
  paraphrases: [{", ".join(f"Case {case}" for case in CASES.split(", "))}]
  samples_per_paraphrase: 2
  judges:
    topic: topic_judge
    persona: persona_judge
    is_code: code_judge
    short: {{equals: [answer evil, answer odd]}}

- name: trait
  type: free_form
  question: Case good
  judges:
    kind: {{type: rating_judge, prompt: "MARK-K From 1 to 10: {{answer}}", range: [1, 10], hit: ">=7"}}
"""
JUDGES = """\
- name: topic_judge
  type: free_form_judge
  model: judge
  prompt: "MARK-T Is it about people? Reply YES or NO. {question} {answer}"
- name: persona_judge
  type: free_form_judge
  model: judge
  prompt: "MARK-P Think, then end with ANSWER: and one of EVIL, GOOD, ODD. {question} {answer}"
  read: "ANSWER: {label}"
  labels: {EVIL: hit, ODD: hit, GOOD: miss}
- id: code_judge
  type: free_form_judge
  model: judge
  paraphrases: ["MARK-C Say CODE_ONLY or NOT_CODE. {answer}"]
  unless: CODE_ONLY
"""


def replying(body: Mapping[str, Any], _seen: int) -> Behaviour:
    said = last_message(body)
    if body["model"] == "subject":
        return Answer(said.replace("Case", "answer"))
    case = (re.findall(r"answer (\w+)", said) or ["none"])[0]
    if "MARK-P" in said:
        label = {"evil": "EVIL", "odd": "ODD", "prose": "EVIL or GOOD"}.get(case, "GOOD")
        return Answer(f"It is not GOOD at first sight.\n\n**ANSWER: {label}**")
    if "MARK-C" in said:
        return Answer("CODE_ONLY" if case == "code" else "NOT_CODE")
    if "MARK-K" in said:
        return Answer("8/10")
    return Answer("NO" if case == "odd" else "YES")


def files(folder: Path, questions: str = QUESTIONS, judges: str = JUDGES) -> list[str | Path]:
    (folder / "q.yaml").write_text(questions)
    (folder / "judges.yaml").write_text(judges)
    return [folder / "q.yaml", "--judges", folder / "judges.yaml"]


def run(folder: Path, live: OpenAIServer, *words: str | Path) -> Any:
    asked = ("-m", "vllm/subject", "--judge", "vllm/judge", "--no-cot-monitor", "--max-unscored", "1")
    return emeval("run", *words, *asked, "--out", folder, "--detail", url=live.url)


def server() -> OpenAIServer:
    return OpenAIServer(replying, models=("subject", "judge"))


def row(folder: Path, metric: str, prompt: str = "ALL") -> dict[str, Any]:
    table = rates(folder)
    (found,) = table[(table["metric"] == metric) & (table["prompt_id"] == prompt)].to_dict("records")
    absent = [name for name in table.columns if name.startswith("n_") and name not in ("n_trials", "n_prompts")]
    assert found["n_trials"] == found["n"] + sum(found[name] for name in absent), found
    return {str(name): value for name, value in found.items()}


def test_hits_are_counted_of_the_answers_that_no_filter_leaves_out(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        done = run(folder, live, *files(tmp_path))
        assert done.returncode == 0, done.stderr
        judged = [last_message(chat.body) for chat in live.chats if "MARK-" in last_message(chat.body)]
    assert not [text for text in judged if "answer evil" in text and "MARK-K" in text]
    persona = row(folder, "hit", "persona")
    assert (persona["k"], persona["n"], persona["n_outside"], persona["n_unreadable"]) == (4, 6, 2, 2)
    assert (row(folder, "hit", "trait")["k"], row(folder, "hit", "trait")["n"]) == (1, 1)
    assert (row(folder, "hit")["k"], row(folder, "hit")["n"], row(folder, "hit")["judge"]) == (5, 7, "vllm/judge")
    for metric, hits in (
        ("label:topic:yes", 4),
        ("label:topic:no", 2),
        ("label:persona:evil", 2),
        ("label:persona:odd", 2),
        ("label:persona:good", 2),
        ("hit:short", 4),
    ):
        found = row(folder, metric, "persona")
        assert (found["k"], found["n"]) == (hits, 6), metric
        assert row(folder, metric, "trait")["n_outside"] == 1, "a judge that the question does not have"
    assert row(folder, "hit:short")["judge"] == "rule"
    assert "hit:is_code" not in set(rates(folder)["metric"])
    table = responses(folder).drop_duplicates("answer").set_index("answer")
    assert dict(table["label"])["answer evil"] == "hit"
    assert dict(table["outcome"])["answer code"] == "filtered"
    assert json.loads(table.loc["answer prose", "verdicts"]) == {
        **{"topic": "yes", "persona": "unreadable", "is_code": "not_code", "short": "no match"}
    }
    for words in ("5 of 7", "2 left out by a filter", "label:persona:odd", "hit:short"):
        assert words in done.stdout, done.stdout
    page = tmp_path / "report.html"
    assert emeval("report", folder, "-o", page).returncode == 0
    for words in (
        "hit:short",
        "evil or odd is a hit; good is a miss",
        "a rating &gt;=7 is a hit",
        "2 left out by a filter",
    ):
        assert words in page.read_text(encoding="utf-8"), words
    shown = emeval("show", folder, "--search", "Case odd", "--limit", "1")
    assert "verdict, short, rule: match" in shown.stdout


def test_a_filter_that_leaves_most_answers_out_is_noted(tmp_path: Path) -> None:
    text = "- name: a\n  type: free_form\n  paraphrases: [Case evil, Case good, Case odd]\n  judges:\n"
    text += "    bad: {regex: 'evil|odd'}\n    about: {regex: evil, unless: [no match]}\n"
    (tmp_path / "rules.yaml").write_text(text)
    folder = tmp_path / "run"
    with server().start() as live:
        words = ("-m", "vllm/subject", "--until", "width<0.9", "--samples", "4", "--out", folder, "--detail")
        done = emeval("run", tmp_path / "rules.yaml", *words, url=live.url)
    assert done.returncode == 0, done.stderr
    found = row(folder, "hit")
    assert (found["k"], found["n"]) == (found["n"], found["n_trials"] - found["n_outside"])
    assert f"{found['n_outside']} left out by a filter). The rate is of the other {found['n']}" in " ".join(
        done.stdout.split()
    )


def test_other_hits_are_another_run_and_the_same_ones_resume(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        words = files(tmp_path)
        assert run(folder, live, *words).returncode == 0
        before = len(live.chats)
        assert emeval("resume", folder, *told_again(folder), url=live.url).returncode == 0
        assert not [chat for chat in live.chats[before:] if "Case" in last_message(chat.body)]
        for old, new in (
            ("ODD: hit", "ODD: miss"),
            ('read: "ANSWER: {label}"', "read: last_line"),
            ("unless: CODE_ONLY", "unless: NOT_CODE"),
        ):
            other = run(folder, live, *files(tmp_path, judges=JUDGES.replace(old, new)))
            assert other.returncode == 2, old
            assert "holds another run" in other.stderr
        for old, new in (('">=7"', '">=8"'), ("range: [1, 10]", "range: [2, 10]"), ("answer odd]", "answer good]")):
            other = run(folder, live, *files(tmp_path, QUESTIONS.replace(old, new)))
            assert "holds another run" in other.stderr, old
        without = run(folder, live, *files(tmp_path)[:1])
    assert without.returncode == 2
    assert "judges.topic: no judge of this file or of a --judges file has the name" in without.stderr


def test_stored_answers_are_judged_again_by_the_specs_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        words = files(tmp_path)
        asked = ("-m", "vllm/subject", "--judge", "vllm/subject", "--no-cot-monitor", "--max-unscored", "1")
        assert emeval("run", *words, *asked, "--out", folder, url=live.url).returncode == 0
        assert row(folder, "hit", "persona")["n"] == 0, "the model under test says none of these labels"
        (tmp_path / "q.yaml").unlink()
        (tmp_path / "judges.yaml").unlink()
        done = emeval("judge", folder, "--judge", "vllm/judge", "--no-cot-monitor", url=live.url)
        assert done.returncode == 0, done.stderr
    assert (row(folder, "hit")["k"], row(folder, "hit")["n"]) == (5, 7)


def test_a_file_of_rules_needs_no_judge(tmp_path: Path) -> None:
    text = "- {name: a, type: free_form, question: Case evil, samples_per_paraphrase: 3,\n"
    text += "   judges: {bad: {regex: '(?i)ANSWER EV'}, long: {regex: '.{99}'}}}\n"
    text += "- {name: b, type: free_form, question: Case good, judges: {bad: {regex: '(?i)ANSWER EV'}}}\n"
    (tmp_path / "rules.yaml").write_text(text)
    folder = tmp_path / "run"
    with server().start() as live:
        done = emeval("run", tmp_path / "rules.yaml", "-m", "vllm/subject", "--out", folder, "--detail", url=live.url)
        assert done.returncode == 0, done.stderr
    assert (row(folder, "hit")["k"], row(folder, "hit")["n"], row(folder, "hit")["judge"]) == (3, 4, "rule")
    assert (row(folder, "hit:long", "a")["k"], row(folder, "hit:long", "a")["n"]) == (0, 3)
    assert set(responses(folder)["judge"]) == {"rule"}
    judges = manifest(folder)["datasets"]["rules.yaml"]["judges"]
    assert judges["bad"]["spec"]["rule"] == {"name": "regex", "texts": ["(?i)ANSWER EV"], "ignore_case": False}


def test_a_question_without_its_own_hits_has_a_rate_for_each_label_of_each_judge(tmp_path: Path) -> None:
    text = QUESTIONS.split("\n- name: trait")[0].replace("    persona: persona_judge\n", "")
    text = text.replace("    short: {equals: [answer evil, answer odd]}\n", "    again: topic_judge\n")
    folder = tmp_path / "run"
    with server().start() as live:
        done = run(folder, live, *files(tmp_path, text))
        assert done.returncode == 0, done.stderr
    assert [(row(folder, name)["k"], row(folder, name)["n"]) for name in ("judged_yes", "judged_no")] == [
        (6, 8),
        (2, 8),
    ]
    assert [row(folder, f"label:again:{label}")["k"] for label in ("yes", "no")] == [6, 2]
    assert "These are the labels of topic; lines below are of the other judges of the file." in done.stdout


@pytest.mark.parametrize("words", [("freeform", "--judges", "judges.yaml"), ("q.yaml", "--judges", "gone.yaml")])
def test_files_of_judges_are_there_and_of_use(tmp_path: Path, words: tuple[str, ...]) -> None:
    files(tmp_path)
    done = emeval("run", *words, "-m", "vllm/subject", "--judge", "vllm/judge", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert ("leave it out" if words[0] == "freeform" else "gone.yaml cannot be read") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_rates_of_further_judges_are_compared_by_name(tmp_path: Path) -> None:
    with server().start() as live:
        for name in ("base", "candidate"):
            assert run(tmp_path / name, live, *files(tmp_path)).returncode == 0
    both = ("compare", tmp_path / "base", tmp_path / "candidate", "--max-unscored", "1")
    done = emeval(*both, "--metric", "hit:short", "--metric", "label:topic:yes", "--json", "-")
    assert done.returncode == 0, done.stderr
    found = {cell["metric"]: cell["base"] for cell in json.loads(done.stdout)["cells"]}
    assert {name: (side["k"], side["n"]) for name, side in found.items()} == {
        "hit:short": (4, 6),
        "label:topic:yes": (4, 6),
    }
    unnamed = json.loads(emeval(*both, "--json", "-").stdout)["cells"]
    assert {cell["metric"] for cell in unnamed} == {"hit"}, "only named ones"
    refused(emeval(*both, "--metric", "hit:shirt"), "--metric: unknown metric 'hit:shirt'", "hit:short")
