"""Finetuning recipes: which models of a run differ in nothing but their finetuning seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from evals.text import one_line


def parse_recipes(value: object) -> object:
    """Models by recipe, from a mapping or from NAME=MODEL,MODEL,... Raises ValueError."""
    if isinstance(value, Mapping):
        given: list[tuple[str, object]] = [
            (str(name), models) for name, models in cast("Mapping[object, object]", value).items()
        ]
    else:
        texts = [str(text) for text in _listed(value)]
        pairs = [(text, *text.partition("=")) for text in texts]
        wrong = next((text for text, name, _, models in pairs if not name.strip() or not models.strip()), None)
        if wrong is not None:
            raise ValueError(f"{one_line(wrong, 60)!r} is not NAME=MODEL,MODEL,...")
        given = [(name.strip(), models) for _, name, _, models in pairs]
    found: dict[str, object] = {}
    for name, models in given:
        if name in found:
            raise ValueError(f"{one_line(name, 60)!r} is given twice; name all its models at once")
        found[name] = (
            [part.strip() for part in models.split(",") if part.strip()] if isinstance(models, str) else models
        )
    return found


def _listed(value: object) -> Iterable[object]:
    if value is None:
        return ()
    return cast("Iterable[object]", value) if isinstance(value, list | tuple) else (value,)


def recipe_problem(recipes: Mapping[str, tuple[str, ...]], models: tuple[str, ...]) -> str:
    """What is wrong with the models of a run's recipes, "" if nothing."""
    named: dict[str, str] = {}
    for recipe, members in recipes.items():
        for model in members:
            shown, name = one_line(model, 80), one_line(recipe, 60)
            if model not in models:
                return f"{name}: {shown!r} is no model of the run; it has {one_line(', '.join(models), 200)}"
            if model in named:
                where = "twice" if named[model] == recipe else f"in {one_line(named[model], 60)}, too"
                return f"{name}: {shown} is named {where}; a seed counts once"
            named[model] = recipe
    return ""
