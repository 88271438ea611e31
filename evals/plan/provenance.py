"""What a run was made with: the time, the versions of packages, the git revision."""

from __future__ import annotations

import functools
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata

from evals import __version__
from evals.io.environment import child_environment
from evals.io.package import checkout_folder

_PACKAGES = ("openai", "aiohttp", "pandas", "scipy", "pydantic", "tenacity", "xllamacpp")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Python, emeval, and the packages that a number can depend on."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {"emeval": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def git_revision() -> str | None:
    """The revision of the checkout that emeval runs from, with `-dirty` when it has changes; None outside of one."""
    root = checkout_folder()
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env=child_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
