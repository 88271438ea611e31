"""Which models and questions of runs a figure shows, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evals.errors import BadInput
from evals.numbers import counted
from evals.reporting.figures.drawing.frames import distinct, models_of
from evals.runner.count import Counted
from evals.text import one_line
from evals.trials.prompt import ALL


def _labels(given: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """The labels of models from MODEL=NAME texts, of which both may hold further = signs. Raises BadInput."""
    labels: dict[str, str] = {}
    for text in given:
        fitting = [name for name in known if text.startswith(f"{name}=")]
        model = max(fitting, key=len) if fitting else text.partition("=")[0]
        label = text[len(model) + 1 :].strip()
        if not model or not label:
            raise BadInput(f"--label: {one_line(text, 80)!r} is not MODEL=NAME")
        if model in labels:
            raise BadInput(f"--label: {one_line(model, 80)} is given twice")
        labels[model] = label
    return labels


def with_questions(runs: Sequence[Counted], chosen: Sequence[str]) -> tuple[list[Counted], str]:
    """The runs with the rates of the `chosen` questions alone, in that order, and a sentence on what is left out; rates
    over all questions and effects stay those of all. Without a choice, all of them and "".

    Raises BadInput for a question that no run has.
    """
    if not chosen:
        return list(runs), ""
    known = distinct(row["prompt_id"] for run in runs for row in run.tables.rate_rows if row["prompt_id"] != ALL)
    unknown = next((name for name in chosen if name not in known), None)
    if unknown is not None:
        shown = ", ".join(one_line(name, 80) for name in known[:12]) + (", …" if len(known) > 12 else "")
        raise BadInput(f"--questions: {one_line(unknown, 80)} is no question of these runs; they have {shown}")
    number = len(set(chosen))
    words = f"Shown: {number} of {counted(len(known), 'question')}; what is of all questions is of all {len(known)}."
    return [replace(run, tables=run.tables.with_questions(chosen)) for run in runs], words


def with_models(runs: Sequence[Counted], chosen: Sequence[str], named: Iterable[str]) -> list[Counted]:
    """The runs with the `chosen` models alone, in that order, or with all of them, called by their labels
    (`named` has them as MODEL=NAME).

    Raises BadInput for a model that no run has, and for two models of a run with one name.
    """
    known = distinct(model for run in runs for model in models_of(run))
    labels = _labels(named, known)
    for option, names in (("--models", chosen), ("--label", labels)):
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            shown = ", ".join(one_line(name, 80) for name in known[:12])
            raise BadInput(f"{option}: {one_line(unknown, 80)} is no model of these runs; they have {shown}")
    found: list[Counted] = []
    for run in runs:
        models = [name for name in chosen or models_of(run) if name in models_of(run)]
        names = {name: labels.get(name, name) for name in models}
        if len(set(names.values())) < len(names):
            twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
            raise BadInput(f"--label: two models of {run.folder} would be called {one_line(twice, 80)}")
        if models:
            config = run.manifest.config.model_copy(update={"models": tuple(names.values())})
            manifest = run.manifest.model_copy(update={"config": config})
            found.append(replace(run, manifest=manifest, tables=run.tables.with_models(names)))
    return found
