"""Files that a person asked for, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evals.errors import BadInput


def write_whole(path: Path, content: str | bytes) -> None:
    """Put `content` in place of `path` in one step. Raises BadInput; what was there before then stays."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
