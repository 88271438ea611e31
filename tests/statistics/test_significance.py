"""p-values among others: worked examples, and what each method promises over a seeded simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evals.statistics.significance import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), max_size=30)


def test_worked_examples() -> None:
    given_p = [0.01, 0.04, 0.03, 0.005]
    assert holm(given_p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(given_p) == pytest.approx([0.02, 0.04, 0.04, 0.02])


def test_one_stays_as_it_is_and_none_is_none() -> None:
    assert holm([0.03]) == benjamini_hochberg([0.03]) == [0.03]
    assert holm([]) == benjamini_hochberg([]) == []


@pytest.mark.parametrize("number", [1, 2, 5, 17, 60])
def test_both_are_those_of_statsmodels(number: int) -> None:
    """Few families, since the library collects garbage at every call; with ties, zeros and ones among the values."""
    rng = np.random.default_rng(number)
    for values in (rng.random(number), rng.random(number).round(1), rng.random(number) ** 4):
        assert holm(values.tolist()) == pytest.approx(multipletests(values, method="holm")[1], abs=1e-12)
        expected = multipletests(values, method="fdr_bh")[1]
        assert benjamini_hochberg(values.tolist()) == pytest.approx(expected, abs=1e-12)


@given(p_values)
def test_adjusted_values_are_no_smaller_keep_the_order_and_holms_are_the_larger(values: list[float]) -> None:
    strict, loose = holm(values), benjamini_hochberg(values)
    for value, strict_value, loose_value in zip(values, strict, loose, strict=True):
        assert value - 1e-12 <= loose_value <= strict_value + 1e-12 <= 1 + 2e-12
    by_size = np.argsort(values, kind="stable")
    assert (np.diff(np.array(strict)[by_size]) >= -1e-12).all()
    assert (np.diff(np.array(loose)[by_size]) >= -1e-12).all()


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_p_value_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no p-value"):
        holm([0.5, value])


def test_holm_bounds_any_false_claim_and_benjamini_hochberg_the_share_of_them() -> None:
    rng = np.random.default_rng(2025)
    families, false, real = 800, 15, 5
    any_false = plain_false = 0
    shares: list[float] = []
    for _ in range(families):
        values = [*rng.uniform(size=false), *rng.beta(0.1, 10, real)]
        any_false += any(p <= 0.05 for p in holm(values)[:false])
        plain_false += any(p <= 0.05 for p in values[:false])
        called = [p <= 0.05 for p in benjamini_hochberg(values)]
        shares.append(sum(called[:false]) / max(1, sum(called)))
    assert any_false / families <= 0.07
    assert np.mean(shares) <= 0.07
    assert plain_false / families > 0.4
