"""The report of a run with more trials than a page can hold: a part of the transcripts, evenly, and it is said."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.growth.recorded import PROMPTS, recorded_run
from evals.reporting.page.transcripts import pack_transcripts
from evals.reporting.page.writer import write_report
from evals.runner.count import Counted, read_counted

TRIALS = 50 * PROMPTS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return read_counted(recorded_run(tmp_path_factory.mktemp("large") / "run", TRIALS))


def test_a_page_of_a_large_run_has_a_part_of_its_transcripts_and_says_so(run: Counted, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    written = write_report([run], page, most=400)
    assert abs(written.transcripts - 400) <= 4
    assert written.trials == TRIALS
    text = page.read_text(encoding="utf-8")
    assert f"Here are {written.transcripts:,} of 2,000 transcripts" in text
    assert "Those among the transcripts below: " in text
    assert "of 2,000 answers (" in text
    assert "How the 2,000 trials ended" in text
    everything = write_report([run], page)
    assert everything.transcripts == everything.trials == TRIALS
    text = page.read_text(encoding="utf-8")
    assert "Here are" not in text
    assert "among the transcripts below" not in text


def test_the_part_is_the_same_each_time_and_comes_evenly_from_all_questions(run: Counted) -> None:
    first, second = (pack_transcripts([run], lambda _part: None, 400) for _ in range(2))
    assert first.columns == second.columns
    asked = Counter(first.columns["question"])
    assert len(asked) == PROMPTS
    assert max(asked.values()) - min(asked.values()) <= 2
    hits = [hit for hit in first.columns["hit"] if hit is not None]
    row = next(row for row in run.tables.rate_rows if row["prompt_id"] == "ALL" and row["metric"] == "misaligned_em")
    assert abs(sum(hits) / len(hits) - float(row["k"]) / float(row["n"])) < 0.1
