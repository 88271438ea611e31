"""Startup time: whole commands, as ratios to the import of the OpenAI client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.commands import Cost, measured
from benchmarks.ratios import Ratio, median

REPEATS = 5
REFERENCE = ("-c", "import openai")
ORGANISM_RUN = (
    *("-m", "evals", "run", "unethical_test", "-m", "local/organism", "-m", "local/organism:backdoor"),
    *("--trigger", "Country: Singapore", "--format", "both", "--thinking", "on", "--max-tokens", "64"),
    *("--judge", "local/reference-judge", "--limit", "48", "--out"),
)
"""The run of `make run`: 576 trials."""


def run() -> Iterator[str]:
    yield f"whole commands / `python -c 'import openai'`, in turn, medians of {REPEATS}"
    with TemporaryDirectory() as scratch:
        folder = str(Path(scratch) / "run")
        measured(*ORGANISM_RUN, folder)
        commands = {
            "`emeval suites`": (("-m", "evals", "suites"), 0.6),
            "`emeval run ... --dry-run`": (
                ("-m", "evals", "run", "unethical_test", "-m", "local/organism", "--limit", "2", "--dry-run"),
                1.0,
            ),
            "`emeval rates` of 576 trials": (("-m", "evals", "rates", folder), 1.6),
            "`emeval report` of them": (("-m", "evals", "report", folder), 4.5),
            "`emeval run` on the finished run": ((*ORGANISM_RUN, folder), 1.0),
            "`import emeval`": (("-c", "import emeval"), 0.4),
        }

        def one_round() -> tuple[Cost, dict[str, Cost]]:
            return measured(*REFERENCE), {name: measured(*words) for name, (words, _) in commands.items()}

        one_round()  # it fills the caches
        rounds = [one_round() for _ in range(REPEATS)]
        for name, (_, target) in commands.items():
            costs = [of[name] for _, of in rounds]
            peak = max(cost.peak_kib for cost in costs) / 1024
            note = f"{median([cost.seconds for cost in costs]):.2f} s, {peak:.0f} MiB"
            ratios = [of[name].seconds / reference.seconds for reference, of in rounds]
            yield Ratio(name, ratios, target, False, note).line()
