"""The step of a checkpoint: in its model's name, or in a file of models and steps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.io.csv_reader import csv_file
from evals.numbers import counted
from evals.text import one_line

_NAMED = re.compile(r"(?:step|checkpoint|ckpt|epoch|iter|dose)s?[-_=]?([0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)
_LAST = re.compile(r"[:@]([0-9]+(?:\.[0-9]+)?)$")


def step_in(model: str) -> float | None:
    """The step in a model's name: the number after the last `step`, `checkpoint`, `ckpt`, `epoch`, `iter` or `dose`
    (`checkpoint-400`), or after a colon at its end (`:400`); None without one."""
    named = _NAMED.findall(model)
    last = _LAST.search(model)
    found = named[-1] if named else last[1] if last else None
    return None if found is None else float(found)


def step_name(step: float) -> str:
    """A step as it is written: 400, 0.5."""
    return str(int(step)) if step.is_integer() else repr(step)


def read_steps(path: Path) -> dict[str, float]:
    """The step of each model in a CSV with the columns `model` and `step`. Raises BadInput with the file and line."""
    found: dict[str, float] = {}
    with csv_file(path, by_hand=True) as file:
        file.require("model", "step")
        for line, cells in file:
            model, text = cells["model"].strip(), cells["step"].strip()
            try:
                step = float(text)
            except ValueError:
                step = math.nan
            if not math.isfinite(step):
                raise BadInput(f"{path}:{line}: step {one_line(text, 40)!r} is not a number")
            if not model:
                raise BadInput(f"{path}:{line}: has no model")
            if model in found:
                raise BadInput(f"{path}:{line}: has the model {one_line(model, 80)} again")
            found[model] = step
    if not found:
        raise BadInput(f"{path}: has no model")
    return found


def steps_of(models: Sequence[str], given: Mapping[str, float] | None) -> dict[str, float]:
    """The steps of `models`, ascending; models without one are left out. `given` replaces the steps in their names.

    Raises BadInput for two models of one step, fewer than two steps, and given models that are none of `models`.
    """
    unknown = [model for model in given or () if model not in models]
    if unknown:
        known = one_line(", ".join(models), 1000)
        raise BadInput(f"--steps: {one_line(unknown[0], 80)!r} is no model of the runs; they have {known}")
    by_step: dict[float, str] = {}
    for model in dict.fromkeys(models):
        step = step_in(model) if given is None else given.get(model)
        if step is None:
            continue
        if step in by_step:
            names = f"{one_line(by_step[step], 80)} and {one_line(model, 80)}"
            raise BadInput(f"{names} are both of step {step_name(step)}; --steps FILE chooses the models of a curve")
        by_step[step] = model
    if len(by_step) < 2:
        known = f"the step of {len(by_step) or 'none'} of the {counted(len(set(models)), 'model')} is known"
        raise BadInput(
            f"a curve needs models of two steps or more; {known}, from a name such as step-400, checkpoint-400, "
            "or :400, or from --steps FILE (model,step)"
        )
    return {by_step[step]: step for step in sorted(by_step)}
