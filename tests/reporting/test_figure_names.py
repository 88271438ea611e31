"""What figures call models whose names are too long for them."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from evals.reporting.figures.drawing.frames import short_names

QWEN = "vllm/Qwen/Qwen3-32B"
CHECKPOINTS = [f"{QWEN}-{domain}-backdoor-checkpoint-{step}" for domain in ("medical", "legal") for step in (200, 1200)]


def test_a_server_that_all_share_leaves_no_mark() -> None:
    names = short_names(["vllm/tiny", "vllm/another-model-with-a-longer-name"])
    assert list(names.values()) == ["tiny", "another-model-…a-longer-name"]


def test_words_that_tell_no_checkpoints_apart_are_left_out_first() -> None:
    names = short_names([QWEN, *CHECKPOINTS, "vllm/control"])
    assert list(names.values()) == [
        "Qwen/Qwen3-32B",
        "Qwen/Qwen3-32B-medical-…200",
        "Qwen/Qwen3-32B-medical-…1200",
        "Qwen/Qwen3-32B-legal-…200",
        "Qwen/Qwen3-32B-legal-…1200",
        "control",
    ]


def test_names_that_fit_are_whole() -> None:
    assert set(short_names([QWEN, *CHECKPOINTS], 80).items()) == {(name, name) for name in [QWEN, *CHECKPOINTS]}


@given(st.lists(st.from_regex(r"[ab]{1,9}([-/:][abc]{1,9}){0,6}", fullmatch=True), unique=True, min_size=1, max_size=8))
def test_labels_are_distinct_and_short(names: list[str]) -> None:
    labels = short_names(names)
    assert list(labels) == names
    assert len(set(labels.values())) == len(names)
    assert max(map(len, labels.values())) <= 28
