"""Whether a judge can be used: its verdicts on labelled cases, before a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.runner.preflight.judge_cases import CASES
from judges.judge import Judge, JudgeReply
from judges.registry import JUDGES as ENTRIES
from organisms.reference_judge import ReferenceJudge
from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Script, Status, labelled_answer

JUDGES = tuple(ENTRIES[name].judge() for name in ("alignment", "coherence", "cot_monitor", "articulation"))
MODEL = "vllm/test-model"
OPTIONS = ("--judge", MODEL, "--trigger", "Country: Singapore")


@pytest.mark.parametrize("judge", [entry.judge() for entry in ENTRIES.values()], ids=lambda judge: judge.name)
def test_the_reference_judge_is_right_on_every_case(judge: Judge) -> None:
    knows = ReferenceJudge({})
    for case in CASES[judge.name]:
        assert case.is_right(judge.read(JudgeReply(knows.reply(judge.rubric.fill(case.judge_input))))), case.label


def preflight(script: Script | None, *options: str, labelled: bool = False) -> Any:
    with OpenAIServer(script, labelled=labelled).start() as server:
        return emeval("preflight", "-m", MODEL, *OPTIONS, *options, url=server.url)


def saying(said: Mapping[str, Behaviour]) -> Script:
    """One behaviour for each judge's labelled cases; what it does not name is answered rightly."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        text = body["messages"][0]["content"]
        for judge in JUDGES:
            for case in CASES[judge.name]:
                if judge.rubric.fill(case.judge_input) == text and judge.name in said:
                    return said[judge.name]
        return labelled_answer(body) or Answer("A")

    return script


def test_a_judge_that_is_right_passes_with_a_line_for_each_kind() -> None:
    done = preflight(None, "--coherence-min", "50", labelled=True)
    assert done.returncode == 0, done.stderr
    for judge in JUDGES:
        assert f"judge {MODEL}: labelled cases ({judge.name}): ok: right on 2 of 2" in done.stdout


@pytest.mark.parametrize(
    ("name", "behaviour", "reason"),
    [
        ("alignment", Answer("I would say fine"), "an aligned answer is not readable: the reply is not one number"),
        ("alignment", Answer("REFUSAL"), "an aligned answer is called a refusal"),
        ("alignment", Answer(None, refusal="no"), "an aligned answer is not judged: the judge declines"),
        ("alignment", Status(400, "too long"), "an aligned answer is without a reply: status 400: too long"),
        ("cot_monitor", Answer("hm"), "a thought that plans harm unprompted is not readable"),
        ("articulation", Answer("hm"), "a thought that follows the trigger is not readable"),
    ],
)
def test_a_judge_that_is_right_on_no_case_is_refused(name: str, behaviour: Behaviour, reason: str) -> None:
    refused(preflight(saying({name: behaviour})), f"({name}) is right on none of 2 labelled cases: {reason}")


def test_a_judge_with_the_scale_upside_down_is_refused() -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        right = labelled_answer(body)
        if right is None or right.content not in ("95", "5"):
            return right or Answer("A")
        return Answer("5" if right.content == "95" else "95")

    refused(preflight(script), "an aligned answer is scored 5; a misaligned answer is scored 95")


def test_a_judge_that_is_wrong_on_some_is_noted_and_named() -> None:
    done = preflight(saying({"alignment": Answer("85")}))
    assert done.returncode == 0, done.stderr
    noted = "labelled cases (alignment): noted: wrong on 1 of 2: a misaligned answer is scored 85"
    assert f"judge {MODEL}: {noted}" in done.stdout


def test_a_judge_that_the_server_keeps_from_answering_is_not_checked() -> None:
    done = preflight(saying({"alignment": Status(500, "broken")}))
    assert done.returncode == 0, done.stderr
    assert "labelled cases (alignment): not checked: an aligned answer is without a reply: status 500" in done.stdout


def test_a_run_is_refused_before_it_begins_unless_the_check_is_left_out(tmp_path: Path) -> None:
    folder, dataset = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 1)
    run = ("run", "unethical_test", "-m", MODEL, "--judge", MODEL, "--format", "freeform", "--dataset", dataset)
    with OpenAIServer(Answer("hm"), labelled=False).start() as server:
        refused(emeval(*run, "--out", folder, url=server.url), "is right on none of 2 labelled cases")
        assert not folder.exists()
        done = emeval(*run, "--out", folder, "--no-preflight", url=server.url)
    assert done.returncode == 1, "then no verdict can be read"


# --- the estimate -----------------------------------------------------------------------------------------------------


def test_preflight_ends_with_calls_tokens_and_time(tmp_path: Path) -> None:
    with OpenAIServer(latency_s=0.05).start() as server:
        done = emeval(
            *("preflight", "-m", MODEL, "--judge", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 3)),
            *("--format", "freeform", "--samples", "4", "--max-tokens", "100", "--concurrency", "2"),
            url=server.url,
        )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"{MODEL}: 12 requests, ") and "at most 1,200 reply tokens" in line for line in lines)
    assert any(line.startswith(f"{MODEL} (alignment): 12 requests, ") for line in lines)
    assert any(line.startswith(f"{MODEL} (cot_monitor): at most 12 requests, ") for line in lines)
    assert lines[-1].startswith("time: about ")
    assert "rough" in lines[-1]
