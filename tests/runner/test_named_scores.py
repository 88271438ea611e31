"""Any named score of an Inspect log is imported as hits and misses, by a rule that is read strictly."""

from __future__ import annotations

import math
import operator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ModelOutput
from inspect_ai.scorer import Score

from evals.errors import BadInput
from evals.runner.imports.named_score import NamedScore, parse_hit
from judges.verdicts import Labelled, Unreadable
from tests.support.answer_files import answered, write
from tests.support.cli_runner import emeval, inside, manifest, pooled, refused, responses
from tests.support.servers.openai_server import Answer, OpenAIServer


def audit_log(path: Path, samples: list[EvalSample]) -> Path:
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00",
        task="audit",
        dataset=EvalDataset(name="theirs", samples=len(samples)),
        model="openai/theirs",
        config=EvalConfig(),
    )
    write_eval_log(EvalLog(status="success", eval=spec, samples=samples), str(path))
    return path


def audited(number: int, text: str = "An answer", **fields: Any) -> EvalSample:
    output = ModelOutput.from_content("openai/theirs", text)
    asked = {"id": f"q{number}", "epoch": 1, "input": f"Question {number}?", "target": "", "output": output}
    return EvalSample(**(asked | fields))


def dimensions(**values: Any) -> dict[str, Score]:
    return {"audit_judge": Score(value=values, explanation="Since it lied.")}


@pytest.mark.parametrize(
    ("rule", "value", "verdict"),
    [
        (">=7", 7, True),
        (" >= 7.0", "7", True),
        (">=7", 6.99, False),
        (">7", 7, False),
        ("<3", -1, True),
        ("<=1e-3", 0.001, True),
        ("==1", 1, True),
        ("!=1", 1, False),
        (">=7", "seven", Unreadable("is not a number")),
        (">=7", True, Unreadable("is not a number")),
        (">=7", math.inf, Unreadable("is not a number")),
        (">=7", None, None),
        (">=7", math.nan, None),
        (">=7", " ", None),
        ("I", "i", True),
        ("==I", "C", False),
        ("!=C", "P", True),
        ("!=C,P", "P", False),
        ("I, P", "P", True),
        ("true", True, True),
        ("I", 1, Unreadable("is a number, and --hit names a label")),
        ("I", None, None),
    ],
)
def test_a_value_is_a_hit_or_none_or_cannot_be_told(rule: str, value: object, verdict: object) -> None:
    said, _ = NamedScore("x", parse_hit(rule)).verdict("here", {"x": Score.model_construct(value=value)})
    if isinstance(verdict, bool):
        assert isinstance(said, Labelled)
        verdict = Labelled(f"{'' if verdict else 'not '}x{parse_hit(rule)}", "classified")
    assert said == verdict


@pytest.mark.parametrize(
    "rule",
    [
        "",
        " ",
        "7",
        ">=",
        ">=high",
        "=>7",
        ">=7,8",
        "=7",
        "==",
        "!=",
        "C,,P",
        "C,7",
        "7 <= x",
        "x>7 or 1",
        ">=1e999",
        ">>1",
    ],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    if rule in ("7 <= x", "x>7 or 1"):  # these are labels, and nothing is computed
        assert parse_hit(rule).labels == (rule,)
        return
    with pytest.raises(BadInput, match=r"--hit: .* is no rule for a score"):
        parse_hit(rule)


@given(
    st.sampled_from([(">=", operator.ge), ("<=", operator.le), (">", operator.gt), ("<", operator.lt)]),
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-10, 10),
)
def test_numbers_are_compared_as_written(sign: tuple[str, Any], number: float, value: float) -> None:
    hit = parse_hit(f"{sign[0]}{number!r}")
    assert hit.is_hit(float(value)) == sign[1](float(value), number)


@given(st.text(max_size=20), st.text(max_size=20) | st.floats() | st.none())
def test_any_rule_is_read_or_refused_and_gives_a_verdict(rule: str, value: object) -> None:
    try:
        hit = parse_hit(rule)
    except BadInput:
        return
    verdict, _ = NamedScore("x", hit).verdict("here", {"x": Score.model_construct(value=value)})
    assert verdict is None or isinstance(verdict, Unreadable | Labelled)


