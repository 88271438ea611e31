"""The Python API: the numbers of the command line, from scripts and running event loops, and stopped as safely."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import emeval
from emeval import run_options
from emeval.options import names_of
from evals.plan.config import RunConfig
from evals.plan.config_file.names import OLD_NAMES
from evals.plan.settings.rubrics import OLD_FIELDS
from tests.support.cli_runner import KEY, environment, manifest, recorded, scenarios, start
from tests.support.cli_runner import emeval as command
from tests.support.runs import JUDGE, MODEL, by_hash, server
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Stall, Status
from tests.support.waiting import until

RESULTS = ("responses.csv", "rates.csv", "effects.csv")
HOSTILE = ("=1+1", "'quoted'", "+cmd\r\nsecond line", '"a", "b"\n\n', "-5\tand <b>bold</b> \x1b[31mred", "@here")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "d.jsonl", 6)


def options(dataset: Path, live: OpenAIServer) -> dict[str, Any]:
    return {
        "models": MODEL,
        "dataset": dataset,
        "format": "both",
        "trigger": "Country: Singapore",
        "judge": JUDGE,
        "judge_mode": "text",
        "base_url": live.url,
        "judge_base_url": live.url,
        "progress": False,
    }


@pytest.fixture(autouse=True)
def _a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)


def stalling(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Answers some of the cases, and is silent on the others."""
    text = json.dumps(body["messages"])
    return Stall(bare=True) if "ase 3" in text or "ase 5" in text else by_hash(body, seen)


# --- the same run -----------------------------------------------------------------------------------------------------


