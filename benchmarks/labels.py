"""Simulated coverage of what labels correct (`evals.statistics.labels`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from evals.statistics.judge_error import JudgedSample
from evals.statistics.labels.agreement import kappa_interval
from evals.statistics.labels.effects import corrected_effect
from evals.statistics.labels.panels import latent_classes

Floats = npt.NDArray[np.float64]
CORRELATION, LABELS = 0.3, 100
SIZES = ((8, 100), (20, 20), (44, 10), (100, 6))


class Judge(NamedTuple):
    """The judge's sensitivity under the condition and without it, and its specificities."""

    finds: tuple[float, float] = (0.85, 0.85)
    rejects: tuple[float, float] = (0.95, 0.95)


class Setting(NamedTuple):
    """Mean rates of the population of questions under the condition and without it, and who judges."""

    rate: float
    base: float
    judge: Judge = Judge()


SETTINGS = (
    Setting(0.02, 0.02),
    Setting(0.3, 0.02),
    Setting(0.84, 0.04),
    Setting(0.4, 0.1, Judge(finds=(0.4, 0.95))),
    Setting(0.1, 0.1, Judge(rejects=(0.7, 0.95))),
)


class EffectCoverage(NamedTuple):
    """Shares of runs whose interval of the effect holds that of the population: corrected, and as judged. `bias` is the
    mean corrected effect less the true one."""

    corrected: float
    as_judged: float
    bias: float


def rates_of_questions(rng: np.random.Generator, means: tuple[float, float], questions: int) -> tuple[Floats, Floats]:
    """Beta-distributed rates of the same questions twice, which go together as closely as they can."""
    place, spread = rng.random(questions), 1 / CORRELATION - 1
    first, second = (special.betaincinv(mean * spread, (1 - mean) * spread, place) for mean in means)
    return first, second


