"""Runs by batch that are killed, interrupted, cancelled or resumed in another way: no request is paid twice, and the
result is the undisturbed one."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.batches.openai.asked import OpenAIBatches
from evals.batches.openai.rounds import Pace
from evals.errors import RunStopped
from evals.plan.options import build_config
from evals.reporting.console.progress import ConsoleView
from evals.runner.by_batch.records import BatchRecord
from evals.runner.run import start_run
from tests.support.cli_runner import manifest, refused, scenarios, start, stop_when
from tests.support.journals import alter
from tests.support.runs import by_hash
from tests.support.runs_by_batch import TRIALS, VIA, arguments, ask, environment_of, resumed, server, table
from tests.support.servers.batch_server import BatchServer, Fault, Lost
from tests.support.servers.openai_server import Stall, Status


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The responses of the same run online."""
    folder = tmp_path_factory.mktemp("online") / "run"
    with server().start() as live:
        done = ask(live, arguments(folder))
    assert done.returncode == 0, done.stderr
    return table(folder)


def records(folder: Path) -> list[BatchRecord]:
    """The batches in the journal of a run, as another process sees them."""
    if not (folder / "journal.sqlite").exists():
        return []
    connection = sqlite3.connect(folder / "journal.sqlite", timeout=30)
    try:
        rows = connection.execute("SELECT value FROM meta WHERE key LIKE 'batch %' ORDER BY key").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()
    return [BatchRecord.model_validate_json(row[0]) for row in rows]


def kill_when(live: BatchServer, folder: Path, condition: Any, *more: str, sent: signal.Signals) -> tuple[int, str]:
    process = start(*arguments(folder, *VIA, *more), env=environment_of(live))
    code, _, err = stop_when(process, condition, sent)
    return code, err


STALLS: dict[str, tuple[str, Fault, int]] = {
    "written, not uploaded": ("POST /v1/files", Stall(bare=True), 1),
    "uploaded, not noted": ("POST /v1/files", Lost(stalls=True), 1),
    "uploaded, not created": ("POST /v1/batches", Stall(bare=True), 1),
    "created, not noted": ("POST /v1/batches", Lost(stalls=True), 1),
    "being waited for": ("GET /v1/batches/{id}", Stall(bare=True), 1),
    "ended, not asked for": ("GET /v1/files/{id}", Stall(bare=True), 1),
    "ended, not downloaded": ("GET /v1/files/{id}/content", Stall(bare=True), 1),
}


@pytest.mark.parametrize("moment", STALLS)
def test_a_run_that_is_killed_goes_on_with_the_batches_that_it_has(
    tmp_path: Path, moment: str, online: pd.DataFrame
) -> None:
    route, fault, seen = STALLS[moment]
    folder = tmp_path / "run"
    with server(faults={route: [fault]}).start() as live:
        kill_when(live, folder, lambda: live.calls.count(route) >= seen, sent=signal.SIGKILL)
        done = ask(live, resumed(folder))
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert len(live.batches) == 2, "one of answers, one of verdicts"
    assert set(live.asked.values()) == {1}
    assert not (folder / "openai-batch").exists()


@pytest.mark.parametrize("kept", [0, 7, TRIALS])
def test_results_that_were_recorded_in_part_are_taken_once(tmp_path: Path, kept: int, online: pd.DataFrame) -> None:
    """As a kill between two transactions of the results, or before the batch is noted as collected, leaves it."""
    folder = tmp_path / "run"
    with server().start() as live:
        assert ask(live, [*arguments(folder, *VIA[:2])]).returncode == 0
        (first,) = records(folder)
        _forget(folder, kept, first.model_copy(update={"state": "created", "prompt_tokens": 0}))
        done = ask(live, resumed(folder))
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert set(live.asked.values()) == {1}
    assert records(folder) == [first]


def _forget(folder: Path, kept: int, record: BatchRecord) -> None:
    """Take all but `kept` answers out of a journal, and write the batch down as still at work."""
    from evals.trials.journal import Journal

    with Journal.open(folder) as journal:
        journal.set_meta("batch 1", record.model_dump_json())
    gone = f"SELECT trial_id FROM trials ORDER BY arrival LIMIT -1 OFFSET {kept}"  # noqa: S608
    alter(folder, f"DELETE FROM verdicts WHERE trial_id IN ({gone})", f"DELETE FROM trials WHERE trial_id IN ({gone})")  # noqa: S608


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_batches_at_work_and_says_how_to_come_back(
    tmp_path: Path, sent: signal.Signals, online: pd.DataFrame
) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        live.hold = True
        code, err = kill_when(live, folder, lambda: live.calls.count("GET /v1/batches/{id}") >= 3, sent=sent)
        assert code == 130, err
        assert f"1 batch with {TRIALS} requests at {live.url} go on" in err
        assert f"emeval batch cancel {folder}" in err
        assert f"emeval resume {folder}" in err
        assert manifest(folder)["status"] == "interrupted"
        assert live.batches[0]["status"] == "in_progress"
        live.hold = False
        done = ask(live, resumed(folder))
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert set(live.asked.values()) == {1}


