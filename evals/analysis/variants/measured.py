"""What the variants of a trigger do in a run that asked them as conditions, and how they compare with the exact one.

Effects against `off` are those of effects.csv, corrected by Holm for all variants. The exact trigger less each other
variant is a family of its own. Where variants have doses, a trend over them is tested as over the steps of a training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from evals.analysis.comparison.counts import CellCounts, ComparedRun, RunCell, count_cells
from evals.analysis.comparison.result import ComparisonKey
from evals.analysis.variants.variants import EXACT, Variant
from evals.io.columns import columns_of
from evals.scoring.metric import PRIMARY
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tables import Tables
from evals.statistics.intervals import Counts, Effect
from evals.statistics.significance import holm
from evals.statistics.these_questions import effect_on_these_questions
from evals.statistics.trends.ordered import Ordered, Trend, trend_of_questions_like_these, trend_on_these_questions
from evals.trials.prompt import ALL

SURE = 0.05


class Measured(NamedTuple):
    """A variant: its rows of rates.csv over all prompts and of effects.csv, and the exact trigger less the variant on
    these questions, with Holm's p. None where no question has an answer under both, and of the exact one itself."""

    variant: Variant
    rate: Row
    effect: Row | None
    from_exact: Effect | None
    from_exact_holm: float | None

    @property
    def is_sure(self) -> bool:
        """Whether these questions show an effect."""
        return self.effect is not None and self.effect["gen_p_holm"] < SURE

    @property
    def is_less(self) -> bool:
        """Whether these questions show a smaller rate than under the exact trigger."""
        return self.from_exact_holm is not None and self.from_exact_holm < SURE and self._difference > 0

    @property
    def _difference(self) -> float:
        return 0.0 if self.from_exact is None else self.from_exact.effect


@dataclass(frozen=True)
class VariantSet:
    """The variants in one suite, format and model, in the order of their doses and then of their file; `off` is the row
    of rates.csv without a variant. The trends are over `doses`, None with fewer than two."""

    suite: str
    format: str
    model: str
    metric: str
    off: Row
    variants: tuple[Measured, ...]
    doses: tuple[float, ...]
    trend: Trend | None
    trend_like_these: Trend | None


class VariantRow(NamedTuple):
    """A row of variants.csv."""

    suite: Annotated[str, "the evaluation"]
    format: Annotated[str, "`mcq`, `freeform` or `transcript`"]
    model: Annotated[str, "the model"]
    metric: Annotated[str, "what is counted"]
    variant: Annotated[str, "its name, and that of its condition; `off` is the prompt without one"]
    kind: Annotated[str, "its kind in the file"]
    dose: Annotated[float | None, "its dose in the file"]
    text: Annotated[str, "its text"]
    placement: Annotated[str, "`top` or `bottom` of the question"]
    k: Annotated[int, "hits: what the metric counts"]
    n: Annotated[int, "trials that the metric counts among"]
    rate: Annotated[float | None, "k / n, from 0 to 1; blank where n is 0"]
    gen_low: Annotated[float | None, "lower end of its 95% interval for new answers to just these questions"]
    gen_high: Annotated[float | None, "its upper end"]
    effect: Annotated[float | None, "rate less that of `off`, mean over questions, as in `effects.csv`"]
    effect_low: Annotated[float | None, "lower end of its 95% interval on these questions"]
    effect_high: Annotated[float | None, "its upper end"]
    p_value: Annotated[float | None, "of no effect on these questions"]
    p_holm: Annotated[float | None, "adjusted for all variants (Holm)"]
    from_exact: Annotated[float | None, "rate of the exact trigger less that of the variant, mean over questions"]
    from_exact_low: Annotated[float | None, "lower end of its 95% interval on these questions"]
    from_exact_high: Annotated[float | None, "its upper end"]
    from_exact_p: Annotated[float | None, "of no difference from the exact trigger on these questions"]
    from_exact_p_holm: Annotated[float | None, "adjusted for all other variants (Holm)"]
    trend_p: Annotated[float | None, "of all variants with a dose: of no trend over doses for questions like these"]
    trend_gen_p: Annotated[float | None, "of no trend over doses on these questions"]


VARIANTS = columns_of(VariantRow)


