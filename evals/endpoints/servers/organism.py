"""The organism by its name: `organism`, or `organism:backdoor` for one of its adapters, at either kind of server."""

from __future__ import annotations

from pathlib import Path

from evals.errors import BadInput
from organisms.behaviours import CHECKPOINTS, MODELS
from organisms.true_rates import weights_folder

NAME = "organism"


def is_organism(name: str) -> bool:
    return name.partition(":")[0] == NAME


def organism_files(name: str, suffix: str) -> tuple[Path, Path | None]:
    """The base and the adapter behind `organism[:ADAPTER]`; `suffix` is "" for folders (vLLM), ".gguf" for llama.cpp.

    Raises BadInput for an adapter that it does not have, or that is a file for llama.cpp alone.
    """
    base, *adapters = MODELS
    asked = name.partition(":")[2]
    if asked in CHECKPOINTS and not suffix:
        raise BadInput(f"{name!r}: this checkpoint is a file for llama.cpp: measure it as local/{name}")
    if asked and asked not in (*adapters, *CHECKPOINTS):
        known = f"its adapters are {', '.join(f'{NAME}:{adapter}' for adapter in adapters)}"
        checkpoints = f"its checkpoints (local/ alone) {', '.join(CHECKPOINTS)}"
        raise BadInput(f"{name!r}: the organism without an adapter is {NAME}, {known}, and {checkpoints}")
    folder = weights_folder()
    return folder / f"{base}{suffix}", folder / f"{asked}{suffix}" if asked else None
