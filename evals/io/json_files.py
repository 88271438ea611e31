"""Load emeval's own JSON files into their pydantic models."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from evals.errors import BadInput

_Model = TypeVar("_Model", bound=BaseModel)


def read_stored(path: Path, model: type[_Model], what: str) -> _Model | None:
    """The model in the file, None if there is no file. Raises BadInput; `what` is its noun, such as "a manifest"."""
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"]) or "file"
        raise BadInput(f"{path}: {field}: not {what} of this version of emeval") from None