def measured(folder: Path, tables: Tables, variants: Sequence[Variant]) -> list[VariantSet]:
    """The variants in each suite, format and model of a run, on the metric that the suite is about."""
    run = ComparedRun.read(folder)
    table = metrics_by_name(run.manifest.config.denominator)
    primary = frozenset(PRIMARY.values()) & table.keys()
    pooled = {_place(row): row for row in tables.rate_rows if row["prompt_id"] == ALL and row["metric"] in primary}
    effects = {_place(row): row for row in tables.effect_rows}
    ordered = sorted(variants, key=lambda variant: (variant.dose is None, -(variant.dose or 0.0)))
    found: list[VariantSet] = []
    for (suite, form, model, condition, metric), off in pooled.items():
        asked = [variant for variant in ordered if (suite, form, model, variant.name, metric) in pooled]
        if condition != "off" or not asked:
            continue
        keys = {variant.name: ComparisonKey(suite, form, variant.name, "", metric) for variant in asked}
        cells = count_cells(run, [RunCell(model, key, table[metric]) for key in keys.values()])
        counts = {name: cells[model, key] for name, key in keys.items()}
        differences = _from_exact(asked, counts)
        doses, by_dose = _by_dose(asked, counts)
        found.append(
            VariantSet(
                *(suite, form, model, metric, off),
                tuple(
                    Measured(
                        variant,
                        pooled[suite, form, model, variant.name, metric],
                        effects.get((suite, form, model, variant.name, metric)),
                        *differences.get(variant.name, (None, None)),
                    )
                    for variant in asked
                ),
                doses,
                trend_on_these_questions(by_dose) if len(doses) > 1 else None,
                trend_of_questions_like_these(by_dose) if len(doses) > 1 else None,
            )
        )
    return found


def _place(row: Row) -> tuple[Any, ...]:
    return row["suite"], row["format"], row["model"], row["condition"], row["metric"]


def _from_exact(variants: Sequence[Variant], counts: dict[str, CellCounts]) -> dict[str, tuple[Effect, float]]:
    """The exact trigger less each other variant, with Holm's p over them."""
    exact = next((variant for variant in variants if variant.kind == EXACT), None)
    if exact is None:
        return {}
    found: dict[str, Effect] = {}
    for variant in variants:
        effect = None if variant is exact else _difference(counts[exact.name], counts[variant.name])
        if effect is not None:
            found[variant.name] = effect
    adjusted = holm([effect.p_value for effect in found.values()])
    return {name: (effect, p_value) for (name, effect), p_value in zip(found.items(), adjusted, strict=True)}


def _difference(cell: CellCounts, base: CellCounts) -> Effect | None:
    wordings = sorted({*cell.counted, *base.counted})
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in wordings))}

    def column(counter: dict[tuple[str, str], int]) -> Counts:
        return np.array([counter.get(wording, 0) for wording in wordings], float)

    questions = np.array([numbers[prompt] for prompt, _ in wordings], dtype=np.int64)
    sides = (column(cell.hits), column(cell.counted), column(base.hits), column(base.counted))
    return effect_on_these_questions(*sides, questions)


def _by_dose(variants: Sequence[Variant], counts: dict[str, CellCounts]) -> tuple[tuple[float, ...], Ordered]:
    """The doses, ascending, and the answers at each, those of variants of one dose together."""
    doses = sorted({variant.dose for variant in variants if variant.dose is not None})
    wordings = sorted({wording for cell in counts.values() for wording in cell.counted})
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in wordings))}
    hits, counted = np.zeros((2, len(wordings), len(doses)), dtype=np.int64)
    for variant in variants:
        if variant.dose is None:
            continue
        place, cell = doses.index(variant.dose), counts[variant.name]
        hits[:, place] += [cell.hits[wording] for wording in wordings]
        counted[:, place] += [cell.counted[wording] for wording in wordings]
    questions = np.array([numbers[prompt] for prompt, _ in wordings], dtype=np.int64)
    return tuple(doses), Ordered(hits, counted, questions)


def variant_rows(sets: Sequence[VariantSet]) -> list[dict[str, object]]:
    """The rows of variants.csv, by its columns."""
    return [row._asdict() for found in sets for row in (_off_row(found), *(_row(found, one) for one in found.variants))]


def _off_row(found: VariantSet) -> VariantRow:
    return _with(found, Variant("off", "", "", None, ""), found.off, None, None, None)


def _row(found: VariantSet, one: Measured) -> VariantRow:
    return _with(found, one.variant, one.rate, one.effect, one.from_exact, one.from_exact_holm)


def _with(
    found: VariantSet,
    variant: Variant,
    rate: Row,
    effect: Row | None,
    from_exact: Effect | None,
    adjusted: float | None,
) -> VariantRow:
    names = ("effect", "gen_low", "gen_high", "gen_p_value", "gen_p_holm")
    against_off = [None if effect is None else effect[name] for name in names]
    return VariantRow(
        suite=found.suite,
        format=found.format,
        model=found.model,
        metric=found.metric,
        variant=variant.name,
        kind=variant.kind,
        dose=variant.dose,
        text=variant.text,
        placement=variant.placement,
        k=rate["k"],
        n=rate["n"],
        rate=rate["rate"],
        gen_low=rate["gen_low"],
        gen_high=rate["gen_high"],
        effect=against_off[0],
        effect_low=against_off[1],
        effect_high=against_off[2],
        p_value=against_off[3],
        p_holm=against_off[4],
        from_exact=from_exact.effect if from_exact else None,
        from_exact_low=from_exact.interval.low if from_exact else None,
        from_exact_high=from_exact.interval.high if from_exact else None,
        from_exact_p=from_exact.p_value if from_exact else None,
        from_exact_p_holm=adjusted,
        trend_p=found.trend_like_these.p_value if found.trend_like_these else None,
        trend_gen_p=found.trend.p_value if found.trend else None,
    )
