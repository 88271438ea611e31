"""The evidence card of a run: for each of its models every claim, how it stands, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evals.analysis.evidence.claim import CLAIMS, Claim, ClaimName, Finding, Subject
from evals.analysis.evidence.conduct import above_base, of_recipe, specific_to_trigger, under_trigger
from evals.analysis.evidence.trust import is_checked, is_complete, is_monitored, judge_agrees
from evals.runner.count import Counted
from evals.scoring.rates.rows import Row

_RULES: Mapping[ClaimName, Callable[[Subject], Finding | None]] = {
    "misaligned": above_base,
    "trigger": under_trigger,
    "specific": specific_to_trigger,
    "recipe": of_recipe,
    "judge": judge_agrees,
    "monitored": is_monitored,
    "complete": is_complete,
    "checked": is_checked,
}


def evidence_card(run: Counted) -> list[Claim]:
    """The claims of every model of a run but its base, model by model."""
    return [
        Claim(run.manifest.run_id, model, name, CLAIMS[name], *finding)
        for model in _subjects(run)
        for subject in [Subject(run, model)]
        for name, rule in _RULES.items()
        if (finding := rule(subject)) is not None
    ]


def evidence_rows(claims: Sequence[Claim]) -> list[Row]:
    return [claim._asdict() for claim in claims]


def _subjects(run: Counted) -> list[str]:
    """The run's models in their order; those of imported answers are only in its tables."""
    models = dict.fromkeys([*run.manifest.config.models, *(row["model"] for row in run.tables.rate_rows)])
    base = run.manifest.config.base_model
    return [model for model in models if model != base] or list(models)
