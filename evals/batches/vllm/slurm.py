"""The files that a run still lacks as an array job for Slurm: each task has `vllm run-batch` answer one of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evals.batches.export import ExportOptions, export_stage
from evals.batches.runs import FOLDER, open_planned
from evals.batches.shard import DEFAULT_SHARD, Shard
from evals.batches.vllm.launches import facts_of, launched_models
from evals.endpoints.servers.vllm_launch import Launch, batch_command
from evals.errors import BadInput
from evals.io.atomic import write_whole
from evals.plan.manifest import write_manifest
from evals.runner.view import RunView
from evals.text import is_text

RESULTS = "*.results.jsonl"
_PARTITION = re.compile(r"[A-Za-z0-9_.,-]+")
_TIME = re.compile(r"[0-9]+(?:[:-][0-9]+){0,3}")


class SlurmOptions(NamedTuple):
    """What each task gets, and how many of them run at once. `time` is as Slurm writes it; "" leaves it, and the
    `partition`, to the cluster."""

    partition: str = ""
    gpus: int = 1
    time: str = ""
    at_once: int = 8
    shard: int = DEFAULT_SHARD

    def check(self) -> None:
        """Raises BadInput for what would be another line of the script."""
        if self.partition and not _PARTITION.fullmatch(self.partition):
            raise BadInput("--partition: give the names of partitions, with commas between")
        if self.time and not _TIME.fullmatch(self.time):
            raise BadInput("--time: give it as Slurm does: 90 (minutes), 4:00:00 or 1-12:00:00")


class SlurmJob(NamedTuple):
    """The script, and the files of requests that its tasks answer, in their order."""

    script: Path
    shards: Sequence[Shard]


def slurm_job(
    folder: Path, told: Mapping[str, object], options: SlurmOptions, out: Path | None, view: RunView
) -> SlurmJob | None:
    """Write the files of requests that the run in `folder` still lacks, and the script that has them answered, to `out`
    or beside them; None where nothing is missing. Raises BadInput."""
    options.check()
    path = (out or _free(folder / FOLDER)).absolute()
    if not is_text(str(path)) or not is_text(str(folder.absolute())):
        raise BadInput("a path holds bytes that are not UTF-8 text, which no script can name; move it")
    if out is not None and not path.parent.is_dir():
        raise BadInput(f"--out: there is no folder {path.parent}")
    with open_planned(folder, told, view) as (session, plan):
        launches = launched_models(session, plan, elsewhere=True)
        models = session.manifest.models
        launch_of: dict[str, Launch] = {}
        for launched in launches:
            for warning in launched.launch.warnings:
                view.say(warning)
            models = models | facts_of(launched, models)
            launch_of |= dict.fromkeys(launched.models, launched.launch)
        shards = export_stage(session, plan, ExportOptions("vllm", shard=options.shard), folder / FOLDER)
        if not shards:
            return None
        write_manifest(folder, session.manifest.model_copy(update={"models": models}))
        tasks = [(shard.path.absolute(), launch_of[shard.model]) for shard in shards]
        write_whole(path, "".join(f"{line}\n" for line in script_lines(tasks, options)))
        return SlurmJob(path, shards)


def script_lines(tasks: Sequence[tuple[Path, Launch]], options: SlurmOptions) -> Iterator[str]:
    """The script, line by line. A task writes to a name of its own, and its results are there whole or not at all."""
    launches = list({id(launch): launch for _, launch in tasks}.values())
    yield "#!/bin/bash"
    yield "#SBATCH --job-name=emeval"
    yield f"#SBATCH --array=0-{len(tasks) - 1}%{options.at_once}"
    yield f"#SBATCH --gpus={options.gpus}"
    for name in ("partition", "time"):
        if value := getattr(options, name):
            yield f"#SBATCH --{name}={value}"
    yield "# By `emeval batch slurm`: each task answers one file of requests, unless it has its results by now."
    yield "set -euo pipefail"
    yield from _array("requests", (str(requests) for requests, _ in tasks))
    yield from _array("results", (str(results_of(requests)) for requests, _ in tasks))
    yield from _array("models", (str(launches.index(launch)) for _, launch in tasks))
    yield "task=${SLURM_ARRAY_TASK_ID:?start this script with sbatch}"
    yield "if [[ -e ${results[task]} ]]; then"
    yield '  echo "its results are there: ${results[task]}"'
    yield "  exit 0"
    yield "fi"
    yield "case ${models[task]} in"
    for number, launch in enumerate(launches):
        yield f"{number}) command=({' '.join(map(shlex.quote, batch_command(launch)))}) ;;"
    yield "esac"
    yield "part=${results[task]}.part"
    yield '"${command[@]}" -i "${requests[task]}" -o "$part"'
    yield 'mv -- "$part" "${results[task]}"'


def results_of(requests: Path) -> Path:
    """Where the results of a file of requests go."""
    return requests.with_name(f"{requests.stem}.results.jsonl")


def _array(name: str, words: Iterable[str]) -> Iterator[str]:
    yield f"{name}=("
    for word in words:
        yield f"  {shlex.quote(word)}"
    yield ")"


def _free(folder: Path) -> Path:
    """The first job of the run that is not there yet."""
    number = 1
    while (folder / f"job-{number}.sh").exists():
        number += 1
    return folder / f"job-{number}.sh"
