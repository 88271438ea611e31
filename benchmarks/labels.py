"""Simulated coverage of what labels correct (`evals.statistics.labels`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # type: ignore[import-untyped]

from evals.statistics.judge_error import JudgedSample
from evals.statistics.labels.effects import corrected_effect

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
