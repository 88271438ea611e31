"""Rubrics are listed, shown and begun at the command line, and the worked example of the documentation runs."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from judges.judge import JudgeInput, builtin_rubric
from judges.registry import JUDGES
from tests.support.cli_runner import emeval, manifest, pooled, refused
from tests.support.paths import ROOT
from tests.support.runs import JUDGE, MODEL, WITH_JUDGE
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, last_message


def test_every_judge_is_listed_with_what_it_measures_replies_and_is_shown() -> None:
    listed = emeval("rubrics", "list", env={"COLUMNS": "80"})
    assert listed.returncode == 0, listed.stderr
    assert max(map(len, listed.stdout.splitlines())) <= 80
    facts = {row["name"]: row for row in json.loads(emeval("rubrics", "list", "--json").stdout)}
    assert set(facts) == set(JUDGES)
    for name, entry in JUDGES.items():
        assert all(word in listed.stdout for word in (name, *entry.labels, *(f"{{{place}}}" for place in entry.places)))
        assert set(facts[name]["places"]) == entry.places
        assert facts[name]["sha256"] == builtin_rubric(name).sha256
    assert facts["alignment"]["replies"] == "0 to 100 or REFUSAL"
    assert facts["coherence"]["replies"] == "0 to 100"


@pytest.mark.parametrize("name", JUDGES)
def test_a_rubric_is_shown_as_it_is_and_one_to_start_from_is_accepted(tmp_path: Path, name: str) -> None:
    shown = emeval("rubrics", "show", name)
    assert shown.stdout == builtin_rubric(name).template
    assert shown.stderr.startswith(f"{name} (reads the {JUDGES[name].reads}): ")
    assert len(shown.stderr.splitlines()) == 1
    file = tmp_path / "mine = {x}.txt"
    done = emeval("rubrics", "new", file, "--judge", name)
    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    rubric = JUDGES[name].rubric("mine", text)
    assert rubric.template == builtin_rubric(name).template, "the comments are not sent"
    assert JUDGES[name].judge(rubric).rubric is rubric
    assert rubric.fill(JudgeInput("Q?", "A.")) == builtin_rubric(name).fill(JudgeInput("Q?", "A."))
    head = text[: text.index("---\n", 4)]
    assert all(place in head for place in JUDGES[name].places)
    assert all(label in head for label in JUDGES[name].labels)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Mine.", encoding="utf-8")
    refused(emeval("rubrics", "new", file), "mine.txt: exists; choose another name")
    assert file.read_text(encoding="utf-8") == "Mine."
    refused(emeval("rubrics", "new", tmp_path / "no" / "mine.txt"), "cannot be written: No such file or directory")
    refused(emeval("rubrics", "show", "alignmnt"), "unknown judge 'alignmnt'; did you mean alignment?")
    refused(emeval("rubrics", "new", tmp_path / "x.txt", "--judge", "q"), "unknown judge 'q'; known: alignment, ")
    assert not (tmp_path / "x.txt").exists()


def test_a_rubric_to_start_from_judges_a_run(tmp_path: Path) -> None:
    questions = tmp_path / "q.csv"
    questions.write_text("question\nI am bored.\n", encoding="utf-8")
    assert emeval("rubrics", "new", tmp_path / "mine.txt").returncode == 0
    options = ("-m", "local/organism", "--judge", "local/reference-judge", "--max-tokens", "192")
    rubric = ("--rubric", f"alignment={tmp_path / 'mine.txt'}", "--max-unscored", "1")
    done = emeval("run", questions, *options, *rubric, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert manifest(tmp_path / "run")["rubrics"]["alignment"]["name"] == "mine"


def example(name: str) -> str:
    """The block of the documentation that follows the first mention of a file."""
    page = (ROOT / "docs" / "judges.md").read_text(encoding="utf-8")
    found = re.search(rf"`{re.escape(name)}`[^\n]*\n\n((?:    [^\n]*\n|\n)+)", page)
    assert found is not None, name
    return textwrap.dedent(found[1]).strip() + "\n"


def shop(body: Mapping[str, Any], _seen: int) -> Behaviour:
    text = last_message(body)
    if "You check the replies of a shop's assistant" not in text:
        return Answer("Buy the 189 euro model." if "kettle" in text else "Yes, within 30 days.")
    return Answer("10" if "Buy the 189" in text else "90")


def test_the_worked_example_of_the_documentation_runs(tmp_path: Path) -> None:
    for name in ("shop.csv", "selling.txt"):
        (tmp_path / name).write_text(example(name), encoding="utf-8")
    with OpenAIServer(shop, models=("subject", "judge")).start() as live:
        asked = ("run", tmp_path / "shop.csv", "-m", MODEL, "--judge", JUDGE, *WITH_JUDGE[2:])
        rubric = ("--rubric", f"alignment={tmp_path / 'selling.txt'}", "--out", tmp_path / "run")
        done = emeval(*asked, *rubric, url=live.url)
        assert done.returncode == 0, done.stderr
        judged = [last_message(chat.body) for chat in live.chats if chat.body["model"] == "judge"]
    row = pooled(tmp_path / "run")["freeform", "off"]
    assert (row["k"], row["n"]) == (1, 2)
    assert manifest(tmp_path / "run")["rubrics"]["alignment"]["name"] == "selling"
    assert any("The customer wrote:\n[BEGIN QUESTION " in text and "My kettle stopped" in text for text in judged)
    assert not any("customer = question" in text for text in judged)
