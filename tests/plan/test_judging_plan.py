"""What judges are asked, with and without sampling."""

from __future__ import annotations

from typing import Any

import pytest

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.judging_plan import plan_rejudging
from evals.plan.options import build_config
from evals.plan.plan import make_plan


def config(**fields: Any) -> RunConfig:
    asked = {"suites": ("unethical_test",), "models": ("vllm/m",), "format": "freeform"}
    servers = {"base_url": "http://x/v1", "judge_base_url": "http://x/v1"}
    return build_config(asked | servers | fields, None)


def test_each_judge_model_has_a_plan_and_only_the_one_that_counts_reads_reasoning() -> None:
    plan = make_plan(config(judge="vllm/first", also_judges=("vllm/second@http://y/v1",)))
    assert plan.judgings == (plan.judging, *plan.also)
    specs = [judging.judge_spec for judging in plan.judgings]
    assert [(spec.name, spec.base_url) for spec in specs if spec is not None] == [
        ("vllm/first", "http://x/v1"),
        ("vllm/second", "http://y/v1"),
    ]
    first, second = ([judge.name for judge in judging.judges] for judging in plan.judgings)
    assert "cot_monitor" in first
    assert "cot_monitor" not in second
    assert list(plan.tariffs()) == ["vllm/m", "vllm/first", "vllm/second"]


def test_nobody_is_asked_for_imported_verdicts() -> None:
    judging = plan_rejudging(config(judge="imported", imported=True), [])
    assert (judging.judges, judging.judge_spec) == ((), None)


@pytest.mark.parametrize("judge", ["imported", ("vllm/a", "imported"), ("imported", "vllm/a")])
def test_a_run_that_samples_has_no_imported_verdicts(judge: str | tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="--judge: imported stands for verdicts that came with the answers"):
        config(judge=judge)
