"""How draws are spread over strata, and kappa."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.statistics.allocation import allocate


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
