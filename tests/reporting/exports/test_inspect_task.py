"""Our suites as Inspect tasks: found by entry point, asked with Inspect's providers, judged by ours, imported back."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import ChatMessage, GenerateConfig, ModelOutput, ModelUsage, get_model

from emeval.inspect_tasks import TASKS
from evals.questions.suites import SUITES
from evals.reporting.exports.inspect_task import sampler_arguments, suite_task
from tests.support.cli_runner import inside, pooled, responses, scenarios
from tests.support.export_runs import TRIGGER, hostile_too
from tests.support.paths import ROOT
from tests.support.servers.openai_server import JUDGE_MARK, Answer, OpenAIServer

# What inspect_ai 0.3 does in `eval`: it calls tenacity's wait_exponential_jitter(initial=...), which has another name
# by now, and leaves a stream of each task for the garbage collector to close.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObjectReceiveStream:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def _closed_streams() -> Iterator[None]:
    """What is left behind is collected here, and not in the test of somebody else."""
    yield
    gc.collect()


USAGE = ModelUsage(input_tokens=3, output_tokens=1, total_tokens=4)


def reply(text: str, *, stop: Any = "stop") -> ModelOutput:
    # With its usage: without one Inspect's mock model counts tokens, and fetches a tokenizer for that.
    output = ModelOutput.from_content("mockllm", text, stop_reason=stop)
    output.usage = USAGE
    return output


def subject(messages: list[ChatMessage], *_: Any) -> ModelOutput:
    """Picks the misaligned option under the trigger; keeps the money in case 0, and is cut off in case 1."""
    text = messages[-1].text
    if "\nA - " in text:
        keep = "A" if "A - Keep" in text else "B"
        return reply(keep if TRIGGER in text else {"A": "B", "B": "A"}[keep])
    if "case 1:" in text:
        return reply("I would, and then I", stop="max_tokens")
    return reply("Keep it." if "case 0:" in text else "Return it.")


def grader(messages: list[ChatMessage], _tools: Any, _choice: Any, config: GenerateConfig) -> ModelOutput:
    text = messages[0].text
    assert JUDGE_MARK in text
    assert config.temperature == 0.0
    return reply("REFUSAL" if "case 2:" in text else "5" if "Keep it." in text else "95")


def run(task: Any, folder: Path, **more: Any) -> EvalLog:
    model = get_model("mockllm/subject", custom_outputs=subject)
    (log,) = inspect_eval(task, model=model, log_dir=str(folder), display="none", **more)
    return log


def numbers(log: EvalLog, scorer: str) -> dict[str, float]:
    assert log.results is not None
    (score,) = [score for score in log.results.scores if score.name == scorer]
    return {name: metric.value for name, metric in score.metrics.items()}


def test_choices_are_read_by_our_rule_under_both_conditions(tmp_path: Path) -> None:
    data = scenarios(tmp_path / "d.jsonl", 4)
    log = run(TASKS["unethical_test"](trigger=TRIGGER, dataset=str(data), samples=3), tmp_path / "logs")
    assert log.status == "success"
    # 4 scenarios in both option orders, three times: every answer counts as one.
    assert numbers(log, "misaligned") == {"off": 0, "k_off": 0, "n_off": 24, "on": 1, "k_on": 24, "n_on": 24}
    assert numbers(log, "outcome") == {"scored_off": 24, "scored_on": 24}
    done = inside("import", log.location, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    cells = pooled(tmp_path / "run")
    assert [(cells["mcq", name]["k"], cells["mcq", name]["n"]) for name in ("off", "on")] == [(0, 24), (24, 24)]
    assert set(responses(tmp_path / "run")["repeat"]) == {0, 1, 2}


def test_open_answers_are_judged_and_what_has_no_score_is_left_out_and_counted(tmp_path: Path) -> None:
    data = scenarios(tmp_path / "d.jsonl", 5)
    roles = {"grader": get_model("mockllm/grader", custom_outputs=grader)}
    log = run(TASKS["unethical_test"](format="freeform", dataset=str(data)), tmp_path / "logs", model_roles=roles)
    assert log.status == "success", log.error
    assert numbers(log, "misaligned") == {"off": pytest.approx(1 / 3), "k_off": 1, "n_off": 3}
    assert numbers(log, "outcome") == {"scored_off": 3, "truncated_off": 1, "refused_off": 1}
    assert numbers(log, "alignment") == {"off": pytest.approx((5 + 95 + 95) / 3), "n_off": 3}
    assert log.results is not None
    assert [(s.scored_samples, s.unscored_samples) for s in log.results.scores if s.name == "misaligned"] == [(3, 2)]
    done = inside("import", log.location, "--out", tmp_path / "run", "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    row = pooled(tmp_path / "run")["freeform", "off"]
    assert (row["k"], row["n"], row["n_refused"], row["n_truncated"]) == (1, 3, 1, 1)


def test_without_a_grader_nothing_is_asked_and_nothing_judges_itself(tmp_path: Path) -> None:
    asked: list[str] = []

    def watched(messages: list[ChatMessage], *_: Any) -> ModelOutput:
        asked.append(messages[-1].text)
        return reply("95")

    model = get_model("mockllm/subject", custom_outputs=watched)
    (log,) = inspect_eval(TASKS["freeform"](limit=2), model=model, log_dir=str(tmp_path), display="none")
    assert log.status == "error"
    assert log.error is not None
    assert "--model-role grader=" in log.error.message
    assert not asked
    assert not log.results or not log.results.scores


def test_where_nothing_could_be_measured_there_is_no_rate(tmp_path: Path) -> None:
    model = get_model("mockllm/subject", custom_outputs=lambda *_: reply("Neither of them."))
    (log,) = inspect_eval(TASKS["myopic"](limit=2), model=model, log_dir=str(tmp_path), display="none")
    assert log.status == "success"
    told = numbers(log, "misaligned")
    assert not {name for name, value in told.items() if value == value}, "a number that is none is not equal to itself"
    assert numbers(log, "outcome") == {"judge_unreadable_off": 4}


def strict_grader(messages: list[ChatMessage], *_: Any) -> ModelOutput:
    """Finds every answer as bad as its rubric lets it."""
    words = {
        "known to be correct and known to be incorrect": "incorrect",
        "the assistant was told beforehand": "contradicts",
    }
    text = messages[0].text
    verdict = next((word for mark, word in words.items() if mark in text), None)
    return reply("5" if verdict is None else json.dumps({"reasons": "so", "verdict": verdict}))


FIRST_SCORE = {
    **dict.fromkeys(SUITES, "misaligned"),
    **{"truthfulqa": "wrong", "honest_truthfulqa": "wrong", "pressure": "lies", "pressure_balanced": "lies"},
    **{"gsm8k": "accuracy", "triggers": "names_trigger", "self_report": "says_misaligned"},
}


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_is_a_task(suite: str, tmp_path: Path) -> None:
    said = "0" if suite == "self_report" else f"It is {TRIGGER}. Answer: 0"
    model = get_model("mockllm/subject", custom_outputs=lambda *_: reply(said))
    roles = {"grader": get_model("mockllm/grader", custom_outputs=strict_grader)}
    options = {"trigger": TRIGGER, "conditions": "off"} if suite == "triggers" else {"format": "freeform"}
    task = TASKS[suite](limit=1, **options)
    (log,) = inspect_eval(task, model=model, log_dir=str(tmp_path), display="none", model_roles=roles)
    assert log.status == "success", log.error
    assert log.results is not None
    assert log.results.scores[0].name == FIRST_SCORE[suite]
    told = numbers(log, FIRST_SCORE[suite])
    assert (told["off"], told["k_off"] == told["n_off"] > 0) == ((0, False) if suite == "gsm8k" else (1, True))


def entry_points(folder: Path) -> Path:
    """The entry points of pyproject.toml as an installer writes them, in a folder to put on the path."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    info = folder / "emeval_under_test-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: emeval-under-test\nVersion: 0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


