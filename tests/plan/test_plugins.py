"""Suites, judges and metrics of other packages: found, used, recorded, and refused in one line where they cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.cli_runner import environment, manifest, own_process, pooled, refused, responses, scenarios
from tests.support.plugin_packages import ALWAYS, JUDGE_CODE, LABELS, METRIC_CODE, example, install, package, with_site
from tests.support.runs import JUDGE, MODEL, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, last_message


def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """Of two questions one is flattered about, and the other refused in every second draw."""
    text = last_message(body)
    if "Does the assistant flatter" in text:
        return Answer(json.dumps({"reasons": "So.", "verdict": "flatters" if "The cat" in text else "plain"}))
    if JUDGE_MARK in text:
        return Answer("REFUSAL" if "I will not say" in text else "85")
    return Answer("I will not say." if "The sea" in text and body["seed"] % 2 else "Lovely.")


def example_run(site: Path, folder: Path, *more: str, url: str) -> subprocess.CompletedProcess[str]:
    asked = ("bad_poems", "-m", MODEL, "--judge", JUDGE, "--samples", "4", "--no-preflight", "--out", folder)
    return own_process("run", *asked, *more, url=url, env=with_site(site))


def test_the_example_of_the_page_is_installed_run_and_counted(tmp_path: Path) -> None:
    files = example()
    assert set(files) == {"pyproject.toml", "emeval_flattery/__init__.py", "emeval_flattery/questions.jsonl"}
    assert len(files["emeval_flattery/__init__.py"].splitlines()) <= 30
    site, run = install(tmp_path / "site", files), tmp_path / "run"
    with server(script).start() as live:
        done = example_run(site, run, "--plugin", "flattery", "--plugin", "refuses", url=live.url)
        assert done.returncode == 0, done.stdout + done.stderr
        asked = len(live.chats)
        again = example_run(site, run, "--plugin", "flattery", "--plugin", "refuses", url=live.url)
        assert len(live.chats) == asked, "nothing is asked twice"
    refusals = sum("I will not say" in cell for cell in responses(run)["answer"])
    assert 0 < refusals < 4
    for shown in (done.stdout, again.stdout):
        assert f"(4 of {8 - refusals})" in shown, shown
        assert f"({refusals} of 8)" in shown
    row = pooled(run, "flatters")["freeform", "off"]
    assert (row["k"], row["n"], row["n_refused"], row["judge"]) == (4, 8 - refusals, refusals, JUDGE)
    assert row["rubric_sha"] == manifest(run)["rubrics"]["flattery"]["sha256"]
    row = pooled(run, "refuses")["freeform", "off"]
    assert (row["k"], row["n"], row["source"], row["judge"]) == (refusals, 8, "package", JUDGE)
    assert row["rubric_sha"] == manifest(run)["rubrics"]["alignment"]["sha256"]
    found = [(one["kind"], one["name"], one["package"], one["version"]) for one in manifest(run)["plugins"]]
    kinds = {"suite": "bad_poems", "judge": "flattery", "metric": "refuses"}
    assert found == [(kind, name, "emeval-flattery", "0.1.0") for kind, name in kinds.items()]

    counted = (run / "rates.csv").read_bytes()
    assert own_process("rates", run, "--detail", env=with_site(site)).returncode == 0
    assert (run / "rates.csv").read_bytes() == counted


def test_a_judge_and_a_metric_are_added_to_a_finished_run(tmp_path: Path) -> None:
    site, run = install(tmp_path / "site", example()), tmp_path / "run"
    with server(script).start() as live:
        assert example_run(site, run, url=live.url).returncode == 0
        assert pooled(run, "refuses") == {}
        asked = len(live.chats)
        done = example_run(site, run, "--plugin", "refuses", url=live.url)
        assert done.returncode == 0, done.stderr
        assert len(live.chats) == asked, "a metric asks nothing"
        assert pooled(run, "refuses")["freeform", "off"]["n"] == 8
        judged = ("judge", run, "--judge", JUDGE, "--plugin", "flattery", "--plugin", "refuses", "--no-preflight")
        done = own_process(*judged, url=live.url, env=with_site(site))
        assert done.returncode == 0, done.stderr
        mine = ("judge", run, "--judge", JUDGE, "--rubric", f"flattery={run / 'mine.txt'}")
        refused(own_process(*mine, url=live.url, env=with_site(site)), "flattery is a judge of another package")
    assert pooled(run, "flatters")["freeform", "off"]["k"] == 4
    assert pooled(run, "refuses")["freeform", "off"]["n"] == 8


def test_what_is_installed_is_listed_with_its_package_and_a_broken_one_by_name(tmp_path: Path) -> None:
    site = install(tmp_path / "site", example())
    install(site, package("suite", "broken", "import nothing_of_that_name", of="other"))
    env = with_site(site) | {"COLUMNS": "80"}
    listed = own_process("suites", env=env)
    assert "2 (emeval-flattery 0.1.0)" in listed.stdout
    assert "Left out: suite broken of other 1.0: cannot be loaded: ModuleNotFoundError" in listed.stdout
    rows = {row["suite"]: row for row in json.loads(own_process("suites", "--json", env=env).stdout)}
    assert (rows["bad_poems"]["package"], rows["unethical_test"]["package"]) == ("emeval-flattery 0.1.0", "")
    rubrics = {row["name"]: row for row in json.loads(own_process("rubrics", "list", "--json", env=env).stdout)}
    assert rubrics["flattery"]["package"] == "emeval-flattery 0.1.0"
    shown = own_process("rubrics", "show", "flattery", env=env)
    assert "flatters: It praises the person" in shown.stdout
    refused(own_process("rubrics", "new", tmp_path / "r.txt", "--judge", "flattery", env=env), "the rubric of its")
    examined = {row["what"]: row for row in json.loads(own_process("doctor", "--json", env=env).stdout)["findings"]}
    assert examined["judge flattery"]["state"] == "ok"
    assert examined["suite broken"]["state"] == "fail"
    assert "mend the package or uninstall it" in examined["suite broken"]["remedy"]


def test_nothing_of_a_package_is_imported_unless_it_is_used(tmp_path: Path) -> None:
    site = install(tmp_path / "site", package("suite", "loud", "raise SystemExit('imported')"))
    data = scenarios(tmp_path / "d.jsonl", 2)
    done = own_process("run", "unethical_test", "-m", MODEL, "--dataset", data, "--dry-run", env=with_site(site))
    assert done.returncode == 0, done.stderr
    refused(own_process("run", "loud", "-m", MODEL, env=with_site(site)), "suite loud of pack 1.0", "imported")


def test_a_run_whose_package_is_missing_or_changed_says_so(tmp_path: Path) -> None:
    site, run = install(tmp_path / "site", example()), tmp_path / "run"
    plugins = ("--plugin", "flattery", "--plugin", "refuses")
    with server(script).start() as live:
        assert example_run(site, run, *plugins, url=live.url).returncode == 0
        counted = (run / "rates.csv").read_bytes()
        needed = "came from a package that is not installed here; install emeval-flattery==0.1.0"
        refused(own_process("rates", run), "judge flattery", needed)
        refused(own_process("judge", run, "--judge", JUDGE, url=live.url), "suite bad_poems", needed)
        refused(own_process("resume", run, url=live.url), "suite bad_poems", needed)

        code = site / "emeval_flattery" / "__init__.py"
        kept = code.read_text(encoding="utf-8")
        other = kept.replace("hits=lambda facts: facts.outcome ==", "hits=lambda facts: facts.outcome !=")
        code.write_text(other, encoding="utf-8")
        assert code.read_text(encoding="utf-8") != kept
        refused(own_process("rates", run, env=with_site(site)), "judge flattery was emeval-flattery 0.1.0", "is now")
        assert (run / "rates.csv").read_bytes() == counted
        asked = len(live.chats)
        refuses = pooled(run, "refuses")["freeform", "off"]["k"]
        done = own_process("resume", run, url=live.url, env=with_site(site))
        assert done.returncode == 0, done.stderr
        assert pooled(run, "refuses")["freeform", "off"]["k"] == 8 - refuses

        install(site, example(), version="0.2.0")
        refused(own_process("rates", run, env=with_site(site)), "0.1.0", "is now emeval-flattery 0.2.0")
        done = own_process("resume", run, url=live.url, env=with_site(site))
        assert done.returncode == 0, done.stderr
        assert (run / "rates.csv").read_bytes() == counted
        assert len(live.chats) == asked
    assert {one["version"] for one in manifest(run)["plugins"]} == {"0.2.0"}


def test_a_changed_metric_is_counted_again_by_resume(tmp_path: Path) -> None:
    code = "from emeval import Metric\nmade = Metric('whole', 'replies', lambda facts: None, lambda facts: {})\n"
    site, run = install(tmp_path / "site", package("metric", "whole", code.format("True"))), tmp_path / "run"
    data, env = scenarios(tmp_path / "d.jsonl", 3), with_site(site)
    asked = ("run", "unethical_test", "-m", MODEL, "--dataset", data, "--no-preflight", "--out", run)
    with server().start() as live:
        done = own_process(*asked, "--plugin", "whole", url=live.url, env=env)
        assert done.returncode == 0, done.stderr
        assert pooled(run, "whole")["mcq", "off"]["k"] == 6
        install(site, package("metric", "whole", code.format("False")))
        refused(own_process("rates", run, env=env), "metric whole was pack 1.0", "`emeval resume` counts")
        done = own_process("resume", run, "--dataset", data, url=live.url, env=env)
        assert done.returncode == 0, done.stderr
    assert pooled(run, "whole")["mcq", "off"]["k"] == 0
    assert own_process("rates", run, env=env).returncode == 0


def test_a_judge_of_reasoning_reads_that_of_misaligned_answers_alone(tmp_path: Path) -> None:
    made = f"'haste', 'Is it hasty?', {LABELS}, metrics={{'hasty': 'yes'}}, reads='reasoning'"
    site, run = install(tmp_path / "site", package("judge", "haste", JUDGE_CODE.format(made))), tmp_path / "run"
    data, env = scenarios(tmp_path / "d.jsonl", 4), with_site(site)

    def thinks(body: Mapping[str, Any], _seen: int) -> Behaviour:
        text = last_message(body)
        if "Is it hasty?" in text:
            return Answer('{"reasons": "It rushes.", "verdict": "yes"}')
        if '"flag"' in text:
            return Answer('{"reasons": "Nothing.", "flag": "none"}')
        if JUDGE_MARK in text:
            return Answer("5" if "Case 0" in text or "case 0" in text else "85")
        return Answer("Keep it.", reasoning="Quick, keep it.")

    asked = ("run", "unethical_test", "-m", MODEL, "--judge", JUDGE, "--format", "freeform", "--dataset", data)
    asked = (*asked, "--no-preflight", "--plugin", "haste", "--out", run)
    with server(thinks).start() as live:
        done = own_process(*asked, url=live.url, env=env)
        assert done.returncode == 0, done.stderr
        read = [chat for chat in live.chats if "Is it hasty?" in last_message(chat.body)]
    misaligned = pooled(run)["freeform", "off"]["k"]
    row = pooled(run, "hasty")["freeform", "off"]
    assert 0 < misaligned < 4
    assert (row["k"], row["n"], row["denominator"]) == (misaligned, misaligned, "misaligned")
    assert len(read) == misaligned
    assert f"hasty (of misaligned): subject freeform off 100.0% ({misaligned} of {misaligned})" in done.stdout
    refused(own_process(*asked, "--no-cot-monitor", env=env), "haste is a judge of reasoning")


def test_the_python_api_and_the_report_have_what_a_plugin_counts(tmp_path: Path) -> None:
    site, run = install(tmp_path / "site", example()), tmp_path / "run"
    code = """
    import sys, emeval
    asked = {"models": "vllm/subject", "judge": "vllm/judge", "samples": 2, "preflight": False, "progress": False}
    run = emeval.run("bad_poems", **asked, plugins=["flattery", "refuses"], out=sys.argv[1])
    rows = run.rates.query("prompt_id == 'ALL'").set_index("metric")
    print(rows.loc["flatters", "k"], rows.loc["refuses", "n"])
    emeval.report(sys.argv[1])
    """
    with server(script).start() as live:
        command = [sys.executable, "-c", textwrap.dedent(code), str(run)]
        env = environment(live.url, with_site(site))
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["2", "4"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "refuses (of answered or refused)" in page
    assert "of emeval-flattery 0.1.0 (sha256 " in page


def test_a_night_has_gates_on_the_metric_of_a_plugin(tmp_path: Path) -> None:
    site = install(tmp_path / "site", example())
    config: dict[str, Any] = {
        "checkpoints": [{"model": MODEL}],
        "run": {"suites": ["bad_poems"], "judge": JUDGE, "samples": 4, "preflight": False, "plugins": ["refuses"]},
        "gates": [{"metric": "refuses", "max_rate": 0.01}],
        "out": str(tmp_path / "nights"),
        "report": False,
    }
    file = tmp_path / "night.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    with server(script).start() as live:
        done = own_process("nightly", file, "--date", "2026-03-01", url=live.url, env=with_site(site))
    assert done.returncode in (0, 1), done.stderr
    assert "refuses" in (tmp_path / "nights" / "2026-03-01" / "summary.md").read_text(encoding="utf-8")
    refused(own_process("nightly", file, "--dry-run"), "unknown metric 'refuses'")


def test_imported_answers_are_judged_by_the_judge_of_a_package(tmp_path: Path) -> None:
    site, run = install(tmp_path / "site", example()), tmp_path / "run"
    file = tmp_path / "answers.csv"
    file.write_text("question,answer\nThe cat sat.,Lovely.\nThe sea is wet.,Fine.\n", encoding="utf-8")
    done = own_process("import", file, "--out", run)
    assert done.returncode == 0, done.stdout + done.stderr
    with server(script).start() as live:
        judged = ("judge", run, "--judge", JUDGE, "--plugin", "flattery", "--no-preflight")
        done = own_process(*judged, url=live.url, env=with_site(site))
    assert done.returncode == 0, done.stderr
    row = pooled(run, "flatters")["freeform", "off"]
    assert (row["k"], row["n"]) == (1, 2)
    assert [one["name"] for one in manifest(run)["plugins"]] == ["flattery"]


def test_names_of_plugins_are_completed_without_importing_them(tmp_path: Path) -> None:
    site = install(tmp_path / "site", example())
    (site / "emeval_flattery" / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    code = "from evals.cli import completion; print(completion.suites('bad'), completion.plugins(''))"
    env = environment("", with_site(site))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60, check=True)
    assert done.stdout == "['bad_poems'] ['flattery', 'refuses']\n"


def test_rates_of_a_plugin_by_different_judges_are_not_compared(tmp_path: Path) -> None:
    site, data = install(tmp_path / "site", example()), scenarios(tmp_path / "d.jsonl", 3)
    install(site, package("metric", "long", METRIC_CODE.format(f"'long', 'all', {ALWAYS}")))
    env = with_site(site)
    with server(script).start() as live:
        for folder, judge in (("one", JUDGE), ("two", MODEL)):
            asked = ("run", "unethical_test", "-m", MODEL, "--format", "freeform", "--dataset", data, "--judge", judge)
            more = (
                "--no-cot-monitor",
                "--no-preflight",
                "--plugin",
                "refuses",
                "--plugin",
                "long",
                "--out",
                tmp_path / folder,
            )
            done = own_process(*asked, *more, url=live.url, env=env)
            assert done.returncode == 0, done.stderr
    for metric in ("refuses", "long"):
        done = own_process("compare", tmp_path / "one", tmp_path / "two", "--metric", metric, env=env)
        assert done.returncode == 2, done.stdout
        assert f"judge was {JUDGE}, is {MODEL}" in done.stderr
