"""A run that grows: more models, suites, conditions, formats, samples or scenarios in a folder that holds answers.

What was asked stays as it is, so nothing of it may change: a run that grows asks all that it asked before, and more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from evals.errors import BadInput
from evals.numbers import counted
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest
from evals.plan.settings.run_settings import option_name
from evals.plan.settings.samples import samples_of_suite
from evals.plan.settings.system_message import READ_FILES
from evals.questions.question_file import is_question_file
from evals.text import one_line, quoted_path
from evals.trials.condition import CONDITIONS
from evals.trials.record import Cell

_GROWING = frozenset(
    {
        *("models", "suites", "conditions", "trigger", "decoy", "distractor"),
        *("samples", "format", "limit", "judge"),
    }
)


def grown(before: RunConfig, asked: RunConfig, folder: Path) -> RunConfig | None:
    """The config that asks what `before`, the one of the run in `folder`, asks and what `asked` adds to it; None where
    it adds nothing, or differs in something that cannot grow.

    Raises BadInput for a file of before that is not given again: what a manifest alone names is not opened.
    """
    if before.rule is not None or asked.rule is not None or not _differ_in_what_grows(before, asked):
        return None
    both = _both(before, asked)
    if both is None:
        return None
    config = RunConfig.model_validate(asked.model_dump() | both, context=READ_FILES)
    if config.identity() == before.identity():
        return None
    _check_files(before, asked, folder)
    return config


def with_names_of(asked: RunConfig, before: RunConfig) -> RunConfig:
    """`asked` with the tags of before as well, and its note where it has none of its own."""
    names = {"tags": _united(before.tags, asked.tags), "note": asked.note or before.note}
    return asked.model_copy(update=names)


def is_grown(before: Manifest, now: Manifest, folder: Path) -> bool:
    """Whether `now` asks all that `before` asks, with the same questions and rubrics, and more."""
    config = grown(before.config, now.config, folder)
    if config is None or config.identity() != now.config.identity():
        return False
    old, new = before.identity(), now.identity()
    return all(new.get(name) == value for name, value in old.items() if name not in before.config.identity())


def check_growth(
    before: Manifest,
    asked: RunConfig,
    now: Mapping[Cell, int],
    then: Iterable[tuple[Cell, int]],
    recorded: Callable[[str], int],
    folder: Path,
) -> None:
    """Raises BadInput where the cells of before (`then`, with the trials planned) are not all among those of `now`, and
    where a model that the command does not name would have to be asked: it may not be served any more, and what the
    manifest alone names is neither opened nor started. `recorded` counts the answers of a model."""
    if any(now.get(cell, 0) < number for cell, number in then):
        raise BadInput(
            f"{folder} holds another run: its questions are not among those that would be asked now (a --limit draws "
            "others where it is another number). Choose another --out, or the same options"
        )
    planned: Counter[str] = Counter()
    for cell, number in now.items():
        planned[cell.model] += number
    for name in before.config.models:
        lacking = planned[name] - recorded(name) if name not in asked.models else 0
        if lacking > 0:
            shown = one_line(name, 200)
            raise BadInput(
                f"{folder}: {shown} of its run lacks {counted(lacking, 'answer')} of what would be asked: name it "
                f"again ({option_name('models')} {quoted_path(shown)}), or choose another --out"
            )


def growth_line(before: RunConfig, now: RunConfig, more: int) -> str:
    """What was added to a run, with the number of answers."""
    changed = [name for name in _GROWING if getattr(before, name) != getattr(now, name)]
    named = ", ".join(sorted(changed))
    return f"{named} added: {counted(more, 'more answer')}"


def _differ_in_what_grows(before: RunConfig, asked: RunConfig) -> bool:
    """Whether nothing else differs, nor what both have a value for and can have only one."""
    old, new = before.identity(), asked.identity()
    for name in (*old, *(name for name in new if name not in old)):
        if name in _GROWING or old.get(name) == new.get(name):
            continue
        if not (name.startswith("condition ") and (name not in old or name not in new)):
            return False
    if old["judge"] not in (None, new["judge"]):
        return False
    once = ("trigger", "decoy", "distractor")
    return all(None in (old[name], new[name]) or old[name] == new[name] for name in once)


def _both(before: RunConfig, asked: RunConfig) -> dict[str, Any] | None:
    """The fields that can grow, with what either config has; None where no value stands for both."""
    suites = _united(before.suites, asked.suites)
    forms = (before.format, asked.format, "both")
    form = next((form for form in forms if _asks_both(before, asked, form)), False)
    if form is False:
        return None
    named = _united(before.conditions, asked.conditions)
    known = tuple(name for name in CONDITIONS if name in named)
    limits = (before.limit, asked.limit)
    return {
        "suites": suites,
        "models": _united(before.models, asked.models),
        "conditions": (*known, *(name for name in named if name not in known)),
        "templates": before.templates | asked.templates,
        "samples": _more_samples(before, asked, suites),
        "format": form,
        "limit": None if None in limits else max(number for number in limits if number is not None),
        "dataset": _datasets(before, asked, suites),
        **{name: getattr(asked, name) or getattr(before, name) for name in ("trigger", "decoy", "distractor")},
    }


def _united(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _asks_both(before: RunConfig, asked: RunConfig, form: Any) -> bool:
    """Whether a choice of the format asks each suite in the formats of either config, and in no other."""
    for name in _united(before.suites, asked.suites):
        wanted = {*before.formats.get(name, ()), *asked.formats.get(name, ())}
        try:
            chosen = asked.model_copy(update={"suites": (name,), "format": form}).formats.get(name, ())
        except ValueError:
            return False
        if set(chosen) != wanted:
            return False
    return True


def _more_samples(before: RunConfig, asked: RunConfig, suites: tuple[str, ...]) -> int | dict[str, int]:
    """For each suite the larger number of the two."""
    numbers: dict[str, int] = {}
    for name in suites:
        told = [samples_of_suite(config.samples, name) for config in (before, asked) if name in config.suites]
        known = [number for number in told if number is not None]
        if known:
            numbers[name] = max(known)
    if len(numbers) == len(suites) and len(set(numbers.values())) == 1:
        return next(iter(numbers.values()))
    return numbers


def _datasets(before: RunConfig, asked: RunConfig, suites: tuple[str, ...]) -> tuple[str, ...]:
    files = before.dataset_files | asked.dataset_files
    if len(suites) == 1:
        return tuple(map(str, files.values()))
    return tuple(f"{suite}={file}" for suite, file in files.items())


def _check_files(before: RunConfig, asked: RunConfig, folder: Path) -> None:
    """Raises BadInput for a file of before's that is not given again."""
    for name, file in before.dataset_files.items():
        if name not in asked.dataset_files:
            shown = quoted_path(one_line(str(file), 200))
            again = shown if is_question_file(name) else f"{option_name('dataset')} {quoted_path(name)}={shown}"
            raise BadInput(
                f"{folder}: its run asks {shown} as well, which its manifest alone names; give it again: {again}"
            )
