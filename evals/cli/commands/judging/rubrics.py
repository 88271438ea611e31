"""Commands about rubrics: which there are, what they say, and a first one of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.options import Json
from evals.cli.output import echo
from evals.cli.session import print_json

rubrics_app = typer.Typer(no_args_is_help=True, help="Judges' rubrics: list, show, start your own.")
app.add_typer(rubrics_app, name="rubrics")
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A judge: see `emeval rubrics list`.", autocompletion=completion.judges)
]


@rubrics_app.command(name="list")
def rubrics_list(json: Json = False) -> None:
    """List emeval's judges: what each measures, what it may reply, and the places of its rubric."""
    from evals.reporting.rubrics.listing import print_rubrics, rubric_facts

    if json:
        print_json(rubric_facts())
    else:
        print_rubrics()


@rubrics_app.command(name="show")
def rubrics_show(name: Name) -> None:
    """Print a rubric on stdout, with its places in braces; on stderr what it measures."""
    from evals.reporting.rubrics.listing import print_facts
    from evals.reporting.rubrics.template import entry_called

    entry = entry_called(name)
    print_facts(entry)
    echo(entry.own_rubric.template, nl=False)


@rubrics_app.command(name="new")
def rubrics_new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as mine.txt.")],
    name: Annotated[
        str,
        typer.Option("--judge", metavar="NAME", help="The judge that it is for.", autocompletion=completion.judges),
    ] = "alignment",
) -> None:
    """Write a rubric to start from: emeval's own, with comments on its places and replies. An existing file is kept."""
    from evals.reporting.rubrics.template import write_template
    from evals.text import quoted_path, shown_path

    entry = write_template(file, name)
    option = f"--rubric {entry.name}={quoted_path(file)}"
    echo(f"Written: {shown_path(file)}, for the judge {entry.name}. Change its text, then:")
    echo(f"  emeval run SUITE -m MODEL --judge JUDGE {option}")
    echo(f"  emeval judge RUN {option} --beside")
