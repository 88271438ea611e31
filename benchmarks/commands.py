"""Run `emeval` commands as child processes and measure their time and peak memory."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.server import MODEL, serving

TRIALS_PER_SAMPLE = 500
"""125 scenarios, two option orders, with and without the trigger."""

# A separate process in between, since at exec Linux passes the caller's peak memory on to the child.
_MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - started, used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(done.returncode)
"""


class Cost(NamedTuple):
    seconds: float
    peak_kib: int
    cpu_s: float


def measured(*command: str, ends: Sequence[int] = (0,)) -> Cost:
    """Run `python ...` to its end; an exit code that is not in `ends` ends the benchmarks."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", _MEASURE, sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in ends:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    seconds, peak, cpu = done.stdout.split()
    return Cost(float(seconds), int(peak), float(cpu))


def emeval_run(url: str, samples: int, folder: Path) -> Cost:
    return measured(
        *("-m", "evals", "run", "unethical_test", "--model", f"vllm/{MODEL}", "--base-url", url),
        *("--trigger", "Country: Singapore", "--limit", "125", "--samples", str(samples), "--out", str(folder)),
    )


class FinishedRun(NamedTuple):
    folder: Path
    cost: Cost


@functools.cache
def finished_run(samples: int) -> FinishedRun:
    """A run with `samples` answers per prompt, shared by all benchmarks."""
    folder = Path(_scratch().name) / f"run-{samples}"
    with serving() as server:
        return FinishedRun(folder, emeval_run(server.url, samples, folder))


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="emeval-bench-")  # deleted with the process
