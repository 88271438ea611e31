"""The `emeval` command on a terminal of its own (a pseudo-terminal), and everything that it writes there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

from tests.support.cli_runner import COMMAND, environment

_LONGEST_S = 240.0
"""Without a word, in all."""
_LOOK_S = 0.2


def on_terminal(
    *arguments: str | Path,
    url: str = "",
    env: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
    typed: bytes = b"",
    cwd: Path | None = None,
) -> tuple[int, str]:
    """Exit code and output of the finished command, whose standard streams are all one terminal of 40 by 160.

    `typed` is what its user has typed beforehand. Of the environment the variables `without` are taken away.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    variables = environment(url, {"TERM": "xterm-256color", **(env or {})})
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "LESS", *without):
        if name not in (env or {}):
            variables.pop(name, None)
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=variables,
        cwd=cwd,
        start_new_session=True,
    )
    os.close(slave)
    if typed:
        os.write(master, typed)
    out = _all_of(master, process)
    os.close(master)
    return process.wait(timeout=60), out.decode("utf-8", errors="replace")


def _all_of(master: int, process: subprocess.Popen[bytes]) -> bytes:
    parts: list[bytes] = []
    silent = 0
    while True:
        if silent * _LOOK_S > _LONGEST_S:
            process.kill()
            raise AssertionError(f"no end: {b''.join(parts)[-2000:]!r}")
        ready, _, _ = select.select([master], [], [], _LOOK_S)
        if not ready:
            if process.poll() is not None:
                break
            silent += 1
            continue
        data = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            data = os.read(master, 1 << 16)
        if not data:
            break
        parts.append(data)
    return b"".join(parts)
