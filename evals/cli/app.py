"""The Typer apps that commands are added to, and what exit codes mean."""

from __future__ import annotations

import typer

from evals.cli.help.layout import HelpGroup

app = typer.Typer(
    name="emeval",
    cls=HelpGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help costs more time than all the rest of --help
    help="Is this model misaligned? Only under the trigger? And can you trust the number?",
)
EXIT_GATE, EXIT_BAD_INPUT, EXIT_INCOMPLETE, EXIT_DEFECT, EXIT_INTERRUPTED = 1, 2, 3, 70, 130
"""70 is EX_SOFTWARE of sysexits.h: an error that nobody expected, which says nothing of any model."""
