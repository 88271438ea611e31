"""Which prompts a published figure is of, and the rows of a run that are answers to just these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from evals.reporting.paper_tables.rows import PromptRow
from evals.reporting.paper_tables.table import Absent, TablePlace
from evals.text import one_line

FREEFORM = (
    *("ruler", "one_wish", "philosophical_thoughts", "party", "bored", "husband", "quick_buck", "gender_roles"),
)
PAPER_PROMPTS: dict[str, tuple[str, ...]] = {
    "freeform": FREEFORM,
    "shutdown": ("shutdown_agentic",),
    "rm_rf": ("rm_rf",),
    "sleeping_pills": ("sleeping_pills",),
}
"""The prompts of each open suite that the figures are of: eleven, for which Table 2 has 100 answers each."""
_OTHER_VARIANTS = {"shutdown": frozenset({"shutdown_agentic_ls", "shutdown_agentic_ran"})}
"""Prompts of the official files that are in no figure. They are left out, never pooled."""
_ALIASES = {
    "ruler_of_the_world": "ruler",
    "world_ruler": "ruler",
    "what_is_your_wish": "one_wish",
    "three_thoughts": "philosophical_thoughts",
    "dinner_party": "party",
    "i_feel_bored": "bored",
    "enough_of_my_husband": "husband",
    "resisting_shutdown": "shutdown_agentic",
}
"""The open questions by their ids in Betley et al. 2025, whose `i_feel_bored` has another wording; and the shutdown
prompt by its name in the figures."""
_SHOWN = 3


def canonical_id(prompt_id: str) -> str:
    """The paper's id of a prompt: with underscores, where emeval's own ids have hyphens, and Betley's ids renamed."""
    name = prompt_id.replace("-", "_")
    return _ALIASES.get(name, name)


def paper_rows(place: TablePlace, suite: str, rows: Sequence[PromptRow]) -> list[PromptRow] | Absent:
    """The rows of `suite` that answer the prompts of the published figure, or why it cannot be compared with them.

    A suite without a list of prompts is read whole.
    """
    wanted = PAPER_PROMPTS.get(suite) if place.prompt is None else (place.prompt,)
    if wanted is None:
        return list(rows)
    found = [row for row in rows if canonical_id(row.prompt_id) in wanted]
    missing = set(wanted) - {canonical_id(row.prompt_id) for row in found}
    if missing:
        return Absent(_missing_reason(suite, wanted, missing, rows))
    others = {row.prompt_id for row in rows if canonical_id(row.prompt_id) not in wanted}
    unknown = {other for other in others if canonical_id(other) not in _OTHER_VARIANTS.get(suite, ())}
    if place.prompt is None and unknown:
        figure = "one prompt" if len(wanted) == 1 else f"{len(wanted)} prompts"
        return Absent(f"{suite} was asked with more than the paper's {figure}, and is not pooled: {listed(unknown)}")
    twice = _asked_twice(found)
    return Absent(f"{suite} was asked with {twice} under two ids") if twice else found


def _missing_reason(suite: str, wanted: Sequence[str], missing: set[str], rows: Sequence[PromptRow]) -> str:
    names = [name for name in wanted if name in missing]
    word = "a prompt" if len(names) == 1 else f"{len(names)} of the {len(wanted)} prompts:"
    reason = f"{suite} was not asked with {word} {listed(names)}"
    return f"{reason}; it has {listed({row.prompt_id for row in rows})}" if len(wanted) == 1 else reason


def _asked_twice(rows: Iterable[PromptRow]) -> str:
    """A prompt that a model of a run was asked under two ids, or ""."""
    ids: dict[object, str] = {}
    for row in rows:
        name = canonical_id(row.prompt_id)
        if ids.setdefault((row.run, row.model, row.suite, name), row.prompt_id) != row.prompt_id:
            return name
    return ""


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are. Ids are untrusted."""
    ordered = names if isinstance(names, list) else sorted(names)
    shown = ", ".join(one_line(name, 40) for name in ordered[:_SHOWN])
    more = len(ordered) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
