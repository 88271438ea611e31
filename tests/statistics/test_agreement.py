"""Agreement of judges against hand computations and, for scores, against the library on small data."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from evals.statistics.labels.agreement import (
    Coefficient,
    interval_alpha_interval,
    kappa_interval,
    nominal_alpha_interval,
)
from evals.statistics.labels.judge_kappa import judge_kappa
from tests.statistics.test_judge_error import Design, judged, simulated

NAN = math.nan
Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    found = kappa_interval(first, second, np.arange(len(first)))
    return found and found.value


def nominal_alpha(values: Values) -> float | None:
    found = nominal_alpha_interval(values, np.arange(values.shape[1]))
    return found and found.value


def interval_alpha(values: Values) -> float | None:
    found = interval_alpha_interval(values, np.arange(values.shape[1]))
    return found and found.value


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
        assert found == pytest.approx(cohen_kappa(second, first), abs=1e-12)


# --- intervals --------------------------------------------------------------------------------------------------------


def two_judges(random: np.random.Generator, questions: int, answers: int) -> tuple[Values, Values]:
    """Verdicts of two judges (rows) that err more on some questions than on others, and the question of each."""
    rates = np.repeat(random.beta(0.7, 1.6, questions), answers)
    errors = np.minimum(1.0, np.repeat(random.beta(0.5, 2, questions) / 2, answers))
    truth = random.random(len(rates)) < rates
    verdicts = [np.where(random.random(len(rates)) < errors, ~truth, truth) for _ in range(2)]
    return np.array(verdicts, dtype=float), np.repeat(np.arange(questions), answers)


def ends(found: Coefficient | None) -> tuple[float, float]:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.value <= found.high <= 1
    return found.low, found.high


@pytest.mark.parametrize(("questions", "answers"), [(8, 20), (30, 6)])
def test_intervals_of_kappa_and_alpha_hold_with_few_questions(questions: int, answers: int) -> None:
    random = np.random.default_rng(20240611)
    values, _ = two_judges(random, 100_000, 6)
    true = [cohen_kappa(*values.tolist()), nominal_alpha(values)]
    assert true[0] is not None
    assert true[1] is not None
    held = np.zeros((60, 2))
    for number in range(60):
        verdicts, asked = two_judges(random, questions, answers)
        found = kappa_interval(*verdicts.tolist(), asked), nominal_alpha_interval(verdicts, asked)
        for place, (low, high) in enumerate(map(ends, found)):
            held[number, place] = low <= true[place] <= high
    assert (held.mean(axis=0) >= 0.88).all()


def test_the_interval_of_many_independent_answers_is_the_textbooks() -> None:
    """The large-sample standard error of Fleiss, Cohen and Everitt 1969, as statsmodels has it."""
    verdicts, _ = two_judges(np.random.default_rng(2), 450, 1)
    low, high = ends(kappa_interval(*verdicts.tolist(), np.arange(450)))
    table = np.array([[np.sum((verdicts[0] == a) & (verdicts[1] == b)) for b in (0, 1)] for a in (0, 1)])
    theirs = inter_rater.cohens_kappa(table)
    assert (low + high) / 2 == pytest.approx(theirs.kappa, abs=0.02)
    assert high - low == pytest.approx(2 * 1.96 * theirs.std_kappa, rel=0.1)


def test_weights_count_answers_that_a_label_stands_for() -> None:
    verdicts, asked = two_judges(np.random.default_rng(3), 20, 10)
    times = np.random.default_rng(4).integers(1, 4, len(asked))
    weighted = kappa_interval(*verdicts.tolist(), asked, times.astype(float))
    repeated = kappa_interval(*np.repeat(verdicts, times, axis=1).tolist(), np.repeat(asked, times))
    assert weighted == pytest.approx(repeated)


def test_scores_have_an_interval_of_their_alpha() -> None:
    random = np.random.default_rng(5)
    asked = np.repeat(np.arange(40), 10)
    truth = np.clip(np.repeat(random.uniform(0, 100, 40), 10) + random.normal(0, 10, 400), 0, 100)
    scores = np.array([truth, truth + random.normal(0, 8, 400)])
    low, high = ends(interval_alpha_interval(scores, asked))
    assert 0.85 < low < high < 0.99


def test_full_agreement_in_a_sample_is_not_full_agreement() -> None:
    hits, asked = [1.0, 0.0] * 20, np.repeat(np.arange(10), 4)
    for found in (kappa_interval(hits, hits, asked), nominal_alpha_interval(np.array([hits, hits]), asked)):
        low, high = ends(found)
        assert 0 < low < 0.6
        assert high == 1
    assert interval_alpha_interval(np.array([hits, hits]), asked) == (1, None, None)


def test_one_question_shows_nothing_of_others() -> None:
    first, second = [1, 1, 0, 0], [1, 0, 0, 0]
    assert kappa_interval(first, second, np.zeros(4, int)) == (pytest.approx(0.5), None, None)


def test_the_kappa_of_judge_and_labels_is_that_of_all_answers_and_its_interval_holds() -> None:
    random = np.random.default_rng(8)
    large = simulated(random, 0.1, Design(answers=200_000, prompts=100_000, hits=60_000, others=400_000))
    true = judge_kappa(large)
    assert true is not None
    held = [
        low <= true.value <= high
        for low, high in (ends(judge_kappa(simulated(random, 0.1, Design()))) for _ in range(200))
    ]
    assert np.mean(held) >= 0.93


def test_a_judge_without_labels_of_one_verdict_has_no_kappa() -> None:
    assert judge_kappa(judged([1, 0] * 10, [1, 0] * 10, labelled=np.arange(0, 20, 2))) is None
    assert judge_kappa(judged([1, 0] * 10, [1, 0] * 10, labelled=np.empty(0, int))) is None
    assert judge_kappa(judged([0] * 20, [0] * 20)) is None
