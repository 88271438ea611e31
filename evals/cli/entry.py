"""The entry point: every expected error is one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, NoReturn

import typer
from typer.models import CommandInfo

from evals import __version__
from evals.cli import crash_report
from evals.cli.app import EXIT_BAD_INPUT, EXIT_DEFECT, EXIT_GATE, EXIT_INTERRUPTED, app
from evals.cli.help.command_groups import COMMANDS
from evals.cli.help.layout import max_columns, with_help
from evals.cli.options import add_options
from evals.cli.output import echo, output_lost, print_error, write_anywhere
from evals.errors import EmevalError
from evals.io.process.garbage import collect_rarely

_COMPLETES = "_EMEVAL_COMPLETE"
"""Set by the shell when a word is to be completed."""


def load(command: str | None = None, *, with_settings: bool = True) -> None:
    """Add a command, or all of them, to the app.

    `with_settings`: with the options that are settings of a run, which no command's line in --help needs. Reading them
    takes longer than many a command does, and so does importing all commands.
    """
    for module in [COMMANDS[command]] if command is not None else dict.fromkeys(COMMANDS.values()):
        importlib.import_module(f"evals.cli.commands.{module}")
    if with_settings:
        add_options()
    order = list(COMMANDS)
    app.registered_commands.sort(key=lambda command: order.index(_name(command)))
    app.registered_groups.sort(key=lambda group: order.index(str(group.name)))
    with_help(app)


def _name(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "")


def _asked_for() -> str | None:
    """The command on the command line, None where all of them may have to be known: for help, for completion, and for
    the message about a command that there is not."""
    word = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    return word if word in COMMANDS and _COMPLETES not in os.environ else None


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an error, without keys; or EMEVAL_DEBUG=1.")
    ] = False,
) -> None:
    _Debug.is_on = debug or crash_report.is_asked_for()
    if version:
        echo(f"emeval {__version__}")
        raise typer.Exit


class _Debug:
    """What the root options say, for the handler of errors."""

    is_on = False


def main() -> None:
    """Run the command line. Every error is one line on stderr, an expected one with the exit code of its class."""
    collect_rarely()
    write_anywhere()
    _Debug.is_on = crash_report.is_asked_for()
    try:
        command = _asked_for()
        load(command, with_settings=command is not None or _COMPLETES in os.environ)
        # Without standalone mode the code of a typer.Exit is returned, and an interruption is one with code 130.
        code = app(prog_name="emeval", standalone_mode=False, max_content_width=max_columns())
        lost = output_lost()
        if lost:
            print_error(f"standard output: {lost}; what was printed is lost, what was written into files is whole")
            code = code or EXIT_GATE
    except EmevalError as error:
        _trace(error)
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; nothing more to say
        sys.exit(1)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except Exception as error:
        # Wrong options come as an exception of the option parser, which typer may bundle or not.
        show = getattr(error, "format_message", None)
        if show is None:
            _trace(error)
            _fail(crash_report.in_one_line(error), EXIT_DEFECT)
        _fail(_with_help(str(show()), error), EXIT_BAD_INPUT)
    if code == EXIT_INTERRUPTED:
        _fail("interrupted", EXIT_INTERRUPTED)
    sys.exit(code or 0)


def _with_help(said: str, error: Exception) -> str:
    """The message of the option parser; of an option or argument that is missing also what it is for."""
    needed, of = getattr(getattr(error, "param", None), "help", None), getattr(error, "ctx", None)
    if not said.startswith("Missing") or not needed or of is None:
        return said
    return f"{said.rstrip('.')}: {str(needed).rstrip('.')} (see {of.command_path} --help)"


def _trace(error: Exception) -> None:
    if _Debug.is_on:
        print(crash_report.full_traceback(error), file=sys.stderr)  # noqa: T201


def _fail(message: str, code: int) -> NoReturn:
    print_error(message)
    sys.exit(code)
