"""What is printed of an error that nobody expected: one line, or with --debug the traceback. Keys are in neither."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from evals.io.environment import secrets_in
from evals.io.package import checkout_folder
from evals.text import one_line, printable, redact

VARIABLE = "EMEVAL_DEBUG"
_SECRET_TEXT = re.compile(r"(?i)(bearer\s+)\S+|\b(?:sk|hf|xai|gsk)[-_][\w-]{8,}")


def is_asked_for() -> bool:
    """Whether EMEVAL_DEBUG asks for tracebacks."""
    return os.environ.get(VARIABLE, "").strip() not in ("", "0")


def in_one_line(error: Exception) -> str:
    """What happened, where, and what to do; no path outside of emeval."""
    said = without_keys(one_line(str(error), 200))
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    where = next(_places(error), None)
    return (
        f"unexpected {what}{f' (in {where})' if where else ''}. That is a defect of emeval, or of a machine that does "
        "not do what it should: run the same command as `emeval --debug ...` for the traceback, and report that"
    )


def full_traceback(error: Exception) -> str:
    """The traceback, without keys and without anything that steers a terminal."""
    return printable(without_keys("".join(traceback.format_exception(error))))


def without_keys(text: str) -> str:
    """`text` without the keys that the environment holds, and without what looks like one."""
    for secret in secrets_in(os.environ):
        text = redact(text, secret)
    return _SECRET_TEXT.sub(lambda found: f"{found[1] or ''}[key]", text)


def _places(error: Exception) -> Iterator[str]:
    """Where in emeval it happened, the innermost place first."""
    root = checkout_folder()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and "site-packages" not in path.relative_to(root).parts:
            yield f"{path.relative_to(root)}:{frame.lineno}"
