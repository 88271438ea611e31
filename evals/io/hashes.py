"""What a model's files are, as hashes: to know a resumed run's model again, and for names that no old cache knows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

_MIB = 1 << 20
_WHOLE_UP_TO = 2 << 30
_SAMPLES = 16
_MODEL_FILES = frozenset({".json", ".safetensors", ".model", ".jinja", ".txt", ".py"})
_OLD_WEIGHTS = frozenset({".bin", ".pt", ".pth"})


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path]) -> str:
    """Of the files' names and contents, in whatever order they come. Raises OSError."""
    return _combined({path.name: file_sha256(path) for path in paths})


def model_sha256(path: Path) -> str:
    """Of a model's file, or of what is served from its folder: configuration, tokenizer, weights. Raises OSError.

    Up to 2 GiB in all every byte counts. Above that a file of more than 16 MiB is known by its size and 16 pieces of
    1 MiB, the first and the last among them: a model of hundreds of gigabytes is not read twice, and no training leaves
    so much of a file as it was.
    """
    if path.is_file():
        files = [path]
    else:
        files = [file for file in path.iterdir() if file.is_file() and not file.name.startswith(".")]
        weights = _OLD_WEIGHTS if not any(file.suffix == ".safetensors" for file in files) else frozenset[str]()
        files = [file for file in files if file.suffix in _MODEL_FILES | weights]
    if sum(file.stat().st_size for file in files) <= _WHOLE_UP_TO:
        return files_sha256(files)
    return _combined({file.name: _sampled_sha256(file) for file in files})


def _combined(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _sampled_sha256(path: Path) -> str:
    size = path.stat().st_size
    if size <= _SAMPLES * _MIB:
        return file_sha256(path)
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek((size - _MIB) * number // (_SAMPLES - 1))
            digest.update(file.read(_MIB))
    return digest.hexdigest()
