"""The collector of garbage looks rarely while a run is at work, and then as its user had it."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from evals.io.process.garbage import rare_collection
from tests.support.cli_runner import environment


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before, was_on = gc.get_threshold(), gc.isenabled()
    yield
    gc.set_threshold(*before)
    (gc.enable if was_on else gc.disable)()


class Knot:
    def __init__(self) -> None:
        self.me = self


def test_blocks_that_overlap_leave_the_thresholds_that_the_first_found() -> None:
    gc.set_threshold(701, 11, 12)
    first, second = rare_collection(), rare_collection()
    first.__enter__()
    second.__enter__()
    assert gc.get_threshold()[0] > 10_000
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] > 10_000
    second.__exit__(None, None, None)
    assert gc.get_threshold() == (701, 11, 12)


def test_an_error_ends_the_block_and_what_was_made_in_it_can_still_be_collected() -> None:
    found: list[weakref.ref[Knot]] = []

    def work() -> None:
        with rare_collection():
            found.append(weakref.ref(Knot()))
            raise KeyError

    with pytest.raises(KeyError):
        work()
    gc.collect()
    assert found[0]() is None


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with rare_collection():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_what_a_program_has_frozen_stays_frozen() -> None:
    code = """
import gc
import emeval
gc.freeze()
frozen, thresholds = gc.get_freeze_count(), gc.get_threshold()
emeval.run
assert gc.get_freeze_count() > frozen // 2 > 0
assert gc.get_threshold() == thresholds
"""
    subprocess.run([sys.executable, "-c", code], env=environment(), timeout=60, check=True)


def test_a_process_that_ends_looks_through_nothing() -> None:
    code = """
import gc
from evals.io.process.garbage import collect_rarely

class Knot:
    def __init__(self) -> None:
        self.me = self
    def __del__(self) -> None:
        print("collected", flush=True)

collect_rarely()
kept = Knot()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), timeout=60, check=True, capture_output=True, text=True
    )
    assert done.stdout == ""


def test_nothing_is_said_of_what_duckdb_leaves() -> None:
    code = "from evals.io.process.garbage import collect_rarely; collect_rarely(); import duckdb; duckdb.connect()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), timeout=60, check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("", "")
