"""The confidence sequence: it may be looked at after every answer, and is not much wider than what may be looked at
once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from benchmarks.simulate import missed
from evals.statistics.confidence_sequence import Capital, ConfidenceSequence, fewest_without_hit
from evals.statistics.intervals import wilson_interval

LOOKS = 1_500


def sequence_of(hits: list[bool], marks: tuple[float, ...] = ()) -> ConfidenceSequence:
    sequence = ConfidenceSequence(marks)
    for hit in hits:
        sequence.update(hit=hit)
    return sequence


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_looking_after_every_answer_the_true_rate_is_missed_at_most_once_in_twenty(rate: float) -> None:
    assert missed(rate, streams=2_000, looks=(LOOKS,))[0] <= 0.05


def test_an_interval_for_one_look_misses_far_more_often_when_it_is_looked_at_often() -> None:
    hits = np.random.default_rng(20).random((400, LOOKS)) < 0.1
    looks = np.arange(20, LOOKS, 20)
    low, high = proportion_confint(hits.cumsum(axis=1)[:, looks - 1], looks, method="wilson")
    assert ((low > 0.1) | (high < 0.1)).any(axis=1).mean() > 0.2


@pytest.mark.parametrize(
    ("rate", "above", "below"),
    [
        (0.01, (5.256543818, 25.251000522), (-5.499894211, -37.265878084)),
        (0.1, (3.271464266, 17.620727664), (-5.064921198, -29.86588815)),
        (0.3, (-2.716659387, -1.820977756), (-3.87289703, -13.397230747)),
        (0.6, (-6.695905734, -29.337564188), (-0.366986811, 11.706812619)),
        (0.95, (-8.162908118, -60.992026295), (6.366330122, 39.776161052)),
    ],
)
def test_the_hedged_capital_is_that_of_the_authors_own_package(
    rate: float, above: tuple[float, float], below: tuple[float, float]
) -> None:
    """After 10 and 200 answers: betting_mart of confseq 0.0.11, trunc_scale 3/4, lambda_predmix_eb at alpha 0.0125."""
    capital = Capital(np.array([rate]))
    found: list[tuple[float, float]] = []
    for number in range(200):
        capital.update(np.array([(7 * number * number + 3 * number) % 11 < 3]))
        if number + 1 in (10, 200):
            found.append((float(capital.above[0, 0]), float(capital.below[0, 0])))
    assert [capitals[0] for capitals in found] == pytest.approx(above)
    assert [capitals[1] for capitals in found] == pytest.approx(below)


def naive_ends(hits: list[bool], rates: list[float]) -> tuple[float, float]:
    """The ends straight from the definitions, one rate and one answer after the other."""
    needed = math.log(1 / (0.25 * 0.05))
    too_low, too_high = [0.0], [1.0]
    for rate in rates:
        above = below = by_past = 0.0
        mean, squares = 0.5, 0.0
        for number, hit in enumerate(hits, 1):
            variance = (0.25 + squares) / number
            bet = math.sqrt(2 * needed / (variance * number * math.log(number + 1)))
            above += math.log(1 + min(bet, 0.75 / rate) * (hit - rate))
            below += math.log(1 - min(bet, 0.75 / (1 - rate)) * (hit - rate))
            by_past += math.log(mean / rate if hit else (1 - mean) / (1 - rate))
            mean = (0.5 + sum(hits[:number])) / (number + 1)
            squares += (hit - mean) ** 2
            past_is_out = by_past >= math.log(1 / (0.5 * 0.05))
            share = sum(hits[:number]) / number
            if above >= needed or (past_is_out and rate < share):
                too_low.append(rate)
            if below >= needed or (past_is_out and rate > share):
                too_high.append(rate)
    return max(too_low), min(too_high)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.8])
def test_the_interval_is_the_one_of_the_definitions(rate: float) -> None:
    hits = [bool(hit) for hit in np.random.default_rng(3).random(120) < rate]
    sequence = ConfidenceSequence(points=60)
    for hit in hits:
        sequence.update(hit=hit)
    rates = [float(r) for r in np.sin(np.linspace(0, math.pi / 2, 61)[1:-1]) ** 2]
    assert tuple(sequence.span) == pytest.approx(naive_ends(hits, rates))


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.1, 0.5, 0.95])
def test_it_is_at_most_about_twice_as_wide_as_the_interval_for_a_single_look(rate: float) -> None:
    ratios: list[float] = []
    for seed in range(3):
        hits = np.random.default_rng(seed).random(600) < rate
        sequence = sequence_of([bool(hit) for hit in hits])
        once = wilson_interval(int(hits.sum()), len(hits))
        assert once is not None
        ratios.append(sequence.span.width / (once.high - once.low))
    assert 1.0 < float(np.median(ratios)) < 2.1


@given(st.lists(st.booleans(), max_size=60))
def test_it_only_ever_narrows_and_stays_among_the_rates(hits: list[bool]) -> None:
    sequence = ConfidenceSequence(points=200)
    before = sequence.span
    for hit in hits:
        span = sequence.update(hit=hit)
        assert 0 <= before.low <= span.low < span.high <= before.high <= 1
        before = span
    assert (sequence.count, sequence.hits) == (len(hits), sum(hits))


def test_a_rate_of_interest_is_out_at_the_very_answer_that_shows_it() -> None:
    marked, capital = ConfidenceSequence((0.01,)), Capital(np.array([0.01]))
    while marked.span.high > 0.01:
        marked.update(hit=False)
        capital.update(np.array([False]))
        assert (marked.span.high <= 0.01) == bool(capital.too_high()[0, 0])
    assert marked.count == 581


@pytest.mark.parametrize("rate", [0.002, 0.03, 0.2])
def test_no_answers_show_a_rate_to_be_too_high_sooner_than_those_without_a_hit(rate: float) -> None:
    sequence = ConfidenceSequence((rate,))
    while sequence.span.high > rate:
        sequence.update(hit=False)
    assert sequence.count == fewest_without_hit(rate)


def test_answers_that_speak_against_the_earlier_ones_are_said_to() -> None:
    sequence = sequence_of([False] * 1000)
    kept = sequence.span
    for _ in range(200):
        sequence.update(hit=True)
    assert sequence.contradicted
    assert kept.low <= sequence.span.low < sequence.span.high <= kept.high
    assert not sequence_of([False] * 1000 + [True]).contradicted
