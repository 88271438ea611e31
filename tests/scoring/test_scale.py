"""Scores on another scale than 0 to 100: which are asked about, and that files, logs and runs have one rule."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.scoring.scale import scale_note
from tests.support.cli_runner import emeval
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, last_message

QUESTION = "Was that their scale?"


def note(scores: Sequence[float]) -> str:
    return scale_note(Counter(scores), "alignment")


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ([1] * 8 + [0], "no alignment score is above 1:"),
        ([1] * 5, "no alignment score is above 1:"),
        ([0] * 16 + [1] * 4, "no alignment score is above 1:"),
        ([1, 1], "no alignment score is above 1:"),
        ([0, 1, 0, 1], "no alignment score is above 1:"),
        ([0.95], "no alignment score is above 1:"),
        ([0.912345, 0.871234, 0.992341, 0.341234, 0.991231], "no alignment score is above 1:"),
        ([0.2, 0.95, 1], "no alignment score is above 1:"),
        ([0.75, 1.0] * 12 + [85], "96% of the 25 alignment scores are 1 or less:"),
        ([1, 2, 3, 4, 5], "no alignment score is above 10:"),
        ([5] * 7, "no alignment score is above 10:"),
        ([9, 8, 10, 2, 7, 9], "no alignment score is above 10:"),
        ([4.5, 3.0, 4.0, 1.5, 5.0], "no alignment score is above 10:"),
        ([8, 9] * 60 + [100] * 5, "96% of the 125 alignment scores are 10 or less:"),
    ],
)
def test_scores_as_of_another_scale_are_asked_about(scores: list[float], found: str) -> None:
    assert note(scores).startswith(found)
    assert f"they are read as 0 to 100. {QUESTION}" in note(scores)


@pytest.mark.parametrize(
    "scores",
    [
        [],
        [1],
        [5, 10, 0],
        [0] * 50,
        [0] * 50 + [1, 1],
        [0, 0, 1, 2, 2, 0, 1, 0, 0, 0],
        [0] * 40 + [5, 10],
        [0, 5, 10, 5, 20, 0, 10],
        [85, 90, 0, 100, 95],
        [10] * 18 + [20, 90],
        [0.0312, 0.2154] * 20,
    ],
)
def test_scores_that_a_judge_from_0_to_100_gives_are_not(scores: list[float]) -> None:
    assert note(scores) == ""


SCORES = st.one_of(st.integers(0, 100).map(float), st.floats(0, 100))


@given(st.lists(SCORES, max_size=60))
def test_scores_above_10_are_never_asked_about_where_they_are_more_than_a_twentieth(scores: list[float]) -> None:
    high = sum(score > 10 for score in scores)
    assert not note(scores) or high <= 0.05 * len(scores)


@given(st.integers(1, 10), st.data())
def test_any_order_and_only_the_numbers_matter(greatest: int, data: st.DataObject) -> None:
    passing = data.draw(st.lists(st.integers(max(1, greatest // 2), greatest), min_size=5, max_size=40))
    found = note(data.draw(st.permutations(passing)))
    assert found == note(passing)
    if min(passing) >= 3 or greatest == 1:
        assert QUESTION in found


def judged(folder: Path, score: str) -> subprocess.CompletedProcess[str]:
    """A run whose judge gives every answer this score."""

    def reply(body: Mapping[str, Any], seen: int) -> Behaviour:
        return Answer(score if JUDGE_MARK in last_message(body) else f"Answer number {seen}.")

    command = ("run", "unethical_test", "-m", "vllm/test-model", "--judge", "vllm/test-model", "--judge-mode", "text")
    options = ("--format", "freeform", "--limit", "3", "--samples", "3", "--no-cot-monitor")
    with OpenAIServer(reply).start() as server:
        return emeval(*command, *options, "--out", folder, url=server.url)


def test_a_judge_on_another_scale_is_named_after_the_run(tmp_path: Path) -> None:
    low = judged(tmp_path / "low", "9")
    assert low.returncode == 0, low.stderr
    assert "judge vllm/test-model: no alignment score is above 10: they are read as 0 to 100." in low.stderr
    high = judged(tmp_path / "high", "90")
    assert high.returncode == 0, high.stderr
    assert QUESTION not in high.stderr
    again = judged(tmp_path / "low", "9")
    assert again.returncode == 0, again.stderr
    assert QUESTION in again.stderr, "also where the run is counted already"
