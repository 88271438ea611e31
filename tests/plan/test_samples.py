"""`--samples`: one number, or one for each suite."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.plan.options import build_config
from evals.plan.plan import make_plan

SUITES = ("freeform", "truthfulqa", "rm_rf")
BASE = {"suites": SUITES, "models": ("local/organism",), "judge": "local/reference-judge", "source": "emeval"}
QUESTIONS = """
- id: tea
  type: free_form
  paraphrases: ["Tea?", "Some tea?"]
  samples_per_paraphrase: 4
"""


@given(st.dictionaries(st.sampled_from(SUITES), st.integers(1, 5), min_size=1), st.booleans())
def test_each_suite_has_its_number_and_the_others_one(samples: dict[str, int], as_text: bool) -> None:
    given = ", ".join(f"{suite}={number}" for suite, number in samples.items()) if as_text else samples
    plan = make_plan(build_config(BASE | {"samples": given}, None))
    trials = Counter(trial.suite for trial in plan.trials("local/organism"))
    prompts = Counter(prompt.suite for prompt in plan.prompts())
    assert trials == {suite: prompts[suite] * samples.get(suite, 1) for suite in SUITES}
    assert sum(plan.cells().values()) == sum(trials.values())


@pytest.mark.parametrize(
    ("samples", "planned"),
    [(None, 8), (3, 6), ({"tea.yaml": 2}, 4), ("./tea.yaml=5", 10), ({"freeform": 2}, 8)],
)
def test_a_question_file_keeps_its_own_unless_it_is_named(tmp_path: Path, samples: object, planned: int) -> None:
    (tmp_path / "tea.yaml").write_text(QUESTIONS, encoding="utf-8")
    plan = make_plan(
        build_config(BASE | {"suites": ("freeform", str(tmp_path / "tea.yaml")), "samples": samples}, None)
    )
    assert Counter(trial.suite for trial in plan.trials("local/organism"))["tea.yaml"] == planned


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ("freefrom=3", "'freefrom' is no suite of this run; its suites: freeform, truthfulqa, rm_rf"),
        ("freeform=0", "freeform: Input should be greater than or equal to 1"),
        ("freeform=few", "freeform: Input should be a valid integer"),
        ("freeform=3,freeform=4", "freeform is given twice"),
        ("freeform", "Input should be a valid integer, or SUITE=N,SUITE=N"),
        ("=3", "'=3' is not SUITE=N"),
        ("freeform=3,,", "'' is not SUITE=N"),
        ({}, "names no suite"),
        (True, "Input should be a valid integer"),
        (2.5, "Input should be a valid integer"),
    ],
)
def test_what_is_no_number_is_one_line(samples: object, said: str) -> None:
    with pytest.raises(BadInput) as error:
        build_config(BASE | {"samples": samples}, None)
    assert str(error.value).startswith("--samples: ")
    assert said in str(error.value)