def stopped_at_work(live: BatchServer, folder: Path) -> None:
    """A run whose batch of answers is at work, with nobody waiting."""
    live.hold = True
    kill_when(live, folder, lambda: live.calls.count("GET /v1/batches/{id}") >= 2, sent=signal.SIGKILL)


def test_batches_are_looked_at_and_cancelled_and_the_rest_is_asked_again(tmp_path: Path, online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        stopped_at_work(live, folder)
        seen = ask(live, ["batch", "status", folder])
        assert seen.returncode == 0, seen.stderr
        assert f"batch_0000 in_progress: answers of openai/subject, {TRIALS} requests, 0 done, 0 failed" in seen.stdout
        as_json = json.loads(ask(live, ["batch", "status", folder, "--json"]).stdout)["batches"]
        assert [(one["id"], one["status"], one["state"]) for one in as_json] == [
            ("batch_0000", "in_progress", "created")
        ]
        done = ask(live, ["batch", "cancel", folder])
        assert done.returncode == 0, done.stderr
        assert "batch_0000 cancelling" in done.stdout
        exported = ask(live, ["batch", "export", *resumed(folder)[1:], "--for", "openai", "--out", tmp_path / "files"])
        assert f"Batches at work hold {TRIALS} requests of this run" in exported.stderr
        live.hold = False
        first = ask(live, resumed(folder))
        assert first.returncode == 3, first.stderr
        assert "batch batch_0000 was cancelled; what was done by then is recorded" in first.stderr
        assert manifest(folder)["trials_recorded"] == TRIALS // 2
        second = ask(live, resumed(folder))
        assert second.returncode == 0, second.stderr
        nothing = ask(live, ["batch", "cancel", folder])
        assert "No batch of this run is at work" in nothing.stdout
    pd.testing.assert_frame_equal(table(folder), online)
    assert set(live.asked.values()) == {1}


def test_a_run_that_goes_on_online_first_takes_what_it_has_by_batch(tmp_path: Path, online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        stopped_at_work(live, folder)
        live.hold = False
        done = ask(live, [*resumed(folder), "--via", "online", "--judge-via", "online"])
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert len(live.batches) == 1
    assert not [chat for chat in live.chats if "ase " in str(chat.body) and chat.body["model"] == "subject"]


def test_a_batch_that_was_never_created_is_asked_online(tmp_path: Path, online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    with server(faults={"POST /v1/batches": [Stall(bare=True)]}).start() as live:
        kill_when(live, folder, lambda: "POST /v1/batches" in live.calls, sent=signal.SIGKILL)
        done = ask(live, [*resumed(folder), "--via", "online", "--judge-via", "online"])
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert live.batches == []
    assert not (folder / "openai-batch").exists()


def test_no_key_goes_to_a_server_that_only_the_run_names(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live, server().start() as other:
        stopped_at_work(live, folder)
        for command in ("status", "cancel"):
            done = ask(other, ["batch", command, folder])
            refused(done, "batch batch_0000 of openai/subject is at", live.url, "--base-url")
        elsewhere = ask(other, resumed(folder))
        assert elsewhere.returncode == 2
        assert f"batch batch_0000 is at {live.url}" in elsewhere.stderr
        assert set(other.calls) == {"GET /v1/batches"}, "whether it has batches at all"
        named = ask(other, ["batch", "status", folder, "--base-url", live.url])
        assert named.returncode == 0, named.stderr
        assert "batch_0000 in_progress" in named.stdout


def test_a_batch_that_its_server_has_lost_is_given_up_only_when_that_is_said(
    tmp_path: Path, online: pd.DataFrame
) -> None:
    folder = tmp_path / "run"
    gone = Status(404, "No batch found with id 'batch_0000'.", type="invalid_request_error")
    with server(faults={"GET /v1/batches/{id}": []}).start() as live:
        stopped_at_work(live, folder)
        live.hold = False
        live.faults["GET /v1/batches/{id}"] = [gone] * 3
        stopped = ask(live, resumed(folder))
        assert stopped.returncode == 3, stopped.stderr
        assert "emeval batch cancel --forget" in stopped.stderr
        kept = ask(live, ["batch", "cancel", folder])
        assert kept.returncode == 3, kept.stderr
        assert "No batch found" in kept.stdout
        assert ask(live, ["batch", "cancel", folder, "--forget"]).returncode == 0
        done = ask(live, resumed(folder))
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)


def run_with(
    live: BatchServer, folder: Path, monkeypatch: pytest.MonkeyPatch, shard: int, view: ConsoleView | None = None
) -> None:
    """The run of these tests from Python, with so many requests in a file."""
    for name, value in environment_of(live).items():
        monkeypatch.setenv(name, value)
    data = scenarios(folder.parent / "d.jsonl", 6)
    options: dict[str, Any] = {
        **{"suites": ("unethical_test",), "models": ("openai/subject",), "dataset": (str(data),), "format": "both"},
        **{"judge": ("openai/judge",), "judge_mode": "text", "trigger": "Country: Singapore"},
        **{"via": "openai-batch", "judge_via": "openai-batch"},
    }
    quick = OpenAIBatches(shard, Pace(first_s=0.01, most_s=0.02, say_s=0.0))
    start_run(build_config(options, None), folder, view or ConsoleView(quiet=True), by_batch=quick)


def test_requests_are_spread_over_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: pd.DataFrame) -> None:
    with server().start() as live:
        run_with(live, tmp_path / "run", monkeypatch, 10)
    assert [len(content.splitlines()) for content in live.files if b'"url"' in content] == [10, 10, 10, 6, 10, 2]
    pd.testing.assert_frame_equal(table(tmp_path / "run"), online)
    assert set(live.asked.values()) == {1}


@pytest.mark.parametrize(("limit", "shard"), [(12, 10), (9, 20), (3, 36), (1, 36)])
def test_a_queue_without_room_is_waited_for_and_files_that_never_fit_are_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: pd.DataFrame, limit: int, shard: int
) -> None:
    with server(queue_limit=limit).start() as live:
        run_with(live, tmp_path / "run", monkeypatch, shard)
    pd.testing.assert_frame_equal(table(tmp_path / "run"), online)
    assert set(live.asked.values()) == {1}
    assert not (tmp_path / "run" / "openai-batch").exists()


def test_a_queue_with_no_room_at_all_ends_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(queue_limit=0).start() as live:
        with pytest.raises(RunStopped, match="no room even for this"):
            run_with(live, tmp_path / "run", monkeypatch, 4)
        live.queue_limit = None
        run_with(live, tmp_path / "run", monkeypatch, 4)
    assert manifest(tmp_path / "run")["status"] == "complete"
    assert set(live.asked.values()) == {1}


def test_nothing_is_created_again_where_nobody_can_tell_whether_it_was(tmp_path: Path, online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    hidden = Status(404, "no such route")
    # Each session first sees that there is a list, of the models' server and of the judges'.
    lists = [None, None, hidden, None, None, hidden, hidden]
    faults: dict[str, list[Fault | None]] = {"POST /v1/batches": [Lost()], "GET /v1/batches": lists}
    with server(faults=faults).start() as live:
        for command in (arguments(folder, *VIA), resumed):
            done = ask(live, command if isinstance(command, list) else command(folder))
            assert done.returncode == 3, done.stderr
            assert "no list of batches: 404" in done.stderr
        assert len(live.batches) == 1
        assert ask(live, ["batch", "cancel", folder]).returncode == 3
        done = ask(live, resumed(folder))  # the list is back, and the batch is found
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert set(live.asked.values()) == {1}


def test_the_folder_of_batch_files_is_no_link(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0001.jsonl").write_text("mine")
    with server().start() as live:
        stopped_at_work(live, folder)
        for path in (folder / "openai-batch").iterdir():
            path.unlink()
        (folder / "openai-batch").rmdir()
        (folder / "openai-batch").symlink_to(elsewhere)
        done = ask(live, resumed(folder))
    assert done.returncode == 2
    assert "openai-batch: is a link" in done.stderr
    assert (elsewhere / "0001.jsonl").read_text() == "mine"


def test_a_server_without_batches_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with server(faults={"GET /v1/batches": [Status(404, "no such route")] * 9}).start() as live:
        done = ask(live, arguments(tmp_path / "run", *VIA[2:]))
        assert done.returncode == 2, done.stderr
        assert "no list of batches: 404" in done.stderr
        assert "else ask online" in done.stderr
    assert not [chat for chat in live.chats if "ase " in str(chat.body) and chat.body["model"] == "subject"]
    assert not (tmp_path / "run").exists()


def test_what_a_judge_has_said_to_the_same_words_is_not_asked_by_batch(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(lambda body, seen: by_hash({**body, "seed": 0}, seen)).start() as live:
        assert ask(live, arguments(folder, "--samples", "2")).returncode == 0
        before = table(folder)
        repeats = "trial_id IN (SELECT trial_id FROM trials WHERE repeat = 1)"
        # As a kill leaves it, after the first of two equal answers.
        alter(folder, f"DELETE FROM verdicts WHERE judge_model <> '' AND {repeats}")  # noqa: S608
        done = ask(live, [*resumed(folder), "--judge-via", "openai-batch"])
        assert done.returncode == 0, done.stderr
    assert live.batches == []
    pd.testing.assert_frame_equal(table(folder), before)


def test_files_that_are_too_large_for_a_server_are_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: pd.DataFrame
) -> None:
    with server().start() as live:
        live.largest_file = 5_000
        run_with(live, tmp_path / "run", monkeypatch, 36)
    pd.testing.assert_frame_equal(table(tmp_path / "run"), online)
    assert set(live.asked.values()) == {1}
    assert len(live.batches) > 4


def test_how_far_the_batches_are_is_said_while_they_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with server().start() as live:
        run_with(live, tmp_path / "run", monkeypatch, 20, ConsoleView(tables=False))
    said = capsys.readouterr().err
    assert "batches: 2 at work, 0 of 36 requests done, 0 failed" in said
    assert "batch batch_0001 completed: 16 recorded" in said