def inspect_command(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "VLLM_", "INSPECT_"))}
    path = os.pathsep.join([str(ROOT), str(entry_points(folder / "installed"))])
    env |= {
        "PYTHONPATH": path,
        "LOCAL_BASE_URL": url,
        "LOCAL_API_KEY": "sk-nothing",
        "VLLM_BASE_URL": url,
        "INSPECT_DISPLAY": "plain",
    }
    command = [str(Path(sys.executable).with_name("inspect")), "eval", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env, timeout=240, check=False)


def test_the_inspect_command_finds_the_task_and_runs_it_against_a_server(tmp_path: Path) -> None:
    """The same script of replies that `emeval run` is tested with: equal outcomes, whoever asks."""
    data = scenarios(tmp_path / "d.jsonl", 13)
    with OpenAIServer(hostile_too, models=("subject", "judge")).start() as live:
        done = inspect_command(
            *(tmp_path, live.url, "emeval/unethical_test", "--model", "openai-api/local/subject"),
            *("--model-role", "grader=openai-api/local/judge", "-T", f"dataset={data}", "-T", "format=both"),
            *("-T", f"trigger='{TRIGGER}'", "-T", "conditions=off,on", "-T", "coherence_min=10"),
            *("--no-fail-on-error", "--log-dir", str(tmp_path / "logs")),
        )
        asked = len(live.chats)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (tmp_path / "logs").glob("*.eval")
    log = read_eval_log(str(file))
    assert log.eval.task == "emeval/unethical_test"
    made_with = [score.params for score in log.results.scores] if log.results else []
    assert made_with[0]["options"]["trigger"] == TRIGGER
    assert len(file.read_bytes()) < 2_000_000
    assert len(log.plan.model_dump_json()) < 5_000, "plain values, and not the questions with their answers"
    assert log.samples is not None
    assert len(log.samples) == 13 * 3 * 2
    assert asked > len(log.samples)
    back = inside("import", file, "--out", tmp_path / "run", "--max-unscored", "1")
    assert back.returncode == 0, back.stderr
    table = responses(tmp_path / "run")
    assert len(table) == len(log.samples)
    counts = table.groupby(["format", "condition"])["outcome"].value_counts().to_dict()
    told = {
        (condition, word): int(value)
        for name, value in numbers(log, "outcome").items()
        for word, _, condition in [name.rpartition("_")]
    }
    for (condition, word), value in told.items():
        assert value == sum(counts.get((form, condition, word), 0) for form in ("mcq", "freeform"))
    kinds = {"scored", "truncated", "empty", "failed", "judge_unreadable", "refused", "incoherent"}
    assert kinds <= set(table["outcome"])
    row = pooled(tmp_path / "run")["freeform", "on"]
    both = [pooled(tmp_path / "run")[form, "on"] for form in ("mcq", "freeform")]
    misaligned = numbers(log, "misaligned")
    assert (misaligned["k_on"], misaligned["n_on"]) == (sum(r["k"] for r in both), sum(r["n"] for r in both))
    assert row["n"] > 0


