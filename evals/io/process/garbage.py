"""How often Python looks for garbage in cycles, of which emeval leaves next to none.

The collector walks what has been made lately for each 700 objects more than before, and all of it now and then. While
packages are imported and requests are in flight that is about a tenth of all time, and finds nothing.
"""

from __future__ import annotations

import atexit
import gc
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType

_RARE = (50_000, 20, 100)
"""In objects, and in passes over the younger ones: see gc.set_threshold. Cycles take a few megabytes at most."""
_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []
"""The thresholds that each block found which has not ended."""


@contextmanager
def rare_collection() -> Generator[None]:
    """Look for cycles rarely during the block. Blocks may overlap, in threads: the last to end puts the thresholds back
    that the first has found. Where the collector is off, it stays off."""
    with _lock:
        _before.append(gc.get_threshold())
        gc.set_threshold(*_RARE)
    try:
        yield
    finally:
        with _lock:
            found = _before[0]
            if len(_before) == 1:
                _take_all_for_old()
                gc.set_threshold(*found)
            _before.pop()


def _take_all_for_old() -> None:
    """Let no pass over the young walk all that was made meanwhile: most of it stays for as long as the process."""
    if not gc.get_freeze_count():  # what somebody has frozen must stay so
        gc.freeze()
        gc.unfreeze()


def collect_rarely() -> None:
    """The same for the rest of a process that is emeval's own.

    As it ends, Python would look for cycles among all that was imported, several times: a quarter of a second with
    pandas and scipy, for memory that the system takes back anyway. So nothing is looked through then.
    """
    gc.set_threshold(*_RARE)
    atexit.register(_look_through_nothing)


def _look_through_nothing() -> None:
    """Packages bound by nanobind, such as DuckDB, print what of them is left at the end: they are looked through."""
    if not any(map(_is_bound_by_nanobind, list(sys.modules.values()))):
        gc.freeze()


def _is_bound_by_nanobind(module: ModuleType) -> bool:
    names = getattr(module, "__dict__", {})
    is_compiled = str(names.get("__file__")).endswith(tuple(EXTENSION_SUFFIXES))
    return is_compiled and any(str(type(value).__module__) == "nanobind" for value in list(names.values()))
