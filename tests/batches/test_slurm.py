"""The array job of a run: run by bash, task by task, with a program that looks like `vllm run-batch`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.batches.vllm.slurm import SlurmOptions, results_of, script_lines
from evals.endpoints.servers.vllm_launch import Launch
from tests.support.cli_runner import emeval, manifest, told_again
from tests.support.paths import ROOT
from tests.support.runs_by_batch import table
from tests.support.servers.batch_server import BatchServer
from tests.support.vllm_batches import MODELS, TRIALS, Place, server


@pytest.fixture
def live() -> Iterator[BatchServer]:
    with server().start() as live:
        yield live


def start(script: Path, task: int, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A task, as Slurm starts it."""
    return subprocess.run(
        ["bash", str(script)],
        env=os.environ | environment | {"SLURM_ARRAY_TASK_ID": str(task), "PYTHONPATH": str(ROOT)},
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_array_job_samples_what_is_missing_as_the_run_online_does(tmp_path: Path, live: BatchServer) -> None:
    folder = tmp_path / "it's here $(touch x)"
    folder.mkdir()
    place = Place(folder, live)
    assert emeval(*place.words("--plan-only"), env=place.env()).returncode == 0
    asked = ("--vllm-bin", str(place.vllm), "--shard", "20", "--partition", "gpu,a100", "--gpus", "2", "--at-once", "3")
    done = emeval("batch", "slurm", place.run, *told_again(place.run), *asked, "--time", "4:00:00", env=place.env())
    assert done.returncode == 0, done.stderr
    submit, take_in = done.stdout.strip().splitlines()[-2:]
    script = Path(shlex.split(submit)[1])
    text = script.read_text()
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    for line in ("--array=0-3%3", "--gpus=2", "--partition=gpu,a100", "--time=4:00:00"):
        assert f"#SBATCH {line}\n" in text
    for task in (3, 0, 2):
        ran = start(script, task, place.env())
        assert ran.returncode == 0, ran.stderr
    failed = start(script, 1, place.env("die"))
    assert failed.returncode == 1
    imported = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m evals {take_in.removeprefix('emeval ')}"],
        env=os.environ | place.env() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 3, imported.stderr
    assert "16 still missing" in imported.stderr
    ran = start(script, 1, place.env())
    assert ran.returncode == 0, ran.stderr
    starts = len(place.starts)
    ran = start(script, 1, place.env())
    assert "its results are there" in ran.stdout
    assert len(place.starts) == starts, "what is answered is not asked again"
    files = sorted(place.run.glob("batch/*/*.results.jsonl"))
    imported = emeval("batch", "import", place.run, *told_again(place.run), *files, env=place.env())
    assert f"{16} recorded" in imported.stderr, imported.stderr
    assert manifest(place.run)["models"][MODELS[1]]["file_sha256"]
    assert not list(folder.rglob("x"))
    done = place.resume()
    assert done.returncode == 0, done.stderr
    (tmp_path / "online").mkdir()
    online = Place(tmp_path / "online", live)
    assert emeval(*online.words(), env=online.env(online=True)).returncode == 0
    pd.testing.assert_frame_equal(table(place.run), table(online.run))
    assert len(table(place.run)) == TRIALS
    again = emeval("batch", "slurm", place.run, *told_again(place.run), env=place.env())
    assert "Nothing is missing" in again.stdout


WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(folder=WORD.map(lambda text: text.replace("/", "_")), words=st.lists(WORD, max_size=3), base=WORD)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_word_comes_to_vllm_as_it_was(tmp_path: Path, folder: str, words: list[str], base: str) -> None:
    place = tmp_path / f"_{folder[:40]}"
    place.mkdir(exist_ok=True)
    program = place / "a vllm"
    code = "import json, sys; open(sys.argv[sys.argv.index('-o', -4) + 1], 'w').write(json.dumps(sys.argv[1:]))"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    launch = Launch(str(program), tuple(words), base, None, (base,), (), {}, ())
    requests = place / "requests-0001.jsonl"
    script = place / "job.sh"
    script.write_text("".join(f"{line}\n" for line in script_lines([(requests, launch)], SlurmOptions())), newline="")
    results_of(requests).unlink(missing_ok=True)
    ran = start(script, 0, {})
    assert ran.returncode == 0, ran.stderr
    told = json.loads(results_of(requests).read_text())
    part = f"{results_of(requests)}.part"
    expected = ["run-batch", "--model", base, "--served-model-name", base, *words, "-i", str(requests), "-o", part]
    assert told == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--partition", "a\n#SBATCH --wrap=x"), "--partition: give the names"),
        (("--time", "1;x"), "--time: give it as Slurm does"),
        (("--out", "none/job.sh"), "--out: there is no folder"),
        (("--shard", "50001"), "--shard: a file for vllm holds"),
    ],
)
def test_what_no_script_can_be_made_of_is_one_line(
    tmp_path: Path, live: BatchServer, options: tuple[str, ...], said: str
) -> None:
    place = Place(tmp_path, live)
    assert emeval(*place.words("--plan-only"), env=place.env()).returncode == 0
    done = emeval("batch", "slurm", place.run, *told_again(place.run), *options, env=place.env(), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"emeval: {said}"), done.stderr
    assert not (place.run / "batch").exists()


def test_a_model_at_a_url_is_refused(tmp_path: Path, live: BatchServer) -> None:
    place = Place(tmp_path, live)
    assert emeval(*place.words("--plan-only"), env=place.env()).returncode == 0
    done = emeval("batch", "slurm", place.run, *told_again(place.run), env=place.env(online=True))
    assert done.returncode == 2
    assert "it is at a URL" in done.stderr
