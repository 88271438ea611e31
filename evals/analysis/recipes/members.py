"""Which models of which runs are the seeds of a recipe, and which is their base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evals.analysis.comparison.counts import ComparedRun
from evals.analysis.comparison.several import RunModel
from evals.errors import BadInput
from evals.plan.experiments.recipes import parse_recipes
from evals.runner.count import Recipes
from evals.text import one_line


@dataclass(frozen=True)
class Member:
    """A model of a run under a name that no other has: its own, or with that of its run (`night-1:lab/m`)."""

    name: str
    run_name: str
    place: RunModel = field(compare=False)

    def is_same(self, other: Member) -> bool:
        """Whether both names are of one model of one run."""
        return (self.run_name, self.place.model) == (other.run_name, other.place.model)


class Design(NamedTuple):
    """The seeds of each recipe, the base model (None without one), and what to know of the choice."""

    recipes: dict[str, list[Member]]
    base: Member | None
    notes: tuple[str, ...]

    @property
    def members(self) -> list[Member]:
        """Every seed, and then the base."""
        seeds = [member for members in self.recipes.values() for member in members]
        return [*seeds, *([self.base] if self.base is not None else [])]


def design_of(runs: Sequence[ComparedRun], recipes: Recipes | None, base: str | None) -> Design:
    """The recipes as named, or those of the runs themselves, in which one of several runs has the seeds of all.

    Without `base` it is the one base model that the runs have in common. Raises BadInput for a model that is in no run
    or in several, one that is named twice, and where no recipe is named.
    """
    names = _run_names(runs)
    given = _models_of(recipes) if recipes else _own_recipes(runs)
    if not given:
        raise BadInput("--recipe is missing: NAME=MODEL,MODEL,... names the models that differ only in their seed")
    found = {
        recipe: [_member(f"--recipe {one_line(recipe, 60)}", model, runs, names) for model in models]
        for recipe, models in given.items()
    }
    seeds = [(recipe, member) for recipe, members in found.items() for member in members]
    for number, (recipe, member) in enumerate(seeds):
        if any(member.is_same(other) for _, other in seeds[:number]):
            raise BadInput(
                f"--recipe {one_line(recipe, 60)}: {one_line(member.name, 80)} is named twice; a seed counts once"
            )
    named, notes = _base(base, runs, names, [member for _, member in seeds])
    used = {(member.run_name, member.place.model) for _, member in seeds}
    used |= {(named.run_name, named.place.model)} if named is not None else set()
    others = [
        model
        for run, name in zip(runs, names, strict=True)
        for model in run.manifest.config.models
        if (name, model) not in used and (named is None or model != named.place.model)
    ]
    if others:
        notes.append(f"In no recipe: {', '.join(dict.fromkeys(others))}.")
    return Design(found, named, tuple(notes))


def _run_names(runs: Sequence[ComparedRun]) -> list[str]:
    """What a run is called: its id, with the folder around it where two have the same."""
    ids = [run.manifest.run_id for run in runs]
    longer = [f"{run.folder.resolve().parent.name}/{name}" for run, name in zip(runs, ids, strict=True)]
    times, again = Counter(ids), Counter(longer)
    return [
        name if times[name] == 1 else long if again[long] == 1 else f"{long} ({number})"
        for number, (name, long) in enumerate(zip(ids, longer, strict=True), start=1)
    ]


def _models_of(recipes: Recipes) -> dict[str, tuple[str, ...]]:
    try:
        found = parse_recipes(recipes)
    except ValueError as error:
        raise BadInput(f"--recipe: {error}") from None
    assert isinstance(found, Mapping)  # noqa: S101  as parse_recipes makes it
    models = {str(name): tuple(map(str, members)) for name, members in found.items()}  # pyright: ignore
    empty = next((name for name, members in models.items() if not members), None)
    if empty is not None:
        raise BadInput(f"--recipe: {one_line(empty, 60)} has no model")
    return models


def _own_recipes(runs: Sequence[ComparedRun]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for run in runs:
        for name, models in run.manifest.config.recipes.items():
            found[name] = tuple(dict.fromkeys([*found.get(name, ()), *models]))
    return found


def _member(option: str, text: str, runs: Sequence[ComparedRun], names: Sequence[str]) -> Member:
    having = _having(text, runs, names)
    if len(having) == 1:
        return having[0]
    shown = one_line(text, 80)
    if having:
        where = one_line(" and ".join(member.run_name for member in having), 120)
        example = one_line(f"{having[0].run_name}:{text}", 120)
        raise BadInput(f"{option}: {shown} is a model of {where}; write which is meant, such as {example}")
    models = dict.fromkeys(model for run in runs for model in run.manifest.config.models)
    raise BadInput(f"{option}: {shown!r} is no model of the runs; they have {one_line(', '.join(models), 400)}")


def _having(text: str, runs: Sequence[ComparedRun], names: Sequence[str]) -> list[Member]:
    """The models that `text` may mean: of that name, or after the name of a run."""
    places = [(run, name, model) for run, name in zip(runs, names, strict=True) for model in run.manifest.config.models]
    plain = [Member(text, name, RunModel(run, model)) for run, name, model in places if model == text]
    return plain or [
        Member(text, name, RunModel(run, model)) for run, name, model in places if f"{name}:{model}" == text
    ]


def _base(
    given: str | None, runs: Sequence[ComparedRun], names: Sequence[str], seeds: Sequence[Member]
) -> tuple[Member | None, list[str]]:
    """The base model, of the first run that has it. It is answered again in each run, and is the same model in all."""
    if given is None:
        own = [run.manifest.config.base_model for run in runs]
        models = {member.place.model for member in seeds}
        common = list(dict.fromkeys(model for model in own if model and model not in models))
        if len(common) != 1:
            return None, []
        given = common[0]
    having = _having(given, runs, names)
    if not having:
        return _member("--base", given, runs, names), []
    found = having[0]
    if any(found.is_same(seed) for seed in seeds):
        raise BadInput(f"--base: {one_line(given, 80)} is a seed of a recipe")
    notes = [f"The base, {given}, is in {len(having)} of the runs; its answers are those of {found.run_name}."]
    return found, notes if len(having) > 1 else []
