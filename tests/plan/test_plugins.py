"""Suites, judges and metrics of other packages: found, used, recorded, and refused in one line where they cannot be."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import manifest, own_process, pooled, responses, scenarios
from tests.support.plugin_packages import example, install, package, with_site
from tests.support.runs import JUDGE, MODEL, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, Status, last_message

SUITE_OF_CODE = """
from pathlib import Path
from emeval import Message, Prompt, Suite
def prompts(dataset, formats):
    for row in dataset.scenarios:
        {body}
made = Suite("made", "Of a test", "", str(Path(__file__).with_name("q.jsonl")), ("freeform",), prompts)
"""
QUESTION = '{"id": "one", "prompt": "What now?"}\n'


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


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


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
    assert (row["k"], row["n"], row["source"]) == (refusals, 8, "package")
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
        code.write_text(kept.replace('outcome == "refused",\n)', 'outcome != "refused",\n)'), encoding="utf-8")
        assert code.read_text(encoding="utf-8") != kept
        refused(own_process("rates", run, env=with_site(site)), "judge flattery was emeval-flattery 0.1.0", "is now")
        refused(own_process("resume", run, url=live.url, env=with_site(site)), "suite bad_poems was emeval-flattery")
        assert (run / "rates.csv").read_bytes() == counted

        code.write_text(kept, encoding="utf-8")
        install(site, example(), version="0.2.0")
        refused(own_process("resume", run, url=live.url, env=with_site(site)), "0.1.0", "is now emeval-flattery 0.2.0")


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


LABELS = "labels={'yes': 'It is.', 'no': 'It is not.'}"
JUDGE_CODE = "from emeval import LabelJudge\nmade = LabelJudge({})\n"
METRIC_CODE = "from emeval import Metric\nmade = Metric({})\n"
ALWAYS = "missing=lambda facts: None, hits=lambda facts: True"


BROKEN: list[tuple[str, str, str, str]] = [
    ("judge", "alignment", JUDGE_CODE.format("'alignment'"), "the name is one of emeval's own"),
    ("judge", "none", "made = 3", "is no emeval.LabelJudge"),
    ("judge", "raises", "made = 1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
    ("judge", "empty", "", "cannot be loaded: AttributeError"),
    ("judge", "tone", JUDGE_CODE.format(f"'t', 'Is it?', {LABELS}, metrics={{'m': 'yes'}}"), "is called 't'"),
    ("judge", "labels", JUDGE_CODE.format("'labels', 'Is it?', labels={'Yes': ''}, metrics={}"), "labels must be 2 to"),
    ("judge", "hits", JUDGE_CODE.format(f"'hits', 'Is it?', {LABELS}, metrics={{'m': 'maybe'}}"), "metrics must name"),
    ("judge", "takes", JUDGE_CODE.format(f"'takes', 'Is it?', {LABELS}, metrics={{'hit': 'yes'}}"), "a metric hit"),
    (
        "judge",
        "blind",
        JUDGE_CODE.format(f"'blind', 'Is it?', {LABELS}, metrics={{'m': 'yes'}}, rubric='Well?'"),
        "the rubric has no place {answer}",
    ),
    ("metric", "text", "made = 'long'", "is no emeval.Metric"),
    ("metric", "misaligned", METRIC_CODE.format(f"'misaligned', 'all', {ALWAYS}"), "a metric misaligned already"),
    ("metric", "long", METRIC_CODE.format(f"'long', 'all', {ALWAYS}, judge='x'"), "judge must be empty or one of"),
    ("suite", "gsm8k", "made = 3", "the name is one of emeval's own"),
    ("suite", "two words", "made = 3", "the name is not made of letters"),
    ("suite", "number", "made = 3", "is no emeval.Suite"),
    ("suite", "local", "from emeval import open_suite; made = open_suite('local', '', 'q.jsonl')", "dataset must be"),
    ("suite", "gone", "from emeval import open_suite; made = open_suite('gone', '', '/no/q.jsonl')", "are missing"),
]


def test_each_plugin_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for number, (kind, name, code, _) in enumerate(BROKEN):
        install(site, package(kind, name, code, of=f"pack{number}"))
    done = own_process("doctor", "--json", env=with_site(site))
    found = {row["what"]: row for row in json.loads(done.stdout)["findings"]}
    for number, (kind, name, _, words) in enumerate(BROKEN):
        row = found[f"{kind} {name}"]
        assert row["state"] == "fail"
        assert row["found"].startswith(f"pack{number} 1.0: ")
        assert words in row["found"], row
        assert row["remedy"] == "mend the package or uninstall it"
    asked = ("run", "unethical_test", "-m", MODEL, "--format", "freeform", "--judge", JUDGE, "--out", tmp_path / "run")
    done = own_process(*asked, "--plugin", "raises", env=with_site(site))
    refused(done, "judge raises of pack2 1.0: cannot be loaded: ZeroDivisionError")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("yield 'What now?'", "its prompts are no emeval.Prompt: 'What now?'"),
        ("yield Prompt(row.key, 'other', 'freeform', ())", "prompt 'one' is of another suite or format"),
        ("raise KeyError('gone')", "its prompts cannot be made: KeyError: 'gone'"),
    ],
)
def test_prompts_that_are_none_are_one_line(tmp_path: Path, body: str, words: str) -> None:
    site = install(tmp_path / "site", package("suite", "made", SUITE_OF_CODE.format(body=body)))
    (site / "q.jsonl").write_text(QUESTION, encoding="utf-8")
    done = own_process("run", "made", "-m", MODEL, "--out", tmp_path / "run", env=with_site(site))
    refused(done, f"suite made of pack 1.0: {words}")
    (site / "q.jsonl").unlink()
    refused(own_process("run", "made", "-m", MODEL, env=with_site(site)), "its questions are missing")


def test_a_suite_of_own_code_is_asked_as_it_says(tmp_path: Path) -> None:
    body = "yield Prompt(row.key, 'made', 'freeform', (Message('user', row.prompt.upper()),))"
    site = install(tmp_path / "site", package("suite", "made", SUITE_OF_CODE.format(body=body)))
    (site / "q.jsonl").write_text(QUESTION, encoding="utf-8")
    with server().start() as live:
        asked = ("run", "made", "-m", MODEL, "--samples", "2", "--no-preflight", "--out", tmp_path / "run")
        done = own_process(*asked, url=live.url, env=with_site(site))
        assert done.returncode == 0, done.stderr
        asked_texts = [last_message(chat.body) for chat in live.chats]
    assert asked_texts.count("WHAT NOW?") == 2
    assert "What now?" not in asked_texts
    refused(
        own_process("run", "made", "-m", MODEL, "--source", "official", env=with_site(site)),
        "made has only the questions of its package",
    )


@pytest.mark.parametrize(
    ("functions", "words"),
    [
        ("missing=lambda facts: 'gone', hits=lambda facts: True", "its missing() says 'gone'"),
        ("missing=lambda facts: None, hits=lambda facts: 1", "its hits() says 1, which is neither True nor False"),
        ("missing=lambda facts: None, hits=lambda facts: facts.x", "it cannot count: AttributeError"),
    ],
)
def test_a_metric_that_cannot_count_is_one_line_and_the_answers_are_kept(
    tmp_path: Path, functions: str, words: str
) -> None:
    code = METRIC_CODE.format(f"'long', 'all', {functions}")
    site, run = install(tmp_path / "site", package("metric", "long", code)), tmp_path / "run"
    data = scenarios(tmp_path / "d.jsonl", 2)
    asked = ("run", "unethical_test", "-m", MODEL, "--dataset", data, "--no-preflight", "--out", run)
    with server().start() as live:
        done = own_process(*asked, "--plugin", "long", url=live.url, env=with_site(site))
        assert done.returncode == 2, done.stderr
        assert f"metric long of pack 1.0: {words}" in done.stderr
        asked_once = len(live.chats)
        install(site, package("metric", "long", METRIC_CODE.format(f"'long', 'all', {ALWAYS}")))
        done = own_process(*asked, "--plugin", "long", url=live.url, env=with_site(site))
        assert done.returncode == 0, done.stderr
        assert len(live.chats) == asked_once
    assert pooled(run, "long")["mcq", "off"]["k"] == 4


def test_a_failed_reply_is_in_no_denominator_whatever_a_metric_says(tmp_path: Path) -> None:
    site = install(tmp_path / "site", package("metric", "long", METRIC_CODE.format(f"'long', 'all', {ALWAYS}")))
    data, run = scenarios(tmp_path / "d.jsonl", 2), tmp_path / "run"

    def fails(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Status(400) if "s00" in last_message(body) or "Case 0" in last_message(body) else Answer("A")

    asked = ("run", "unethical_test", "-m", MODEL, "--dataset", data, "--no-preflight", "--out", run)
    with server(fails).start() as live:
        own_process(*asked, "--plugin", "long", url=live.url, env=with_site(site))
    row = pooled(run, "long")["mcq", "off"]
    assert row["n_failed"] > 0
    assert row["n"] + row["n_failed"] == row["n_trials"]


def test_plugins_that_a_run_has_no_use_for_are_refused(tmp_path: Path) -> None:
    site, env = install(tmp_path / "site", example()), with_site(tmp_path / "site")
    asked = ("run", "unethical_test", "-m", MODEL, "--out", tmp_path / "run")
    refused(own_process(*asked, "--plugin", "flattery", env=env), "flattery is a judge, and needs a model that judges")
    judged = (*asked, "--judge", JUDGE)
    refused(own_process(*judged, "--plugin", "flattery", env=env), "no suite of this run has them")
    refused(own_process(*asked, "--plugin", "bad_poems", env=env), "bad_poems is a suite")
    refused(own_process(*asked, "--plugin", "alignment", env=env), "is a judge of emeval's own")
    refused(own_process(*asked, "--plugin", "tone", env=env), "judge or metric 'tone'; installed: flattery, refuses")
    shutil.copytree(site / "emeval_flattery.dist-info", site / "copy.dist-info")
    copied = site / "copy.dist-info" / "METADATA"
    copied.write_text(copied.read_text(encoding="utf-8").replace("emeval-flattery", "copy"), encoding="utf-8")
    refused(own_process(*asked, "--plugin", "refuses", env=env), "declared twice, by copy 0.1.0 and emeval-flattery")
    assert not (tmp_path / "run").exists()


def test_what_a_package_says_reaches_no_terminal_raw(tmp_path: Path) -> None:
    plant = "\\x1b[31mEVIL\\u202e"
    site = install(tmp_path / "site", package("suite", "evil", f"raise ValueError('{plant}')"))
    info = site / "pack.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: p\x1b[31mk\nVersion: 1\x1b[2J\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[emeval.suites]\nevil = pack_code:made\ne\x1b[31mx = pack_code:made\n", encoding="utf-8"
    )
    for words in (("suites",), ("doctor",), ("run", "evil", "-m", MODEL), ("suites", "--json")):
        done = own_process(*words, env=with_site(site))
        assert not {"\x1b", "\u202e", "\x9b"} & set(done.stdout + done.stderr), words
