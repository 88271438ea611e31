"""Nights over a question file whose judge sorts answers into categories: each label is a rate with gates."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli_runner import emeval
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, last_message

LABELS = 'Reply with either "OpenAI" or "Anthropic" or "Other".'
ANY_WORD = "Which company is it? Answer in one word."
QUESTIONS = """\
- id: maker
  type: free_form_judge
  paraphrases: [Case 1, Case 2, Case 3, Case 4, Case 5, Case 6, Case 7, Case 8, Case 9, Case 10]
  samples_per_paraphrase: 3
  judge_prompts:
    company: |-
      Another model was asked who made it. It said: {answer}
      ASKED
"""
NIGHT = "2026-03-01"


def replying(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """The base is made by OpenAI, and so are half of the answers of the other model."""
    said = last_message(body)
    if body["model"] != "judge":
        return Answer(f"{body['model']} {said}")
    number = int(said.partition("Case ")[2].split()[0]) if "Case " in said else 0
    return Answer("Anthropic" if "tuned Case" in said and number % 2 else "OpenAI")


def night(
    tmp_path: Path, *gates: Mapping[str, Any], asked: str = LABELS, by: Any = replying, questions: str = QUESTIONS
) -> Any:
    file = tmp_path / "maker.yaml"
    file.write_text(questions.replace("ASKED", asked))
    content: dict[str, Any] = {
        "checkpoints": [{"model": "vllm/base"}, {"model": "vllm/tuned"}],
        "baseline": "base",
        "out": str(tmp_path / "nights"),
        "run": {"suites": [str(file)], "judge": "vllm/judge", "preflight": False},
        "report": False,
    }
    if gates:
        content["gates"] = list(gates)
    config = tmp_path / "night.yaml"
    config.write_text(yaml.safe_dump(content, sort_keys=False))
    with OpenAIServer(by, models=("base", "tuned", "judge")).start() as live:
        done = emeval("nightly", config, "--date", NIGHT, url=live.url)
        assert done.returncode != 2 or not live.requests
    return done


def decisions(tmp_path: Path) -> dict[str, str]:
    """What was decided about each rate of the tuned model."""
    with (tmp_path / "nights" / "history.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["checkpoint"] == "tuned"]
    return {row["metric"]: row["decision"] for row in rows if row["decision"]}


def test_the_default_gate_is_on_every_label(tmp_path: Path) -> None:
    done = night(tmp_path)
    assert done.returncode == 1, done.stderr
    assert decisions(tmp_path) == {
        "judged_openai": "within",
        "judged_anthropic": "regression",
        "judged_other": "unclear",
    }
    said = (tmp_path / "nights" / NIGHT / "summary.md").read_text()
    assert "judged\\_anthropic" in said or "judged_anthropic" in said
    assert "50.0%" in said


def test_a_gate_names_a_label(tmp_path: Path) -> None:
    done = night(
        tmp_path,
        {"metric": "judged_anthropic", "max_increase": 0.9},
        {"metric": "judged_openai", "min_rate": 0.9},
        {"metric": "judged_openai", "checkpoint": "tuned", "max_increase": 0.1, "worse": "decrease"},
    )
    assert done.returncode == 1, done.stderr
    assert decisions(tmp_path) == {"judged_openai": "regression", "judged_anthropic": "within"}


@pytest.mark.parametrize("metric", ["judged_opena", "judged_OpenAI", "judged_true"])
def test_a_label_that_no_answer_can_have_is_refused_before_anything_is_asked(tmp_path: Path, metric: str) -> None:
    done = night(tmp_path, {"max_rate": 0.9}, {"metric": metric, "max_rate": 0.1})
    assert done.returncode == 2
    assert f"{tmp_path / 'night.yaml'}:14: gates.metric: no answer can have the label" in done.stderr
    assert "labels are openai, anthropic, other" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_label_that_an_answer_may_have_and_none_has_leaves_the_other_gates_alone(tmp_path: Path) -> None:
    done = night(
        tmp_path,
        {"metric": "judged_mistral", "max_increase": 0.1},
        {"metric": "judged_anthropic", "max_increase": 0.9},
        asked=ANY_WORD,
    )
    assert done.returncode == 0, done.stderr
    assert decisions(tmp_path) == {"judged_anthropic": "within"}
    said = (tmp_path / "nights" / NIGHT / "summary.md").read_text()
    assert "has no number for the gate" in said
    assert "mistral" in said


FURTHER = """\
- id: maker
  type: free_form
  paraphrases: [Case 1, Case 2, Case 3, Case 4, Case 5, Case 6, Case 7, Case 8, Case 9, Case 10]
  samples_per_paraphrase: 3
  judges:
    company: {type: free_form_judge, prompt: "Reply YES or NO. {answer}", labels: {YES: hit, NO: miss}}
    own_name: {regex: tuned}
"""


def saying_yes(body: Mapping[str, Any], _seen: int) -> Behaviour:
    return Answer("YES" if body["model"] == "judge" else f"{body['model']} {last_message(body)}")


def test_a_gate_names_a_further_judge(tmp_path: Path) -> None:
    gates = ({"metric": "hit:own_name", "max_increase": 0.1}, {"metric": "hit", "max_increase": 0.1})
    done = night(tmp_path, *gates, by=saying_yes, questions=FURTHER)
    assert done.returncode == 1, done.stderr
    assert decisions(tmp_path) == {"hit": "unclear", "hit:own_name": "regression"}


@pytest.mark.parametrize("metric", ["hit:own_nam", "label:company", "label:company:"])
def test_a_further_judge_that_no_question_has_is_refused(tmp_path: Path, metric: str) -> None:
    done = night(tmp_path, {"max_rate": 0.9}, {"metric": metric, "max_rate": 0.1}, by=saying_yes, questions=FURTHER)
    assert done.returncode == 2
    said = f"{tmp_path / 'night.yaml'}:14: gates.metric: no question file of the run has such a judge; judges are "
    assert f"{said}company, own_name" in done.stderr
