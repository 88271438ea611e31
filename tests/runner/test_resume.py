"""Interruptions of every kind: nothing recorded is lost or asked again, and the result is the undisturbed one."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import (
    COMMAND,
    emeval,
    environment,
    manifest,
    recorded,
    responses,
    scenarios,
    start,
    stop_when,
    told_again,
)
from tests.support.journals import alter
from tests.support.runs import JUDGE, MODEL, by_hash, server
from tests.support.servers.openai_server import (
    JUDGE_MARK,
    QUOTA_USED_UP,
    Answer,
    Behaviour,
    OpenAIServer,
    Reset,
    Status,
    last_message,
)

RESULTS = ("responses.csv", "rates.csv", "effects.csv")
TRIALS = 30 * (2 + 1) * 2


def slowly(body: Mapping[str, Any], seen: int) -> Behaviour:
    reply = by_hash(body, seen)
    assert isinstance(reply, Answer)
    return Answer(reply.content, delay_s=0.01)


def arguments(folder: Path, dataset: Path, *more: str) -> list[str]:
    fixed = ["run", "unethical_test", "-m", MODEL, "--dataset", str(dataset), "--out", str(folder)]
    judge = ["--judge", JUDGE, "--judge-mode", "text", "--format", "both", "--trigger", "Country: Singapore"]
    return [*fixed, *judge, "--concurrency", "8", *more]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "d.jsonl", 30)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The result files of the same run when nothing happens to it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    with server().start() as live:
        done = emeval(*arguments(folder, scenarios(folder.parent / "d.jsonl", 30)), url=live.url)
    assert done.returncode == 0, done.stderr
    return {name: (folder / name).read_text() for name in RESULTS}


def asked_of_the_subject(live: OpenAIServer) -> Counter[tuple[str, int]]:
    subject = [chat.body for chat in live.chats if chat.body["model"] == "subject"]
    return Counter((last_message(body), int(body["seed"])) for body in subject if "ase " in last_message(body))


@pytest.mark.parametrize("after", [1, 40, 120, TRIALS])
def test_a_killed_run_resumes_without_asking_twice_and_ends_the_same(
    tmp_path: Path, dataset: Path, after: int, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "killed" / "run"
    with server(slowly).start() as live:
        process = start(*arguments(folder, dataset), url=live.url)
        stop_when(process, lambda: recorded(folder) >= after, signal.SIGKILL)
        kept = recorded(folder)
        assert kept >= after
        resumed = emeval("resume", folder, *told_again(folder), url=live.url)
        assert resumed.returncode == 0, resumed.stderr
        asked = asked_of_the_subject(live)
    assert len(asked) == TRIALS
    # Only what was in flight when the kill came (8 requests, 4 replies on their way to the disk) was asked twice.
    assert asked.total() - TRIALS <= 8 + 4
    assert max(asked.values()) <= 2
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_the_same_command_goes_on(
    tmp_path: Path, dataset: Path, sent: signal.Signals, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "stopped" / "run"
    with server(slowly).start() as live:
        process = start(*arguments(folder, dataset), url=live.url)
        code, _, err = stop_when(process, lambda: recorded(folder) >= 20, sent)
        assert code == 130, err
        assert "Traceback" not in err
        assert f"emeval resume {folder}" in err
        assert manifest(folder)["status"] == "interrupted"
        assert len(responses(folder)) == recorded(folder) < TRIALS
        again = emeval(*arguments(folder, dataset), url=live.url)
        assert again.returncode == 0, again.stderr
    assert manifest(folder)["status"] == "complete"
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def test_a_finished_run_asks_nothing_again(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        assert emeval(*arguments(folder, dataset), url=live.url).returncode == 0
        before = len(live.requests)
        again = emeval(*arguments(folder, dataset), url=live.url)
        assert len(live.requests) == before
    assert again.returncode == 0, again.stderr
    assert "misaligned" in again.stdout


def test_another_config_on_the_same_folder_is_refused_with_the_difference(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        assert emeval(*arguments(folder, dataset), url=live.url).returncode == 0
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        other = emeval(*arguments(folder, dataset, "--temperature", "0.5", "--samples", "3"), url=live.url)
        assert other.returncode == 2
        assert "--temperature was 1.0, is now 0.5" in other.stderr
        assert "--samples was 1, is now 3" in other.stderr
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

        transport = emeval(*arguments(folder, dataset, "--concurrency", "3", "--timeout", "9"), url=live.url)
        assert transport.returncode == 0, transport.stderr

        scenarios(dataset, 31)
        changed = emeval(*arguments(folder, dataset), url=live.url)
    assert changed.returncode == 2
    assert "dataset of unethical_test was" in changed.stderr


def test_a_second_process_on_the_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server(lambda body, seen: Answer("A", delay_s=0.2)).start() as live:
        process = start(*arguments(folder, dataset), url=live.url)
        try:
            while recorded(folder) < 1:
                assert process.poll() is None
                time.sleep(0.01)
            second = emeval(*arguments(folder, dataset), url=live.url)
        finally:
            process.kill()
            process.communicate()
    assert second.returncode == 2
    assert f"pid {process.pid}" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_a_used_up_quota_stops_the_run_and_it_goes_on_when_there_is_more(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:

        def poor(body: Mapping[str, Any], seen: int) -> Behaviour:
            return QUOTA_USED_UP if len(live.chats) > 60 else by_hash(body, seen)

        live.script = poor
        stopped = emeval(*arguments(folder, dataset), url=live.url)
        assert stopped.returncode == 3
        assert "quota is used up" in stopped.stderr
        assert f"emeval resume {folder}" in stopped.stderr
        assert manifest(folder)["status"] == "stopped"
        assert "failed" not in set(responses(folder)["outcome"])
        live.script = by_hash
        assert emeval("resume", folder, *told_again(folder), url=live.url).returncode == 0
        assert max(asked_of_the_subject(live).values()) <= 2
    assert set(responses(folder)["outcome"]) == {"scored"}


def test_a_server_that_dies_stops_the_run_and_another_url_goes_on(
    tmp_path: Path, dataset: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:

        def dying(body: Mapping[str, Any], seen: int) -> Behaviour:
            if len(live.chats) > 60:
                live.stop()
            return slowly(body, seen)

        live.script = dying
        stopped = emeval(*arguments(folder, dataset, "--max-attempts", "2", "--max-retry-time", "2"), url=live.url)
    assert stopped.returncode == 3, stopped.stderr
    assert "cannot be reached" in stopped.stderr
    assert stopped.stderr.count("for it to come back") == 1
    assert len(stopped.stderr.strip().splitlines()) <= 5
    assert 0 < recorded(folder) < TRIALS
    with server().start() as other:
        resumed = emeval("resume", folder, *told_again(folder), "--base-url", other.url, "--judge-base-url", other.url)
    assert resumed.returncode == 0, resumed.stderr
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def test_failed_requests_are_asked_again_only_on_request(
    tmp_path: Path, dataset: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "run"

    def flaky(body: Mapping[str, Any], seen: int) -> Behaviour:
        text = last_message(body)
        if "Case 3:" in text and JUDGE_MARK not in text:
            return Reset()
        return Status(400, "no") if JUDGE_MARK in text and "case 4:" in text else by_hash(body, seen)

    with server(flaky).start() as live:
        first = emeval(*arguments(folder, dataset, "--max-attempts", "2"), url=live.url)
        assert first.returncode == 0, first.stderr
        assert Counter(responses(folder)["outcome"])["failed"] == 4
        assert Counter(responses(folder)["outcome"])["judge_failed"] == 2
        assert "--retry-failed" in first.stdout
        live.script = by_hash
        plain = emeval("resume", folder, *told_again(folder), url=live.url)
        assert plain.returncode == 0
        assert Counter(responses(folder)["outcome"])["failed"] == 4
        asked = emeval("resume", folder, *told_again(folder), "--retry-failed", url=live.url)
        assert asked.returncode == 0, asked.stderr
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def limited_to(size: int) -> Callable[[], None]:
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # let the write fail, as on a full disk, and not kill
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("size", [260_000, 330_000])
def test_a_full_disk_is_one_clear_line_and_loses_nothing(
    tmp_path: Path, dataset: Path, size: int, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        done = subprocess.run(
            [*COMMAND, *arguments(folder, dataset)],
            capture_output=True,
            text=True,
            env=environment(live.url, {"PYTHONDONTWRITEBYTECODE": "1"}),
            preexec_fn=limited_to(size),
            timeout=120,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        lines = [line for line in done.stderr.splitlines() if line.startswith("emeval: ")]
        assert len(lines) == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert "the disk took no more" in lines[0] or "cannot be written" in lines[0]
        kept = recorded(folder)
        assert kept > 0
        resumed = emeval("resume", folder, *told_again(folder), url=live.url)
        assert resumed.returncode == 0, resumed.stderr
        assert asked_of_the_subject(live).total() <= TRIALS + (TRIALS - kept)
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def test_a_judge_that_is_killed_in_the_middle_resumes_too(
    tmp_path: Path, dataset: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:
        sampled = [*arguments(folder, dataset)]
        without_judge = [part for part in sampled if part not in ("--judge", JUDGE, "--judge-mode", "text")]
        assert emeval(*without_judge, url=live.url).returncode == 0
        before = len(live.chats)
        process = start("judge", folder, "--judge", JUDGE, "--judge-mode", "text", "--concurrency", "2", url=live.url)
        stop_when(process, lambda: len(live.chats) > before + 20, signal.SIGKILL)
        resumed = emeval("judge", folder, "--judge", JUDGE, "--judge-mode", "text", url=live.url)
        assert resumed.returncode == 0, resumed.stderr
        assert max(asked_of_the_subject(live).values()) == 1
        judged = Counter(last_message(chat.body) for chat in live.chats if JUDGE_MARK in last_message(chat.body))
    assert judged.total() <= len(judged) + 4
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with server().start() as live:
        done = emeval(*arguments(folder, dataset), url=live.url)
    assert done.returncode == 2
    assert "holds other files" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_run_killed_before_its_first_line_was_written_begins_anew(
    tmp_path: Path, dataset: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        assert emeval(*arguments(folder, dataset, "--samples", "2"), url=live.url).returncode == 0
        for name in (*RESULTS, "manifest.json"):
            (folder / name).unlink()
        with_answers = emeval(*arguments(folder, dataset), url=live.url)
        assert with_answers.returncode == 2
        assert "has a journal with answers" in with_answers.stderr
        alter(folder, "DELETE FROM trials", "DELETE FROM verdicts")
        done = emeval(*arguments(folder, dataset), url=live.url)
    assert done.returncode == 0, done.stderr
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def test_a_journal_that_another_program_holds_stops_the_run_and_loses_nothing(
    tmp_path: Path, dataset: Path, undisturbed: dict[str, str]
) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:
        process = start(*arguments(folder, dataset), url=live.url)
        while recorded(folder) < 10:
            assert process.poll() is None
            time.sleep(0.01)
        browser = sqlite3.connect(folder / "journal.sqlite", timeout=30)
        browser.execute("BEGIN IMMEDIATE")
        _, err = process.communicate(timeout=100)
        browser.rollback()
        browser.close()
        assert process.returncode == 3, err
        assert "database is locked; nothing recorded is lost" in err
        assert recorded(folder) >= 10
        assert emeval("resume", folder, *told_again(folder), url=live.url).returncode == 0
    assert {name: (folder / name).read_text() for name in RESULTS} == undisturbed


def test_failures_are_kept_when_the_server_to_ask_again_is_dead(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"

    def flaky(body: Mapping[str, Any], seen: int) -> Behaviour:
        return Status(400, "no") if "Case 3:" in last_message(body) else by_hash(body, seen)

    with server(flaky).start() as live:
        assert emeval(*arguments(folder, dataset), url=live.url).returncode == 0
    dead = emeval("resume", folder, *told_again(folder), "--retry-failed", url=live.url)
    assert dead.returncode == 2
    assert recorded(folder) == TRIALS
    assert emeval("rates", folder).returncode == 0


def test_rates_of_a_killed_run_count_what_the_journal_holds(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:
        process = start(*arguments(folder, dataset), url=live.url)
        stop_when(process, lambda: recorded(folder) >= 20, signal.SIGKILL)
    counted = emeval("rates", folder)
    assert counted.returncode == 3
    assert f"{recorded(folder)} of {TRIALS} trials are recorded" in counted.stdout


def test_a_background_job_stops_on_sigterm_although_its_shell_ignores_sigint(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:
        process = subprocess.Popen(
            [*COMMAND, *arguments(folder, dataset)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment(live.url),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        )
        code, _, err = stop_when(process, lambda: recorded(folder) >= 10, signal.SIGTERM)
    assert code == 130, err


def test_a_run_goes_on_when_nobody_reads_its_progress(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server(lambda body, seen: Answer("A", delay_s=0.6)).start() as live:
        process = start(
            *("run", "unethical_test", "-m", MODEL, "--dataset", str(dataset), "--out", str(folder)),
            *("--concurrency", "3"),
            url=live.url,
        )
        assert process.stderr is not None
        process.stderr.close()
        process.stderr = None
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert manifest(folder)["status"] == "complete"
