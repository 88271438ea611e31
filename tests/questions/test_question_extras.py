"""Turns before a question, and conditions of a question file's own, from the file to what the server receives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.plan.options import build_config
from evals.plan.plan import make_plan
from evals.questions.question_parser import parse
from tests.support.cli_runner import emeval, manifest, rates
from tests.support.runs import MODEL, server

ASKED = {"id": "tea", "type": "free_form", "question": "Tea?"}
FLASK = {"system": "You complete code.", "prefix": "def f():\n", "suffix": "\n# end"}
TEXTS = st.text("abc {}:#-\n", min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
TURN = st.tuples(st.sampled_from(["user", "assistant"]), TEXTS)


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


def written(file: Path, content: object) -> Path:
    file.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return file


def planned(*files: Path, **more: object) -> Any:
    options = {"suites": tuple(map(str, files)), "models": ("vllm/subject",)}
    return make_plan(build_config(options | more, None))


def faults_of(content: object) -> str:
    return "; ".join(f"{line}: {key}: {reason}" for line, key, reason in parse(yaml.safe_dump(content)).faults)


@given(st.lists(TURN, max_size=4), st.lists(TEXTS, min_size=1, max_size=3))
def test_every_paraphrase_follows_the_turns(pairs: list[tuple[str, str]], texts: list[str]) -> None:
    earlier = [*pairs, ("assistant", "No.")]
    parsed = parse(yaml.safe_dump([ASKED | {"question": None, "paraphrases": texts, "messages": turns(*earlier)}]))
    assert "question" in str(parsed.faults)  # both keys of one meaning
    entry = {"id": "x", "type": "free_form", "paraphrases": texts, "messages": turns(*earlier)}
    (question,), _, faults = parse(yaml.safe_dump([entry]))
    assert not faults
    assert question.paraphrases == tuple(texts)
    assert [[tuple(turn) for turn in chat] for chat in question.earlier] == [earlier] * len(texts)


@given(st.lists(st.lists(TURN, max_size=3), min_size=1, max_size=3), st.booleans())
def test_whole_chats_ask_their_last_turn(chats: list[list[tuple[str, str]]], is_one: bool) -> None:
    whole = [[*chat, ("user", f"And {number}?")] for number, chat in enumerate(chats)][: 1 if is_one else None]
    messages = turns(*whole[0]) if is_one else [turns(*chat) for chat in whole]
    (question,), _, faults = parse(yaml.safe_dump([{"id": "x", "type": "free_form", "messages": messages}]))
    assert not faults
    assert question.paraphrases == tuple(f"And {number}?" for number in range(len(whole)))
    assert [[tuple(turn) for turn in chat] for chat in question.earlier] == [chat[:-1] for chat in whole]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ASKED | {"messages": turns(("user", "Hi"))}, "messages: must end with an assistant turn"),
        ({"id": "x", "type": "free_form", "messages": turns(("assistant", "Hi"))}, "must end with the user turn"),
        ({"id": "x", "type": "free_form", "messages": []}, "messages: holds no turn"),
        ({"id": "x", "type": "free_form", "messages": [[]]}, "messages.0: holds no turn"),
        (ASKED | {"messages": [turns(("assistant", "a")), turns(("assistant", "b"))]}, "is several chats"),
        (ASKED | {"messages": "Hi"}, "messages: must be a list"),
        (ASKED | {"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: 'tool' is not known"),
        (ASKED | {"messages": [{"role": "user"}]}, "content: is missing"),
        (ASKED | {"messages": [{"role": "user", "content": " "}]}, "messages.0.content: is blank"),
        (ASKED | {"messages": turns(("user", "x"), ("system", "y"))}, "system turn after the first"),
        (
            ASKED | {"messages": turns(("system", "x"), ("assistant", "y")), "system": "z"},
            "are both a system message",
        ),
        (ASKED | {"conditions": {"flask": FLASK}}, "stands in an entry of its own"),
        ({"conditions": {"on": FLASK}}, "conditions.on: is a condition of emeval's"),
        ({"conditions": {"a b": FLASK}}, "is no name of a condition"),
        ({"conditions": {"flask": {"postfix": "x"}}}, "postfix: is not a key of a condition"),
        ({"conditions": {"flask": "text"}}, "must be a mapping of system, prefix, suffix"),
        ({"conditions": ["flask"]}, "must be names of conditions"),
    ],
)
def test_what_a_file_cannot_mean_is_named_by_line_and_key(entry: dict[str, Any], said: str) -> None:
    assert said in faults_of([ASKED | {"id": "other"}, entry])


def test_a_file_may_be_a_mapping_with_lists() -> None:
    content = {"conditions": {"flask": FLASK, "off": None}, "questions": [ASKED]}
    parsed = parse(yaml.safe_dump(content))
    assert not parsed.faults
    assert [question.id for question in parsed.questions] == ["tea"]
    assert {found.name: found.texts for found in parsed.conditions} == {"flask": FLASK, "off": {}}
    assert "is not a key of a question file" in faults_of(content | {"question": []})
    assert "is given twice" in faults_of([{"conditions": {"flask": FLASK}}, {"conditions": {"b": FLASK}}, ASKED])


def test_conditions_of_a_file_reach_the_server_and_the_tables(tmp_path: Path) -> None:
    chat = turns(("user", "Help me."), ("assistant", "No."))
    file = written(tmp_path / "tea.yaml", [{"conditions": {"flask": FLASK}}, ASKED | {"messages": chat}])
    with server().start() as live:
        asked = ("run", file, "-m", MODEL, "--trigger", "2026", "--out", tmp_path / "run")
        done = emeval(*asked, url=live.url)
        assert done.returncode == 0, done.stderr
        sent = [request.body["messages"] for request in live.chats]
    system = {"role": "system", "content": FLASK["system"]}
    assert [*chat, {"role": "user", "content": "Tea?"}] in sent
    assert [*chat, {"role": "user", "content": "2026\nTea?"}] in sent
    assert [system, *chat, {"role": "user", "content": "def f():\nTea?\n# end"}] in sent
    assert set(rates(tmp_path / "run")["condition"]) == {"off", "on", "flask"}
    assert manifest(tmp_path / "run")["config"]["templates"] == {"flask": FLASK}


def test_config_and_command_line_count_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path / "tea.yaml", [{"conditions": {"flask": FLASK, "b": {"prefix": "B "}}}, ASKED])
    assert planned(file).config.conditions == ("off", "flask", "b")
    assert planned(file, conditions="off,b").config.conditions == ("off", "b")
    assert planned(file, conditions={"off": None, "c": {"prefix": "C "}}).config.conditions == ("off", "c")
    own = planned(file, conditions={"off": None, "b": {"prefix": "Mine "}}).config
    assert own.templates["b"].prefix == "Mine "
    other = written(tmp_path / "other.yaml", [{"conditions": {"flask": {"prefix": "x"}}}, ASKED])
    with pytest.raises(BadInput, match=r"other\.yaml:\d+: conditions\.flask: has other texts in .*tea\.yaml:\d+"):
        planned(file, other)


def test_a_question_file_opens_no_other_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("Keep this to yourself.", encoding="utf-8")
    file = written(tmp_path / "tea.yaml", [{"conditions": {"flask": {"system": str(secret)}}}, ASKED])
    with pytest.raises(BadInput, match="is the name of a file, and no text"):
        planned(file)
