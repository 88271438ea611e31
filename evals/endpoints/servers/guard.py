"""Runs a server and ends it, with all that it has started, when emeval is no longer there.

    python guard.py COMMAND...        standard input: the reading end of a pipe that emeval holds

A process that is killed with SIGKILL cleans nothing up, but the kernel closes its pipes. So this small process stands
between emeval and the server, in a session of its own that no Ctrl-C reaches: when its standard input ends, for
whatever reason, it ends the server's processes: first politely, then for good. It ends when the server does, with its
exit code, or 128 and the number of the signal that killed it. Only the standard library, and nothing of emeval: it is
run as a file.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GRACE_S = 10.0
"""Seconds that the server's processes get between SIGTERM and SIGKILL."""

_LOOK_EVERY_S = 0.1


def main(command: list[str]) -> int:
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    # Its session has the number of its first process, and keeps it whatever groups the server makes in it.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    try:
        while child.poll() is None and not stopping:
            readable, _, _ = select.select([0], [], [], _LOOK_EVERY_S)
            stopping = stopping or bool(readable and not os.read(0, 1024))
        if child.poll() is None:
            _signal_all(child.pid, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_S
            while time.monotonic() < deadline and (child.poll() is None or any(_members(child.pid))):
                time.sleep(_LOOK_EVERY_S)
    finally:
        _signal_all(child.pid, signal.SIGKILL)
        code = child.wait()
    return code if code >= 0 else 128 - code


def _signal_all(session: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, number)
    for process in _members(session):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _members(session: int) -> Iterator[int]:
    """The living processes of a session, where the system lists them (Linux); elsewhere the group has to do."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            state, _, _, itself = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(itself) == session and state != "Z":
                yield int(entry.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
