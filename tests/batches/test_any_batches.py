"""Whatever becomes of a run's batches, every prompt ends as one outcome, which is that of the run online."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evals.batches.openai.asked import OpenAIBatches
from evals.batches.openai.rounds import Pace
from evals.errors import RunStopped
from evals.plan.options import build_config
from evals.reporting.console.progress import ConsoleView
from evals.runner.run import start_run
from tests.support.cli_runner import scenarios
from tests.support.runs_by_batch import TRIALS, environment_of, server, table
from tests.support.servers.batch_server import ROUTES, BatchServer, Ending, Fault, Lost
from tests.support.servers.openai_server import Raw, Reset, Status

ENDINGS = st.builds(
    Ending,
    status=st.sampled_from(["completed", "expired", "cancelled", "failed"]),
    share=st.floats(0, 1),
    errors=st.just([{"code": "invalid", "message": "no", "line": 1}]),
    silent=st.booleans(),
    states=st.lists(st.sampled_from(["validating", "in_progress", "finalizing", "paused"]), max_size=3),
)
FAULTS: st.SearchStrategy[dict[str, list[Fault]]] = st.dictionaries(
    st.sampled_from(ROUTES),
    st.lists(st.sampled_from([Status(500), Status(429), Reset(), Lost(), Raw(b"[]"), Reset(midway=True)]), max_size=2),
    max_size=3,
)


@pytest.fixture(scope="module")
def online() -> Iterator[pd.DataFrame]:
    with TemporaryDirectory() as folder, server().start() as live:
        run(live, Path(folder), {})
        yield table(Path(folder) / "run")


def run(live: BatchServer, folder: Path, options: dict[str, Any], shard: int = 50) -> None:
    data = folder / "d.jsonl"
    if not data.exists():
        scenarios(data, 6)
    given = {
        **{"suites": ("unethical_test",), "models": ("openai/subject",), "dataset": (str(data),), "format": "both"},
        **{"judge": ("openai/judge",), "judge_mode": "text", "trigger": "Country: Singapore", "preflight": False},
    }
    with mock.patch.dict(os.environ, environment_of(live)):
        quick = OpenAIBatches(shard, Pace(first_s=0.001, most_s=0.002))
        start_run(build_config(given | options, None), folder / "run", ConsoleView(quiet=True), by_batch=quick)


@settings(max_examples=25)
@given(endings=st.lists(ENDINGS, max_size=4), faults=FAULTS, shard=st.integers(5, 40), limit=st.integers(5, 60))
@example(endings=[Ending("cancelled", 0.5, silent=True)], faults={}, shard=40, limit=60)
@example(endings=[Ending("expired", 0.0, silent=True)], faults={"POST /v1/batches": [Lost()]}, shard=7, limit=5)
def test_any_batches_end_as_online(
    endings: list[Ending], faults: dict[str, list[Fault]], shard: int, limit: int, online: pd.DataFrame
) -> None:
    via = {"via": "openai-batch", "judge_via": "openai-batch"}
    live = server(endings=[*endings, Ending()], faults=faults, queue_limit=limit)
    said: list[str] = []
    with TemporaryDirectory() as folder, live.start():
        for _ in range(len(endings) + 1):
            try:
                run(live, Path(folder), via, shard)
                break
            except RunStopped as stopped:
                said.append(str(stopped))
        pd.testing.assert_frame_equal(table(Path(folder) / "run"), online)
        assert not (Path(folder) / "run" / "openai-batch").exists()
    assert len(live.asked) == TRIALS + 12
    assert set(live.asked.values()) == {1}
    assert all("was cancelled" in line or "failed: " in line for line in said)
