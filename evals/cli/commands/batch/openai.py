"""The commands about the batches that a run with `--via openai-batch` has at its servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evals.cli.app import EXIT_INCOMPLETE
from evals.cli.commands.batch.commands import batch_app
from evals.cli.options import Json, Quiet, RunFolder, Settings, with_settings
from evals.cli.session import Output, print_json
from evals.io.environment import read_dotenv
from evals.numbers import counted
from evals.text import one_line, program, quoted_path

if TYPE_CHECKING:
    from evals.batches.openai.overview import SeenBatch, Urls


@batch_app.command(name="status")
@with_settings("base_url", "judge_base_url", "providers")
def batch_status(settings: Settings, folder: RunFolder, json: Json = False) -> None:
    """Show the batches of a run with `--via openai-batch`, and how far their server is with them."""
    from evals.batches.openai.overview import see_batches

    read_dotenv()
    output = Output(json=json)
    seen = asyncio.run(see_batches(folder, _urls(settings), output.view()))
    _print(seen, output)
    if not seen and not json:
        output.view().out.print("This run has no batches at a server.", markup=False)


@batch_app.command(name="cancel")
@with_settings("base_url", "judge_base_url", "providers")
def batch_cancel(
    settings: Settings,
    folder: RunFolder,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Give up batches that their server does not know any more: asked again later."),
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Cancel the batches of a run that are at work. What is done by then is paid; `emeval resume` records it."""
    from evals.batches.openai.overview import cancel_batches

    read_dotenv()
    output = Output(quiet, json)
    view = output.view()
    seen = asyncio.run(cancel_batches(folder, _urls(settings), view, forget=forget))
    _print(seen, output)
    if not seen:
        view.out.print("No batch of this run is at work.", markup=False)
        return
    resume = f"{program()} resume {quoted_path(folder)}"
    said = f"{resume} records what was done by then, and asks the rest again; with --via online, online"
    view.out.print(said, style="dim", markup=False, soft_wrap=True)
    if any(one.problem for one in seen) and not forget:
        raise typer.Exit(EXIT_INCOMPLETE)


def _urls(settings: Settings) -> Urls:
    from evals.batches.openai.overview import Urls

    return Urls(settings.get("base_url"), settings.get("judge_base_url"), settings.get("providers"))


def _print(seen: Sequence[SeenBatch], output: Output) -> None:
    if output.json:
        print_json({"batches": [_as_json(one) for one in seen]})
        return
    view = output.view()
    for one in seen:
        view.out.print(_line(one), markup=False, soft_wrap=True)


def _line(one: SeenBatch) -> str:
    record = one.record
    name = one_line(record.id or record.file, 80)
    counts = one.batch.request_counts if one.batch is not None else None
    done = "" if counts is None else f", {counts.completed:,} done, {counts.failed:,} failed"
    problem = f": {one.problem}" if one.problem else ""
    status = one_line(one.status, 60)
    return f"{name} {status}: {record.stage} of {record.model}, {counted(record.requests, 'request')}{done}{problem}"


def _as_json(one: SeenBatch) -> dict[str, Any]:
    kept = {"number", "stage", "model", "base_url", "requests", "state", "id", "file_id", "created_at"}
    found: dict[str, Any] = one.record.model_dump(mode="json", include=kept)
    counts = None if one.batch is None else one.batch.request_counts.model_dump()
    return found | {"status": one.status, "counts": counts, "problem": one.problem}
