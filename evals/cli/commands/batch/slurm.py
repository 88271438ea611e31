"""The command that has a cluster sample what a run lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.commands.batch.commands import TOLD_AGAIN
from evals.cli.commands.batch.openai import batch_app
from evals.cli.options import Json, Quiet, RunFolder, Settings, Shard, with_settings
from evals.cli.session import Output, interrupt_on_sigterm, print_json
from evals.io.environment import read_dotenv
from evals.numbers import counted
from evals.text import quoted_path


@batch_app.command(name="slurm")
@with_settings(*TOLD_AGAIN, over_run=True)
def batch_slurm(
    settings: Settings,
    folder: RunFolder,
    partition: Annotated[str, typer.Option(metavar="NAME", help="Slurm's partition; default: the cluster's.")] = "",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of a task.")] = 1,
    time: Annotated[str, typer.Option(metavar="TIME", help="Time limit of a task, such as 4:00:00.")] = "",
    at_once: Annotated[int, typer.Option("--at-once", min=1, help="Tasks that run at once, at most.")] = 8,
    shard: Shard = 5_000,
    out: Annotated[Path | None, typer.Option(help="The script; default: job-N.sh in the run's batch folder.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Write the answers that a run still lacks as an array job for Slurm: `vllm run-batch` answers a file a task."""
    from evals.batches.vllm.slurm import RESULTS, SlurmOptions, slurm_job
    from evals.plan.recorded.told_again import command_again

    read_dotenv()
    interrupt_on_sigterm()
    output = Output(quiet, json)
    view = output.view()
    job = slurm_job(folder, settings, SlurmOptions(partition, gpus, time, at_once, shard), out, view)
    if json:
        files = [] if job is None else [str(one.path) for one in job.shards]
        print_json({"script": None if job is None else str(job.script), "files": files})
    if job is None:
        view.out.print("Nothing is missing that could go by file.", markup=False)
        return
    folders = dict.fromkeys(one.path.parent for one in job.shards)
    globs = " ".join(f"{quoted_path(place)}/{RESULTS}" for place in folders)
    total = sum(one.count for one in job.shards)
    view.out.print(
        f"{counted(len(job.shards), 'task')} with {counted(total, 'request')}. Then:", markup=False, soft_wrap=True
    )
    view.out.print(f"sbatch {quoted_path(job.script)}", markup=False, soft_wrap=True)
    again = command_again("batch import", folder, sampling=True)
    view.out.print(f"{again} {globs}", markup=False, soft_wrap=True)
