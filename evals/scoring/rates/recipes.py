"""recipes.csv: the rate and the effect of each finetuning recipe over its seeds, by suite, format and condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evals.io.columns import column_names
from evals.scoring.rates.columns import RECIPES
from evals.scoring.rates.effects import Groups, Pairs, compared_groups, with_holm
from evals.scoring.rates.rows import Row, missing_share, pooled_rows
from evals.scoring.rates.tally import RunFacts, Tally
from evals.statistics.experiments.seeds import recipe_effect, recipe_rate
from evals.statistics.intervals import Effect, Interval

_BETWEEN = ", "
_NO_EFFECT = dict.fromkeys(
    name
    for name in column_names(RECIPES)
    if name.startswith("effect") or name in ("p_value", "p_holm", "gen_p_value", "gen_p_holm")
)


def recipe_rows(tally: Tally, facts: RunFacts, rates: Sequence[Row]) -> list[Row]:
    """The rows of recipes.csv, in its order. `rates` are those of rates.csv, which say what is missing of a seed."""
    missing = _missing_shares(rates)
    found: list[Row] = []
    for metric, groups in compared_groups(tally, facts) if facts.recipes else ():
        family = [
            row | {"run_id": facts.run_id, "baseline": facts.baseline, "metric": metric}
            for recipe, models in facts.recipes.items()
            for row in _rows_of(recipe, models, metric, groups, facts, missing)
        ]
        found += with_holm(family, by=("recipe", "base"))
    ranks = {name: place for place, name in enumerate(facts.recipes)}
    names = column_names(RECIPES)
    in_order = sorted(
        found,
        key=lambda row: (row["suite"], row["format"], ranks[row["recipe"]], facts.condition_rank(row["condition"])),
    )
    return [{name: row[name] for name in names} for row in in_order]


def _missing_shares(rates: Sequence[Row]) -> dict[tuple[str, ...], float]:
    """The share of trials without a score, by suite, format, model, condition and metric. What is left out of n for its
    content is not missing."""
    shares: dict[tuple[str, ...], float] = {}
    for row in pooled_rows(rates):
        place = tuple(row[name] for name in ("suite", "format", "model", "condition", "metric"))
        shares[place] = max(shares.get(place, 0.0), missing_share(row))
    return shares


def _rows_of(
    recipe: str,
    models: Sequence[str],
    metric: str,
    groups: Groups,
    facts: RunFacts,
    missing: Mapping[tuple[str, ...], float],
) -> Iterator[Row]:
    for suite, form in sorted({(suite, form) for suite, form, model in groups if model in models}):
        of_seeds = {model: groups.get((suite, form, model), {}) for model in models}
        base = groups.get((suite, form, facts.base), {}).get(facts.baseline, {}) if facts.base not in models else {}
        for condition in {name: None for pairs in of_seeds.values() for name in pairs}:
            here = {model: by_condition.get(condition, {}) for model, by_condition in of_seeds.items()}
            shares = {model: missing.get((suite, form, model, condition, metric), 0.0) for model in models}
            worst = max(shares, key=lambda model: shares[model])
            row: Row = {"suite": suite, "format": form, "recipe": recipe, "condition": condition, "base": ""}
            row |= _rate(here) | {"most_missing": shares[worst], "most_missing_model": worst if shares[worst] else ""}
            if condition != facts.baseline:
                against = [by_condition.get(facts.baseline, {}) for by_condition in of_seeds.values()]
                yield row | _effect(list(here.values()), against)
            else:
                yield row | ({"base": facts.base} | _effect(list(here.values()), [base]) if base else _NO_EFFECT)


def _rate(here: Mapping[str, Pairs]) -> Row:
    """The rate over seeds. The wordings of a question count together, as in the rate of one model."""
    prompts = sorted({prompt for pairs in here.values() for prompt, _ in pairs})
    place = {prompt: number for number, prompt in enumerate(prompts)}
    counts = np.zeros((len(here), len(prompts), 2))
    for seed, pairs in enumerate(here.values()):
        for (prompt, _), of_pair in pairs.items():
            counts[seed, place[prompt]] += of_pair
    hits, counted = counts[..., 0], counts[..., 1]
    found = recipe_rate(hits, counted)
    answered = [model for model, answers in zip(here, counted.sum(axis=1), strict=True) if answers]
    return {
        "seeds": len(answered),
        "models": _BETWEEN.join(answered),
        "without_answers": _BETWEEN.join(model for model in here if model not in answered),
        "questions": int((counted.sum(axis=0) > 0).sum()),
        "k": int(hits.sum()),
        "n": int(counted.sum()),
        "rate": found and found.rate,
        "lowest": found and found.lowest,
        "highest": found and found.highest,
        **_ends("ci", found and found.new_questions),
        **_ends("gen", found and found.same_questions),
    }


def _effect(treated: Sequence[Pairs], base: Sequence[Pairs]) -> Row:
    """The effect over seeds. `base` has the pairs of each seed, or those of a model that all are compared with."""
    pairs = sorted({pair for side in (treated, base) for found in side for pair in found})
    prompts = sorted({prompt for prompt, _ in pairs})
    place = {prompt: number for number, prompt in enumerate(prompts)}
    questions = np.array([place[prompt] for prompt, _ in pairs], dtype=np.int64)
    of_sides = [[[found.get(pair, (0, 0)) for pair in pairs] for found in side] for side in (treated, base)]
    arrays = [np.array(counts, dtype=float).reshape(-1, len(pairs), 2) for counts in of_sides]
    (hits, counted), (base_hits, base_counted) = ((counts[..., 0], counts[..., 1]) for counts in arrays)
    found = recipe_effect(hits, counted, base_hits, base_counted, questions)
    if found is None:
        return dict(_NO_EFFECT)
    return {
        "effect": found.effect,
        "effect_seeds": int(((counted > 0) & (base_counted > 0)).any(axis=1).sum()),
        "effect_questions": found.questions,
        "effect_lowest": found.lowest,
        "effect_highest": found.highest,
        **_tested("", "ci", found.new_questions),
        **_tested("gen_", "gen", found.same_questions),
    }


def _tested(prefix: str, ends: str, effect: Effect | None) -> Row:
    interval = effect and effect.interval
    return _ends(f"effect_{ends}", interval) | {f"{prefix}p_value": effect and effect.p_value}


def _ends(prefix: str, interval: Interval | None) -> Row:
    return {f"{prefix}_low": interval and interval.low, f"{prefix}_high": interval and interval.high}
