"""Import large packages while something else is waited for."""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import suppress


def import_meanwhile(package: str) -> None:
    """Import `package` in a thread, so that it is there when it is needed.

    For packages of others alone: two threads that import modules which import one another may see one half-made.
    """
    if package not in sys.modules:
        threading.Thread(target=_imported, args=(package,), name=f"import-{package}", daemon=True).start()


def _imported(package: str) -> None:
    with suppress(Exception):  # the import that needs it is made again, and says what is wrong
        importlib.import_module(package)
