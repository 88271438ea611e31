"""Agreement of judges against hand computations and, for scores, against the library on small data."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from evals.statistics.agreement import cohen_kappa, interval_alpha, nominal_alpha

NAN = math.nan


def test_alpha_of_hits_by_hand() -> None:
    """Three answers have two verdicts: 1 1, 1 0, 0 0. Of six verdicts three are 1.

    Observed disagreement 2 of 6 ordered pairs; expected 2 * 3 * 3 of 6 * 5 pairs; alpha 1 - (1/3) / (3/5) = 4/9.
    """
    values = np.array([[1, 1, 0, 0, NAN], [1, 0, 0, NAN, 1]])
    assert nominal_alpha(values) == pytest.approx(4 / 9)


def test_alpha_of_scores_by_hand() -> None:
    """Answers scored 10 20 and 90 100. Each pair is 10 apart: 100. Over all four scores the mean squared distance is
    (100 + 6400 + 8100 + 4900 + 6400 + 100) / 6 = 26000 / 6; alpha is 1 - 600 / 26000."""
    values = np.array([[10.0, 90.0], [20.0, 100.0]])
    assert interval_alpha(values) == pytest.approx(1 - 600 / 26000)


def test_alpha_of_scores_is_the_librarys() -> None:
    draw = np.random.default_rng(5)
    truth = draw.uniform(0, 100, 60)
    values = np.clip(truth + draw.normal(0, [[5], [15], [30]], (3, 60)), 0, 100)
    values[draw.random((3, 60)) < 0.2] = NAN
    expected = krippendorff.alpha(reliability_data=values, level_of_measurement="interval")
    assert interval_alpha(values) == pytest.approx(expected)
    hits = np.where(np.isnan(values), NAN, (values < 30).astype(float))
    assert nominal_alpha(hits) == pytest.approx(
        krippendorff.alpha(reliability_data=hits, level_of_measurement="nominal")
    )


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, 7.0, NAN]), min_size=4, max_size=4), min_size=1, max_size=30))
def test_alpha_of_labels_is_the_librarys(answers: list[list[float]]) -> None:
    """The reference implementation has a licence that only a development dependency may have."""
    values = np.array(answers).T
    found = nominal_alpha(values)
    pairable = values[:, (~np.isnan(values)).sum(axis=0) >= 2]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        assert found is None
    else:
        expected = krippendorff.alpha(reliability_data=values, level_of_measurement="nominal")
        assert found == pytest.approx(expected, abs=1e-12)


def test_nothing_to_disagree_about_has_no_alpha() -> None:
    for values in ([[1, NAN], [NAN, 0]], [[1, 1], [1, 1]], [[], []], [[NAN], [NAN]]):
        assert nominal_alpha(np.array(values, dtype=float)) is None
        assert interval_alpha(np.array(values, dtype=float)) is None


def test_judges_that_only_guess_have_an_alpha_around_zero() -> None:
    draw = np.random.default_rng(6)
    alphas = [nominal_alpha((draw.random((2, 200)) < 0.2).astype(float)) for _ in range(300)]
    assert np.mean(np.array(alphas, dtype=float)) == pytest.approx(0, abs=0.01)


def test_kappa_by_hand() -> None:
    """They agree on 7 of 10, and by their habits (4 and 5 hits) would on 4 * 5 + 6 * 5 of 100: (0.7 - 0.5) / 0.5."""
    first, second = [1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 0, 0, 0, 0]
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == 1
    assert cohen_kappa(first, [1 - hit for hit in first]) == pytest.approx(-12 / 13)
    assert cohen_kappa([1, 1, 1], [1, 1, 1]) is None
    assert cohen_kappa(["no"] * 9, ["yes"] * 9) == 0
    assert cohen_kappa([], []) is None
    with pytest.raises(ValueError, match="shorter"):
        cohen_kappa(first, first[:3])


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=60))
def test_kappa_is_that_of_statsmodels(pairs: list[tuple[str, str]]) -> None:
    first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    table = np.zeros((4, 4))
    for row, column in pairs:
        table["abcd".index(row), "abcd".index(column)] += 1
    found = cohen_kappa(first, second)
    if len({*first, *second}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(inter_rater.cohens_kappa(table, return_results=False), abs=1e-12)
        assert found == cohen_kappa(second, first)
