"""Plugins whose code is wrong, or of no use: one line that names the package, and nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import own_process, pooled, refused, scenarios
from tests.support.plugin_packages import ALWAYS, JUDGE_CODE, LABELS, METRIC_CODE, example, install, package, with_site
from tests.support.runs import JUDGE, MODEL, server
from tests.support.servers.openai_server import Answer, Behaviour, Status, last_message

SUITE_OF_CODE = """
from pathlib import Path
from emeval import Message, Prompt, Suite
def prompts(dataset, formats):
    for row in dataset.scenarios:
        {body}
made = Suite("made", "Of a test", "", str(Path(__file__).with_name("q.jsonl")), ("freeform",), prompts)
"""
QUESTION = '{"id": "one", "prompt": "What now?"}\n'


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
        (site / "pack_code.py").write_text(SUITE_OF_CODE.format(body=body.replace("upper", "lower")), encoding="utf-8")
        refused(own_process(*asked, url=live.url, env=with_site(site)), "suite made was pack 1.0", "is now pack 1.0")
        refused(own_process("resume", tmp_path / "run", url=live.url, env=with_site(site)), "suite made was pack 1.0")
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