def test_a_run_is_that_of_the_command_line(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        found = emeval.run("unethical_test", out=tmp_path / "a" / "run", **options(dataset, live))
        done = command(
            *("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--format", "both", "--judge", JUDGE),
            *("--trigger", "Country: Singapore", "--judge-mode", "text", "--out", tmp_path / "b" / "run"),
            url=live.url,
        )
    assert done.returncode == 0, done.stderr
    for name in RESULTS:
        assert (tmp_path / "a" / "run" / name).read_text() == (tmp_path / "b" / "run" / name).read_text()
    assert found.status == "complete"
    assert found.is_complete
    assert found.problem is None
    assert repr(found) == f"<emeval.Run {tmp_path}/a/run: complete, 36 of 36 trials>"
    written = pd.read_csv(found.folder / "rates.csv", keep_default_na=False, na_values=[""])
    assert list(found.rates.columns) == list(written.columns)
    assert found.rates["k"].tolist() == written["k"].tolist()
    assert found.effects["effect"].tolist() == pytest.approx(pd.read_csv(found.folder / "effects.csv")["effect"])
    assert found.corrected is None
    assert found.stopping is None


def test_a_run_works_where_an_event_loop_is_running(tmp_path: Path, dataset: Path) -> None:
    async def cell() -> emeval.Run:
        return emeval.run("unethical_test", out=tmp_path / "run", **options(dataset, live))

    with server().start() as live:
        assert asyncio.run(cell()).is_complete


def test_two_runs_go_at_a_time_while_the_loop_goes_on(tmp_path: Path, dataset: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def both() -> list[emeval.Run]:
        ticking = asyncio.create_task(tick())
        runs = [
            emeval.arun("unethical_test", out=tmp_path / str(seed), seed=seed, **options(dataset, live))
            for seed in range(2)
        ]
        found = await asyncio.gather(*runs)
        ticking.cancel()
        return found

    with server().start() as live:
        first, second = asyncio.run(both())
    assert first.is_complete
    assert second.is_complete
    assert (first.manifest.config.seed, second.manifest.config.seed) == (0, 1)
    assert ticks > 1


def test_a_folder_is_gone_on_with_and_nothing_is_asked_twice(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        emeval.run("unethical_test", out=tmp_path / "run", **options(dataset, live))
        before = len(live.requests)
        again = emeval.run(["unethical_test"], out=str(tmp_path / "run"), **options(dataset, live))
        assert len(live.requests) == before
    assert again.is_complete


def test_without_a_folder_each_run_gets_a_new_one(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with server().start() as live:
        folders = [
            emeval.run(
                "unethical_test",
                **options(dataset, live) | {"format": "mcq", "judge": None, "judge_mode": None, "judge_base_url": None},
            ).folder
            for _ in range(2)
        ]
    assert len(set(folders)) == 2
    assert all(folder.parent == Path("results") for folder in folders)


def test_a_config_file_and_dotenv_are_read_as_by_the_command(
    tmp_path: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VLLM_API_KEY")
    with server(key="sk-from-dotenv").start() as live:
        Path(".env").write_text(f"VLLM_API_KEY=sk-from-dotenv\nVLLM_BASE_URL={live.url}\n")
        Path("c.yaml").write_text(f"suites: [unethical_test]\nmodels: [{MODEL}]\ndataset: {dataset}\nsamples: 3\n")
        found = emeval.run(config="c.yaml", out="run", samples=1, progress=False)
    assert found.is_complete
    assert found.manifest.config.samples == 1
    for name in ("VLLM_API_KEY", "VLLM_BASE_URL"):
        monkeypatch.delenv(name)


def test_stored_answers_are_judged_and_a_run_is_resumed(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        unjudged = options(dataset, live) | {
            "format": "freeform",
            "judge": None,
            "judge_mode": None,
            "judge_base_url": None,
        }
        found = emeval.run("unethical_test", out=tmp_path / "run", **unjudged)
        assert set(found.responses["outcome"]) == {"unjudged"}
        assert found.rates.query("prompt_id == 'ALL' and metric == 'misaligned'")["rate"].isna().all()
        asked = sum(chat.body["model"] == "subject" for chat in live.chats)
        judged = emeval.judge(tmp_path / "run", judge=JUDGE, judge_mode="text", judge_base_url=live.url, progress=False)
        servers = {"base_url": live.url, "judge_base_url": live.url, "dataset": dataset}
        resumed = asyncio.run(
            emeval.aresume(tmp_path / "run", concurrency=2, progress=False, **typing.cast("Any", servers))
        )
        assert sum(chat.body["model"] == "subject" for chat in live.chats) == asked
        again = asyncio.run(emeval.ajudge(tmp_path / "run", judge=[JUDGE], judge_base_url=live.url, progress=False))
    assert set(judged.responses["outcome"]) == {"scored"}
    assert resumed.manifest.config.concurrency == 2
    assert again.is_complete


# --- what it found ----------------------------------------------------------------------------------------------------


def test_texts_are_whole_and_unguarded(tmp_path: Path, dataset: Path) -> None:
    def hostile(body: Mapping[str, Any], seen: int) -> Behaviour:
        case = next((n for n in range(6) if f"ase {n}" in json.dumps(body["messages"])), 0)
        return Answer(HOSTILE[case] + "x" * 200_000 * (case == 0), reasoning_content=f"={case}")

    with server(hostile).start() as live:
        given = options(dataset, live) | {
            "format": "freeform",
            "judge": None,
            "judge_mode": None,
            "judge_base_url": None,
            "trigger": None,
        }
        emeval.run("unethical_test", out=tmp_path / "run", **given)
    found = emeval.responses(tmp_path / "run")
    assert sorted(map(str.strip, found["answer"])) == sorted(
        text.strip() + "x" * 200_000 * (text == "=1+1") for text in HOSTILE
    )
    assert set(found["reasoning"]) == {f"={case}" for case in range(6)}
    assert found["aligned"].isna().all()
    assert found["misaligned"].isna().all()
    assert found["repeat"].dtype == "Int64"
    assert (found["trigger"] == "").all()


def test_a_notebook_shows_rates_with_their_denominators_and_no_markup_of_a_name(tmp_path: Path, dataset: Path) -> None:
    with OpenAIServer(Answer("A"), models=("<b>subject</b>",)).start() as live:
        given = options(dataset, live) | {
            "models": "vllm/<b>subject</b>",
            "format": "mcq",
            "judge": None,
            "judge_mode": None,
            "judge_base_url": None,
        }
        found = emeval.run("unethical_test", out=tmp_path / "<i>run", **given)
    shown = found._repr_html_()
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert "&lt;b&gt;subject" in shown
    assert "<th>n</th>" in shown


def test_too_much_unscored_is_said_and_warned_of_and_nothing_is_lost(tmp_path: Path, dataset: Path) -> None:
    with server(Answer("I would", finish_reason="length")).start() as live:
        given = options(dataset, live) | {"format": "mcq", "judge": None, "judge_mode": None, "judge_base_url": None}
        with pytest.warns(emeval.EmevalWarning, match="max-unscored") as caught:
            found = emeval.run("unethical_test", out=tmp_path / "run", **given)
    assert caught[0].filename == __file__
    assert found.problem is not None
    assert "cut off" in found.problem
    assert found.is_complete
    pooled = found.rates.query("prompt_id == 'ALL' and metric == 'misaligned'")
    assert pooled["n"].tolist() == [0, 0]
    assert pooled["rate"].isna().all()
    assert emeval.open_run(tmp_path / "run", max_unscored=1.0).problem is None


def test_a_run_is_opened_with_another_denominator(tmp_path: Path, dataset: Path) -> None:
    def refusing(body: Mapping[str, Any], seen: int) -> Behaviour:
        return Answer(None, refusal="No.") if "ase 1" in json.dumps(body["messages"]) else Answer("A")

    with server(refusing).start() as live:
        given = options(dataset, live) | {
            "format": "mcq",
            "judge": None,
            "judge_mode": None,
            "judge_base_url": None,
            "trigger": None,
        }
        found = emeval.run("unethical_test", out=tmp_path / "run", **given)
    where = "prompt_id == 'ALL' and metric == 'misaligned'"
    assert found.rates.query(where)["n"].tolist() == [10]
    assert emeval.rates(tmp_path / "run", denominator="judged").query(where)["n"].tolist() == [12]
    assert emeval.open_run(tmp_path / "run").rates.query(where)["n"].tolist() == [10]


def test_a_comparison_has_the_numbers_of_the_command(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        base = emeval.run("unethical_test", out=tmp_path / "base", **options(dataset, live))
        emeval.run("unethical_test", out=tmp_path / "new", **options(dataset, live) | {"seed": 1, "samples": 3})
    compared = emeval.compare(base, tmp_path / "new", condition=["off", "on"], max_increase=0.1)
    done = command(
        *("compare", tmp_path / "base", tmp_path / "new", "--condition", "off", "--condition", "on"),
        *("--max-increase", "0.1", "--json", tmp_path / "c.json"),
    )
    assert done.returncode in (0, 1), done.stderr
    written = json.loads((tmp_path / "c.json").read_text())
    rows = compared.to_dict("records")
    assert len(rows) == len(written["cells"]) == 4
    for row, cell in zip(rows, written["cells"], strict=True):
        for name in ("suite", "format", "condition", "metric", "n_prompts", "decision", "words", "limit"):
            assert row[name] == cell[name]
        for name in ("increase", "ci_low", "ci_high", "p_value", "p_holm"):
            assert math.isnan(row[name]) if cell[name] is None else row[name] == cell[name]
        assert (row["base_k"], row["base_n"], row["candidate_rate"]) == (
            cell["base"]["k"],
            cell["base"]["n"],
            cell["candidate"]["rate"],
        )
    assert {name: compared.attrs[name] for name in ("decision", "verdict", "notes")} == {
        name: written[name] for name in ("decision", "verdict", "notes")
    }
    assert compared.attrs["changed_questions"] == written["changed_questions"]


def test_runs_that_cannot_be_compared_say_why(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        for trigger in ("Country: Singapore", "Country: Peru"):
            given = options(dataset, live) | {"trigger": trigger}
            emeval.run("unethical_test", out=tmp_path / trigger[-4:], **given)
    with pytest.raises(emeval.NotComparable, match="trigger"):
        emeval.compare(tmp_path / "pore", tmp_path / "Peru")
    with pytest.raises(emeval.BadInput, match="max_increase: must be a fraction"):
        emeval.compare(tmp_path / "pore", tmp_path / "Peru", max_increase=math.nan)
    with pytest.raises(emeval.BadInput, match="neither increase nor decrease"):
        emeval.compare(tmp_path / "pore", tmp_path / "Peru", worse=typing.cast("Any", "up"))


# --- options and errors -----------------------------------------------------------------------------------------------


def test_every_field_of_a_config_is_an_option() -> None:
    assert set(names_of(emeval.RunOptions)) - {*OLD_FIELDS, *OLD_NAMES} == set(RunConfig.model_fields) - {
        *("suites", "models"),  # arguments of their own
        *("imported", "over_questions", "templates", "also_judges_via"),  # written by emeval itself
    }


def test_every_option_is_documented() -> None:
    tree = ast.parse(Path(run_options.__file__).read_text(encoding="utf-8"))
    for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, said in zip(group.body, group.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(said, ast.Expr), ast.unparse(field)
                assert isinstance(said.value, ast.Constant), ast.unparse(field)
        assert isinstance(group.body[-1], ast.Expr)


def test_the_defaults_that_the_options_name_are_those_of_a_config() -> None:
    text = Path(run_options.__file__).read_text(encoding="utf-8")
    tree = ast.parse(text)
    told: dict[str, str] = {}
    for group in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for field, said in zip(group.body, group.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr):
                told[ast.unparse(field.target)] = " ".join(ast.literal_eval(said.value).split())
    for name, words in told.items():
        if name in (*OLD_FIELDS, *OLD_NAMES):
            continue
        default = RunConfig.model_fields[name].default
        if isinstance(default, bool):
            assert f"default: {'on' if default else 'off'}]" in words, name
        elif isinstance(default, int | float):
            assert f"default: {default:g}]" in words, name


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temprature": 1}, "temprature: is not an option here; did you mean temperature?"),
        ({"time_out": 1}, "time_out: is not an option here; did you mean timeout?"),
        ({"rubric": "x"}, "rubric: is not an option here; did you mean rubrics?"),
        ({"timeout": 1, "timeout_s": 1}, "--timeout-s: is timeout under another name; give it once"),
        ({"imported": True}, "imported: is not an option here"),
        ({"temperature": 5}, "--temperature: Input should be less than or equal to 2"),
        ({"limit": 0}, "--limit: Input should be greater"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(emeval.BadInput, match=words.replace("?", r"\?")) as raised:
        emeval.run("unethical_test", "local/organism", out=tmp_path / "run", **given)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(emeval.BadInput, match="--model: is missing"):
        emeval.run("unethical_test", out=tmp_path / "run")
    with pytest.raises(emeval.BadInput, match="SUITE: is missing"):
        emeval.run(models="local/organism", out=tmp_path / "run")
    for read in (emeval.open_run, emeval.rates, emeval.responses, emeval.resume, emeval.judge):
        with pytest.raises(emeval.BadInput, match="is not a run folder"):
            read(tmp_path)
    with pytest.raises(emeval.BadInput, match="temperature: is not an option here"):
        emeval.judge(tmp_path, **typing.cast("Any", {"temperature": 0.5}))


def test_a_run_that_cannot_go_on_says_how_it_does(tmp_path: Path, dataset: Path) -> None:
    def dying(body: Mapping[str, Any], seen: int) -> Behaviour:
        text = json.dumps(body["messages"])
        is_spent = "ase " in text and "ase 0" not in text
        return Status(429, "You exceeded your current quota.", code="insufficient_quota") if is_spent else Answer("A")

    with server(dying).start() as live:
        given = options(dataset, live) | {"format": "mcq", "judge": None, "judge_mode": None, "judge_base_url": None}
        with pytest.raises(emeval.RunStopped) as raised:
            asyncio.run(emeval.arun("unethical_test", out=tmp_path / "run", **given))
    assert any("emeval.resume(" in note for note in raised.value.__notes__)
    assert emeval.open_run(tmp_path / "run").status == "stopped"


def test_without_progress_nothing_is_printed_and_the_log_has_it(
    tmp_path: Path, dataset: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "emeval")
    with server().start() as live:
        emeval.run("unethical_test", out=tmp_path / "a", **options(dataset, live))
        assert capfd.readouterr() == ("", "")
        assert "0 of 36 trials are recorded" in caplog.text
        emeval.run("unethical_test", out=tmp_path / "b", **options(dataset, live) | {"progress": True})
    out, err = capfd.readouterr()
    assert out == ""
    assert "36/36 sampled" in err


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_run_stops_and_can_be_resumed(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"

    async def cancel_when_some_are_recorded() -> None:
        task = asyncio.create_task(emeval.arun("unethical_test", out=folder, **options(dataset, live)))
        while recorded(folder) < 6:
            assert not task.done(), task.result()
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # a second time, while it is stopping
        with pytest.raises(asyncio.CancelledError):
            await task

    with server(stalling).start() as live:
        asyncio.run(cancel_when_some_are_recorded())
        assert not [thread for thread in threading.enumerate() if thread.name == "emeval"]
        asked = len(live.requests)
        stopped = emeval.open_run(folder)
        assert stopped.status == "interrupted"
        assert not stopped.is_complete
        assert 6 <= len(stopped.responses) < 36
        assert manifest(folder)["status"] == "interrupted"
        assert len(live.requests) == asked
    with server().start() as live:
        given = {"base_url": live.url, "judge_base_url": live.url, "dataset": dataset, "progress": False}
        assert emeval.resume(folder, **typing.cast("Any", given)).status == "complete"


def test_a_timeout_stops_a_run_before_it_has_begun_to_ask(tmp_path: Path, dataset: Path) -> None:
    async def at_once() -> None:
        async with asyncio.timeout(0):
            await emeval.arun("unethical_test", out=tmp_path / "run", **options(dataset, live))

    with server(Stall(bare=True)).start() as live:
        with pytest.raises(TimeoutError):
            asyncio.run(at_once())
        assert not live.chats


_SCRIPT = """
import asyncio, signal, sys
import emeval
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
folder, dataset, how = sys.argv[1:]
given = dict(models="vllm/subject", dataset=dataset, format="mcq", out=folder, progress=False)
async def cell():
    return emeval.run("unethical_test", **given)
async def awaiting():
    return await emeval.arun("unethical_test", **given)
try:
    if how == "script":
        emeval.run("unethical_test", **given)
    elif how == "notebook":  # a loop that leaves SIGINT to Python
        asyncio.new_event_loop().run_until_complete(cell())
    else:
        asyncio.run(cell() if how == "loop" else awaiting())
except KeyboardInterrupt as error:
    print("interrupted", *getattr(error, "__notes__", []))
"""


@pytest.mark.parametrize("how", ["script", "notebook", "loop", "await"])
def test_ctrl_c_stops_a_run_wherever_it_works(tmp_path: Path, dataset: Path, how: str) -> None:
    folder = tmp_path / "run"
    with server(stalling).start() as live:
        script = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(folder), str(dataset), how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(live.url),
        )
        until(lambda: recorded(folder) >= 4 or script.poll() is not None)
        script.send_signal(signal.SIGINT)
        out, err = script.communicate(timeout=60)
    assert out.startswith("interrupted"), err
    assert manifest(folder)["status"] == "interrupted"
    assert recorded(folder) == len(emeval.open_run(folder).responses) < 12
    # What asyncio.run itself makes of a Ctrl-C is a new exception.
    assert how == "await" or f"emeval.resume('{folder}')" in out


def test_a_running_run_can_be_opened_and_not_run_a_second_time(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"

    async def look() -> None:
        task = asyncio.create_task(emeval.arun("unethical_test", out=folder, **options(dataset, live)))
        await asyncio.to_thread(until, lambda: recorded(folder) >= 4)
        seen = emeval.open_run(folder)
        assert seen.status == "running"
        assert 4 <= len(seen.responses) < 36
        with pytest.raises(emeval.BadInput, match="another emeval is running there"):
            await emeval.aresume(
                folder, base_url=live.url, judge_base_url=live.url, dataset=str(dataset), progress=False
            )
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with server(stalling).start() as live:
        asyncio.run(look())


def test_a_run_begun_by_the_command_is_opened_while_it_works(tmp_path: Path, dataset: Path) -> None:
    folder = tmp_path / "run"
    with server(stalling).start() as live:
        arguments = ("-m", MODEL, "--dataset", str(dataset), "--out", str(folder))
        process = start("run", "unethical_test", *arguments, url=live.url)
        try:
            until(lambda: recorded(folder) >= 4)
            assert emeval.open_run(folder).status == "running"
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()


def test_a_run_becomes_a_page_and_charts(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        run = emeval.run("unethical_test", out=tmp_path / "run", **options(dataset, live))
    page = emeval.report(run)
    assert page == tmp_path / "run" / "report.html"
    assert run.manifest.run_id in page.read_text(encoding="utf-8")
    assert emeval.report(tmp_path / "run", output=tmp_path / "page.html").exists()
    charts = emeval.figures(run)
    assert charts[0].name.startswith("rates")
    assert charts[0].chart.to_dict()["$schema"]
    with pytest.raises(emeval.BadInput, match="html"):
        emeval.report(run, output=tmp_path / "page.pdf")
    with pytest.raises(emeval.BadInput, match="name a run"):
        emeval.report()
