"""recipes.csv: the rate and the effect of each finetuning recipe over its seeds, by suite, format and condition; and
recipe_differences.csv: two recipes against each other, and a recipe's effect against that in the base model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from evals.io.columns import column_names
from evals.scoring.rates.columns import RECIPE_DIFFERENCES, RECIPES
from evals.scoring.rates.effects import Groups, Pairs, compared_groups, with_holm
from evals.scoring.rates.rows import Row, missing_share, pooled_rows
from evals.scoring.rates.tally import RunFacts, Tally
from evals.statistics.experiments.recipe_differences import SeedAnswers, recipe_difference
from evals.statistics.experiments.seeds import recipe_effect, recipe_rate
from evals.statistics.intervals import Counts, Effect, Interval

_BETWEEN = ", "
_NO_EFFECT = dict.fromkeys(
    name
    for name in column_names(RECIPES)
    if name.startswith("effect") or name in ("p_value", "p_holm", "gen_p_value", "gen_p_holm")
)


def recipe_rows(tally: Tally, facts: RunFacts, rates: Sequence[Row]) -> list[Row]:
    """The rows of recipes.csv, in its order. `rates` are those of rates.csv, which say what is missing of a seed."""
    return rows_of_recipes(compared_groups(tally, facts), facts, _missing_shares(rates)) if facts.recipes else []


def rows_of_recipes(
    by_metric: Iterable[tuple[str, Groups]], facts: RunFacts, missing: Mapping[tuple[str, ...], float]
) -> list[Row]:
    """The same from the answers by metric, which may be of several runs: `facts` has recipes, base and baseline.
    `missing` is the share without a score by suite, format, model, condition and metric."""
    found: list[Row] = []
    for metric, groups in by_metric:
        family = [
            row | {"run_id": facts.run_id, "baseline": facts.baseline, "metric": metric}
            for recipe, models in facts.recipes.items()
            for row in _rows_of(recipe, models, metric, groups, facts, missing)
        ]
        found += with_holm(family, by=("recipe", "base"))
    return _in_order(found, facts, column_names(RECIPES))


def recipe_difference_rows(tally: Tally, facts: RunFacts) -> list[Row]:
    """The rows of recipe_differences.csv, in its order."""
    return differences_of_recipes(compared_groups(tally, facts), facts) if facts.recipes else []


def differences_of_recipes(by_metric: Iterable[tuple[str, Groups]], facts: RunFacts) -> list[Row]:
    """The same from the answers by metric: each two recipes, by rate and by effect, and the effect of each recipe
    against that in the base model."""
    found: list[Row] = []
    for metric, groups in by_metric:
        shared = {"run_id": facts.run_id, "metric": metric}
        found += with_holm([row | shared for row in _differences(groups, facts)], by=("baseline",))
    return _in_order(found, facts, column_names(RECIPE_DIFFERENCES))


def _in_order(rows: Sequence[Row], facts: RunFacts, names: Sequence[str]) -> list[Row]:
    ranks = {name: place for place, name in enumerate(facts.recipes)}
    in_order = sorted(
        rows,
        key=lambda row: (row["suite"], row["format"], ranks[row["recipe"]], facts.condition_rank(row["condition"])),
    )
    return [{name: row[name] for name in names} for row in in_order]


def _differences(groups: Groups, facts: RunFacts) -> Iterator[Row]:
    recipes = facts.recipes
    for suite, form in sorted({(suite, form) for suite, form, _ in groups}):
        sides = {name: [groups.get((suite, form, model), {}) for model in models] for name, models in recipes.items()}
        pairs = [(name, other, sides[name], sides[other]) for name, other in combinations(sides, 2)]
        if facts.base and not any(facts.base in models for models in recipes.values()):
            base = [groups.get((suite, form, facts.base), {})]
            pairs += [(name, "", sides[name], base) for name in sides]
        for name, other, ours, theirs in pairs:
            for condition in {condition: None for by_condition in ours for condition in by_condition}:
                baselines = [*([""] if other else []), *([facts.baseline] if condition != facts.baseline else [])]
                for baseline in baselines:
                    row = _difference(ours, theirs, condition, baseline, is_base=not other)
                    if row is not None:
                        place = {"suite": suite, "format": form, "recipe": name, "other": other or facts.base}
                        yield place | {"condition": condition, "baseline": baseline} | row


def _difference(
    ours: Sequence[Mapping[str, Pairs]],
    theirs: Sequence[Mapping[str, Pairs]],
    condition: str,
    baseline: str,
    *,
    is_base: bool,
) -> Row | None:
    """The difference between rates under a condition, with a `baseline` between its effects."""
    conditions = [condition, *([baseline] if baseline else [])]
    everything = [by_condition.get(name, {}) for by_condition in (*ours, *theirs) for name in conditions]
    pairs, questions = _wordings(everything)
    sides = [
        SeedAnswers(
            *(
                counts
                for name in conditions
                for counts in _counts([by_condition.get(name, {}) for by_condition in side], pairs)
            )
        )
        for side in (ours, theirs)
    ]
    found = recipe_difference(sides[0], sides[1], questions, theirs_is_base=is_base)
    if found is None:
        return None
    new, same = found.new_questions, found.same_questions
    return {
        "seeds": found.seeds,
        "other_seeds": None if is_base else found.other_seeds,
        "value": found.ours,
        "other_value": found.theirs,
        "difference": found.difference,
        "n_prompts": found.questions,
        **_ends("ci", new and new.interval),
        "p_value": new and new.p_value,
        **_ends("gen", same and same.interval),
        "gen_p_value": same and same.p_value,
    }


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
    pairs, questions = _wordings([*treated, *base])
    (hits, counted), (base_hits, base_counted) = (_counts(side, pairs) for side in (treated, base))
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


def _wordings(answers: Sequence[Pairs]) -> tuple[list[tuple[str, str]], npt.NDArray[np.int64]]:
    """Every wording, and the number of its question."""
    pairs = sorted({pair for found in answers for pair in found})
    place = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in pairs))}
    return pairs, np.array([place[prompt] for prompt, _ in pairs], dtype=np.int64)


def _counts(seeds: Sequence[Pairs], pairs: Sequence[tuple[str, str]]) -> tuple[Counts, Counts]:
    """Hits and answers of each seed to each wording."""
    counts = np.array([[found.get(pair, (0, 0)) for pair in pairs] for found in seeds], dtype=float)
    counts = counts.reshape(-1, len(pairs), 2)
    return counts[..., 0], counts[..., 1]


def _tested(prefix: str, ends: str, effect: Effect | None) -> Row:
    interval = effect and effect.interval
    return _ends(f"effect_{ends}", interval) | {f"{prefix}p_value": effect and effect.p_value}


def _ends(prefix: str, interval: Interval | None) -> Row:
    return {f"{prefix}_low": interval and interval.low, f"{prefix}_high": interval and interval.high}
