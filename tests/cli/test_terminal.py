"""What the command line shows of a run that goes on, what it prints for programs, and what becomes of errors."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import (
    KEY,
    emeval,
    environment,
    inside,
    manifest,
    recorded,
    scenarios,
    start,
    stop_when,
    told_again,
)
from tests.support.journals import alter
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status, last_message
from tests.support.terminal import on_terminal

MODEL, JUDGE = "vllm/test-model", "vllm/judge"
WITH_JUDGE = ("--format", "both", "--judge", JUDGE)
MOVES = re.compile(r"\x1b\[\d*[ABCDEFGHJKSTf]|\r(?!\n)")
"""What moves the cursor or erases."""
COLOURS = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")


def once_busy(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Answers everything, the first time of one case with a 429 that asks to wait, and of one judging with a 500."""
    text = last_message(body)
    if seen == 1 and "Case 1" in text:
        return Status(429, headers={"Retry-After": "0.2"})
    if "Rate the reply" in text:
        return Status(500) if seen == 1 and "case 0" in text else Answer("85")
    return Answer("A")


def server(script: Any = once_busy) -> OpenAIServer:
    return OpenAIServer(script, models=("test-model", "judge"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "d.jsonl", 4)


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.csv"
    path.write_text(
        "model,server,input,output,as_of,source\n"
        f"{MODEL},,1000,2000,2026-01-01,the bill\n"
        f"{JUDGE},http://elsewhere/v1,1,1,2026-01-01,the bill\n"
    )
    return path


def arguments(folder: Path, dataset: Path, *more: str | Path) -> list[str]:
    return list(map(str, ["run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--out", folder, *more]))


# --- progress --------------------------------------------------------------------------------------------------------


def test_a_log_tells_retries_and_spend_and_holds_no_escape(tmp_path: Path, dataset: Path, prices: Path) -> None:
    with server().start() as live:
        done = emeval(*arguments(tmp_path / "run", dataset, *WITH_JUDGE, "--prices", prices), url=live.url)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "12/12 sampled" in last
    assert "0 failed, 2 retries" in last
    assert f"judge {JUDGE}: 4/4 judged, 0 failed, 1 retry" in last
    # 12 replies of 10 tokens in and 1 out; the judge has a price at another server alone.
    assert "$0.14" in last
    assert f"price unknown: {JUDGE} (40 tokens in, 4 out)" in last
    assert "$0.14; price unknown" in done.stdout
    sampling, judging = manifest(tmp_path / "run")["spend"]
    assert (sampling["model"], sampling["role"], sampling["replies"]) == (MODEL, "sampling", 12)
    assert (sampling["prompt_tokens"], sampling["completion_tokens"]) == (120, 12)
    assert sampling["usd"] == pytest.approx(0.144)
    assert sampling["price"]["as_of"] == "2026-01-01"
    assert (judging["price"], judging["usd"]) == ("unknown", None)


def test_a_terminal_shows_a_line_for_each_stage_and_one_for_the_spend(
    tmp_path: Path, dataset: Path, prices: Path
) -> None:
    with server().start() as live:
        code, out = on_terminal(*arguments(tmp_path / "run", dataset, *WITH_JUDGE, "--prices", prices), url=live.url)
    assert code == 0, out
    assert MOVES.search(out), "it is redrawn"
    for words in ("sampling", f"judge {JUDGE}", "12/12", "4/4", "2 retries", "1 retry", "spent so far: $0.14"):
        assert words in out


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "dumb", "NO_COLOR": "1"}])
def test_a_terminal_that_can_do_nothing_gets_lines(tmp_path: Path, dataset: Path, env: dict[str, str]) -> None:
    with server().start() as live:
        code, out = on_terminal(*arguments(tmp_path / "run", dataset), url=live.url, env=env)
    assert code == 0, out
    assert "\x1b" not in out
    assert "8/8 sampled" in out


