"""effects.csv: the effect of each condition on each compared metric against the baseline, that of each model against
the base model under the baseline, and the contrasts of the trigger with its decoy and with its distractor. All are
paired by prompt and by option order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from evals.io.columns import column_names
from evals.scoring.label_metrics import is_placed
from evals.scoring.metric import Metric
from evals.scoring.rates.columns import EFFECTS
from evals.scoring.rates.rows import Row
from evals.scoring.rates.run_metrics import run_metrics
from evals.scoring.rates.tally import RunFacts, Tally, VariantCounts, is_about, places_in
from evals.statistics.intervals import Effect, paired_effect
from evals.statistics.significance import benjamini_hochberg, holm
from evals.statistics.these_questions import effect_on_these_questions
from evals.trials.condition import CONTRASTED

Pairs = dict[tuple[str, str], tuple[int, int]]
"""Hits and answers by prompt and variant."""


_NOTHING_OF_OTHERS: Row = {"ci_low": None, "ci_high": None, "method": "", "p_value": None}
"""What one question says of questions like it."""


Groups = dict[tuple[str, str, str], dict[str, Pairs]]
"""The pairs of a metric by suite, format and model, and then by condition."""


def effect_rows(tally: Tally, facts: RunFacts) -> list[Row]:
    """The effects of conditions, in the order of effects.csv, with p-values adjusted for others on the same metric."""
    return _rows(tally, facts, _condition_effects)


def base_effect_rows(tally: Tally, facts: RunFacts) -> list[Row]:
    """The effects of models against the base model under the baseline, likewise; p-values are adjusted among these
    alone, so that what is said of a trigger does not depend on which model is the base. Empty without a base."""
    return _rows(tally, facts, _base_effects) if facts.base else []


def contrast_rows(tally: Tally, facts: RunFacts) -> list[Row]:
    """The trigger against its decoy and its distractor, likewise; p-values are adjusted among these alone, so that
    whether the trigger has an effect does not depend on how closely it was looked at. Empty where one of them is the
    baseline."""
    return _rows(tally, facts, _contrasts) if facts.baseline not in CONTRASTED else []


def _rows(tally: Tally, facts: RunFacts, effects_of: Callable[[Groups, RunFacts], Iterator[Row]]) -> list[Row]:
    rows: list[Row] = []
    for metric, groups in compared_groups(tally, facts):
        family = [
            {"baseline": facts.baseline} | row | {"run_id": facts.run_id, "metric": metric}
            for row in effects_of(groups, facts)
        ]
        rows += adjusted(adjusted(family, ""), "gen_")
    names = column_names(EFFECTS)
    in_order = sorted(
        rows, key=lambda row: (row["suite"], row["format"], row["model"], facts.condition_rank(row["condition"]))
    )
    return [{name: row[name] for name in names} for row in in_order]


def compared_groups(tally: Tally, facts: RunFacts) -> Iterator[tuple[str, Groups]]:
    """The pairs of each compared metric, by its name."""
    variants = tally.by_variant()
    metrics, labels = run_metrics(tally, facts)
    for placed in metrics:
        if placed.metric.compared:
            here = {found: counts for found, counts in variants.items() if is_placed(placed, found.cell.suite, labels)}
            yield placed.metric.name, _counts(placed.metric, here)


def adjusted(effects: Sequence[Row], prefix: str) -> list[Row]:
    """The rows with their p-values adjusted: by Holm for the effects of the same model, so that a claim about one model
    does not depend on which others are in the run; by Benjamini and Hochberg for those of all models. Rows without a
    p-value count in neither."""
    tested = [row for row in effects if row[f"{prefix}p_value"] is not None]
    false_discoveries = iter(benjamini_hochberg([row[f"{prefix}p_value"] for row in tested]))
    by_model = {
        model: iter(holm([row[f"{prefix}p_value"] for row in tested if row["model"] == model]))
        for model in {row["model"] for row in tested}
    }
    names = (f"{prefix}p_holm", f"{prefix}p_bh")
    found: list[Row] = []
    for row in effects:
        is_tested = row[f"{prefix}p_value"] is not None
        values = (next(by_model[row["model"]]), next(false_discoveries)) if is_tested else (None, None)
        found.append(row | dict(zip(names, values, strict=True)))
    return found


def with_holm(rows: Sequence[Row], by: Sequence[str] = ()) -> list[Row]:
    """The rows with `p_holm` and `gen_p_holm`, each among those with the same values in the columns `by`. Rows
    without a p-value count in neither."""
    found = list(rows)
    for prefix in ("", "gen_"):
        families: dict[tuple[str, ...], list[int]] = {}
        for number, row in enumerate(found):
            found[number] = row | {f"{prefix}p_holm": None}
            if row[f"{prefix}p_value"] is not None:
                families.setdefault(tuple(row[name] for name in by), []).append(number)
        for family in families.values():
            values = holm([found[number][f"{prefix}p_value"] for number in family])
            for number, value in zip(family, values, strict=True):
                found[number] = found[number] | {f"{prefix}p_holm": value}
    return found


def _counts(metric: Metric, variants: VariantCounts) -> Groups:
    place_of = places_in(metric, variants)
    found: Groups = {}
    for variant, counts in variants.items():
        cell = variant.cell
        for trialfacts, trials in counts.items():
            if not is_about(metric, trialfacts.measure, cell.format):
                continue
            pairs = found.setdefault(cell[:3], {}).setdefault(cell.condition, {})
            k, n = pairs.get((variant.prompt_id, variant.variant), (0, 0))
            if place_of[trialfacts] in ("k", "miss"):
                k, n = k + trials * (place_of[trialfacts] == "k"), n + trials
            pairs[variant.prompt_id, variant.variant] = k, n
    return found


def _on_other_questions(effect: Effect) -> Row:
    low, high, method = effect.interval
    return {"ci_low": low, "ci_high": high, "method": method, "p_value": effect.p_value}


def _condition_effects(groups: Groups, facts: RunFacts) -> Iterator[Row]:
    for (suite, form, model), by_condition in sorted(groups.items()):
        base = by_condition.get(facts.baseline, {})
        for condition, treated in sorted(by_condition.items()):
            found = None if condition == facts.baseline else _effect(treated, base)
            if found is not None:
                place = {"suite": suite, "format": form, "model": model, "condition": condition, "base": ""}
                yield place | found | {"source": facts.source.get(suite, "")}


def _base_effects(groups: Groups, facts: RunFacts) -> Iterator[Row]:
    for (suite, form, model), by_condition in sorted(groups.items()):
        base = groups.get((suite, form, facts.base), {}).get(facts.baseline, {})
        found = None if model == facts.base else _effect(by_condition.get(facts.baseline, {}), base)
        if found is not None:
            place = {"suite": suite, "format": form, "model": model, "condition": facts.baseline, "base": facts.base}
            yield place | found | {"source": facts.source.get(suite, "")}


def _contrasts(groups: Groups, facts: RunFacts) -> Iterator[Row]:
    for (suite, form, model), by_condition in sorted(groups.items()):
        for baseline in CONTRASTED:
            found = _effect(by_condition.get("on", {}), by_condition.get(baseline, {}))
            if found is not None:
                place = {"suite": suite, "format": form, "model": model, "condition": "on", "baseline": baseline}
                yield place | found | {"base": "", "source": facts.source.get(suite, "")}


def _effect(treated: Pairs, base: Pairs) -> Row | None:
    """The statistics of an effect; None where no wording has a counted answer on both sides."""
    pairs = [pair for pair in sorted(treated) if pair in base]
    number = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in pairs))}
    prompts = np.array([number[prompt] for prompt, _ in pairs], dtype=np.int64)
    counts = np.array([(*treated[pair], *base[pair]) for pair in pairs], dtype=float).reshape(-1, 4)
    effect = paired_effect(counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 3], prompts)
    here = effect_on_these_questions(counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 3], prompts)
    if effect is None or here is None:
        return None
    return {
        "effect": here.effect,
        **(_on_other_questions(effect) if effect.prompts > 1 else _NOTHING_OF_OTHERS),
        "n_prompts": here.prompts,
        "gen_low": here.interval.low,
        "gen_high": here.interval.high,
        "gen_method": here.interval.method,
        "gen_p_value": here.p_value,
    }
