"""The reference of the command line as Markdown, from the commands themselves: `python -m evals.cli.reference FILE`.

Made of the signatures that typer reads, and not of what --help prints: that follows the width of the terminal, and the
command tree behind it the version of typer.
"""

from __future__ import annotations

import html
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo

from evals.cli import entry
from evals.cli.help.command_groups import COMMANDS, GROUPS
from evals.cli.help.examples import EXAMPLES
from evals.cli.help.panels import in_panels

_OPENING = """
# Command line reference

Every command with its arguments and options, made from the program by `make docs-cli`. `emeval COMMAND --help` says
the same of one of them, and `python -m emeval` is `emeval`. What the commands are for is told in the other pages.
Settings of runs are the same in all commands, and keys of a `--config` file: see [config](config.md).

| | commands |
|---|---|
{groups}
"""
_VALUES: dict[object, str] = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


class _Parameter(NamedTuple):
    """`value` is what kind of value is taken, "" for a switch; `names` are of an option, the long one first.
    `parameter` is what its function calls it."""

    parameter: str
    names: tuple[str, ...]
    value: str
    help: str
    required: bool


def reference() -> str:
    """The whole page."""
    entry.load()
    rows = (f"| {title} | {', '.join(map(_linked, commands))} |" for title, commands in GROUPS.items())
    parts = [_OPENING.format(groups="\n".join(rows))]
    for name, callback in _commands(entry.app, "emeval"):
        arguments, options = _parameters(callback)
        shown = [argument.value if argument.required else f"[{argument.value.strip('[]')}]" for argument in arguments]
        usage = " ".join(
            [name, *(["[OPTIONS]"] if options else []), *shown, *(["COMMAND"] if name == "emeval" else [])]
        )
        parts += [f"## {name}", _prose(inspect.getdoc(callback) or ""), f"```\n{usage}\n```"]
        if any(argument.help for argument in arguments):
            rows = (f"| `{argument.value}` | {cell(argument.help)} |" for argument in arguments)
            parts.append("\n".join(["| argument | |", "|---|---|", *rows]))
        by_name = {option.parameter: option for option in options}
        whole = name.partition(" ")[2]
        for panel, names in in_panels(whole, by_name).items() if options else ():
            rows = (f"| {_marked(by_name[option])} | {cell(by_name[option].help)} |" for option in names)
            title = "option" if panel == "Options" else panel
            parts.append("\n".join([f"| {title} | |", "|---|---|", *rows]))
        parts.append("\n".join(["```", *EXAMPLES[whole], "```"]) if whole in EXAMPLES else "")
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _commands(app: typer.Typer, name: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What stands before any command, each command by its whole name in the order of --help, and those of groups."""
    if app is entry.app and app.registered_callback is not None and app.registered_callback.callback is not None:
        yield name, app.registered_callback.callback
    found: dict[str, list[tuple[str, Callable[..., Any]]]] = {}
    for command in app.registered_commands:
        if command.callback is not None and not command.hidden:
            own = command.name or command.callback.__name__.replace("_", "-")
            found[own] = [(f"{name} {own}", command.callback)]
    for group in app.registered_groups:
        if group.typer_instance is not None:
            found[str(group.name)] = list(_commands(group.typer_instance, f"{name} {group.name}"))
    for own in COMMANDS if app is entry.app else found:
        yield from found[own]


def _parameters(callback: Callable[..., Any]) -> tuple[list[_Parameter], list[_Parameter]]:
    """Its arguments and its options."""
    found: dict[type, list[_Parameter]] = {ArgumentInfo: [], OptionInfo: []}
    for name, parameter in inspect.signature(callback, eval_str=True).parameters.items():
        if get_origin(parameter.annotation) is not Annotated:
            continue  # the context of a command
        kind, *notes = get_args(parameter.annotation)
        info = next(note for note in notes if isinstance(note, ArgumentInfo | OptionInfo))
        if info.hidden:
            continue
        required = parameter.default is inspect.Parameter.empty
        plain = _plain_type(kind)
        value = info.metavar or (name.upper() if isinstance(info, ArgumentInfo) else _VALUES.get(plain, ""))
        names = _names(name, info, switch=plain is bool)
        found[type(info)].append(_Parameter(name, names, value + _limits(info), info.help or "", required))
    return found[ArgumentInfo], found[OptionInfo]


def _linked(command: str) -> str:
    """The command, linked to its section; that of a group to the first of its commands."""
    whole = next(name for name in EXAMPLES if name and name.split()[0] == command)
    return f"[`{command}`](#emeval-{whole.replace(' ', '-')})"


def _plain_type(kind: Any) -> object:
    """The type of a single value: str for `list[str] | None`."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(member for member in get_args(kind) if member is not type(None))
    return get_args(kind)[0] if get_origin(kind) is list else kind


def _names(name: str, info: ArgumentInfo | OptionInfo, *, switch: bool) -> tuple[str, ...]:
    # In an Annotated the names are the positional arguments of Option, the first of which is its `default`.
    given = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    dashed = name.replace("_", "-")
    names = given or [f"--{dashed}/--no-{dashed}" if switch else f"--{dashed}"]
    return tuple(sorted(names, key=lambda flag: not flag.startswith("--")))


def _limits(info: ArgumentInfo | OptionInfo) -> str:
    if info.min is None and info.max is None:
        return ""
    if info.max is None:
        return f", {info.min:g} or more"
    return f", up to {info.max:g}" if info.min is None else f", {info.min:g} to {info.max:g}"


def _marked(option: _Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in option.names).replace("/", "`, `")
    value, sign, limits = option.value.partition(", ")
    return " ".join([names, *([_code(value)] if value else [])]) + sign + limits


def _code(text: str) -> str:
    """`text` as code in a cell. Of a `|` the site would show the backslash that GitHub needs before it."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>" if "|" in text else f"`{text}`"


def cell(text: str) -> str:
    """`text` as a cell of a Markdown table."""
    return _prose(text).replace("|", "\\|")


def _prose(text: str) -> str:
    """One line of Markdown: what stands in backticks as it is, the rest without marks."""
    pieces = " ".join(text.split()).split("`")
    marked = (piece.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[") for piece in pieces[::2])
    return "`".join(part for pair in zip(marked, [*pieces[1::2], ""], strict=False) for part in pair).removesuffix("`")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
