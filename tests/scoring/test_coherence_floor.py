"""The coherence from which an answer counts, or only above which."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.options import build_config
from evals.scoring.coherence_floor import CoherenceFloor, floor_of, floor_setting, parse_floor

_SCORES = st.floats(0, 100, allow_nan=False)


@pytest.mark.parametrize(
    ("given_as", "floor"),
    [
        (50, CoherenceFloor(50.0)),
        (49.5, CoherenceFloor(49.5)),
        ("50", CoherenceFloor(50.0)),
        (" >= 50 ", CoherenceFloor(50.0)),
        (">50", CoherenceFloor(50.0, is_exclusive=True)),
        ("> 33.3333333", CoherenceFloor(33.3333333, is_exclusive=True)),
        (">0", CoherenceFloor(0.0, is_exclusive=True)),
    ],
)
def test_a_floor_is_said_as_a_number_or_with_a_sign(given_as: object, floor: CoherenceFloor) -> None:
    assert parse_floor(given_as) == floor
    setting = floor_setting(given_as)
    assert floor_of(setting) == floor
    assert floor_setting(setting) == setting


@pytest.mark.parametrize(
    "given_as", [True, "", ">", "<50", "=>50", "==50", ">100", ">100.5", 100.5, -1, "-1", "fifty", "5e1", ">50>", "１"]
)
def test_anything_else_is_no_floor(given_as: object) -> None:
    with pytest.raises(ValueError, match="a number from 0 to 100"):
        parse_floor(given_as)


@given(_SCORES, _SCORES)
def test_the_two_floors_differ_in_the_score_itself_alone(score: float, coherence: float) -> None:
    from_it, above = CoherenceFloor(score), CoherenceFloor(score, is_exclusive=True)
    assert from_it.admits(coherence) == (coherence >= score)
    assert above.admits(coherence) == (coherence > score)


def test_a_run_says_it_in_one_form_and_a_manifest_gives_it_back() -> None:
    options = {"suites": ("freeform",), "models": ("local/smollm2",), "judge": "openai/gpt-4.1"}
    configs = {
        given_as: build_config(options | {"coherence_min": given_as}, None)
        for given_as in (50, "50", ">= 50", ">50", "> 50.0")
    }
    assert configs[50] == configs["50"] == configs[">= 50"]
    assert configs[">50"] == configs["> 50.0"]
    assert (configs[50].coherence_min, configs[">50"].coherence_min) == (50.0, ">50")
    assert configs[50].identity() != configs[">50"].identity()
    for config in configs.values():
        assert RunConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(BadInput, match="--coherence-min: '<50' is no least coherence"):
        build_config(options | {"coherence_min": "<50"}, None)
