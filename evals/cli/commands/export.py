"""The command that writes a run for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolder
from evals.cli.output import echo
from evals.errors import BadInput
from evals.numbers import counted
from evals.text import quoted_path, shown_path

_TARGETS = {
    "inspect": "inspect",
    "jsonl": "responses.jsonl",
    "parquet": "responses.parquet",
    "hf": "hf",
    "wandb": "wandb",
}
"""What there is, and how it is called below RUN/exports."""


@app.command()
def export(
    folder: RunFolder,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="inspect (.eval logs), jsonl, parquet, hf (a folder for Hugging Face datasets), or wandb (rates).",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file (jsonl, parquet) or folder to write; in RUN/exports unless said."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older export.")] = False,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="NAME", help="hf: what the card says, such as cc-by-4.0.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="wandb: the project, emeval unless said.")] = None,
) -> None:
    """Write a run in the format of another tool."""
    if format not in _TARGETS:
        raise BadInput(f"--format: {format!r} is not one of {', '.join(_TARGETS)}")
    if licence is not None and format != "hf":
        raise BadInput("--license: is for the card of --format hf")
    if project is not None and format != "wandb":
        raise BadInput("--project: is for --format wandb")
    target = out or folder / "exports" / _TARGETS[format]
    if out is None:
        from evals.io.folders.strange_files import refuse_linked_folder

        refuse_linked_folder(target.parent)
        if format == "wandb":  # the others replace what is there
            refuse_linked_folder(target)
    if not (folder / "manifest.json").is_file():
        raise BadInput(f"{folder} is not a run folder: it has no manifest.json")
    from evals.reporting.console.progress import ConsoleView

    with ConsoleView().busy("writing the answers ..."):
        said = _export(folder, format, target, force=force, licence=licence, project=project)
    echo(said)


def _export(
    folder: Path, target_format: str, target: Path, *, force: bool, licence: str | None, project: str | None
) -> str:
    """Write the run, and say in a line where it is."""
    match target_format:
        case "inspect":
            from evals.reporting.exports.inspect_log import export_inspect

            files = export_inspect(folder, target, force=force)
            shown = f"inspect view --log-dir {quoted_path(target)}"
            return f"Written: {shown_path(target)}/ ({counted(len(files), 'log')}); look at them with: {shown}"
        case "jsonl":
            from evals.reporting.exports.jsonl import export_jsonl

            return f"Written: {shown_path(target)} ({counted(export_jsonl(folder, target, force=force), 'trial')})"
        case "parquet":
            from evals.reporting.exports.parquet import export_parquet

            return f"Written: {shown_path(target)} ({counted(export_parquet(folder, target, force=force), 'trial')})"
        case "hf":
            from evals.reporting.exports.parquet import export_hf

            written = export_hf(folder, target, force=force, licence=licence)
            loaded = f"datasets.load_dataset({str(target)!r})"
            return f"Written: {shown_path(target)}/ ({counted(written, 'trial')}); load it with: {loaded}"
        case _:
            from evals.reporting.exports.weights_and_biases import export_wandb

            where = export_wandb(folder, target, project=project)
            offline = Path(where).is_dir()
            return f"Logged: {where}" + (f"; send it with: wandb sync {quoted_path(where)}" if offline else "")
