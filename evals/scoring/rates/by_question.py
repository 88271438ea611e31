"""The rate as a mean over questions, which weighs every question alike however many of its answers are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from evals.scoring.metric import TrialFacts
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tally import CellKey, VariantCounts
from evals.statistics.these_questions import fixed_questions_interval, question_weights

_ORDERS = 2
"""A multiple-choice question is asked with its options in so many orders."""


class Stratum(NamedTuple):
    """The answers to one wording of a question (of multiple choice: one order of its options). `asked` are the trials
    that the metric is about, of which `counted` are in n and `hits` are hits."""

    prompt_id: str
    hits: int
    counted: int
    asked: int


def strata_by_cell(place_of: Mapping[TrialFacts, str], variants: VariantCounts) -> dict[CellKey, list[Stratum]]:
    """The strata of each cell, the wordings of a question in a row, in the order in which they first occur.

    `place_of` says where trials stand in the metric, as `evals.scoring.rates.tally.places_in` does.
    """
    prompts: dict[str, int] = {}
    wordings: dict[str, int] = {}
    found: dict[CellKey, list[tuple[tuple[int, int], Stratum]]] = {}
    for variant, counts in variants.items():
        places: Counter[str] = Counter()
        for trial_facts, trials in counts.items():
            places[place_of[trial_facts]] += trials
        rank = (
            prompts.setdefault(variant.prompt_id, len(prompts)),
            wordings.setdefault(variant.variant, len(wordings)),
        )
        asked = places.total() - places["n_outside"]
        stratum = Stratum(variant.prompt_id, places["k"], places["k"] + places["miss"], asked)
        found.setdefault(variant.cell, []).append((rank, stratum))
    return {cell: [stratum for _, stratum in sorted(ranked)] for cell, ranked in found.items()}


def by_question_columns(strata: Sequence[Stratum]) -> Row:
    """`rate_by_question` with its interval; blank without answers. A question's rate is the mean over its wordings
    with answers, and the rate the mean over questions with answers."""
    used = [stratum for stratum in strata if stratum.counted]
    hits = np.array([stratum.hits for stratum in used], float)
    counted = np.array([stratum.counted for stratum in used], float)
    numbers = {prompt_id: number for number, prompt_id in enumerate(dict.fromkeys(row.prompt_id for row in used))}
    weights = question_weights(np.array([numbers[stratum.prompt_id] for stratum in used], dtype=np.int64))
    interval = fixed_questions_interval(hits, counted, weights)
    low, high, method = interval or (None, None, "")
    return {
        "rate_by_question": float((weights * hits / counted).sum()) if used else None,
        "by_question_low": low,
        "by_question_high": high,
        "by_question_method": method,
    }


def unread_wordings(strata: Sequence[Stratum], form: str) -> int:
    """How many wordings (of multiple choice: option orders) have no answer in n, though their question has some.

    A wording whose trials the metric is not about lacks nothing. Of multiple choice an order that no trial is recorded
    in is unread, too.
    """
    by_prompt: dict[str, list[Stratum]] = {}
    for stratum in strata:
        by_prompt.setdefault(stratum.prompt_id, []).append(stratum)
    unread = 0
    for wordings in by_prompt.values():
        if any(stratum.counted for stratum in wordings):
            missing = sum(stratum.asked > 0 and not stratum.counted for stratum in wordings)
            unread += missing + (max(0, _ORDERS - len(wordings)) if form == "mcq" else 0)
    return unread
