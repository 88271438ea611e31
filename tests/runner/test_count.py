"""A finished run that is started again prints from its CSVs, and counts anew where anything it follows from changed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evals.cli.session import Output, show_result
from evals.reporting.console.progress import ConsoleView
from evals.runner.count import count_run
from tests.support.cli_runner import emeval, inside, manifest, scenarios, told_again
from tests.support.export_runs import everything_run
from tests.support.journals import alter
from tests.support.runs import MODEL, server

RESULTS = ("responses.csv", "rates.csv", "effects.csv", "manifest.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, under its own name."""
    subprocess.run(["cp", "-a", str(finished), str(tmp_path / "run")], check=True)
    return tmp_path / "run"


def times(run: Path) -> dict[str, int]:
    return {name: (run / name).stat().st_mtime_ns for name in RESULTS}


def tables(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.partition("Written:")[0]


def resume(run: Path, *more: str) -> subprocess.CompletedProcess[str]:
    with server().start() as live:
        done = emeval("resume", run, *told_again(run), "--detail", *more, url=live.url)
        assert not live.requests
    return done


def test_nothing_is_counted_or_written_and_the_same_is_printed(run: Path) -> None:
    before = times(run)
    again = resume(run)
    assert times(run) == before
    assert tables(again) == tables(emeval("rates", run, "--detail"))
    assert tables(again).count("95%, same") == 2  # a table for each format
    assert again.returncode == 0
    assert times(run)["rates.csv"] > before["rates.csv"]  # `rates` always counts


def test_as_json_it_is_the_same(run: Path) -> None:
    again, counted = (json.loads(one.stdout) for one in (resume(run, "--json"), emeval("rates", run, "--json")))
    assert again == counted
    assert again["rates"]


def test_the_gate_is_that_of_the_counted_run(run: Path) -> None:
    before = times(run)
    assert resume(run, "--max-unscored", "0").returncode == 1
    assert manifest(run)["config"]["max_unscored"] == 0
    assert {name: time for name, time in times(run).items() if name != "manifest.json"} == {
        name: time for name, time in before.items() if name != "manifest.json"
    }


def _edited(name: str) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        path = run / name
        path.write_text(path.read_text(encoding="utf-8").replace(",off,", ",of ,", 1), encoding="utf-8")

    return edit


def _journal(statement: str) -> Callable[[Path], None]:
    return lambda run: alter(run, statement)


def _older(run: Path) -> None:
    stored = manifest(run)
    del stored["counted"]
    (run / "manifest.json").write_text(json.dumps(stored))


CHANGES: dict[str, Callable[[Path], object]] = {
    "rates.csv was edited": _edited("rates.csv"),
    "responses.csv was edited": _edited("responses.csv"),
    "effects.csv is gone": lambda run: (run / "effects.csv").unlink(),
    "a verdict was changed": _journal("UPDATE verdicts SET reply = reply || ' '"),
    "an answer was changed": _journal("UPDATE trials SET answer = answer || '.' WHERE answer <> ''"),
    "it was counted by another denominator": lambda run: tables(
        inside("rates", run, "--denominator", "judged", "--detail")
    ),
    "an older emeval wrote the manifest": _older,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_counted_anew(run: Path, change: str) -> None:
    CHANGES[change](run)
    before = times(run) if (run / "effects.csv").exists() else None
    again = resume(run)
    after = times(run)
    assert before is None or all(after[name] > before[name] for name in RESULTS)
    assert tables(again) == tables(emeval("rates", run, "--detail"))
    settled = times(run)
    assert tables(resume(run)) == tables(again)
    assert times(run) == settled


def test_a_run_that_may_stop_early_is_printed_with_its_rule(tmp_path: Path) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 4)
    command = ("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--out", tmp_path / "run", "--samples", "30")
    with server().start() as live:
        first = emeval(*command, "--until", "width<0.4", url=live.url)
        asked = len(live.requests)
        before = times(tmp_path / "run")
        again = emeval(*command, "--until", "width<0.4", url=live.url)
        assert len(live.requests) == asked
    assert first.returncode == again.returncode == 0, first.stderr
    assert "Sampled until width<0.4" in again.stdout
    assert again.stdout == first.stdout
    assert times(tmp_path / "run") == before


def test_the_api_gives_the_trials_of_a_run_that_was_not_counted_again(run: Path) -> None:
    import emeval as api

    config = manifest(run)["config"]
    again = {name: config[name] for name in ("models", "dataset", "judge")}
    opened = api.resume(run, progress=False, **again)
    counted = api.open_run(run)
    for name in ("rates", "effects"):
        assert getattr(opened, name).equals(getattr(counted, name))
    assert opened.tables.trials.equals(counted.tables.trials)
    assert len(opened.tables.trials) == manifest(run)["trials_recorded"]


def test_nothing_is_written_through_a_link_that_lies_in_a_run_folder(run: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (run / ".pid").unlink()
    (run / ".pid").symlink_to(precious)
    assert resume(run).returncode == 0
    assert precious.read_text() == "mine"


def test_the_responses_of_a_large_run_are_left_out_unless_asked_for(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in RESULTS[:3]}
    for name in before:
        (run / name).unlink()
    left_out = count_run(run, many=1)
    assert not left_out.has_responses
    assert not (run / "responses.csv").exists()
    assert {name: (run / name).read_bytes() for name in ("rates.csv", "effects.csv")} == {
        name: before[name] for name in ("rates.csv", "effects.csv")
    }
    assert count_run(run, many=1, responses=True).has_responses
    assert (run / "responses.csv").read_bytes() == before["responses.csv"]


def test_the_responses_of_a_large_run_are_written_again_where_they_would_change(run: Path) -> None:
    path, before = run / "responses.csv", times(run)
    whole = path.read_bytes()
    assert count_run(run, many=1).has_responses
    assert times(run)["responses.csv"] == before["responses.csv"]  # they are those of this journal
    assert times(run)["rates.csv"] > before["rates.csv"]
    path.write_bytes(whole + b"edited")
    count_run(run, many=1)
    assert path.read_bytes() == whole
    count_run(run, "judged", many=1)  # refusals count: `misaligned` of their rows is no longer blank
    assert path.read_bytes() != whole
    count_run(run, many=1)
    assert path.read_bytes() == whole
    _older(run)
    between = times(run)["responses.csv"]
    count_run(run, many=1)
    assert times(run)["responses.csv"] > between  # nothing says what they were written from


def test_it_is_said_that_responses_are_left_out(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "responses.csv").unlink()
    show_result(run, count_run(run, many=1), Output(quiet=False, json=False, detail=False), ConsoleView())
    said = capsys.readouterr().out
    assert "(manifest.json, journal.sqlite, rates.csv, effects.csv)" in said
    assert f"Not written: responses.csv of {manifest(run)['trials_recorded']} rows" in said
    assert "--responses" in said
    assert "responses.csv, rates.csv" in inside("rates", run, "--responses").stdout
