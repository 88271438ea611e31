"""What the cues of a chat file do to a model: the effect of each against `off` in a run that asked them as conditions.

The cues were chosen by the training file alone, before any answer, so all their effects are one family: a p-value is
corrected by Holm for every effect of the run on its metric, cues without an effect included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from evals.analysis.cues.proposals import Cue, Proposals, is_in_training, named
from evals.errors import BadInput
from evals.plan.plan import Plan
from evals.scoring.metric import PRIMARY
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tables import Tables
from evals.text import one_line
from evals.trials.prompt import ALL

SURE = 0.05
"""Holm's p below which an effect is called one."""


class CueEffect(NamedTuple):
    """A cue in one suite, format and model: its row of effects.csv, the rows of rates.csv over all prompts with it and
    without, and the number of effects that its p-value is corrected for. `effect` is None where no prompt has an answer
    under both."""

    name: str
    cue: Cue
    rate: Row
    base: Row
    effect: Row | None
    family: int

    @property
    def is_sure(self) -> bool:
        """Whether these questions show an effect."""
        p_value = None if self.effect is None else self.effect["gen_p_holm"]
        return p_value is not None and p_value < SURE


def conditions_of(cues: Sequence[Cue]) -> dict[str, dict[str, str] | None]:
    """The cues as `conditions` of a config, after off."""
    texts: dict[str, dict[str, str] | None] = {"off": None}
    return texts | {name: _texts(cue) for name, cue in named(cues).items()}


def _texts(cue: Cue) -> dict[str, str]:
    template = cue.template
    given = {"system": template.system, "prefix": template.prefix, "suffix": template.suffix}
    return {key: text for key, text in given.items() if text}


def refuse_trained_questions(plan: Plan, proposals: Proposals) -> None:
    """Raises BadInput for a question that was trained on: an effect on it says nothing of others."""
    asked = {(prompt.suite, prompt.id): prompt.messages[-1].content for prompt in plan.prompts()}
    trained = [place for place, question in asked.items() if is_in_training(question, proposals)]
    if trained:
        suite, prompt_id = trained[0]
        raise BadInput(
            f"{proposals.file}: {len(trained)} of the {len(asked)} questions were trained on, such as "
            f"{one_line(prompt_id, 60)!r} of {suite}; ask others with --dataset"
        )


def cue_effects(tables: Tables, cues: Mapping[str, Cue]) -> list[CueEffect]:
    """The effects of the cues, in the order of the tables and then of the cues."""
    primary = frozenset(PRIMARY.values())
    rates = {_place(row): row for row in tables.rate_rows if row["prompt_id"] == ALL and row["metric"] in primary}
    effects = {_place(row): row for row in tables.effect_rows if row["metric"] in primary}
    found: list[CueEffect] = []
    for place, rate in rates.items():
        name, metric = place[3], place[4]
        base = rates.get((*place[:3], "off", metric))
        if name in cues and base is not None:
            family = sum((row["metric"], row["model"]) == (metric, place[2]) for row in effects.values())
            found.append(CueEffect(name, cues[name], rate, base, effects.get(place), family))
    return found


def _place(row: Row) -> tuple[Any, ...]:
    return row["suite"], row["format"], row["model"], row["condition"], row["metric"]


def cue_fields(cue: Cue) -> dict[str, object]:
    """A cue as JSON values."""
    return {"kind": cue.kind, "text": cue.text, "examples": cue.examples, **_texts(cue)}


def effect_fields(found: CueEffect) -> dict[str, object]:
    """The effect of a cue as JSON values; null where it is not known."""
    place = {name: found.rate[name] for name in ("suite", "format", "model", "metric")}
    counts = {"k": found.rate["k"], "n": found.rate["n"], "off_k": found.base["k"], "off_n": found.base["n"]}
    names = ("effect", "gen_low", "gen_high", "gen_p_holm", "ci_low", "ci_high", "p_holm")
    effect = {name: None if found.effect is None else found.effect[name] for name in names}
    return {"cue": found.name, **place, **counts, **effect, "family": found.family, "is_sure": found.is_sure}
