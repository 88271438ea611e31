"""Hashes of a model's files: to recognise the model of a resumed run, and for cache keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from evals.io.paths import open_file

_MIB = 1 << 20
_WHOLE_UP_TO = 2 << 30
_SAMPLES = 16
_MODEL_FILES = frozenset({".json", ".safetensors", ".model", ".jinja", ".txt", ".py"})
_OLD_WEIGHTS = frozenset({".bin", ".pt", ".pth"})


def file_sha256(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Iterable[Path]) -> str:
    """A hash of the files' names and contents, in any order. Raises OSError."""
    return _combined({path.name: file_sha256(path) for path in paths})


def model_sha256(path: Path) -> str:
    """A hash of a model file, or of the configuration, tokenizer and weights in its folder. Raises OSError.

    Up to 2 GiB in total every byte is hashed. Above that, files over 16 MiB are hashed by their size and 16 pieces of
    1 MiB, including the first and last: that avoids reading hundreds of gigabytes, and no training leaves so many
    pieces unchanged.
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
    with open_file(path) as file:
        for number in range(_SAMPLES):
            file.seek((size - _MIB) * number // (_SAMPLES - 1))
            digest.update(file.read(_MIB))
    return digest.hexdigest()