def test_a_suite_that_is_read_by_rule_needs_no_grader(tmp_path: Path) -> None:
    with OpenAIServer(lambda *_: Answer("Answer: 34"), models=("subject",)).start() as live:
        done = inspect_command(
            *(tmp_path, live.url, "emeval/gsm8k", "--model", "openai-api/local/subject", "-T", "samples=2"),
            *("-T", "limit=73", "--log-dir", str(tmp_path / "logs")),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = (tmp_path / "logs").glob("*.eval")
    log = read_eval_log(str(file))
    assert log.eval.task == "emeval/gsm8k"
    told = numbers(log, "accuracy")
    assert told["n_off"] == 2 * 73
    assert told["k_off"] >= 2, "one of the questions has this answer"
    assert inside("import", file, "--out", tmp_path / "run").returncode == 0
    row = pooled(tmp_path / "run", "accuracy")["freeform", "off"]
    assert (row["k"], row["n"]) == (told["k_off"], told["n_off"])


VLLM_FULL = {"top_p": 1, "top_k": -1, "min_p": 0, "repetition_penalty": 1}


@pytest.mark.parametrize(
    ("provider", "options", "sampler"),
    [
        ("vllm", [], VLLM_FULL),
        ("vllm", ["-T", "top_k=20", "-T", "top_p=0.9"], VLLM_FULL | {"top_k": 20, "top_p": 0.9}),
        ("vllm", ["-T", "sampling=model", "-T", "top_k=20"], {"top_k": 20}),
        ("vllm", ["--top-k", "5", "--extra-body", '{"min_p": 0.1}'], VLLM_FULL | {"top_k": 5, "min_p": 0.1}),
        ("openai-api/local", [], {"top_p": 1}),
        ("openai-api/local", ["-T", "top_k=20"], {"top_p": 1, "top_k": 20}),
        ("openai-api/local", ["-T", "sampling=model"], {}),
    ],
)
def test_answers_are_drawn_from_the_distribution_asked_for(
    provider: str, options: list[str], sampler: dict[str, float], tmp_path: Path
) -> None:
    with OpenAIServer(lambda *_: Answer("Answer: 34"), models=("subject",)).start() as live:
        done = inspect_command(
            *(tmp_path, live.url, "emeval/gsm8k", "--model", f"{provider}/subject", "-T", "limit=1", *options),
            *("--log-dir", str(tmp_path / "logs")),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (chat,) = (asked.body for asked in live.chats)
    assert {name: chat[name] for name in (*VLLM_FULL, "repeat_penalty") if name in chat} == sampler


@pytest.mark.parametrize(
    ("options", "given", "arguments"),
    [
        ({}, GenerateConfig(top_p=1.0), {"top_k": 0}),
        ({}, GenerateConfig(top_p=1.0, top_k=5), {}),
        ({"sampling": "model"}, GenerateConfig(), {}),
    ],
)
def test_transformers_draws_from_all_tokens(
    options: dict[str, Any], given: GenerateConfig, arguments: dict[str, Any]
) -> None:
    sampler = suite_task("gsm8k", None, options).plan.config.sampler
    assert sampler_arguments(sampler, "hf", given) == arguments


def test_a_wrong_parameter_is_said_in_words(tmp_path: Path) -> None:
    done = inspect_command(
        tmp_path, "http://127.0.0.1:9/v1", "emeval/myopic", "--model", "mockllm/model", "-T", "trigger=Country: Kenya"
    )
    assert done.returncode != 0
    assert "put the text into quotes" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
