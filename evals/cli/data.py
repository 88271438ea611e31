"""Commands about question sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.acting import interrupt_on_sigterm, print_json, read_dotenv
from evals.cli.app import EXIT_BAD_INPUT, app
from evals.cli.options import Json
from evals.errors import BadInput

datasets_app = typer.Typer(no_args_is_help=True, help="Question sets: what there is, and whether a file is good.")
app.add_typer(datasets_app, name="datasets")


@datasets_app.command(name="list")
def datasets_list(json: Json = False) -> None:
    """List the question sets that come with emeval, and the official ones that it can fetch."""
    from rich.console import Console
    from rich.table import Table

    from evals.questions.dataset import check, data_folder
    from evals.questions.official.cached import fetched_names
    from evals.questions.official.registry import SOURCES

    own = {path.name: check(path).dataset for path in sorted(data_folder().glob("*.jsonl"))}
    if json:
        files = [
            {
                "file": name,
                "rows": len(dataset.scenarios) if dataset else None,
                "schema": dataset.schema if dataset else None,
                "sha256": dataset.sha256 if dataset else None,
            }
            for name, dataset in own.items()
        ]
        official = [
            {
                "name": source.name,
                "title": source.title,
                "licence": source.licence,
                "files": list(source.names),
                "fetched": fetched_names(source),
            }
            for source in SOURCES.values()
        ]
        print_json({"files": files, "official": official})
        return
    table = Table("file", "rows", "schema", "sha256")
    for name, dataset in own.items():
        facts = (
            (str(len(dataset.scenarios)), dataset.schema, dataset.sha256[:16]) if dataset else ("not readable", "", "")
        )
        table.add_row(name, *facts)
    Console().print(table)
    official = Table("official dataset", "what it is", "licence", "files fetched")
    for source in SOURCES.values():
        official.add_row(source.name, source.title, source.licence, f"{len(fetched_names(source))}/{len(source.names)}")
    Console().print(official)


@datasets_app.command(name="validate")
def datasets_validate(files: Annotated[list[Path], typer.Argument(metavar="FILE...")]) -> None:
    """Check scenario files; every bad row is named as file:line, field, reason."""
    from evals.questions.dataset import check

    bad = False
    for path in files:
        report = check(path)
        bad = bad or report.dataset is None
        for problem in report.problems:
            typer.echo(str(problem))
        if report.dataset is not None:
            typer.echo(f"{path}: {len(report.dataset.scenarios)} rows, schema {report.dataset.schema}, no problems")
    if bad:
        raise typer.Exit(EXIT_BAD_INPUT)


@datasets_app.command(name="fetch")
def datasets_fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Official datasets; `emeval datasets list` shows them.")
    ],
    mirror: Annotated[
        str | None, typer.Option("--from", help="A folder or URL with the files laid out as in the original.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this file, and what it is made of; repeatable.")] = None,
) -> None:
    """Bring official datasets into the cache, check them, and read them offline from then on."""
    from evals.questions.official.cached import find_source
    from evals.questions.official.fetch import fetch
    from evals.reporting.console.progress import FetchConsole

    read_dotenv()
    sources = [find_source(name) for name in dict.fromkeys(names)]
    if len(sources) > 1 and (mirror is not None or only):
        raise BadInput("--from and --only go with one dataset at a time")
    interrupt_on_sigterm()
    view = FetchConsole()
    for source in sources:
        for file in fetch(source, view, mirror=mirror, only=only or ()):
            state = "there already" if file.was_there else "fetched"
            trust = {"pinned": "as pinned", "first use": "as at first use", "made here": "made here"}[file.trust]
            typer.echo(f"{source.name}/{file.name}: {state}, {file.size:,} bytes, sha256 {file.sha256} ({trust})")
        typer.echo(f"{source.name}: {source.repository}, licence: {source.licence}")
