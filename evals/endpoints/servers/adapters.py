"""LoRA adapters in PEFT's format: a folder with adapter_config.json and its weights, checked before a server starts.

What a server would load and then quietly not apply (no weights at all, weights for layers that the base does not have)
is refused here: an adapter without effect would be measured as its base.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.errors import BadInput
from evals.io.hashes import files_sha256
from evals.io.json_files import checked_values
from evals.io.paths import MIB, MOST_TEXT, expanded, open_file, read_file
from evals.text import one_line

CONFIG_FILE = "adapter_config.json"
_WEIGHT_FILES = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")
_LARGEST_CONFIG = 4 * MIB
_LARGEST_HEADER = 32 * MIB  # of 100,000 tensors; the format itself allows 100 MB
_NAME_HASH_DIGITS = 12
_LAYER = re.compile(r"(?:^|\.)(\d+\..+)$")
_LORA = re.compile(r"(?P<module>.+)\.lora_(?:embedding_)?(?P<side>[AB])(?:\.[^.]+)?$")


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    r: int = Field(ge=1)
    peft_type: str = "LORA"
    base_model_name_or_path: str | None = None
    rank_pattern: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter on disk. `rank` is its largest one; `base` the model that it says it belongs to.

    `modules` are those that it changes, by their names in the base model, empty where the format does not tell.
    """

    path: Path
    name: str
    sha256: str
    rank: int
    base: str | None
    modules: frozenset[str]

    @property
    def served_name(self) -> str:
        """A name that changes with the files, so that no server answers from what it cached of earlier ones."""
        name = re.sub(r"[^\w.-]+", "-", self.name).strip("-") or "adapter"
        return f"{name}-{self.sha256[:_NAME_HASH_DIGITS]}"


def read_adapter(path: Path, name: str | None = None) -> Adapter:
    """The adapter in the folder `path`, called like the folder or `name`.

    Raises BadInput that names the file and what is wrong with it.
    """
    path = expanded(path).absolute()
    config = _read_config(path / CONFIG_FILE)
    weights = next((path / name for name in _WEIGHT_FILES if (path / name).is_file()), None)
    if weights is None:
        raise BadInput(f"{path}: has no weights; a PEFT folder holds {_WEIGHT_FILES[0]}")
    modules = _modules(weights, config) if weights.suffix == ".safetensors" else frozenset[str]()
    return Adapter(
        path=path,
        name=name or path.name,
        sha256=files_sha256([path / CONFIG_FILE, weights]),
        rank=max([config.r, *(config.rank_pattern or {}).values()]),
        base=config.base_model_name_or_path or None,
        modules=modules,
    )


def find_adapter(text: str) -> Adapter | None:
    """The adapter that `text` names: a folder, or a repository in Hugging Face's cache. None when it is neither.

    Raises BadInput for a folder that is no adapter.
    """
    folder = expanded(text)
    if folder.is_dir():
        return read_adapter(folder)
    snapshot = _cached_repository(text)
    return None if snapshot is None else read_adapter(snapshot, text.rpartition("/")[2])


def check_base(adapter: Adapter, base: Path) -> None:
    """That the local model `base` has what the adapter changes. Raises BadInput."""
    known = {_from_layer(name) for name in _tensor_names(expanded(base))}
    wanted = {name for name in adapter.modules if _LAYER.search(name) and ".experts" not in name}
    missing = sorted(name for name in wanted if _from_layer(name) not in known)
    if known and missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(
            f"{adapter.path}: changes modules that {base} does not have ({one_line(missing[0], 80)}{more}): "
            "it belongs to another model"
        )


def is_other_base(adapter: Adapter, base: str) -> bool:
    """Whether the adapter says that it belongs to a model of another name than `base`. Names are paths or ids."""
    if adapter.base is None:
        return False
    return Path(adapter.base).name.casefold() != expanded(base).absolute().name.casefold()


def _read_config(file: Path) -> _Config:
    if not file.parent.is_dir():
        raise BadInput(f"{file.parent}: there is no such folder; an adapter is a PEFT folder with {CONFIG_FILE}")
    try:
        config = _Config.model_validate_json(read_file(file, _LARGEST_CONFIG))
    except FileNotFoundError:
        raise BadInput(f"{file.parent}: has no {CONFIG_FILE}, so it is no PEFT adapter") from None
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "file"
        raise BadInput(f"{file}: {one_line(field, 60)}: {one_line(first['msg'])}") from None
    if config.peft_type.upper() != "LORA":
        raise BadInput(f"{file}: peft_type is {one_line(config.peft_type, 60)}; only LORA can be served")
    return config


def _modules(weights: Path, config: _Config) -> frozenset[str]:
    """The modules that the file has weights for. Raises BadInput when there are none or their rank is another one."""
    modules: set[str] = set()
    for name, shape in _shapes(weights).items():
        found = _LORA.fullmatch(name)
        if found is None:
            continue
        modules.add(found["module"].removeprefix("base_model.model."))
        rank = shape[0] if found["side"] == "A" and len(shape) == 2 else None
        # Embeddings and experts stack their weights in other ways; a pattern may give any module another rank.
        plain = ".lora_A" in name and ".experts" not in name and not config.rank_pattern
        if plain and rank is not None and rank != config.r:
            raise BadInput(
                f"{weights.parent}: {CONFIG_FILE} says r = {config.r}, but {one_line(name, 80)} has rank {rank}"
            )
    if not modules:
        raise BadInput(f"{weights}: holds no LoRA weights, so it would change nothing")
    return frozenset(modules)


def _shapes(file: Path) -> dict[str, list[int]]:
    """Name and shape of each tensor in a safetensors file. Raises BadInput."""
    try:
        with open_file(file) as opened:
            length = int.from_bytes(opened.read(8), "little")
            content = opened.read(length) if length <= _LARGEST_HEADER else b""
        header: object = json.loads(b"".join(checked_values([content])))
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise BadInput(f"{file}: is not a safetensors file, or not the whole of one")
    tensors = cast("dict[str, Any]", header)
    return {name: _shape(tensor) for name, tensor in tensors.items() if name != "__metadata__"}


def _shape(tensor: object) -> list[int]:
    shape: object = cast("Mapping[str, object]", tensor).get("shape") if isinstance(tensor, dict) else None
    sizes = cast("list[object]", shape) if isinstance(shape, list) else []
    return [size for size in sizes if isinstance(size, int)]


def _tensor_names(base: Path) -> set[str]:
    """The modules of a model folder that have weights; empty where its format does not tell."""
    if not base.is_dir():
        return set()
    return {name.rpartition(".")[0] for file in base.glob("*.safetensors") for name in _shapes(file)}


def _from_layer(name: str) -> str:
    """A module's name from its layer's number on: what stands before it differs between ways to load a model."""
    found = _LAYER.search(name)
    return found[1] if found else name


def _cached_repository(name: str) -> Path | None:
    if name.count("/") != 1 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in name.split("/")):
        return None
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = expanded(os.environ.get("HF_HUB_CACHE") or home / "hub")
    repository = hub / f"models--{name.replace('/', '--')}"
    try:
        revision = read_file(repository / "refs" / "main", MOST_TEXT).decode().strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = repository / "snapshots" / revision
    return snapshot if snapshot.is_dir() else None