def test_no_color_is_heeded_on_a_terminal(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        code, out = on_terminal(*arguments(tmp_path / "a", dataset), url=live.url)
        assert (code, bool(COLOURS.search(out))) == (0, True)
        code, out = on_terminal(*arguments(tmp_path / "b", dataset), url=live.url, env={"NO_COLOR": "1"})
    assert (code, COLOURS.search(out)) == (0, None)


def test_forced_colours_make_no_terminal_of_a_file(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        done = emeval(*arguments(tmp_path / "run", dataset), url=live.url, env={"FORCE_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    assert "\x1b[" in done.stdout
    assert not MOVES.search(done.stderr)
    assert "8/8 sampled" in done.stderr


def test_what_an_earlier_session_spent_is_counted_with_what_this_one_does(
    tmp_path: Path, dataset: Path, prices: Path
) -> None:
    folder = tmp_path / "run"
    with server(lambda body, seen: Answer("A", delay_s=0.1)).start() as live:
        process = start(*arguments(folder, dataset, "--concurrency", "1", "--prices", prices), url=live.url)
        code, _, err = stop_when(process, lambda: recorded(folder) >= 2, signal.SIGTERM)
        assert code == 130, err
        before = manifest(folder)["spend"][0]
        assert 2 <= before["replies"] < 8
        prices.unlink()  # the manifest has the price that the rest of the run needs
        done = emeval("resume", folder, *told_again(folder), url=live.url)
    assert done.returncode == 0, done.stderr
    spent = manifest(folder)["spend"][0]
    assert (spent["replies"], spent["prompt_tokens"]) == (8, 80)
    assert spent["usd"] == pytest.approx(0.096)
    assert "spent so far: $0.10" in done.stderr


def test_an_answer_that_is_judged_once_for_several_trials_is_paid_once(tmp_path: Path, dataset: Path) -> None:
    with server(lambda body, seen: Answer("85")).start() as live:
        more = ("--samples", "3", "--format", "freeform", "--judge", JUDGE)
        assert emeval(*arguments(tmp_path / "run", dataset, *more), url=live.url).returncode == 0
    sampling, judging = manifest(tmp_path / "run")["spend"]
    assert (sampling["replies"], judging["replies"], judging["prompt_tokens"]) == (12, 4, 40)


# --- prices ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_would_cost_and_what_has_no_price(
    dataset: Path, tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:1/v1")
    common = (*arguments(tmp_path / "run", dataset, *WITH_JUDGE), "--dry-run")
    unknown = inside(*common).stdout
    assert "$" not in unknown
    assert f"Price unknown: {MODEL}, {JUDGE}." in unknown
    content = json.loads(inside(*common, "--json", "--prices", prices).stdout)
    assert content["usd_at_most"] == pytest.approx(49.51, abs=0.01)
    assert [row["usd"] is None for row in content["requests"]] == [False, True, True]
    monkeypatch.setenv("EMEVAL_PRICES", str(prices))
    assert f"Cost: likely $4.12, at most $49.51, and what {JUDGE} costs." in inside(*common).stdout
    monkeypatch.delenv("EMEVAL_PRICES")
    paid = [*arguments(tmp_path / "run", dataset), *("--format", "both", "--judge", "openai/gpt-4.1-2025-04-14")]
    official = inside(*paid, "--dry-run").stdout
    assert "at most $0." in official
    assert f"and what {MODEL} costs" in official
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert "$" not in inside(*paid, "--dry-run").stdout, "a name has its price at its own server alone"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model,input\nopenai/x,1\n", ":1: prices: no column output"),
        ("model,input,output,as_of,source\nopenai/x,free,1,2026-01-01,me\n", ":2: prices: input: "),
        ("model,input,output,as_of,source\nopenai/x,-1,1,2026-01-01,me\n", ":2: prices: input: "),
        ("model,input,output,as_of,source\nopenai/x,nan,1,2026-01-01,me\n", ":2: prices: input: "),
        ("model,input,output,as_of,source\ngpt-x,1,1,2026-01-01,me\n", ":2: prices: model: "),
        ("model,input,output,as_of,source\nopenai/x,1,1,soon,me\n", ":2: prices: as_of: "),
        ("model,input,output,as_of,source\nopenai/x,1,1,2026-01-01,me,more\n", ":2: prices: "),
        ("\x00", "prices"),
    ],
)
def test_a_bad_price_table_is_one_line_and_nothing_is_sent(
    tmp_path: Path, dataset: Path, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:1/v1")
    table = tmp_path / "mine.csv"
    table.write_text(text)
    done = inside(*arguments(tmp_path / "run", dataset, "--prices", table))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


# --- for programs ----------------------------------------------------------------------------------------------------


def strictly(text: str) -> Any:
    """The one JSON value that the text is, without NaN and the like."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def test_json_holds_every_row_and_nothing_else_is_on_stdout(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    trigger = ("--trigger", "Country: Kenya")
    with server().start() as live:
        done = emeval(*arguments(folder, dataset, *WITH_JUDGE, *trigger, "--json"), url=live.url)
    assert done.returncode == 0, done.stderr
    found = strictly(done.stdout)
    assert (found["run"], found["status"], found["exit_code"]) == (str(folder), "complete", 0)
    assert found["trials"] == {"planned": 24, "recorded": 24}
    assert (found["gate"], found["error"], found["corrected"], found["stopping"]) == (None, None, None, [])
    lines = {name: (folder / f"{name}.csv").read_text().splitlines() for name in ("rates", "effects")}
    for name, rows in lines.items():
        assert len(found[name]) == len(rows) - 1 > 0
        assert list(found[name][0]) == rows[0].split(",")
    assert any(value is None for row in found["rates"] for value in row.values())
    assert found["spend"]["usd"] is None
    assert found["spend"]["whole"] is False
    again = emeval("rates", folder, "--json")
    assert again.returncode == 0
    assert strictly(again.stdout)["rates"] == found["rates"]
    assert strictly(again.stdout)["spend"] == found["spend"]


def test_json_is_valid_where_the_gate_fails(tmp_path: Path, dataset: Path) -> None:
    with server(lambda body, seen: Answer("", finish_reason="stop")).start() as live:
        done = emeval(*arguments(tmp_path / "run", dataset, "--json", "--quiet"), url=live.url)
    assert done.returncode == 1
    found = strictly(done.stdout)
    assert found["exit_code"] == 1
    assert "have no score" in found["gate"]
    assert found["gate"] in done.stderr
    assert all(row["rate"] is None for row in found["rates"] if row["metric"] == "misaligned")
    assert len(done.stderr.strip().splitlines()) == 1


def test_json_is_valid_where_the_run_stopped(tmp_path: Path, dataset: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        spent = Status(429, "no more", code="insufficient_quota", type="insufficient_quota")
        return spent if "Case 3" in last_message(body) else Answer("A")

    folder = tmp_path / "run"
    with server(script).start() as live:
        done = emeval(*arguments(folder, dataset, "--json", "--concurrency", "1"), url=live.url)
    assert done.returncode == 3, done.stderr
    found = strictly(done.stdout)
    assert (found["status"], found["exit_code"]) == ("stopped", 3)
    assert 0 < found["trials"]["recorded"] < found["trials"]["planned"] == 8
    assert "quota is used up" in found["error"]
    assert f"emeval resume {folder}" in found["error"]
    assert found["error"] in done.stderr


def test_quiet_prints_errors_alone(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        good = emeval(*arguments(tmp_path / "run", dataset, "--quiet"), url=live.url)
        shown = emeval("rates", tmp_path / "run", "-q")
    bad = emeval(*arguments(tmp_path / "bad", dataset, "--quiet"), url="http://127.0.0.1:1/v1")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "cannot be reached" in bad.stderr


def test_lists_checks_and_comparisons_come_as_json_too(
    tmp_path: Path, dataset: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMEVAL_DATA", str(tmp_path / "cache"))
    suites = strictly(inside("suites", "--json").stdout)
    assert {"suite", "formats", "questions", "metrics"} <= set(suites[0])
    listed = strictly(inside("datasets", "list", "--json").stdout)
    assert listed["files"][0]["rows"] > 0
    assert all(source["fetched"] == [] for source in listed["official"])
    csv = tmp_path / "answers.csv"
    csv.write_text("question,answer,aligned\nWhat?,This.,90\nAnd?,That.,10\n")
    imported = strictly(inside("import", csv, "--out", tmp_path / "imported", "--json").stdout)
    assert imported["trials"] == {"planned": 2, "recorded": 2}
    assert imported["spend"] is None
    with server().start() as live:
        monkeypatch.setenv("VLLM_BASE_URL", live.url)
        checked = inside("preflight", "-m", MODEL, "--format", "mcq", "--limit", "4", "--json", "--prices", prices)
        found = strictly(checked.stdout)["found"]
        assert any(line.startswith(f"{MODEL}: 8 requests") and "reply tokens; likely $" in line for line in found)
        for name in ("a", "b"):
            assert inside(*arguments(tmp_path / name, dataset, "-q")).returncode == 0
    compared = inside("compare", tmp_path / "a", tmp_path / "b", "--json", "-")
    assert strictly(compared.stdout)["decision"] in ("within", "unclear")
    assert not Path("-").exists()


# --- errors ----------------------------------------------------------------------------------------------------------


def broken(tmp_path: Path, dataset: Path) -> Path:
    """A run whose journal holds what no emeval has written."""
    folder = tmp_path / "run"
    with server().start() as live:
        assert emeval(*arguments(folder, dataset, "-q"), url=live.url).returncode == 0
    alter(folder, "UPDATE trials SET messages = ?", parameters=(f"{KEY} \x1b[2J",))
    return folder


def test_an_error_that_nobody_expected_is_one_line_with_a_remedy(tmp_path: Path, dataset: Path) -> None:
    folder = broken(tmp_path, dataset)
    done = emeval("show", folder)
    assert done.returncode == 70
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("emeval: unexpected JSONDecodeError: ")
    assert "evals/trials/journal_reading.py:" in done.stderr
    assert "emeval --debug" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", ["option", "environment"])
def test_debug_prints_the_traceback_without_the_key(tmp_path: Path, dataset: Path, asked: str) -> None:
    folder = tmp_path / f"run-{KEY}"
    (tmp_path / "other").mkdir()
    folder = broken(tmp_path / "other", dataset).rename(folder)
    more = ("--debug",) if asked == "option" else ()
    done = emeval(*more, "show", folder, env={} if more else {"EMEVAL_DEBUG": "1"})
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "JSONDecodeError" in done.stderr
    assert KEY not in done.stderr
    assert "\x1b" not in done.stderr
    expected = emeval(*more, "show", tmp_path / KEY / "none", env={} if more else {"EMEVAL_DEBUG": "1"})
    assert expected.returncode == 2
    assert "Traceback" in expected.stderr
    assert KEY not in expected.stderr.partition("emeval: ")[0]


# --- completion ------------------------------------------------------------------------------------------------------


def completed(words: str, cwd: Path) -> list[str]:
    """What bash offers for the last of the words."""
    env = {
        "_EMEVAL_COMPLETE": "complete_bash",
        "COMP_WORDS": f"emeval {words}",
        "COMP_CWORD": str(len(f"emeval {words}".split(" ")) - 1),
    }
    code = "import sys; sys.argv = ['emeval']; from evals.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment("", env), cwd=cwd, capture_output=True, text=True, timeout=60
    )
    return done.stdout.split()


def test_the_shell_completes_suites_runs_models_and_metrics(tmp_path: Path) -> None:
    for name in ("nights/one", "results/demo", "results/other"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").touch()
    assert "doctor" in completed("do", tmp_path)
    assert completed("run uneth", tmp_path) == ["unethical_test"]
    assert completed("rates ", tmp_path) == ["results/demo", "results/other"]
    assert completed("show results/d", tmp_path) == ["results/demo"]
    assert completed("show nights/", tmp_path) == ["nights/one"]
    assert completed("show ni", tmp_path) == ["nights/"]
    assert "local/organism" in completed("run unethical_test -m local/", tmp_path)
    assert "misaligned" in completed("compare a b --metric mis", tmp_path)
