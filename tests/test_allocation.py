"""How draws are spread over strata, and kappa."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.statistics.allocation import allocate
from evals.statistics.kappa import cohen_kappa


@given(
    st.lists(st.tuples(st.integers(1, 60), st.floats(0.01, 100)), min_size=1, max_size=8),
    st.integers(1, 300),
    st.integers(0, 5),
)
def test_draws_add_up_and_stay_within_their_strata(strata: list[tuple[int, float]], total: int, least: int) -> None:
    populations, weights = [size for size, _ in strata], [weight for _, weight in strata]
    floor = sum(min(size, least) for size in populations)
    if min(total, sum(populations)) < floor:
        with pytest.raises(ValueError, match="fewer than"):
            allocate(populations, weights, total, least)
        return
    draws = allocate(populations, weights, total, least)
    assert sum(draws) == min(total, sum(populations))
    assert all(min(size, least) <= drawn <= size for drawn, size in zip(draws, populations, strict=True))


@pytest.mark.parametrize("spreads", [(0.5, 0.2, 0.1), (0.2, 0.2, 0.2), (0.01, 0.5, 0.4)])
def test_no_other_whole_numbers_have_less_variance(spreads: tuple[float, ...]) -> None:
    sizes, total, least = (40, 25, 6), 20, 2

    def variance(draws: tuple[int, ...]) -> float:
        return sum((n * s) ** 2 * (1 / m - 1 / n) for n, s, m in zip(sizes, spreads, draws, strict=True))

    others = [draws for draws in product(*(range(least, n + 1) for n in sizes)) if sum(draws) == total]
    best = min(map(variance, others))
    found = allocate(sizes, [n * s for n, s in zip(sizes, spreads, strict=True)], total, least)
    assert variance(tuple(found)) == pytest.approx(best)


def test_kappa_is_cohens() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.7 alike, 0.5 * 0.6 + 0.5 * 0.4 = 0.5 by chance.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)
    assert cohen_kappa(second, first) == pytest.approx(0.4)
    assert cohen_kappa(first, first) == pytest.approx(1)


def test_kappa_is_not_defined_without_two_labels() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["no"] * 9, ["no"] * 9) is None
    assert cohen_kappa(["no"] * 9, ["yes"] * 9) == pytest.approx(0)
    with pytest.raises(ValueError, match="is shorter"):
        cohen_kappa(["no"], [])
