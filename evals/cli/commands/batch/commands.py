"""The commands that write what a run lacks as batch files, and take in their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evals.cli.app import EXIT_INCOMPLETE, app
from evals.cli.options import Detail, Json, Quiet, RetryFailed, RunFolder, Settings, Shard, with_settings
from evals.cli.session import Output, interrupt_on_sigterm, print_json, show_result
from evals.io.environment import read_dotenv
from evals.text import shown_path

if TYPE_CHECKING:
    from evals.batches.importing import ImportCounts, StageCounts
    from evals.batches.shard import Shard as BatchShard

batch_app = typer.Typer(no_args_is_help=True, help="Requests by file: export them, import the results.")
app.add_typer(batch_app, name="batch")


TOLD_AGAIN = (
    *("models", "dataset", "judges", "judge", "rubrics", "anchors", "base_url", "base", "judge_base_url"),
    *("ray_address", "vllm_bin", "vllm_args", "prices", "providers", "max_reply_mb"),
)
"""What no manifest is believed about, as with `emeval resume`, and the limit of a line of results."""


@batch_app.command(name="export")
@with_settings(*TOLD_AGAIN, over_run=True)
def batch_export(
    settings: Settings,
    folder: RunFolder,
    target: Annotated[
        Literal["openai", "vllm", "anthropic"],
        typer.Option(
            "--for",
            metavar="openai|vllm|anthropic",
            help="Who will answer: OpenAI's Batch API, `vllm run-batch`, Anthropic's Message Batches.",
        ),
    ],
    stage: Annotated[
        Literal["answers", "judge"],
        typer.Option("--stage", metavar="answers|judge", help="Ask the models, or the judges of their answers."),
    ] = "answers",
    shard: Shard = 5_000,
    retry_failed: RetryFailed = False,
    out: Annotated[Path | None, typer.Option(help="Where the folders go; default: batch in the run folder.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the requests that a run still lacks as batch files. One folder for each model, or each judge model."""
    from evals.batches.export import ExportOptions
    from evals.batches.runs import export_run
    from evals.plan.recorded.told_again import command_again

    read_dotenv()
    interrupt_on_sigterm()
    output = Output(quiet, json)
    view = output.view()
    options = ExportOptions(target, stage, shard, retry_failed)
    shards = export_run(folder, settings, options, out, view)
    if json:
        print_json({"files": [_as_json(shard) for shard in shards]})
    for shard_folder in dict.fromkeys(shard.path.parent for shard in shards):
        files = [shard for shard in shards if shard.path.parent == shard_folder]
        said = f"{shown_path(shard_folder)}/: {_requests(sum(it.count for it in files))} to {files[0].served_name}"
        view.out.print(f"{said}, in {_files(len(files))}", markup=False, soft_wrap=True)
    if not shards:
        view.out.print("Nothing is missing that could go by file.", markup=False)
        return
    again = command_again("batch import", folder, sampling=True)
    view.out.print(f"With their results: {again} FILE...", style="dim", markup=False, soft_wrap=True)


@batch_app.command(name="import")
@with_settings(*TOLD_AGAIN, "max_unscored", over_run=True)
def batch_import(
    settings: Settings,
    folder: RunFolder,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The files that batches returned.")],
    detail: Detail = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Record the results of batch files in a run, and write its tables. Exits with 3 while requests are missing."""
    from evals.batches.runs import import_into_run

    read_dotenv()
    interrupt_on_sigterm()
    output = Output(quiet, json, detail)
    view = output.view()
    counts, result = import_into_run(folder, settings, files, view)
    code = 0 if counts.is_all else EXIT_INCOMPLETE
    for line in _lines(counts, folder):
        view.say(line)
    show_result(folder, result, output, view, code=code)


def _lines(counts: ImportCounts, folder: Path) -> list[str]:
    """What came of an import, in a line for each stage that there was something of."""
    from evals.plan.recorded.told_again import command_again

    lines = [_line("answers", counts.answers), _line("verdicts", counts.judge)]
    if counts.doubles:
        lines.append(f"{counts.doubles:,} lines were in the files more than once")
    if not counts.is_all:
        again = command_again("resume", folder, sampling=True)
        lines.append(f"what is missing: online with {again}, or by file with another emeval batch export")
    return [line for line in lines if line]


def _line(what: str, counts: StageCounts) -> str:
    if not any(counts):
        return ""
    failed = f", {counts.failed:,} of them failed" if counts.failed else ""
    known = f"; {counts.known:,} were recorded before" if counts.known else ""
    return f"{what}: {counts.recorded:,} recorded{failed}{known}; {counts.pending:,} still missing"


def _as_json(shard: BatchShard) -> dict[str, object]:
    return {
        "path": str(shard.path),
        "stage": shard.stage,
        "model": shard.model,
        "served_name": shard.served_name,
        "base_url": shard.base_url,
        "requests": shard.count,
        "sha256": shard.sha256,
    }


def _requests(count: int) -> str:
    return f"{count:,} request{'' if count == 1 else 's'}"


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"