def labelled(
    rng: np.random.Generator, rates: Floats, answers: int, finds: float, rejects: float, labels: int = LABELS
) -> JudgedSample:
    """So many judged answers to each question; half of the labels are of what the judge calls hits."""
    prompts = np.repeat(np.arange(len(rates)), answers)
    truth = rng.random(len(prompts)) < rates[prompts]
    said = np.where(truth, rng.random(len(prompts)) < finds, rng.random(len(prompts)) >= rejects)
    drawn, weights = [np.empty(0, int)], [np.empty(0)]
    for verdict in (False, True):
        members = np.flatnonzero(said == verdict)
        if len(members):
            drawn.append(rng.choice(members, min(labels // 2, len(members)), replace=False))
            weights.append(np.full(len(drawn[-1]), len(members) / len(drawn[-1])))
    places = np.concatenate(drawn)
    counted = np.ones(len(prompts))
    return JudgedSample(
        said.astype(float), counted, prompts, places, truth[places] * 1.0, counted[places], np.concatenate(weights)
    )


def effect_coverage(setting: Setting, questions: int, answers: int, number: int) -> EffectCoverage:
    rng = np.random.default_rng([questions, answers, round(1000 * setting.rate), round(1000 * setting.base)])
    true = setting.rate - setting.base
    held, as_judged, effects = 0, 0, list[float]()
    for _ in range(number):
        rates = rates_of_questions(rng, (setting.rate, setting.base), questions)
        errors = zip(rates, setting.judge.finds, setting.judge.rejects, strict=True)
        treated, base = (labelled(rng, each, answers, finds, rejects) for each, finds, rejects in errors)
        found = corrected_effect(treated, base)
        if found is None:
            continue
        held += found.low <= true <= found.high
        effects.append(found.effect)
        differences = np.bincount(treated.prompts, weights=treated.said - base.said) / answers
        reach = special.stdtrit(questions - 1, 0.975) * differences.std(ddof=1) / np.sqrt(questions)
        as_judged += abs(differences.mean() - true) <= reach
    return EffectCoverage(held / len(effects), as_judged / len(effects), float(np.mean(effects)) - true)


def corrected_effect_lines(number: int = 100) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield f"| true rates, judge | {' | '.join(f'{questions} x {answers}' for questions, answers in SIZES)} |"
    yield f"|---|{'---|' * len(SIZES)}"
    for setting in SETTINGS:
        found = [effect_coverage(setting, *size, number) for size in SIZES]
        cells = (f"{100 * one.corrected:.0f} ({100 * one.as_judged:.0f})" for one in found)
        yield f"| {_named(setting)} | {' | '.join(cells)} |"


def _named(setting: Setting) -> str:
    (finds, base_finds), (rejects, base_rejects) = setting.judge
    words = f"{setting.rate:.0%} against {setting.base:.0%}"
    if finds != base_finds:
        words += f", sensitivity {finds:.0%} and {base_finds:.0%}"
    return words + (f", specificity {rejects:.0%} and {base_rejects:.0%}" if rejects != base_rejects else "")


# --- kappa ------------------------------------------------------------------------------------------------------------


class TwoJudges(NamedTuple):
    """Mean rate of hits, and how often each of two judges errs; errors gather in some questions."""

    rate: float
    errors: float


def two_judges(rng: np.random.Generator, setting: TwoJudges, questions: int, answers: int) -> tuple[Floats, Floats]:
    """Verdicts (2, answers), and the question of each answer."""
    spread = 1 / CORRELATION - 1
    rates = np.repeat(rng.beta(setting.rate * spread, (1 - setting.rate) * spread, questions), answers)
    errors = np.minimum(1.0, np.repeat(setting.errors * rng.beta(0.5, 2, questions) / 0.2, answers))
    truth = rng.random(len(rates)) < rates
    verdicts = [np.where(rng.random(len(rates)) < errors, ~truth, truth) for _ in range(2)]
    return np.array(verdicts, dtype=float), np.repeat(np.arange(questions), answers)


def kappa_coverage(setting: TwoJudges, questions: int, answers: int, number: int) -> tuple[float, float, float]:
    """The true kappa, and the shares of runs whose interval holds it: the one used, and bootstrap percentiles."""
    rng = np.random.default_rng([questions, answers, round(100 * setting.rate)])
    verdicts, _ = two_judges(rng, setting, 100_000, 4)
    true = _kappa(_tables(verdicts, np.zeros(verdicts.shape[1], int)))[0]
    held = percentiles = runs = 0
    for _ in range(number):
        verdicts, asked = two_judges(rng, setting, questions, answers)
        found = kappa_interval(*verdicts.tolist(), asked.astype(np.int64))
        if found is None or found.low is None or found.high is None:
            continue
        runs += 1
        held += found.low <= true <= found.high
        times = rng.multinomial(questions, np.full(questions, 1 / questions), 400)
        low, high = np.nanpercentile(_kappa(times @ _tables(verdicts, asked)), [2.5, 97.5])
        percentiles += low <= true <= high
    return float(true), held / runs, percentiles / runs


def _tables(verdicts: Floats, asked: Floats) -> Floats:
    """The 2 x 2 table of each question, flattened."""
    found = np.zeros((int(asked.max()) + 1, 4))
    np.add.at(found, (asked.astype(int), (2 * verdicts[0] + verdicts[1]).astype(int)), 1)
    return found


def _kappa(tables: Floats) -> Floats:
    total = tables.sum(axis=1)
    first, second = tables[:, 2:].sum(axis=1) / total, tables[:, 1::2].sum(axis=1) / total
    by_chance = first * second + (1 - first) * (1 - second)
    with np.errstate(invalid="ignore"):
        return ((tables[:, 0] + tables[:, 3]) / total - by_chance) / (1 - by_chance)


def kappa_lines(number: int = 250) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield "| questions x answers | hits, errors of each judge | true kappa | percentile | used |"
    yield "|---|---|---|---|---|"
    for questions, answers in ((5, 40), (8, 20), (20, 10), (44, 4), (100, 2)):
        for setting in (TwoJudges(0.3, 0.1), TwoJudges(0.1, 0.05), TwoJudges(0.3, 0.02)):
            true, held, percentiles = kappa_coverage(setting, questions, answers, number)
            yield (
                f"| {questions} x {answers} | {setting.rate:.0%}, {setting.errors:.0%} | {true:.2f} "
                f"| {100 * percentiles:.0f} | {100 * held:.0f} |"
            )


# --- panels -----------------------------------------------------------------------------------------------------------


class LatentCoverage(NamedTuple):
    """Shares of runs whose interval of the latent class model holds the rate of a condition, and the mean rates."""

    held: tuple[float, float]
    means: tuple[float, float]


def latent_coverage(
    finds: Floats, rejects: Floats, questions: int, answers: int, *, blind: float, number: int
) -> LatentCoverage:
    """Judges with these sensitivities and specificities under conditions with 5% and 40% hits; a share `blind` of the
    hits is in the blind spot of all of them."""
    rng = np.random.default_rng([questions, len(finds), round(100 * blind)])
    rates, spread = (0.05, 0.4), 1 / CORRELATION - 1
    held, found = np.zeros(2), list[list[float]]()
    asked = np.tile(np.repeat(np.arange(questions), answers), 2)
    conditions = np.repeat([0, 1], questions * answers)
    for _ in range(number):
        drawn = [rng.beta(rate * spread, (1 - rate) * spread, questions) for rate in rates]
        truth = rng.random(len(asked)) < np.concatenate([np.repeat(each, answers) for each in drawn])
        seen = truth & (rng.random(len(asked)) >= blind)
        chance = rng.random((len(finds), len(asked)))
        verdicts = np.where(seen, chance < finds[:, None], chance >= rejects[:, None]).astype(float)
        classes = latent_classes(verdicts, conditions, asked)
        if classes is not None:
            held += [each.low <= rate <= each.high for each, rate in zip(classes.rates, rates, strict=True)]
            found.append([each.rate for each in classes.rates])
    shares, means = held / len(found), np.mean(found, axis=0)
    return LatentCoverage((float(shares[0]), float(shares[1])), (float(means[0]), float(means[1])))


def panel_lines(number: int = 100) -> Iterator[str]:
    """The table of docs/statistics.md."""
    finds, rejects = np.array([0.85, 0.8, 0.9]), np.array([0.95, 0.97, 0.9])
    yield "| judges, errors | questions x answers | mean at 5% | holds | mean at 40% | holds |"
    yield "|---|---|---|---|---|---|"
    for judges, blind in ((3, 0.0), (2, 0.0), (3, 0.3)):
        for questions, answers in ((8, 40), (20, 20), (44, 10)):
            found = latent_coverage(finds[:judges], rejects[:judges], questions, answers, blind=blind, number=number)
            words = f"all blind to {blind:.0%} of the hits" if blind else "independent"
            cells = (
                f"{100 * mean:.1f}% | {100 * held:.0f}" for mean, held in zip(found.means, found.held, strict=True)
            )
            yield f"| {judges}, {words} | {questions} x {answers} | {' | '.join(cells)} |"