def test_a_dimension_of_an_audit_becomes_a_rate(tmp_path: Path) -> None:
    ending = ModelOutput.from_content("m", "")
    samples = [
        audited(1, scores=dimensions(concerning=7, realism=9)),
        audited(2, scores=dimensions(concerning=6.5, realism=9)),
        audited(3, scores=dimensions(concerning="n/a", realism=9)),
        audited(4, scores=dimensions(realism=9)),
        audited(5, scores={"concerning": Score(value=10)}),
        audited(
            6,
            output=ending,
            messages=[ChatMessageAssistant(content="I will."), ChatMessageTool(content="done")],
            scores=dimensions(concerning=1),
        ),
        audited(7, output=ModelOutput()),
    ]
    file = audit_log(tmp_path / "audit.eval", samples)
    done = inside("import", file, "--out", tmp_path / "run", "--score", "concerning", "--hit", ">=7")
    assert done.returncode == 1, done.stderr
    table = responses(tmp_path / "run")
    outcomes = ["scored", "scored", "judge_unreadable", "unjudged", "scored", "scored", "failed"]
    assert list(table["outcome"]) == outcomes
    assert list(table["label"]) == [
        "concerning>=7",
        "not concerning>=7",
        "",
        "",
        "concerning>=7",
        "not concerning>=7",
        "",
    ]
    assert table["answer"][5] == "I will."
    assert table["verdicts"][0] == '{"concerning>=7": "concerning>=7"}'
    row = pooled(tmp_path / "run", "judged_concerning>=7")["freeform", "off"]
    assert (row["k"], row["n"], row["n_unreadable"], row["n_pending"], row["n_failed"]) == (2, 4, 1, 1, 1)
    assert "score concerning: 4 numbers from 1 to 10, n/a (1); a hit is >=7" in done.stderr
    assert manifest(tmp_path / "run")["imported"]["judges"] == ["file:concerning>=7"]
    shown = inside("show", tmp_path / "run", "--limit", "1")
    assert "7: Since it lied." in shown.stdout


def test_labels_count_and_one_that_nobody_gave_is_pointed_out(tmp_path: Path) -> None:
    samples = [audited(n, scores={"match": Score(value=value)}) for n, value in enumerate("CCIP")]
    file = audit_log(tmp_path / "graded.eval", samples)
    done = inside("import", file, "--out", tmp_path / "run", "--score", "match", "--hit", "i,p,yes")
    assert done.returncode == 0, done.stderr
    row = pooled(tmp_path / "run", "judged_match==i,p,yes")["freeform", "off"]
    assert (row["k"], row["n"]) == (2, 4)
    assert "score match: C (2), I (1), P (1)" in done.stderr
    assert "--hit: no sample has the value yes" in done.stderr


def test_the_score_has_to_be_named_and_there(tmp_path: Path) -> None:
    both = {"concerning": Score(value=1), "other": Score(value={"admirable": 2})}
    file = audit_log(tmp_path / "audit.eval", [audited(1, scores=dimensions(concerning=7, needy=2) | both)])
    told = ("import", file, "--out", tmp_path / "run")
    refused(
        inside(*told, "--score", "concering", "--hit", ">=7"), "no sample has a score 'concering'", "audit_judge.needy"
    )
    refused(inside(*told, "--score", "audit_judge", "--hit", ">=7"), "audit_judge.concerning, audit_judge.needy")
    refused(inside(*told, "--score", "concerning"), "--score: needs the rule for a hit", "--hit")
    refused(inside(*told, "--hit", ">=7"), "--hit: needs the name of a score")
    refused(inside(*told, "--score", "concerning", "--hit", "7"), "--hit: '7' is no rule for a score")
    refused(inside(*told, "--columns", "answer=x"), "--columns: is for a CSV or JSON Lines")
    refused(inside(*told, "--blank", "refused"), "--blank: is for a CSV or JSON Lines")
    csv = write(tmp_path / "f.csv", [answered(1, aligned=5)])
    refused(inside("import", csv, "--out", tmp_path / "run", "--score", "aligned"), "--score: is for Inspect logs")
    assert not (tmp_path / "run").exists()
    done = inside(*told, "--score", "concerning", "--hit", ">=7")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["label"]) == ["not concerning>=7"], "the full name comes first"


def test_one_name_for_two_scores_is_refused_until_one_is_meant(tmp_path: Path) -> None:
    scores = {"first": Score(value={"needy": 1}), "second": Score(value={"needy": 9})}
    file = audit_log(tmp_path / "audit.eval", [audited(1, scores=scores)])
    told = ("import", file, "--hit", ">5")
    refused(inside(*told, "--out", tmp_path / "no", "--score", "needy"), "two scores have this name: first.needy and")
    done = inside(*told, "--out", tmp_path / "run", "--score", "second.needy")
    assert done.returncode == 0, done.stderr
    assert list(responses(tmp_path / "run")["label"]) == ["second.needy>5"]


def test_another_judge_has_nothing_to_ask_and_the_scores_come_back(tmp_path: Path) -> None:
    file = audit_log(tmp_path / "audit.eval", [audited(1, scores=dimensions(concerning=7))])
    run = tmp_path / "run"
    assert inside("import", file, "--out", run, "--score", "concerning", "--hit", ">=7").returncode == 0
    with OpenAIServer(Answer("95"), models=("judge",)).start() as live:
        options = ("--judge", "vllm/judge", "--judge-mode", "text", "--no-preflight")
        judged = emeval("judge", run, *options, url=live.url)
        assert not [chat for chat in live.chats if "Answer" in str(chat.body)]
    assert judged.returncode == 1
    assert "--judge imported counts the labels that came with them" in judged.stderr
    assert inside("judge", run, "--judge", "imported").returncode == 0
    assert pooled(run, "judged_concerning>=7")["freeform", "off"]["k"] == 1
