"""What a journal says of who gave its replies: another model by the server's word, or the answer cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from evals.endpoints.model_spec import can_be_from
from evals.plan.manifest import CacheHits, Manifest, ModelFacts
from evals.text import one_line
from evals.trials.journal import Journal

_MOST_OTHERS = 20
"""Names of other models that a manifest keeps: a server may make up one for each reply."""


def with_other_models(models: Mapping[str, ModelFacts], journal: Journal) -> dict[str, ModelFacts]:
    """The facts of models with the replies that named another model."""
    others: dict[str, Counter[str]] = {name: Counter() for name in models}
    for name, reported, replies in journal.reported_models():
        if name in models and not can_be_from(name, models[name].served_name, reported):
            others[name][one_line(reported, 100)] += replies
    return {
        name: facts.model_copy(update={"answered_as": dict(others[name].most_common(_MOST_OTHERS))})
        for name, facts in models.items()
    }


def other_judges(journal: Journal) -> dict[str, dict[str, int]]:
    """The replies to each judge model that named another model, by that name."""
    others: dict[str, Counter[str]] = {}
    for judge, reported, replies in journal.other_judges():
        others.setdefault(judge, Counter())[one_line(reported, 100)] += replies
    return {judge: dict(found.most_common(_MOST_OTHERS)) for judge, found in others.items()}


def cache_hits(manifest: Manifest, written: Manifest | None, journal: Journal) -> CacheHits | None:
    """What came from the answer cache, None where no session has used it."""
    if manifest.cache_hits is None and (written is None or written.cache_hits is None):
        return None
    answers, verdicts, of_verdicts = journal.cached()
    return CacheHits(answers=0 if manifest.imported else answers, verdicts=verdicts, of_verdicts=of_verdicts)
