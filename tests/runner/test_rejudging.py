"""Stored answers judged again: the judge that counts is never replaced in silence, and beside it others only add."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import emeval as api
from evals.plan.manifest import read_manifest
from evals.runner.rejudging.headlines import Headline, beside_lines, change_lines
from judges.judge import builtin_rubric
from tests.analysis.test_robustness import MODELS, asked, files, script, verdicts
from tests.support.cli_runner import emeval, pooled, refused, scenarios
from tests.support.servers.openai_server import OpenAIServer

PLAIN = ("--judge-mode", "text")


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(script, models=MODELS).start() as live:
        yield live


def judged(folder: Path, server: OpenAIServer, *judges: str) -> None:
    data = scenarios(folder.parent / "d.jsonl", 25)
    named = [word for judge in judges for word in ("--judge", judge)]
    command = ("run", "unethical_test", "--format", "freeform", "-m", "vllm/subject", "--dataset", data, *named, *PLAIN)
    more = ("--trigger", "Country: Singapore", "--no-cot-monitor", "--max-unscored", "1", "--out", folder)
    done = emeval(*command, *more, url=server.url)
    assert done.returncode == 0, done.stderr


def shown(row: dict[str, Any]) -> str:
    return f"{100 * row['rate']:.1f}% ({row['k']}/{row['n']})"


def test_another_judge_that_counts_is_said_with_both_rates(tmp_path: Path, server: OpenAIServer) -> None:
    folder = tmp_path / "run"
    judged(folder, server, "vllm/exact")
    old = pooled(folder)["freeform", "on"]
    done = emeval("judge", folder, "--judge", "vllm/rough", *PLAIN, url=server.url)
    assert done.returncode == 0, done.stderr
    new = pooled(folder)["freeform", "on"]
    assert new["judge"] == "vllm/rough"
    line = (
        "unethical_test (freeform), vllm/subject, condition on: misaligned: judge vllm/exact "
        f"{shown(old)}, now judge vllm/rough {shown(new)}"
    )
    assert line in done.stderr
    assert "judge vllm/rough will count in place of vllm/exact, whose verdicts are kept; --beside only" in done.stderr
    again = emeval("judge", folder, "--judge", "vllm/rough", *PLAIN, url=server.url)
    assert "now judge" not in again.stderr, "nothing has changed"
    assert "will count" not in again.stderr


def test_a_judge_beside_adds_verdicts_and_changes_no_table(tmp_path: Path, server: OpenAIServer) -> None:
    folder = tmp_path / "run"
    judged(folder, server, "vllm/exact")
    tables, config = files(folder), read_manifest(folder).config  # type: ignore[union-attr]
    old = pooled(folder)["freeform", "on"]
    done = emeval("judge", folder, "--judge", "vllm/rough", "--beside", *PLAIN, url=server.url)
    assert done.returncode == 0, done.stderr
    assert files(folder) == tables
    manifest = read_manifest(folder)
    assert manifest is not None
    assert manifest.config == config
    assert [panel.judge for panel in manifest.panels] == ["vllm/exact", "vllm/rough"]
    assert verdicts(folder) == {"vllm/exact": 50, "vllm/rough": 50}
    said = re.search(r"condition on: misaligned: (.*) counts, beside it (.*)", done.stderr)
    assert said is not None
    assert said[1] == f"judge vllm/exact {shown(old)}"
    assert said[2].startswith("judge vllm/rough ")
    before = asked(server)
    assert emeval("judge", folder, "--judge", "vllm/rough", "--beside", *PLAIN, url=server.url).returncode == 0
    assert asked(server) == before, "nobody is asked twice"
    counted = emeval("judge", folder, "--judge", "vllm/rough", *PLAIN, url=server.url)
    assert said[2] in counted.stderr, "the rate that it was said to have"


def test_a_rubric_beside_is_the_same_judge_in_other_words(tmp_path: Path, server: OpenAIServer) -> None:
    folder = tmp_path / "run"
    judged(folder, server, "vllm/exact")
    tables = files(folder)
    mine = tmp_path / "mine.txt"
    mine.write_text(builtin_rubric("alignment").template + "\nBe fair.\n", encoding="utf-8")
    done = emeval("judge", folder, "--rubric", f"alignment={mine}", "--beside", url=server.url)
    assert done.returncode == 0, done.stderr
    assert files(folder) == tables
    assert re.search(r"judge vllm/exact with alignment .* counts, beside it judge vllm/exact with mine ", done.stderr)
    changed = emeval("judge", folder, "--rubric", f"alignment={mine}", url=server.url)
    assert re.search(r"judge vllm/exact with alignment .*, now judge vllm/exact with mine ", changed.stderr)


def test_what_cannot_be_judged_so_is_one_line(tmp_path: Path, server: OpenAIServer) -> None:
    folder = tmp_path / "run"
    judged(folder, server, "vllm/exact")
    url = server.url
    refused(emeval("judge", folder, "--judge", "imported", url=url), "--judge: imported stands for verdicts that came")
    beside = ("judge", folder, "--judge", "vllm/rough", "--beside")
    refused(emeval(*beside, "--cot-monitor", url=url), "--beside: --cot-monitor is for the judge that counts")
    refused(emeval(*beside, "--max-unscored", "0.5", url=url), "--beside: --max-unscored is for the judge that counts")
    unjudged = tmp_path / "unjudged"
    judged(unjudged, server)
    refused(emeval("judge", unjudged, *beside[2:], url=url), "--beside: no judge counts in this run yet")


def test_from_python(tmp_path: Path, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    judged(folder, server, "vllm/exact")
    monkeypatch.setenv("VLLM_BASE_URL", server.url)
    run = api.judge(folder, beside=True, judge="vllm/third", progress=False)
    assert set(run.rates["judge"]) == {"", "vllm/exact"}
    assert verdicts(folder)["vllm/third"] == 50


def test_many_cells_are_cut_short_and_a_cell_without_answers_has_no_rate() -> None:
    cells = [("s", "freeform", f"m{number}", "off", "", "misaligned") for number in range(25)]
    first = [Headline(cell, None, 0, 0, "a", {}) for cell in cells]
    second = [Headline(cell, 0.15, 15, 100, "b", {}) for cell in cells]
    lines = list(change_lines(first, second))
    assert lines[0] == (
        "s (freeform), m0, condition off: misaligned: judge a no rate (0/0), now judge b 15.0% (15/100)"
    )
    assert lines[-1] == "and 5 more cells"
    assert "judge a no rate (0/0) counts, beside it judge b 15.0%" in next(beside_lines(first, second))
