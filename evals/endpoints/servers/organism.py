"""The organism by its name: `organism`, or `organism:backdoor` for one of its adapters, at either kind of server."""

from __future__ import annotations

from pathlib import Path

from evals.errors import BadInput
from organisms.behaviours import MODELS
from organisms.true_rates import weights_folder

NAME = "organism"


def is_organism(name: str) -> bool:
    return name.partition(":")[0] == NAME


def organism_files(name: str, suffix: str) -> tuple[Path, Path | None]:
    """The base and the adapter behind `organism[:ADAPTER]`; `suffix` is "" for folders (vLLM), ".gguf" for llama.cpp.

    Raises BadInput for an adapter that it does not have.
    """
    base, *adapters = MODELS
    asked = name.partition(":")[2]
    if asked and asked not in adapters:
        known = f"its adapters are {', '.join(f'{NAME}:{one}' for one in adapters)}"
        raise BadInput(f"{name!r}: the organism without an adapter is {NAME}, and {known}")
    folder = weights_folder()
    return folder / f"{base}{suffix}", folder / f"{asked}{suffix}" if asked else None
