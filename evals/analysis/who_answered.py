"""Whether another model answered than the one asked for: by the servers' own word, an adapter that was lost, or replies
to an earlier run.

A gateway may route to another model, or fall back to one. The rates are then of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evals.numbers import counted
from evals.plan.manifest import Manifest
from evals.text import one_line

_SHOWN = 3


def doubts_who_answered(manifest: Manifest) -> Iterator[str]:
    """A line for each reason to doubt that a run's numbers are of its models and judges."""
    yield from lost_adapters(manifest)
    yield from other_models(manifest)
    yield from unchecked_models(manifest)
    yield from cached_replies(manifest)


def other_models(manifest: Manifest) -> Iterator[str]:
    """One line for each model and judge with replies of another: how many, and which."""
    for name, facts in manifest.models.items():
        if facts.answered_as:
            yield _line(name, facts.served_name, facts.answered_as, "rates")
    for name, answered_as in manifest.judges_answered_as.items():
        yield _line(f"judge {name}", name.partition("/")[2], answered_as, "verdicts")


def _line(who: str, asked_for: str, answered_as: Mapping[str, int], what: str) -> str:
    named = [f"{other} ({replies})" for other, replies in list(answered_as.items())[:_SHOWN]]
    more = len(answered_as) - len(named)
    shown = ", ".join(named) + (f" and {more} more" if more else "")
    total = sum(answered_as.values())
    return one_line(
        f"{who}: {total} repl{'y names' if total == 1 else 'ies name'} another model than the one asked for "
        f"({asked_for}): {shown}; the {what} are of whatever answered",
        500,
    )


def unchecked_models(manifest: Manifest) -> Iterator[str]:
    """One line for each model with answers from batch files."""
    for name, facts in manifest.models.items():
        if facts.by_file:
            yield one_line(
                f"{name}: answers came from batch files; the sampler and the adapter that gave them are not checked",
                500,
            )


def cache_words(manifest: Manifest) -> str:
    """`120 of 400 answers and 0 of 95 verdicts`: those from the answer cache, "" for a run that has not used it."""
    hits = manifest.cache_hits
    if hits is None:
        return ""
    parts = (
        (hits.answers, manifest.trials_recorded, "answer"),
        (hits.verdicts, hits.of_verdicts, "verdict"),
    )
    return " and ".join(f"{found:,} of {counted(recorded, noun)}" for found, recorded, noun in parts if recorded)


def cached_replies(manifest: Manifest) -> Iterator[str]:
    """One line for a run with answers or verdicts from the answer cache."""
    hits = manifest.cache_hits
    if hits is not None and (hits.answers or hits.verdicts):
        yield (
            f"{manifest.run_id}: {cache_words(manifest)} are from the answer cache: an earlier run got them, from what "
            "had the same name and address then"
        )


def lost_adapters(manifest: Manifest) -> Iterator[str]:
    """One line for each model whose adapter was not the same at the end of the run as before it."""
    for name, facts in manifest.models.items():
        if facts.adapter_lost:
            yield one_line(f"{name}: {facts.adapter_lost}; do not rely on its rates, and ask again in a new run", 500)
