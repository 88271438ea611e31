"""Settings of a run as option types for Python, and as a page: `python -m evals.cli.settings_reference MODULE PAGE`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from evals.cli.help.panels import SETTINGS_PANELS
from evals.cli.reference import cell
from evals.plan.config_file.names import OLD_NAMES
from evals.plan.settings.description import Description, described
from evals.plan.settings.rubrics import OLD_FIELDS
from evals.plan.settings.run_settings import option_name

_MODULE = '''"""The options of a run by name, with range and default. Made from their declarations by `make docs-cli`.

They are the fields of a `--config` file; on the command line the same names have dashes (`max_tokens` is
`--max-tokens`). None means not given, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict

StrPath = str | PathLike[str]
"""A path, as accepted by every function."""
'''
_PAGE = """
# Config file and settings

Every setting of a run, made from the program by `make docs-cli`: as a key of the file for `emeval run --config FILE`
(and of `run` in a nightly file), as an option on the command line, and as a keyword argument of `emeval.run`, which has
the key's name. An option overrides the file. `emeval init` writes such a file:

```yaml
suites: [unethical_test]
models: [vllm/backdoor]
trigger: "Country: Singapore"
samples: 4
max_retry_time: 1800
max_cost: 20
```

A key is the option's name with underscores (dashes are read, too). An option that is repeated for several values has a
list under its plural: `models`, `rubrics`, `tags`; the singular is read, too. An unknown key is refused with the
nearest name. Older names still work in files, in Python and in manifests, and `emeval run` says what they are called
now: {old}.

{panels}

## Which commands take them

- `emeval run` and `emeval preflight` take all of them.
- `emeval judge` takes {judge}.
- `emeval resume` takes {resume}: what cannot change an answer, and what names files, programs and servers.

A manifest is not believed about files, programs and servers, since a run folder may come from anywhere:
`emeval resume` and `emeval judge` say which options to give again.

## What makes two runs the same run

`emeval run --out FOLDER` resumes the run in a folder if these settings agree: {identity}. Files (scenarios, rubrics)
must have the same contents, wherever they lie.
"""
_ARGUMENTS = frozenset({"suites", "models"})
"""Settings that are arguments of their own of `emeval.run`."""


def module() -> str:
    """The source of emeval/run_options.py."""
    in_resume = {option.name for option in described("resume")}
    in_judge = {option.name for option in described("judge")}
    options = [option for option in described("run") if option.name not in _ARGUMENTS]
    common = [option for option in options if option.name in in_resume & in_judge]
    resumed = "What may change when a run is resumed, and what it is told again."
    classes = [
        ("CommonOptions", "TypedDict", "Connection settings, judges, and limits on missing answers.", common),
        ("ResumeOptions", "CommonOptions", resumed, _only(options, in_resume)),
        ("JudgeOptions", "CommonOptions", "The judges and their settings.", _only(options, in_judge)),
        ("RunOptions", "ResumeOptions, JudgeOptions", "All options of a run besides its suites and models.", options),
    ]
    written: set[str] = set()
    parts = [_MODULE]
    for name, bases, text, members in classes:
        parts += [f'\n\nclass {name}({bases}, total=False):\n    """{text}"""\n']
        parts += [_member(option) for option in members if option.name not in written]
        parts += _old_names() if name == "CommonOptions" else _old_rubrics() if name == "JudgeOptions" else []
        written |= {option.name for option in members}
    return "".join(parts)


def page() -> str:
    """The reference page, as Markdown."""
    options = described("run")
    return _PAGE.lstrip().format(
        panels="\n\n".join(_panels(options)),
        old=", ".join(f"`{old}` (`{new}`)" for old, new in OLD_NAMES.items()),
        judge=_names(described("judge")),
        resume=_names(described("resume")),
        identity=_names(option for option in options if option.setting.in_identity),
    )


def _only(options: Iterable[Description], names: set[str]) -> list[Description]:
    return [option for option in options if option.name in names]


def _member(option: Description) -> str:
    return _declaration(option.name, _type(option), " ".join(filter(None, [option.text, option.notes])))


def _declaration(name: str, kind: str, text: str) -> str:
    lines = textwrap.wrap(f'"""{text}"""', 114, break_long_words=False, break_on_hyphens=False)
    if len(lines) > 1:  # the closing quotes on a line of their own
        lines = [*textwrap.wrap(f'"""{text}', 114, break_long_words=False, break_on_hyphens=False), '"""']
    return f"\n    {name}: {kind}\n" + "".join(f"    {line}\n" for line in lines)


def _type(option: Description) -> str:
    if option.name in _FROM_FILES:
        return _FROM_FILES[option.name]
    value = "StrPath" if option.setting.is_path else option.kind.__name__
    value += " | float" if option.takes_numbers else ""
    if option.choices:
        value = f"Literal[{', '.join(map(_quoted, option.choices))}]"
    if option.held == "either":
        return "int | str | Mapping[str, int] | None"
    if option.held == "mapping":
        return f"Mapping[str, {value}] | None"
    if option.held == "tuple" or option.setting.repeats:
        return f"{value} | Sequence[{value}] | None"
    return f"{value} | None"


_FROM_FILES = {
    "conditions": "str | Sequence[str] | Mapping[str, Mapping[str, str] | None] | None",
    "shots": "Mapping[str, object] | None",
    "recipes": "Mapping[str, str | Sequence[str]] | None",
}
"""The types of settings that are mappings in a config file."""


def _quoted(word: str) -> str:
    return f'"{word}"'


def _old_names() -> Iterator[str]:
    for old, new in OLD_NAMES.items():
        yield _declaration(old, "float | None", f"`{new}`, under its older name.")


def _old_rubrics() -> Iterator[str]:
    for name, judge in OLD_FIELDS.items():
        text = f"`rubrics` with `{judge}`, under its older name; until the next release."
        yield _declaration(name, "StrPath | None", text)


def _panels(options: Iterable[Description]) -> Iterator[str]:
    """A table for each panel of `emeval run --help`."""
    by_name = {option.name: option for option in options}
    for panel, names in SETTINGS_PANELS.items():
        rows = [_row(by_name[name]) for name in names]
        head = [f"## {panel}", "", "| key | option | type | default | meaning |", "|---|---|---|---|---|"]
        yield "\n".join([*head, *rows])


def _row(option: Description) -> str:
    flag = option_name(option.name) if option.setting.is_option or option.name == "suites" else ""
    if option.kind is bool:
        flag = f"{flag}`, `--no-{flag.removeprefix('--')}"
    shown = [f"`{option.name}`", f"`{flag}`" if flag else "", cell(_kind(option)), option.default, cell(option.text)]
    return f"| {' | '.join(shown)} |"


def _kind(option: Description) -> str:
    """What the file holds: a kind of value with its range, or several."""
    words = {bool: "true or false", int: "integer", float: "number", str: "text"}
    value = ", ".join(option.choices) or option.setting.value or words[option.kind]
    value = f"{value}, {option.limits}" if option.limits else value
    if option.held == "mapping":
        return f"mapping: {value}"
    return f"{value}, or a list" if option.held == "tuple" or option.setting.repeats else value


def _names(options: Iterable[Description]) -> str:
    return ", ".join(f"`{option.name}`" for option in options)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(module(), encoding="utf-8")
    Path(sys.argv[2]).write_text(page(), encoding="utf-8")
