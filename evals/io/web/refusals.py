"""Why a server does not hand out a file, where the caller needs to tell that from other errors."""

from __future__ import annotations

from evals.errors import BadInput


class LfsPointer(BadInput):
    """A git-lfs pointer stands in the place of the file."""


class NotThere(BadInput):
    """The server has no such file."""


class NotAllowed(BadInput):
    """The server refuses the file."""
