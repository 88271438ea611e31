"""Help pages, as wide as the terminal, and in a pipe 80 columns.

The option parser's own formatter writes them: Rich takes longer to import than all the rest of `--help`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from evals.cli.help.command_groups import GROUPS

_PIPED = 80
_ANY = 10_000
_TYPE = re.compile(r"<(?:list\[)?(str|int|float|path)\b[^>]*>", re.IGNORECASE)
"""How typer writes the type of a value, as in `<list[str]>`; _CHOICES, a few words to choose from."""
_CHOICES = re.compile(r"<([^<>|]+(?:\|[^<>|]+)+)>")
_TYPE_NAMES = {"str": "TEXT", "int": "INTEGER", "float": "NUMBER", "path": "PATH"}
_RANGE, _FROM = re.compile(r"([\d.]+)<=x<=([\d.]+)"), re.compile(r"x>=([\d.]+)")


def max_columns() -> int:
    """The most columns that a help page may have: any number on a terminal, which has fewer."""
    return _ANY if sys.stdout.isatty() else _PIPED


class HelpCommand(TyperCommand):
    """A command whose help has its options in panels, and examples at the end."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece for piece in (self.options_metavar, *map(_usage, _arguments(self, ctx))) if piece]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from evals.cli.help.panels import in_panels

        _write(formatter, "Arguments", [_row(argument, ctx) for argument in _arguments(self, ctx)])
        options = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        shown = {param.name or "": param for param in options if not getattr(param, "hidden", False)}
        for panel, names in in_panels(_whole_name(ctx), shown).items():
            _write(formatter, panel, [_row(shown[name], ctx) for name in names])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(ctx, formatter)


class HelpGroup(TyperGroup):
    """A group whose help lists its commands; that of emeval itself, in their groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write(formatter, "Options", [_row(param, ctx) for param in self.get_params(ctx)])
        listed = GROUPS if ctx.parent is None else {"Commands": self.commands}
        for title, names in listed.items():
            commands = [(name, command) for name in names if (command := self.get_command(ctx, name)) is not None]
            _write(formatter, title, [(name, command.get_short_help_str(_ANY)) for name, command in commands])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(ctx, formatter)


def with_help(app: typer.Typer) -> None:
    """Give the commands of an app, and those of its groups, this layout."""
    for command in app.registered_commands:
        command.cls = HelpCommand
    for group in app.registered_groups:
        group.cls = HelpGroup
        if group.typer_instance is not None:
            with_help(group.typer_instance)


def _whole_name(ctx: Any) -> str:
    """The command without the program, such as `batch export`; "" for emeval itself."""
    return str(ctx.command_path).partition(" ")[2] if ctx.parent is not None else ""


def _arguments(command: TyperCommand, ctx: Any) -> Iterator[Any]:
    return (param for param in command.get_params(ctx) if param.param_type_name == "argument")


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper()).strip("[]")
    return name if argument.required else f"[{name}]"


def _row(param: Any, ctx: Any) -> tuple[str, str]:
    """Name and meaning. Of an argument the name alone: its metavar says what it takes."""
    name, text = cast("tuple[str, str]", param.get_help_record(ctx))
    if param.param_type_name == "argument":
        name = _usage(param)
    name = _CHOICES.sub(r"[\1]", _TYPE.sub(lambda kind: _TYPE_NAMES[kind[1].lower()], name))
    text = _RANGE.sub(r"\1 to \2", text.removesuffix("  [required]"))
    return name, _FROM.sub(r"\1 or more", text).replace("  [", " [")


def _write(formatter: Any, title: str, rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    if rows:
        with formatter.section(_bold(title)):
            formatter.write_dl(rows)


def _write_examples(ctx: Any, formatter: Any) -> None:
    """Each example on a line of its own, as it can be typed."""
    from evals.cli.help.examples import EXAMPLES

    examples = EXAMPLES.get(_whole_name(ctx), ())
    if examples:
        with formatter.section(_bold("Examples")):
            for example in examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


def _bold(title: str) -> str:
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return title if plain else typer.style(title, bold=True)
