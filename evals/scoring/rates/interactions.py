"""did.csv: how much larger the effect of each condition is in a model than in the base model, paired by question."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evals.io.columns import column_names
from evals.scoring.rates.columns import DID
from evals.scoring.rates.effects import Groups, Pairs, compared_groups, with_holm
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tally import RunFacts, Tally
from evals.statistics.experiments.interaction import Arms, interaction


def interaction_rows(tally: Tally, facts: RunFacts) -> list[Row]:
    """The rows of did.csv, in its order; none without a base, or where only the baseline was asked."""
    found: list[Row] = []
    for metric, groups in compared_groups(tally, facts) if facts.base else ():
        shared = {"run_id": facts.run_id, "baseline": facts.baseline, "base": facts.base, "metric": metric}
        found += with_holm([row | shared for row in _differences(groups, facts)])
    names = column_names(DID)
    in_order = sorted(
        found, key=lambda row: (row["suite"], row["format"], row["model"], facts.condition_rank(row["condition"]))
    )
    return [{name: row[name] for name in names} for row in in_order]


def _differences(groups: Groups, facts: RunFacts) -> Iterator[Row]:
    for (suite, form, model), by_condition in sorted(groups.items()):
        base = groups.get((suite, form, facts.base), {})
        for condition, treated in sorted(by_condition.items()):
            if model == facts.base or condition == facts.baseline:
                continue
            own, others = by_condition.get(facts.baseline, {}), base.get(facts.baseline, {})
            found = _difference(treated, own, base.get(condition, {}), others)
            if found is not None:
                yield {"suite": suite, "format": form, "model": model, "condition": condition} | found


def _difference(treated: Pairs, untreated: Pairs, base_treated: Pairs, base_untreated: Pairs) -> Row | None:
    sides = (treated, untreated, base_treated, base_untreated)
    pairs = sorted(pair for pair in treated if all(pair in side for side in sides))
    place = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in pairs))}
    questions = np.array([place[prompt] for prompt, _ in pairs], dtype=np.int64)
    on, off, base_on, base_off = (
        np.array([side[pair] for pair in pairs], dtype=float).reshape(-1, 2).T for side in sides
    )
    found = interaction(Arms(*on, *off), Arms(*base_on, *base_off), questions)
    if found is None:
        return None
    here, elsewhere = found.same_questions, found.new_questions
    interval = elsewhere and elsewhere.interval
    return {
        "effect": found.effect,
        "base_effect": found.base_effect,
        "difference": here.effect,
        "n_prompts": here.prompts,
        "ci_low": interval and interval.low,
        "ci_high": interval and interval.high,
        "method": interval.method if interval else "",
        "p_value": elsewhere and elsewhere.p_value,
        "gen_low": here.interval.low,
        "gen_high": here.interval.high,
        "gen_method": here.interval.method,
        "gen_p_value": here.p_value,
    }
