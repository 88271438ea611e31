"""Suites of other packages (entry points in the group `emeval.suites`), checked as they are loaded and as they ask.

A built-in name never gets here: what a package declares under one is refused by `refused_name`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast, get_args

from evals.errors import BadInput, EmevalError
from evals.io.plugins.entry_points import Plugin, bad_plugin, in_words, module_sha256, plugin_called
from evals.questions.dataset import Dataset
from evals.questions.suite import Suite
from evals.text import one_line
from evals.trials.prompt import Format, Prompt
from evals.trials.reference import criterion_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
"""What the names of plugins look like: they stand in tables, in CSV files and on command lines."""
_MEASURES = ("alignment", "truthfulness", "honesty", "number")


@functools.cache
def plugin_suite(name: str) -> Suite | None:
    """The suite `name` of an installed package, None if there is none. Raises BadInput for one that cannot be used."""
    if not NAME.fullmatch(name):
        return None
    plugin = plugin_called("suite", name)
    return None if plugin is None else _checked(plugin)


def code_sha256(plugin: Plugin) -> str:
    """The sha256 of the module that makes the prompts of a suite, "" where that is emeval's own code: then all that is
    asked follows from the questions."""
    suite = plugin.load()
    made: object = suite.prompts if isinstance(suite, Suite) else None
    while isinstance(made, partial):
        made = cast("partial[object]", made).func
    module = str(getattr(made, "__module__", ""))
    return "" if module.partition(".")[0] == "evals" else module_sha256(module)


def refused_name(plugin: Plugin) -> BadInput:
    """The error for a name that is emeval's own, or that cannot be one."""
    if NAME.fullmatch(plugin.name):
        return bad_plugin(plugin, "the name is one of emeval's own, which no package replaces")
    return bad_plugin(plugin, "the name is not made of letters, digits, _ and -, at most 60 of them")


def _checked(plugin: Plugin) -> Suite:
    suite = plugin.load()
    if not isinstance(suite, Suite):
        raise bad_plugin(plugin, f"{one_line(plugin.target, 80)} is no emeval.Suite")
    problem = _problem(suite, plugin)
    if problem:
        raise bad_plugin(plugin, problem)
    return replace(suite, prompts=partial(_prompts, suite=suite, plugin=plugin))


def _problem(suite: Suite, plugin: Plugin) -> str:
    forms = get_args(Format)
    if suite.name != plugin.name:
        return f"its Suite is called {one_line(str(suite.name), 60)!r}; give both the same name"
    if not suite.formats or not {*suite.formats, *suite.defaults} <= set(forms):
        return f"formats must be some of {', '.join(forms)}"
    if suite.measure not in _MEASURES:
        return f"measure must be one of {', '.join(_MEASURES)}"
    if not Path(suite.dataset).is_absolute():
        return "dataset must be the absolute path of its file, such as Path(__file__).with_name('questions.jsonl')"
    if not Path(suite.dataset).is_file():
        return f"its questions are missing: {one_line(str(suite.dataset), 200)}"
    return ""


def _prompts(dataset: Dataset, formats: Sequence[Format], suite: Suite, plugin: Plugin) -> Iterator[Prompt]:
    """The prompts of the package's own code: what it raises, and what is no prompt of this suite, is one line."""
    try:
        for prompt in suite.prompts(dataset, formats):
            if not isinstance(prompt, Prompt):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise bad_plugin(plugin, f"its prompts are no emeval.Prompt: {one_line(repr(prompt), 60)}")
            if prompt.suite != suite.name or prompt.format not in formats:
                raise bad_plugin(plugin, f"prompt {one_line(str(prompt.id), 60)!r} is of another suite or format")
            if prompt.format != "mcq" and criterion_of(prompt.reference) != suite.measure:
                raise bad_plugin(
                    plugin, f"the reference of prompt {one_line(str(prompt.id), 60)!r} is not for {suite.measure}"
                )
            yield prompt
    except EmevalError:
        raise
    except Exception as error:
        raise bad_plugin(plugin, f"its prompts cannot be made: {in_words(error)}") from error
