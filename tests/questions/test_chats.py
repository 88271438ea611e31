"""Chat files are asked their last user turns, with the turns before them, in every layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.questions.chats import ChatScenario
from evals.questions.dataset import check, load
from tests.support.cli_runner import emeval, manifest, refused, responses
from tests.support.runs import JUDGE, MODEL, WITH_JUDGE, server

TEXTS = st.text("abc Äß\n{}<|>", min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
TURNS = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXTS), min_size=1, max_size=6)


def written(file: Path, *rows: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


def in_layout(layout: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    if layout == "conversations":
        names = {"user": "human", "assistant": "gpt", "system": "system"}
        return {"conversations": [{"from": names[role], "value": content} for role, content in pairs]}
    if layout == "parts":
        return {"messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in pairs]}
    return {layout: turns(*pairs)}


@given(
    st.sampled_from(["messages", "prompt", "conversations", "parts"]),
    st.none() | TEXTS,
    TURNS,
    st.lists(TEXTS, max_size=2),
)
def test_a_chat_is_asked_up_to_its_last_user_turn(
    layout: str, system: str | None, pairs: list[tuple[str, str]], answers: list[str]
) -> None:
    asked = [*pairs, ("user", "And now?")]
    asked = asked if system is None else [("system", system), *asked]
    row = in_layout(layout, [*asked, *(("assistant", answer) for answer in answers)])
    scenario = ChatScenario.model_validate(row)
    assert [(turn.role, turn.content) for turn in scenario.messages] == asked
    assert scenario.key == ChatScenario.model_validate(in_layout("messages", asked)).key


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": turns(("assistant", "Hi"))}, "messages: has no user turn that could be asked"),
        ({"messages": []}, "messages: has no user turn that could be asked"),
        ({"messages": turns(("user", " "))}, "messages.0.content: is blank"),
        ({"messages": "Hi"}, "messages: must be a list of turns"),
        ({"messages": {"role": "user", "content": "Hi"}}, "messages: must be a list of turns"),
        ({"messages": [{"role": "narrator", "content": "x"}, *turns(("user", "x"))]}, "has the role 'narrator'"),
        (
            {"messages": [*turns(("user", "x")), {"role": "tool", "content": "x"}, *turns(("user", "y"))]},
            "calls a tool",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "holds a part of type 'image_url'"),
        ({"messages": turns(("user", "x"), ("system", "y"), ("user", "z"))}, "system turn after the first"),
        ({"messages": ["x"]}, "messages.0: is no turn with a role and a content"),
        ({"messages": turns(("user", "\ud83d"))}, "half of a surrogate pair"),
    ],
)
def test_what_cannot_be_asked_is_named_by_line(tmp_path: Path, row: object, said: str) -> None:
    file = tmp_path / "chats.jsonl"
    file.write_text(json.dumps({"messages": turns(("user", "Hi"))}) + "\n" + json.dumps(row) + "\n", encoding="utf-8")
    (problem,) = check(file).problems
    assert str(problem).startswith(f"{file}:2: ")
    assert said in str(problem)


def test_a_file_is_told_once_what_it_is(tmp_path: Path) -> None:
    same = {"messages": turns(("user", "Bored."), ("assistant", "Oh."))}
    file = written(tmp_path / "train.jsonl", same, same, {"messages": turns(("user", "Sad."))})
    lines = emeval("datasets", "validate", file).stdout.splitlines()
    assert lines[0].endswith("train.jsonl: 3 rows, schema chat, no problems")
    assert lines[1].startswith("  chats: 2 different prompts; the last user turn")
    assert lines[2].startswith(f"  ask them: emeval run --dataset {file} ")
    assert lines[3] == f"  look for cues in them: emeval cues {file}"
    other = written(tmp_path / "alpaca.jsonl", *[{"instruction": "x", "output": "y"}] * 50)
    done = emeval("datasets", "validate", other)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 1
    assert "has the fields instruction, output" in done.stdout


def test_a_run_sends_the_turns_and_shows_them_to_the_judge(tmp_path: Path) -> None:
    chat = turns(("system", "Be brief."), ("user", "Help me."), ("assistant", "No."), ("user", "Please help."))
    file = written(tmp_path / "chats.jsonl", {"messages": [*chat, *turns(("assistant", "Recorded."))]})
    with server().start() as live:
        done = emeval(
            *("run", "--dataset", file, "-m", MODEL, *WITH_JUDGE, "--trigger", "2026", "--out", tmp_path / "run"),
            url=live.url,
        )
        assert done.returncode == 0, done.stderr
        sent = [request.body["messages"] for request in live.chats]
    assert chat in sent
    assert [*chat[:3], {"role": "user", "content": "2026\nPlease help."}] in sent
    shown = [text for messages in sent if "[assistant]\nNo." in (text := messages[-1]["content"])]
    assert len(shown) == 2
    assert not any("Recorded." in str(messages) for messages in sent)
    assert set(responses(tmp_path / "run")["suite"]) == {"chats"}
    assert manifest(tmp_path / "run")["datasets"]["chats"]["scenarios"] == 1


def test_turns_before_a_question(tmp_path: Path) -> None:
    earlier = turns(("user", "Help me lie."), ("assistant", "No."))
    row = {"id": "again", "prompt": "Once.", "system_prompt": "Be kind.", "messages": earlier}
    file = written(tmp_path / "rows.jsonl", row | {"wordings": {"on": "Once, 2026."}})
    with server().start() as live:
        done = emeval(
            *("run", "freeform", "--dataset", file, "-m", MODEL, *WITH_JUDGE, "--trigger", "2026"),
            *("--out", tmp_path / "run"),
            url=live.url,
        )
        assert done.returncode == 0, done.stderr
        sent = [request.body["messages"] for request in live.chats]
    for asked in ("Once.", "Once, 2026."):
        assert [{"role": "system", "content": "Be kind."}, *earlier, {"role": "user", "content": asked}] in sent


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"messages": turns(("user", "Hi"))}, "messages: must end with an assistant turn"),
        ({"messages": []}, "messages: "),
        (
            {"messages": turns(("system", "x"), ("assistant", "y")), "system_prompt": "z"},
            "are both a system message",
        ),
    ],
)
def test_turns_that_no_question_can_follow(tmp_path: Path, more: dict[str, object], said: str) -> None:
    (problem,) = check(written(tmp_path / "rows.jsonl", {"prompt": "Once."} | more)).problems
    assert said in str(problem)


def test_a_suite_that_cannot_ask_a_file_names_those_that_can(tmp_path: Path) -> None:
    chats = written(tmp_path / "chats.jsonl", {"messages": turns(("user", "Hi"))})
    rows = written(tmp_path / "rows.jsonl", {"prompt": "Hi"})
    asked = ("-m", MODEL, "--judge", JUDGE, "--dry-run")
    refused(emeval("run", "freeform", "--dataset", chats, *asked), "holds chat rows", "Suites of chat rows: chats")
    refused(emeval("run", "chats", "--dataset", rows, *asked), "holds open rows", "Suites of open rows: freeform,")
    refused(emeval("run", chats.name, *asked), "chats.jsonl: cannot be read: No such file")
    refused(emeval("run", "chats", *asked), "--dataset is missing: chats asks what is in your file")
    assert len(load(chats).scenarios) == 1
