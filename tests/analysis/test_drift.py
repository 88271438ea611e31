"""Who has changed, the system or the judge: the statistics by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from evals.statistics.e_process import (
    ALARM,
    Evidence,
    Rate,
    Shift,
    Stream,
    alarms,
    bets_on,
    beyond_the_judge,
    evidence,
    judge_evidence,
    judged_shift,
    mean_evidence,
    shift,
    usual_wobble,
    verdict,
)

NIGHTS = 30
HALF = 50
"""Anchors of each kind."""


def stream(rates: np.ndarray, runs: int, seed: int, draws: int | np.ndarray = 1) -> Stream:
    """Simulated series: `rates` by night and item, drawn afresh every night."""
    nights, items = rates.shape
    drawn = np.broadcast_to(np.asarray(draws), (runs, items, nights))
    return Stream(np.random.default_rng(seed).binomial(drawn, rates.T), drawn)


def still(rates: np.ndarray, nights: int = NIGHTS) -> np.ndarray:
    return np.tile(rates, (nights, 1))


def changed(before: np.ndarray, after: np.ndarray, first: int, nights: int) -> np.ndarray:
    """Rates that change on the night of index `first`."""
    return np.where(np.arange(nights)[:, None] < first, before, after)


def prompts_of(mean: float, correlation: float, count: int, seed: int) -> np.ndarray:
    """Prompts with rates of their own, with that intra-class correlation."""
    both = 1 / correlation - 1
    return np.random.default_rng(seed).beta(mean * both, (1 - mean) * both, count)


# --- the e-process ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [(0.1, 0.1), (0.5, 0.02), (0.9, 0.3)])
def test_a_stake_on_a_change_that_is_none_keeps_its_mean_whatever_the_rates(rates: tuple[float, float]) -> None:
    """By all outcomes of two items on three nights, the first item drawn twice a night: no sampling error."""
    drawn = np.array([[2, 2, 2], [1, 1, 1]])
    firsts, seconds = itertools.product(range(3), repeat=3), itertools.product(range(2), repeat=3)
    hits = np.array(list(itertools.product(firsts, seconds)))
    chances = stats.binom.pmf(hits, drawn, np.array(rates)[:, None]).prod(axis=(1, 2))
    assert chances.sum() == pytest.approx(1)
    stakes = np.exp(evidence(bets_on(Stream(hits, np.broadcast_to(drawn, hits.shape)))).log_e[:, -1])
    assert (chances * stakes).sum() == pytest.approx(1 / 2 + 1 / 6)  # what is staked on nights two and three


def test_a_bet_is_the_tilted_hypergeometric_chance() -> None:
    hits, drawn = np.array([[1, 0, 3], [2, 2, 2]]), np.array([[4, 5, 6], [2, 2, 2]])
    bets = bets_on(Stream(hits, drawn)).nights[-1]  # of the last night: L is 1 and 2
    for length, got in zip((1, 2), bets, strict=True):
        late, total = int(drawn[0, -length:].sum()), int(drawn[0].sum())
        share = stats.hypergeom(total, int(hits[0].sum()), late)
        values = np.arange(late + 1)
        for tilt, bet in zip((-4, -2, -1, -0.5, 0.5, 1, 2, 4), got, strict=True):
            expected = float((share.pmf(values) * np.exp(tilt * values)).sum())
            # The second item hit always: what it did tonight tells nothing, and it cancels.
            assert bet == pytest.approx(tilt * float(hits[0, -length:].sum()) - math.log(expected))


def test_nothing_to_compare_is_no_evidence() -> None:
    assert evidence(bets_on(Stream(np.array([[1]]), np.array([[1]])))).log_e.tolist() == [0.0]
    nobody = Stream(np.zeros((0, 3), int), np.zeros((0, 3), int))
    assert not alarms(judge_evidence(nobody, nobody)).any()
    undrawn = Stream(np.array([[0, 1, 0]]), np.array([[0, 1, 0]]))
    assert (evidence(bets_on(undrawn)).log_e <= 0).all()


@pytest.mark.parametrize("hits", [-1, 2])
def test_counts_that_are_none_are_refused(hits: int) -> None:
    with pytest.raises(ValueError, match="0 <= hits <= drawn"):
        bets_on(Stream(np.array([[hits]]), np.array([[1]])))
    with pytest.raises(ValueError, match="no evidence"):
        mean_evidence([])


def test_the_mean_of_processes_is_taken_of_stakes_and_tells_the_largest_night() -> None:
    small = Evidence(np.log([1.0, 4.0]), np.array([0, 1]))
    large = Evidence(np.log([1.0, 100.0]), np.array([0, 7]))
    mean = mean_evidence([small, large])
    assert np.exp(mean.log_e).tolist() == pytest.approx([1.0, 52.0])
    assert mean.since.tolist() == [0, 7]
    assert alarms(mean).tolist() == [False, True]


# --- false alarms ----------------------------------------------------------------------------------------------------

JUDGES = {
    "never errs": np.zeros(HALF),
    "errs on 2%, now here and now there": np.full(HALF, 0.02),
    "always errs on the same": np.repeat([1.0, 0.0], [5, HALF - 5]),
    "throws a coin on a third of them": np.repeat([0.5, 0.02], [16, HALF - 16]),
    "varies everywhere": np.full(HALF, 0.3),
}


@pytest.mark.parametrize("judge", JUDGES)
def test_a_still_judge_raises_no_alarm_in_thirty_nights(judge: str) -> None:
    hits, misses = (stream(still(JUDGES[judge]), 300, seed) for seed in (1, 2))
    raised = alarms(judge_evidence(hits, misses))[:, -1]
    assert raised.mean() <= 0.025


@pytest.mark.parametrize(("mean", "prompts", "draws"), [(0.01, 40, 5), (0.05, 20, 10), (0.3, 8, 20), (0.5, 40, 5)])
def test_a_still_system_raises_no_alarm_in_thirty_nights(mean: float, prompts: int, draws: int) -> None:
    """Prompts that differ (intra-class correlation 0.3)."""
    series = stream(still(prompts_of(mean, 0.3, prompts, seed=3)), 300, 6, draws)
    assert alarms(evidence(bets_on(series)))[:, -1].mean() <= 0.025


def test_answers_that_are_missing_on_some_nights_more_than_on_others_raise_no_alarm() -> None:
    missing = np.random.default_rng(4).uniform(0, 0.6, 15)
    drawn = np.random.default_rng(5).binomial(6, 1 - missing, (200, 20, 15))
    series = stream(still(prompts_of(0.2, 0.3, 20, seed=3), 15), 200, 6, drawn)
    assert alarms(evidence(bets_on(series)))[:, -1].mean() <= 0.025


def wobbling(spread: float, repeats: int, seed: int, *, runs: int = 60, shift: float = 0.0) -> list[tuple[Stream, ...]]:
    """Series of anchors (of two kinds, errors 10%) under a judge whose log-odds of an error differ between passes, all
    anchors together, and that changes by `shift` on the fourth night. The last axis is the pass."""
    random = np.random.default_rng(seed)
    found: list[tuple[Stream, ...]] = []
    for _ in range(runs):
        moves = random.normal(0, spread, (NIGHTS, repeats)) + np.where(np.arange(NIGHTS) >= 3, shift, 0)[:, None]
        chance = special.expit(special.logit(0.1) + moves)
        draws = [random.binomial(1, np.broadcast_to(chance, (HALF, NIGHTS, repeats))) for _ in range(2)]
        found.append(tuple(Stream(hits, np.ones_like(hits)) for hits in draws))
    return found


def by_night(passes: Stream) -> Stream:
    return Stream(passes.hits.sum(axis=-1), passes.drawn.sum(axis=-1))


def wobble_by_night(series: tuple[Stream, ...]) -> list[float]:
    nights = [
        [(kind.hits[:, night], kind.drawn[:, night]) for night in range(last + 1) for kind in series]
        for last in range(NIGHTS)
    ]
    return [usual_wobble(known) or 0.0 for known in nights]


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_a_judges_usual_wobble_raises_no_alarm(spread: float) -> None:
    series = wobbling(spread, 3, 1)
    found = [
        bool(alarms(judge_evidence(by_night(hits), by_night(misses), wobble_by_night((hits, misses)))).any())
        for hits, misses in series
    ]
    assert sum(found) <= 2


def test_a_wobble_that_is_not_allowed_for_raises_alarms() -> None:
    series = wobbling(0.5, 1, 2)
    found = [bool(alarms(judge_evidence(by_night(hits), by_night(misses))).any()) for hits, misses in series]
    assert sum(found) > 0.15 * len(found)


def test_a_change_beyond_the_usual_wobble_is_caught() -> None:
    series = wobbling(0.25, 3, 3, shift=2.0)
    found = [
        bool(alarms(judge_evidence(by_night(hits), by_night(misses), wobble_by_night((hits, misses))))[:7].any())
        for hits, misses in series
    ]
    assert sum(found) > 0.9 * len(found)


@pytest.mark.parametrize("spread", [0.0, 0.25, 0.5, 1.0])
def test_the_usual_wobble_is_estimated_from_repeats(spread: float) -> None:
    found = [wobble_by_night(series)[-1] for series in wobbling(spread, 5, 4, runs=20)]
    assert float(np.median(found)) == pytest.approx(spread, abs=0.12 + 0.15 * spread)


def test_one_pass_tells_nothing_of_the_wobble() -> None:
    hits = np.array([[1], [0], [1]])
    assert usual_wobble([(hits, np.ones_like(hits))]) is None
    still_hits = np.array([[1, 1], [0, 0]])
    assert usual_wobble([(still_hits, np.ones_like(still_hits))]) is None


def test_a_wobble_of_nothing_leaves_the_bets_as_they_are() -> None:
    made = stream(still(np.full(20, 0.2), 6), 3, 5)
    without, with_none = evidence(bets_on(made)), evidence(bets_on(made, [0.0] * 6))
    assert np.array_equal(without.log_e, with_none.log_e)
    assert (evidence(bets_on(made, [0.5] * 6)).log_e <= without.log_e + 1e-9).any()


def test_taking_the_first_night_for_the_truth_cries_wolf() -> None:
    """What is usual: a z-test a night against the first, or a bet against its rate as if that were known."""
    series = stream(still(np.full(200, 0.1)), 300, 7)
    hits = series.hits.sum(axis=1)
    rates = hits / 200
    pooled = (rates[:, 1:] + rates[:, :1]) / 2
    z = (rates[:, 1:] - rates[:, :1]) / np.sqrt(2 * pooled * (1 - pooled) / 200)
    assert (np.abs(z) > 1.96).any(axis=1).mean() > 0.4
    total, asked, first = hits[:, 1:].cumsum(axis=1), 200 * np.arange(1, NIGHTS), rates[:, :1]
    bet = special.betaln(total + 0.5, asked - total + 0.5) - special.betaln(0.5, 0.5)
    bet -= total * np.log(first) + (asked - total) * np.log(1 - first)
    assert (bet >= math.log(ALARM)).any(axis=1).mean() > 0.3
    assert alarms(evidence(bets_on(series)))[:, -1].mean() <= 0.025


def test_the_verdict_that_anchors_were_chosen_by_is_no_night() -> None:
    """A judge that varies: its frozen hits are those where it happened to say so, and will not say so every time."""
    draw = np.random.default_rng(8)
    rates = np.where(draw.random((200, 2_000)) < 0.1, 0.5, 0.02)  # of 2,000 answers it is unsure about a tenth
    frozen = draw.random(rates.shape) < rates
    chosen = np.argsort(~frozen, axis=1, kind="stable")[:, :HALF]
    assert np.take_along_axis(frozen, chosen, axis=1).all()
    same = np.take_along_axis(rates, chosen, axis=1)
    nights = (draw.random((200, HALF, 6)) >= same[..., None]).astype(int)  # verdicts that are not the frozen one
    with_frozen = np.concatenate([np.zeros((200, HALF, 1), int), nights], axis=2)
    raised = [alarms(evidence(bets_on(Stream(hits, np.ones_like(hits)))))[:, -1] for hits in (with_frozen, nights)]
    assert raised[0].mean() > 0.9
    assert raised[1].mean() <= 0.025


# --- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "caught", "caught_next"),
    [(0.0, 0.2, 0.98, 1.0), (0.02, 0.2, 0.8, 0.93), (0.02, 0.3, 0.97, 1.0), (0.3, 0.02, 0.97, 1.0)],
)
def test_a_judge_that_begins_to_err_is_caught(before: float, after: float, caught: float, caught_next: float) -> None:
    """100 anchors, a change on the third night."""
    rates = changed(np.full(HALF, before), np.full(HALF, after), 2, 5)
    series = judge_evidence(stream(rates, 300, 9), stream(rates, 300, 10))
    raised = alarms(series)
    assert raised[:, 1].mean() <= 0.025
    assert raised[:, 2].mean() >= caught
    assert raised[:, 3].mean() >= caught_next
    assert (series.since[raised[:, 2], 2] == 2).mean() > 0.9


def test_a_change_of_one_kind_of_anchor_is_caught() -> None:
    worse = changed(np.full(HALF, 0.01), np.full(HALF, 0.3), 2, 4)
    same = still(np.full(HALF, 0.01), 4)
    for kinds in ((worse, same), (same, worse)):
        raised = alarms(judge_evidence(*(stream(rates, 300, seed) for seed, rates in enumerate(kinds, start=11))))
        assert raised[:, 2].mean() > 0.85


def test_a_small_change_that_stays_is_caught_in_time() -> None:
    rates = prompts_of(0.05, 0.3, 40, seed=13)
    series = stream(changed(rates, np.clip(2 * rates + 0.02, 0, 1), 3, 20), 200, 14, draws=8)
    raised = alarms(evidence(bets_on(series)))
    assert raised[:, 2].mean() <= 0.025
    assert raised[:, 3].mean() < 0.7 < raised[:, -1].mean()


# --- whose it is -----------------------------------------------------------------------------------------------------


def attributed(
    rates: tuple[float, float],
    found: tuple[float, float],
    missed: tuple[float, float],
    *,
    answers: int,
    runs: int = 60,
    nights: int = 5,
    vary: bool = True,
    guarded: bool = True,
) -> list[list[str]]:
    """Verdicts by run and night: true rate, shares of misses found and of hits missed by the judge, before and from the
    third night on. Without `vary` the judge errs on the same answers every night."""
    draw = np.random.default_rng(15)
    old = np.arange(nights) < 2
    rate, finds, misses = (np.where(old, *pair) for pair in (rates, found, missed))
    measured = rate * (1 - misses) + (1 - rate) * finds
    shape = (runs, HALF, nights)
    luck = [draw.random(shape if vary else (runs, HALF, 1)) for _ in range(2)]
    moved_hits, moved_misses = ((dice < share).astype(int) for dice, share in zip(luck, (misses, finds), strict=True))
    ones = np.ones(shape, int)
    drawn = np.full((runs, 20, nights), answers // 20)
    hits = draw.binomial(drawn, measured)
    rate_evidence = evidence(bets_on(Stream(hits, drawn)))
    judge, system = alarms(judge_evidence(Stream(moved_hits, ones), Stream(moved_misses, ones))), alarms(rate_evidence)
    verdicts: list[list[str]] = []
    for run in range(runs):
        verdicts.append([])
        for night in range(nights):
            beyond = not guarded
            if system[run, night] and guarded:
                since = int(rate_evidence.since[run, np.flatnonzero(system[run])[0]])
                parts = [slice(0, since), slice(since, night + 1)]
                totals = [hits[run, :, part].sum() for part in parts]
                before, after = (
                    Rate(total, answers * (part.stop - part.start)) for total, part in zip(totals, parts, strict=True)
                )
                shifts = [
                    shift(*(Rate(float(kind[run][:, part].mean() * HALF), HALF) for part in parts))
                    for kind in (moved_misses, moved_hits)
                ]
                assert all(shifts)
                overall = shift(before, after)
                assert overall is not None
                beyond = beyond_the_judge(overall, judged_shift(before.share, *shifts))  # type: ignore[arg-type]
            said = verdict(judge=bool(judge[run, night]), system=bool(system[run, night]), beyond=beyond)
            verdicts[-1].append(said)
    return verdicts


def share(verdicts: list[list[str]], night: int, said: str) -> float:
    return sum(series[night] == said for series in verdicts) / len(verdicts)


def test_with_neither_changed_there_is_nothing() -> None:
    verdicts = attributed((0.05, 0.05), (0.02, 0.02), (0.02, 0.02), answers=200, runs=100)
    assert share(verdicts, -1, "none") >= 0.95


def test_a_system_that_changes_under_a_still_judge_is_the_system() -> None:
    verdicts = attributed((0.05, 0.25), (0.02, 0.02), (0.02, 0.02), answers=200)
    assert share(verdicts, 1, "none") >= 0.95
    assert share(verdicts, 2, "system") >= 0.9
    assert share(verdicts, -1, "system") >= 0.97


@pytest.mark.parametrize("vary", [True, False])
def test_a_judge_that_changes_over_a_still_system_is_the_judge(vary: bool) -> None:
    verdicts = attributed((0.05, 0.05), (0.02, 0.25), (0.02, 0.25), answers=200, vary=vary)
    assert share(verdicts, 2, "judge") >= 0.85
    assert share(verdicts, -1, "judge") >= 0.97
    assert sum("system" in series for series in verdicts) <= 0.03 * len(verdicts)


def test_where_both_change_the_judge_has_to_be_settled_first() -> None:
    verdicts = attributed((0.05, 0.25), (0.02, 0.25), (0.02, 0.25), answers=200)
    assert share(verdicts, -1, "judge") >= 0.97


def test_a_judge_that_changes_too_little_for_its_anchors_is_not_taken_for_the_system() -> None:
    """1,000 answers see what 100 anchors cannot: the rate goes from 5% to 9.8%, and three anchors move."""
    change = {"rates": (0.05, 0.05), "found": (0.0, 0.05), "missed": (0.0, 0.0), "answers": 1_000, "vary": False}
    guarded, unguarded = attributed(**change), attributed(**change, guarded=False)  # type: ignore[arg-type]
    assert share(unguarded, -1, "system") > 0.5
    assert sum("system" in series for series in guarded) <= 0.05 * len(guarded)
    assert share(guarded, -1, "unknown") + share(guarded, -1, "judge") > 0.9


def test_shifts_of_rates() -> None:
    change = shift(Rate(48, 80), Rate(56, 70))
    assert change is not None
    assert change == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)  # Newcombe 1998, example (a), method 10
    assert shift(Rate(0, 0), Rate(1, 2)) is None
    assert shift(Rate(1, 2), Rate(0, 0)) is None
    judged = judged_shift(0.1, Shift(0.05, 0.0, 0.1), Shift(0.2, 0.2, 0.2))
    assert judged == pytest.approx((0.025, 0.025 - 0.045, 0.025 + 0.045))
    assert not beyond_the_judge(Shift(0.05, 0.01, 0.09), judged)
    assert beyond_the_judge(Shift(0.3, 0.2, 0.4), judged)
    assert beyond_the_judge(Shift(-0.3, -0.4, -0.2), judged)


@pytest.mark.parametrize(
    ("judge", "system", "beyond", "said"),
    [
        (False, False, False, "none"),
        (False, False, True, "none"),
        (True, False, False, "judge"),
        (True, True, True, "judge"),
        (False, True, True, "system"),
        (False, True, False, "unknown"),
    ],
)
def test_the_rule(judge: bool, system: bool, beyond: bool, said: str) -> None:
    assert verdict(judge=judge, system=system, beyond=beyond) == said
