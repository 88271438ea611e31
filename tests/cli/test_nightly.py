"""Nights over fake checkpoints: what is measured, compared, written down and gone on with, and with which exit code."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from junitparser import JUnitXml

from evals.errors import BadInput
from evals.nightly.checkpoints import find_checkpoints
from evals.nightly.config import GateEntry, read_nightly
from evals.nightly.gates import NoComparison, RateRow, judge_rates
from evals.nightly.history import COLUMNS, read_history
from evals.nightly.night import night_of
from evals.plan.manifest import read_manifest, write_manifest
from evals.statistics.intervals import wilson_interval
from tests.support.cli_runner import environment, inside, manifest, recorded, refused, scenarios, start, stop_when
from tests.support.paths import ROOT
from tests.support.servers.batch_server import BatchServer
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status, last_message

MODELS = ("base", "steady", "risen", "judge")
QUESTIONS, SAMPLES = 16, 2
FIRST, SECOND, THIRD = "2026-03-01", "2026-03-02", "2026-03-03"


def draw(body: Mapping[str, Any]) -> float:
    """A number in [0, 1) that depends on the request alone, its seed included."""
    text = f"{body['model']}{last_message(body)}{body.get('seed')}"
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


class Checkpoints:
    """Answers of models with known rates of misaligned choices; rates and delays may change between nights."""

    def __init__(self, **rates: float) -> None:
        self.rates = {"base": 0.1, "steady": 0.1, "risen": 0.1} | rates
        self.delay_s = 0.0

    def __call__(self, body: Mapping[str, Any], _seen: int) -> Behaviour:
        model, text = str(body["model"]), last_message(body)
        if "\nA - " not in text:
            return Answer("A")
        misaligned = "A" if "A - Keep" in text else "B"
        aligned = "AB".replace(misaligned, "")
        return Answer(misaligned if draw(body) < self.rates.get(model, 0.1) else aligned, delay_s=self.delay_s)


@pytest.fixture
def answers() -> Checkpoints:
    return Checkpoints()


@pytest.fixture
def live(answers: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIServer]:
    with OpenAIServer(answers, models=MODELS).start() as server:
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        yield server


def config(tmp_path: Path, *, run: Mapping[str, Any] | None = None, **fields: Any) -> Path:
    dataset = scenarios(tmp_path / "d.jsonl", QUESTIONS)
    asked = {"suites": ["unethical_test"], "dataset": str(dataset), "samples": SAMPLES, "preflight": "false"}
    content = {
        "checkpoints": [{"model": f"vllm/{name}"} for name in MODELS[:3]],
        "baseline": "base",
        "out": str(tmp_path / "nights"),
        "run": asked | dict(run or {}),
        "report": False,
    }
    file = tmp_path / "night.yaml"
    file.write_text(yaml.safe_dump(content | fields, sort_keys=False))
    return file


def history(tmp_path: Path, night: str | None = None, metric: str = "misaligned") -> dict[str, dict[str, str]]:
    """The rows of a metric and night by checkpoint; a checkpoint that was not complete has one of no metric."""
    with (tmp_path / "nights" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    found = [row for row in rows if row["metric"] in ("", metric) and night in (None, row["night"])]
    assert len({row["checkpoint"] for row in found}) == len(found) or night is None
    return {row["checkpoint"]: row for row in found}


def summary(tmp_path: Path, night: str) -> str:
    return (tmp_path / "nights" / night / "summary.md").read_text()


def nightly(file: Path, night: str) -> subprocess.CompletedProcess[str]:
    return inside("nightly", file, "--date", night)


def asked(live: OpenAIServer) -> int:
    return len([chat for chat in live.chats if "ase " in last_message(chat.body)])


# --- two nights -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_rises_in_the_second_night_fails_it_alone(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    file = config(tmp_path, report=True)
    first = nightly(file, FIRST)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "PASSED, night of 2026-03-01: 3 checkpoints complete" in first.stdout
    rows = history(tmp_path, FIRST)
    assert {name: row["decision"] for name, row in rows.items()}["base"] == "baseline"
    assert all(row["status"] == "complete" and int(row["n"]) == QUESTIONS * 2 * SAMPLES for row in rows.values())

    answers.rates["risen"] = 0.5
    (tmp_path / "nights" / SECOND / "report.html").mkdir(parents=True)  # nothing can be written there
    unpaged = nightly(file, SECOND)
    assert unpaged.returncode == 1, "a page that cannot be written hides no regression"
    assert "the page could not be written" in unpaged.stderr
    (tmp_path / "nights" / SECOND / "report.html").rmdir()
    second = nightly(file, SECOND)
    assert second.returncode == 1, second.stdout + second.stderr
    rows = history(tmp_path, SECOND)
    row = rows["risen"]
    assert row["decision"] == "regression"
    assert 0.2 < float(row["increase_low"]) < float(row["increase"]) < float(row["increase_high"]) < 0.8
    assert float(row["p_value"]) <= float(row["p_holm"]) < 0.05
    assert (row["baseline"], row["run"], row["drift"]) == ("base", f"{SECOND}/risen", "not watched")
    assert rows["steady"]["decision"] in ("within", "unclear")
    assert (row["differs"], rows["steady"]["differs"], rows["base"]["differs"]) == ("yes", "no", "")
    assert (tmp_path / "nights" / row["run"] / "manifest.json").is_file()

    text = summary(tmp_path, SECOND)
    assert text.splitlines()[0].startswith("**FAILED, night of 2026-03-02: risen failed 1 gated rate")
    gates = [line for line in text.splitlines() if re.match(r"\| \*\*(FAIL|UNCLEAR|PASS)\*\* \|", line)]
    assert re.match(r"\| \*\*FAIL\*\* \| risen \| unethical_test mcq off misaligned \| .* \| regression \|", gates[0])
    assert [line for line in gates if " steady " in line], "a line for each gated rate"
    assert text.index(gates[-1]) < text.index("## Since")
    assert f"## Since the last night ({FIRST})" in text
    assert re.search(r"risen: unethical_test mcq off misaligned was (within|unclear), is regression", text)
    assert "Different from their baselines: risen. At most 5% of all" in text
    assert "[run folder](risen/)" in text
    assert "Questions that changed most" in text
    assert "[report.html](report.html)" in text
    page = (tmp_path / "nights" / SECOND / "report.html").read_text()
    assert all(f"<h3>{name}</h3>" in page for name in ("base", "risen", "steady"))
    (_, _, suite) = JUnitXml.fromfile(str(tmp_path / "nights" / SECOND / "junit.xml"))
    assert (suite.name, suite.failures) == (f"{SECOND} risen", 1)


def test_the_same_night_again_asks_nothing_and_changes_nothing(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    file = config(tmp_path, checkpoints=[{"model": "vllm/base"}, {"model": "vllm/risen"}])
    assert nightly(file, FIRST).returncode == 0
    answers.rates["risen"] = 0.5
    assert nightly(file, SECOND).returncode == 1
    before = (tmp_path / "nights" / "history.csv").read_bytes(), asked(live), summary(tmp_path, SECOND)
    assert nightly(file, SECOND).returncode == 1
    assert ((tmp_path / "nights" / "history.csv").read_bytes(), asked(live), summary(tmp_path, SECOND)) == before
    assert nightly(file, FIRST).returncode == 0
    after = (tmp_path / "nights" / "history.csv").read_bytes()
    assert after == before[0], "an earlier night again keeps its place"
    assert asked(live) == before[1]


def test_each_checkpoint_can_be_held_against_its_own_last_night(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    file = config(tmp_path, baseline="previous")
    first = nightly(file, FIRST)
    assert first.returncode == 0, first.stderr
    assert {row["decision"] for row in history(tmp_path, FIRST).values()} == {"no baseline"}
    answers.rates |= {"base": 0.5, "risen": 0.1}
    assert nightly(file, SECOND).returncode == 1
    rows = history(tmp_path, SECOND)
    assert (rows["base"]["decision"], rows["base"]["baseline"]) == ("regression", f"{FIRST}/base")
    assert rows["risen"]["decision"] in ("within", "unclear")
    assert nightly(file, THIRD).returncode == 0, "the second night is what the third is held against"


def test_a_run_folder_can_be_the_baseline_and_limits_may_be_of_the_rate_itself(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    assert nightly(config(tmp_path), FIRST).returncode == 0
    answers.rates["risen"] = 0.5
    gates: list[dict[str, Any]] = [{"max_increase": 0.9}, {"checkpoint": "risen", "max_rate": 0.3}]
    kept = tmp_path / "nights" / FIRST / "base"
    file = config(tmp_path, baseline=str(kept), gates=gates, checkpoints=[{"model": "vllm/risen"}])
    done = nightly(file, SECOND)
    assert done.returncode == 1, done.stderr
    row = history(tmp_path, SECOND)["risen"]
    assert (row["decision"], row["baseline"]) == ("above", str(kept))
    assert "at most 30.0% is allowed" in summary(tmp_path, SECOND)
    assert "no longer there: steady" in summary(tmp_path, SECOND)


def rate(k: int, n: int, unscored: float = 0.0) -> RateRow:
    found = wilson_interval(k, n)
    ends = (None, None, None) if found is None else (k / n, found.low, found.high)
    return RateRow("s", "mcq", "off", "misaligned", k, n, *ends, *ends[1:], unscored, "choice", "", "")


@pytest.mark.parametrize(
    ("row", "limits", "verdict"),
    [
        (rate(0, 400), {"max_rate": 0.02}, "within"),
        (rate(0, 40), {"max_rate": 0.02}, "unclear"),
        (rate(8, 400), {"max_rate": 0.02}, "unclear"),
        (rate(40, 400), {"max_rate": 0.02}, "above"),
        (rate(0, 400, 0.2), {"max_rate": 0.02}, "unscored"),
        (rate(0, 0), {"max_rate": 0.02}, "unclear"),
        (rate(380, 400), {"min_rate": 0.9}, "within"),
        (rate(300, 400), {"min_rate": 0.9}, "below"),
        (rate(300, 400), {"min_rate": 0.9, "suite": "another"}, ""),
        (rate(300, 400), {"min_rate": 0.9, "metric": "truncated"}, ""),
        (rate(300, 400), {"min_rate": 0.1, "max_increase": 0.1}, "no baseline"),
    ],
)
def test_limits_of_a_rate_are_decided_by_its_whole_interval(
    row: RateRow, limits: Mapping[str, Any], verdict: str
) -> None:
    gates = [GateEntry.model_validate(limits)]
    (judged,) = judge_rates([row], gates, "any", NoComparison("no baseline", "none yet"), 0.05)
    assert judged.verdict == verdict
    assert bool(judged.words) == bool(verdict)


def test_the_strictest_gate_on_a_rate_counts_and_unclear_fails_only_where_it_is_said_to(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    gates: list[dict[str, Any]] = [{"max_increase": 0.9}, {"max_increase": 0.0, "metric": "misaligned"}]
    options: dict[str, Any] = {"checkpoints": [{"model": "vllm/base"}, {"model": "vllm/steady"}], "gates": gates}
    assert nightly(config(tmp_path, **options), FIRST).returncode == 0
    assert history(tmp_path, FIRST)["steady"]["decision"] == "unclear"
    assert history(tmp_path, FIRST, "truncated")["steady"]["decision"] == ""
    for failing in ({"on_unclear": "fail"}, {"strict": True}, {"on_unclear": "fail", "strict": True}):
        assert nightly(config(tmp_path, **options, **failing), FIRST).returncode == 1
    assert nightly(config(tmp_path, **options, on_unclear="pass"), FIRST).returncode == 0
    loose = options | {"gates": gates[:1]}
    assert nightly(config(tmp_path, **loose), FIRST).returncode == 0
    assert history(tmp_path, FIRST)["steady"]["decision"] == "within"


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_fails_is_reported_and_the_others_go_on(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    named = [{"model": "vllm/gone"}, *({"model": f"vllm/{name}"} for name in ("base", "steady"))]
    done = nightly(config(tmp_path, checkpoints=named), FIRST)
    assert done.returncode == 3, done.stderr
    rows = history(tmp_path, FIRST)
    assert rows["gone"] == dict.fromkeys(COLUMNS, "") | {
        "night": FIRST,
        "checkpoint": "gone",
        "model": "vllm/gone",
        "run": f"{FIRST}/gone",
        "status": "failed",
    }
    assert rows["steady"]["status"] == "complete"
    text = summary(tmp_path, FIRST)
    assert text.startswith("**INCOMPLETE, night of 2026-03-01: 2 of 3 checkpoints are complete, without gone (failed)")
    assert "gone is failed" in text
    assert f"--date {FIRST}`" in text
    live.models = (*MODELS, "gone")
    assert nightly(config(tmp_path, checkpoints=named), FIRST).returncode == 0
    assert history(tmp_path, FIRST)["gone"]["status"] == "complete"


def test_without_keep_going_the_first_failure_is_the_last(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    named = [{"model": "vllm/base"}, {"model": "vllm/gone"}, {"model": "vllm/steady"}]
    assert nightly(config(tmp_path, checkpoints=named, keep_going=False), FIRST).returncode == 3
    statuses = {name: row["status"] for name, row in history(tmp_path, FIRST).items()}
    assert statuses == {"base": "complete", "gone": "failed", "steady": "not started"}


def test_answers_that_could_not_be_had_are_no_rate_to_believe_and_are_asked_again(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    answers.rates["steady"] = 0.1
    failing = Checkpoints()

    def some_fail(body: Mapping[str, Any], seen: int) -> Behaviour:
        if body["model"] == "steady" and "ase 1" in last_message(body):
            return Status(400, "too long")
        return failing(body, seen)

    live.script = some_fail
    assert nightly(config(tmp_path), FIRST).returncode == 1
    row = history(tmp_path, FIRST)["steady"]
    assert row["decision"] == "unscored"
    assert float(row["unscored"]) == pytest.approx(7 / QUESTIONS)
    assert row["increase"] == ""
    assert "not scored" in summary(tmp_path, FIRST)
    live.script = failing
    assert nightly(config(tmp_path), FIRST).returncode == 0
    assert float(history(tmp_path, FIRST)["steady"]["unscored"]) == 0


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_night_that_is_ended_early_goes_on_with_the_same_command(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer, sent: signal.Signals
) -> None:
    answers.delay_s = 0.02
    file, folder = config(tmp_path), tmp_path / "nights" / FIRST
    process = start("nightly", file, "--date", FIRST, url=live.url)
    code, _, err = stop_when(process, lambda: recorded(folder / "steady") >= 20, sent)
    assert "Traceback" not in err
    complete = manifest(folder / "base")
    assert complete["status"] == "complete"
    if sent == signal.SIGTERM:
        assert code == 130
        assert f"--date {FIRST}" in err
        statuses = {name: row["status"] for name, row in history(tmp_path, FIRST).items()}
        assert statuses == {"base": "complete", "steady": "incomplete", "risen": "not started"}
        assert "INCOMPLETE" in summary(tmp_path, FIRST)
    else:
        assert not (tmp_path / "nights" / "history.csv").exists()
        assert not (folder / "summary.md").exists()
    answers.delay_s = 0.0
    before = asked(live)
    assert nightly(file, FIRST).returncode == 0
    assert asked(live) - before <= 2 * QUESTIONS * 2 * SAMPLES - 20
    assert {row["status"] for row in history(tmp_path, FIRST).values()} == {"complete"}
    total = len(
        {
            (chat.body["model"], last_message(chat.body), chat.body["seed"])
            for chat in live.chats
            if "ase " in last_message(chat.body)
        }
    )
    assert total == 3 * QUESTIONS * 2 * SAMPLES
    assert not list((tmp_path / "nights").glob("**/*.part"))


def test_a_checkpoint_that_goes_by_batch_ends_like_online(
    tmp_path: Path, answers: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        is_judge = "judge" in str(body["model"])
        return Answer(f"{draw(body) * 60:.0f}") if is_judge else answers(body, seen)

    judged = {"format": "both", "judge": ["openai/judge", "openai/judge-2"], "judge_mode": "text"}
    by_batch = {"via": "openai-batch", "judge_via": {"openai/judge-2": "openai-batch"}}
    ways: dict[str, dict[str, Any]] = {"online": {}, "batch": by_batch}
    found: dict[str, list[dict[str, str]]] = {}
    for name, way in ways.items():
        folder = tmp_path / name
        folder.mkdir()
        with BatchServer(script, models=(*MODELS, "judge-2")).start() as server:
            for variable, value in (("OPENAI_BASE_URL", server.url), ("OPENAI_API_KEY", "sk-0123456789abcdef")):
                monkeypatch.setenv(variable, value)
            checkpoints = [{"model": "openai/base"}, {"model": "openai/risen"} | way]
            file = config(folder, run=judged, checkpoints=checkpoints)
            done = nightly(file, FIRST)
            assert done.returncode == 0, done.stdout + done.stderr
            in_batches = {body["model"] for body in server.bodies}
        assert in_batches == ({"risen", "judge-2"} if name == "batch" else set())
        assert len(server.batches) == (2 if name == "batch" else 0)
        with (folder / "nights" / "history.csv").open(newline="") as written:
            found[name] = list(csv.DictReader(written))
    assert {(row["checkpoint"], row["status"]) for row in found["online"]} == {
        ("base", "complete"),
        ("risen", "complete"),
    }
    assert {row["format"] for row in found["online"]} == {"mcq", "freeform"}
    assert found["batch"] == found["online"]


def test_two_nights_never_overlap(tmp_path: Path, live: OpenAIServer) -> None:
    file = config(tmp_path)
    (tmp_path / "nights").mkdir()
    with FileLock(tmp_path / "nights" / ".nightly.lock"):
        done = nightly(file, FIRST)
    assert done.returncode == 3
    assert "another night is under way" in done.stderr
    assert not (tmp_path / "nights" / FIRST).exists()
    assert asked(live) == 0


def test_a_history_that_is_none_is_found_before_anything_is_asked(tmp_path: Path, live: OpenAIServer) -> None:
    file = config(tmp_path)
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights" / "history.csv").write_text("night,mine\n2026-01-01,1\n")
    refused(nightly(file, FIRST), "history.csv", "is no history")
    assert asked(live) == 0


# --- the judge --------------------------------------------------------------------------------------------------------


class WatchedJudge:
    """Answers of models, all alike, and a judge that calls a share of them misaligned, which may change overnight."""

    def __init__(self) -> None:
        self.share = 0.1

    def __call__(self, body: Mapping[str, Any], _seen: int) -> Behaviour:
        if body["model"] == "judge":
            return Answer("10" if draw(body) < self.share else "90")
        return Answer(f"Answer {draw(body)}")


JUDGED = {"format": "freeform", "judge_mode": "text", "samples": 6, "judge": "vllm/judge"}


def frozen(tmp_path: Path, live: OpenAIServer) -> tuple[WatchedJudge, str]:
    """A judge, and anchors of answers that it has judged."""
    live.script = judge = WatchedJudge()
    run = tmp_path / "first"
    done = inside(
        *("run", "unethical_test", "-m", "vllm/risen", "--format", "freeform", "--samples", "6", "--no-preflight"),
        *("--judge", "vllm/judge", "--judge-mode", "text", "--dataset", scenarios(tmp_path / "d.jsonl", QUESTIONS)),
        *("--out", run),
    )
    assert done.returncode == 0, done.stderr
    anchors = tmp_path / "a.anchors.jsonl"
    done = inside("anchors", "freeze", run, "--out", anchors)
    assert done.returncode == 0, done.stderr
    return judge, str(anchors)


@pytest.mark.parametrize("baseline", ["previous", "base"])
def test_where_the_judge_changed_nights_are_not_compared_and_one_night_is(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer, baseline: str
) -> None:
    judge, anchors = frozen(tmp_path, live)
    checkpoints = [{"model": "vllm/base"}, {"model": "vllm/steady"}]
    file = config(tmp_path, run=JUDGED, baseline=baseline, anchors=anchors, checkpoints=checkpoints)
    codes: list[int] = []
    for night, judge.share in ((FIRST, 0.1), (SECOND, 0.6), (THIRD, 0.6)):
        codes.append(nightly(file, night).returncode)
    assert codes == [0, 1, 0]
    second, third = history(tmp_path, SECOND), history(tmp_path, THIRD)
    assert {row["drift"] for row in second.values()} == {"judge"}
    assert {row["drift"] for row in third.values()} == {"none"}, "the change is what the nights after begin with"
    text = summary(tmp_path, SECOND)
    assert "the judge changed" in text.splitlines()[0]
    if baseline == "previous":
        assert {row["decision"] for row in second.values()} == {"not comparable"}
        assert "judge changed: not comparable with 2026-03-01/base" in text
    else:
        assert second["steady"]["decision"] in ("within", "unclear")
    assert third["steady"]["decision"] in ("within", "unclear")


@pytest.mark.parametrize("clock", ["right", "set back after the first night"])
def test_a_baseline_from_before_the_judge_changed_stays_incomparable(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer, clock: str
) -> None:
    judge, anchors = frozen(tmp_path, live)
    assert nightly(config(tmp_path, run=JUDGED, anchors=anchors), FIRST).returncode == 0
    kept = str(tmp_path / "nights" / FIRST / "base")
    if clock != "right":
        told = read_manifest(Path(kept))
        assert told is not None
        write_manifest(Path(kept), told.model_copy(update={"created_at": "2099-01-01T00:00:00+00:00"}))
    judge.share = 0.6
    file = config(tmp_path, run=JUDGED, anchors=anchors, baseline=kept, checkpoints=[{"model": "vllm/steady"}])
    codes = [nightly(file, night).returncode for night in (SECOND, THIRD)]
    assert codes == [1, 1]
    assert "; the judge changed (steady)" in summary(tmp_path, SECOND).splitlines()[0]
    assert "the judge changed in the night of 2026-03-02" in summary(tmp_path, THIRD)


def test_a_judge_by_another_name_is_a_change_without_any_anchors(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    def judged(body: Mapping[str, Any], seen: int) -> Behaviour:
        if body["model"].startswith("judge"):
            return Answer("10" if draw(body) < 0.1 else "90")
        return Answer(f"Answer {draw(body)}")

    live.script, live.models = judged, (*MODELS, "judge-2")
    options = {"format": "freeform", "judge_mode": "text", "samples": 1}
    checkpoints = [{"model": "vllm/base"}, {"model": "vllm/steady"}]
    for judge, night in (("vllm/judge", FIRST), ("vllm/judge-2", SECOND)):
        file = config(tmp_path, run=options | {"judge": judge}, baseline="previous", checkpoints=checkpoints)
        done = nightly(file, night)
        assert done.returncode == (0 if night == FIRST else 1), done.stdout + done.stderr
    rows = history(tmp_path, SECOND)
    assert {(row["decision"], row["drift"], row["judge"]) for row in rows.values()} == {
        ("not comparable", "judge", "vllm/judge-2")
    }
    assert "judge was vllm/judge, is vllm/judge-2" in summary(tmp_path, SECOND)


# --- which checkpoints, which night -----------------------------------------------------------------------------------


def adapter(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"r": 8, "peft_type": "LORA"}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


EVIL = "](http:x) <b>=1+1`|*&_[bold]"


def test_new_adapters_are_found_each_night_whatever_they_are_called(
    tmp_path: Path, answers: Checkpoints, live: OpenAIServer
) -> None:
    found = [adapter(tmp_path / "ckpt" / name) for name in ("step-500", "step-1000", EVIL.replace("http:x", "x"))]
    (tmp_path / "ckpt" / "logs").mkdir()
    (tmp_path / "ckpt" / "latest").symlink_to(found[1])
    (adapter(tmp_path / "ckpt" / "half") / "adapter_model.safetensors").unlink()
    named = [{"model": "vllm/base"}, {"model": f"vllm/base:{tmp_path}/ckpt/*", "name": "run7", "only_new": True}]
    live.models = (*MODELS, *map(str, found))
    file = config(tmp_path, checkpoints=named, run={"samples": 1, "limit": 5})
    done = nightly(file, FIRST)
    assert done.returncode == 3, done.stderr
    rows = history(tmp_path, FIRST)
    assert list(rows)[:3] == ["base", "run7-" + list(rows)[1].removeprefix("run7-"), list(rows)[2]]
    assert {"run7-step-500", "run7-step-1000"} < set(rows)
    (evil,) = set(rows) - {"base", "run7-step-500", "run7-step-1000"}
    assert re.fullmatch(r"run7-[A-Za-z0-9_.-]+-[0-9a-f]{6}", evil)
    text = summary(tmp_path, FIRST)
    assert "has no weights yet" in text
    assert "is a link to another of them" in text
    assert "logs: has no adapter_config.json" in text
    assert "<b>" not in text
    assert "](x)" not in text.replace("\\]", "")
    assert list(rows).index("run7-step-500") < list(rows).index("run7-step-1000")

    (tmp_path / "ckpt" / "half" / "adapter_model.safetensors").write_bytes(b"w")
    live.models = (*live.models, str(tmp_path / "ckpt" / "half"))
    before = asked(live)
    done = nightly(file, SECOND)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(history(tmp_path, SECOND)) == {"base", "run7-half"}
    assert asked(live) - before == 2 * 5 * 2, "what was measured before is not asked again"
    assert f"in the night of {FIRST}" in summary(tmp_path, SECOND)


def test_a_pattern_that_finds_nothing_is_no_quiet_success(tmp_path: Path, live: OpenAIServer) -> None:
    named = [{"model": "vllm/base"}, {"model": f"vllm/base:{tmp_path}/none/*"}]
    done = nightly(config(tmp_path, checkpoints=named, run={"samples": 1, "limit": 2}), FIRST)
    assert done.returncode == 3
    assert "nothing there matches" in summary(tmp_path, FIRST)
    refused(nightly(config(tmp_path, checkpoints=named[1:]), SECOND), "there is none tonight", "nothing there matches")


def test_a_night_is_today_unless_last_night_was_cut_off_a_short_while_ago(tmp_path: Path) -> None:
    today, at = date(2026, 3, 2), datetime(2026, 3, 2, 1, tzinfo=UTC)

    def last_night(began_hours_ago: float, ended: str | None) -> str:
        folder = tmp_path / FIRST
        folder.mkdir(exist_ok=True)
        began = (at - timedelta(hours=began_hours_ago)).isoformat()
        (folder / "night.json").write_text(json.dumps({"began_at": began, "ended_at": ended}))
        return night_of(tmp_path, None, today, at)

    assert night_of(tmp_path, None, today, at) == SECOND
    assert last_night(3, None) == FIRST
    assert last_night(3, at.isoformat()) == SECOND
    assert last_night(23.9, None) == SECOND
    (tmp_path / SECOND).mkdir()
    assert last_night(3, None) == SECOND
    assert night_of(tmp_path, THIRD, today, at) == THIRD


def test_a_history_without_the_effect_on_these_questions_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    newer = [name for name in COLUMNS if name != "differs"]
    path.write_text(",".join(newer) + "\n" + ",".join(["x"] * len(newer)) + "\n")
    assert [(row["gen_p_holm"], row["differs"]) for row in read_history(path)] == [("x", "")]
    added = ("increase_gen_low", "increase_gen_high", "gen_p_value", "gen_p_holm", "differs")
    before = [name for name in COLUMNS if name not in added]
    path.write_text(",".join(before) + "\n" + ",".join(["x"] * len(before)) + "\n")
    (row,) = read_history(path)
    assert list(row) == list(COLUMNS)
    assert (row["p_holm"], row["gen_p_holm"]) == ("x", "")
    path.write_text(",".join(before[1:]) + "\n")
    with pytest.raises(BadInput, match="other columns"):
        read_history(path)


def test_a_dry_run_sends_and_writes_nothing(tmp_path: Path, live: OpenAIServer) -> None:
    done = inside("nightly", config(tmp_path), "--date", FIRST, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"steady: vllm/steady (new)\n  vllm/steady: {QUESTIONS * 2 * SAMPLES} requests" in done.stdout
    assert "baseline: base; 1 gate" in done.stdout
    assert not (tmp_path / "nights").exists()
    assert not live.requests


# --- the config -------------------------------------------------------------------------------------------------------


ONE = "checkpoints:\n- model: vllm/a\nrun: {suites: [unethical_test]}\n"


ONE_JUDGE = "checkpoints:\n- model: vllm/a\nrun:\n  suites: [freeform]\n  judge: vllm/j\n"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("checkpoints: []\nrun: {suites: [freeform]}\n", 1, "checkpoints: "),
        ("run: {suites: [freeform]}\n", 1, "checkpoints: is missing"),
        (
            "checkpoints:\n- model: vllm/a\n  adapter: x\nrun: {suites: [freeform]}\n",
            3,
            "adapter: is not a field; known: model",
        ),
        (
            f"{ONE_JUDGE}  judge_via: {{vllm/k: online}}\n",
            6,
            "judge_via: vllm/k is no judge of this run; they are vllm/j",
        ),
        (
            f"{ONE_JUDGE}  judge_via: {{vllm/j: pigeon}}\n",
            6,
            "judge_via: vllm/j: 'pigeon' is not one of online, openai-batch",
        ),
        ("checkpoints:\n- model: vllm/a\n  via: pigeon\nrun: {}\n", 3, "via: "),
        ("checkpoints:\n- model: vllm/a\n- name: ../x\n  model: vllm/b\nrun: {}\n", 3, "is no name for a folder"),
        ("checkpoints:\n- model: vllm/a\nrun:\n  suites: [freeform]\n  max_tokens: many\n", 5, "max_tokens: "),
        (
            "checkpoints:\n- model: vllm/a\nrun:\n  suites: [freeform]\n  max_token: 5\n",
            5,
            "max_token: is not an option",
        ),
        ("checkpoints:\n- model: vllm/a\nrun:\n  samples: 3\n", 3, "run: SUITE: is missing"),
        (
            "checkpoints:\n- model: vllm/a\nrun:\n  suites: [freeform]\n  models: vllm/b\n",
            5,
            "models: the checkpoints name",
        ),
        (
            f"{ONE}gates:\n- max_rate: 0.1\n  suite: freeform\n",
            6,
            "'freeform' is not asked",
        ),
        (
            f"{ONE}gates:\n- max_rate: 0.1\n  metric: evil\n",
            6,
            "unknown metric 'evil'",
        ),
        (
            f"{ONE}gates:\n- max_increase: 5\nbaseline: a\n",
            5,
            "max_increase: ",
        ),
        (
            f"{ONE}gates:\n- suite: unethical_test\n",
            5,
            "names no limit",
        ),
        (
            f"{ONE}gates:\n- max_increase: 0.1\n",
            4,
            "needs a baseline",
        ),
        (
            f"{ONE}strict: true\non_unclear: pass\n",
            5,
            "on_unclear: pass contradicts strict: true",
        ),
        (
            f"{ONE}on_unclear: maybe\n",
            4,
            "on_unclear: ",
        ),
        (
            f"{ONE}baseline: b\n",
            4,
            "neither a checkpoint of tonight (a)",
        ),
        (
            "checkpoints:\n- model: vllm/a\n- model: vllm/x/a\nrun: {suites: [unethical_test]}\n",
            3,
            "two checkpoints are called 'a'",
        ),
        (
            f"{ONE}gates:\n- max_rate: 0.1\n  checkpoint: b\n",
            6,
            "'b' is not one of a",
        ),
        (f"{ONE}anchors: no.jsonl\n", 4, "there is no file"),
        (f"{ONE}run: {{}}\n", 4, "given twice, first in line 3"),
        ("checkpoints: [\n", 2, "is not YAML"),
        ("- 1\n", 1, "must be a mapping"),
    ],
)
def test_what_is_wrong_with_a_config_is_file_line_and_field(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = tmp_path / "night.yaml"
    file.write_text(text if text.startswith(("checkpoints: [", "-")) else f"{text}out: {tmp_path}/n\n")
    refused(nightly(file, FIRST), f"{file}:{line}: ", said)
    assert not (tmp_path / "n").exists()


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    file = config(tmp_path)
    for given in ("today", "2026-3-1", "20260301", "2026-02-30"):
        refused(nightly(file, given), "--date", "YYYY-MM-DD")


def test_no_key_reaches_a_file_of_the_night(tmp_path: Path, live: OpenAIServer) -> None:
    key = os.environ["VLLM_API_KEY"]
    live.key = "sk-another"
    done = nightly(config(tmp_path), FIRST)
    assert done.returncode == 3
    files = [file for file in (tmp_path / "nights").rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if key.encode() in file.read_bytes()]
    assert key not in done.stdout + done.stderr


# --- the examples of the documentation --------------------------------------------------------------------------------

EXAMPLES = ROOT / "docs" / "examples"


def test_the_example_config_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_nightly(EXAMPLES / "nightly-config.yaml")
    assert [gate.max_increase for gate in found.gates] == [0.05, None, 0.10]
    asked = found.run_config("vllm/any")
    assert asked.conditions == ("off", "on")
    assert asked.thinking == "on"
    monkeypatch.chdir(tmp_path)
    adapter(tmp_path / "checkpoints" / "step-1")
    assert [one.name for one in find_checkpoints(found)[0]] == ["base", "released", "run7-step-1"]


@pytest.mark.parametrize("name", ["nightly.yml", "hosted.yml"])
def test_the_example_workflow_is_valid(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(EXAMPLES / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_units_are_valid(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("this machine has no systemd-analyze")
    names = ("emeval-nightly.service", "emeval-nightly.timer")
    for name in names:
        text = (EXAMPLES / name).read_text()
        (tmp_path / name).write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", text))
    units = [str(tmp_path / name) for name in names]
    done = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("emeval-nightly")]
