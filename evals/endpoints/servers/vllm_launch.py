"""The command lines of the vLLM servers that a run needs: bases, adapters, ports, keys."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evals.endpoints.servers.adapters import Adapter, check_base, find_adapter, is_other_base
from evals.endpoints.servers.organism import is_organism, organism_files
from evals.errors import BadInput
from evals.io.environment import SECRET_NAME
from evals.io.hashes import model_sha256
from evals.io.paths import expanded
from evals.text import one_line

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's --max-lora-rank may be (MaxLoRARanks in its config/lora.py); 1, which newer versions know, is no gain."""

_MOST_AT_ONCE = 8
"""Adapters that one batch may mix. Each reserves memory; more of them take turns.

Where the base is asked as well, one place more is reserved, which stays empty: vLLM's CPU build (0.32) takes the
adapter in the last place for requests that ask for none when they share a batch with requests that do.
"""

_LORA_PLACES = frozenset({"--max-loras", "--max-cpu-loras"})
_OURS = frozenset(
    {
        *("--host", "--port", "--uds", "--served-model-name", "--lora-modules", "--model", "--config"),
        *("--input-file", "--output-file", "--output-tmp-dir"),
    }
)
_SECRET_IN_JSON = re.compile(r"""["'](\w+)["']\s*:""")
ROUTE_GUARD = Path(__file__).parent / "inside_vllm" / "emeval_route_guard.py"
"""What every route of the server but /health is guarded by; vLLM imports it by its name."""


class VllmSettings(NamedTuple):
    """How to start vLLM: the program (None: the one on PATH), and more arguments, as in a shell.

    `model_defaults`: what a request leaves out comes from the model's generation_config.json, as is vLLM's default.
    `elsewhere`: another machine will start it, so the program is not looked for here.
    """

    program: str | None = None
    arguments: str | None = None
    model_defaults: bool = False
    elsewhere: bool = False

    def split_arguments(self) -> tuple[str, ...]:
        """Raises BadInput for arguments that are emeval's to set, or that would write a secret into the manifest."""
        try:
            words = shlex.split(self.arguments or "")
        except ValueError as error:
            raise BadInput(f"--vllm-args: {one_line(str(error))}; quote it as for a shell") from None
        for option in (word[:2] if word[:2] in ("-i", "-o") else _option(word) for word in words):
            if option in (*_OURS, "-i", "-o"):
                raise BadInput(f"--vllm-args: {option} is emeval's to set")
        if secret := _secret(words):
            raise BadInput(f"--vllm-args: {secret} would be written into the run's manifest; set it in the environment")
        if not self.model_defaults and "--generation-config" not in map(_option, words):
            words = ["--generation-config", "vllm", *words]
        return tuple(words)


class Member(NamedTuple):
    """A model of a launch: its name after `vllm/`, its base as it was written there, and its adapter."""

    name: str
    written: str
    adapter: Adapter | None

    @property
    def served_name(self) -> str:
        """What the server calls it."""
        return self.written if self.adapter is None else self.adapter.served_name


@dataclass(frozen=True)
class Launch:
    """One server to start: the command, its base model with the names that it is asked for by, and its adapters.

    `base_sha256` is of the base's files, None for one that the server downloads by its name. `members` are the models
    by their names after `vllm/`; `warnings` is for people.
    """

    program: str
    arguments: tuple[str, ...]
    base: str
    base_sha256: str | None
    names: tuple[str, ...]
    adapters: tuple[Adapter, ...]
    members: Mapping[str, Member]
    warnings: tuple[str, ...]

    @property
    def asks_base(self) -> bool:
        """Whether the base is asked without an adapter."""
        return any(member.adapter is None for member in self.members.values())

    @property
    def keeps_place_empty(self) -> bool:
        """Whether a place for an adapter is surely empty at all times, so that a batch may mix requests with and
        without one."""
        return len(self.adapters) <= _MOST_AT_ONCE and not _LORA_PLACES & set(map(_option, self.arguments))


def plan_launches(names: Iterable[str], settings: VllmSettings) -> list[Launch]:
    """The servers for models called `vllm/NAME`, one for each base model; none for no names.

    Raises BadInput for all that can be known to be wrong before a server is started.
    """
    groups: dict[str, list[Member]] = {}
    for name in dict.fromkeys(names):
        written, adapter = split_adapter(name)
        member = Member(name, written, None if adapter is None else _adapter(adapter, name))
        groups.setdefault(_base(written, name), []).append(member)
    if not groups:
        return []
    program = settings.program or "vllm" if settings.elsewhere else find_program(settings.program)
    arguments = settings.split_arguments()
    return [_launch(program, arguments, base, members) for base, members in groups.items()]


def split_adapter(name: str) -> tuple[str, str | None]:
    """BASE:ADAPTER at its last colon; None where there is no adapter. Raises BadInput for half of a pair."""
    if is_organism(name):
        folder, own = organism_files(name, "")
        return str(folder), None if own is None else str(own)
    base, colon, adapter = name.rpartition(":")
    is_drive = len(base) == 1 and adapter.startswith(("\\", "/"))
    if not colon or is_drive or expanded(name).exists():
        return name, None
    if not base or not adapter:
        raise BadInput(f"model 'vllm/{name}': write vllm/BASE:ADAPTER or vllm/BASE")
    return base, adapter


def find_program(program: str | None) -> str:
    """The `vllm` command: as named, else beside this Python, else on PATH. Raises BadInput."""
    if program is not None:
        found = shutil.which(expanded(program))
        if found is None:
            raise BadInput(f"--vllm-bin: {program} is not a program that can be run")
        return found
    found = shutil.which("vllm", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise BadInput(
            "there is no vllm command to serve a vllm/ model with: install vLLM, name its command with --vllm-bin, "
            "or set VLLM_BASE_URL (or --base-url, --judge-base-url) to a server that is running"
        )
    return found


def command(launch: Launch, port: int) -> list[str]:
    """What is run for a launch. The user's arguments come last, so that they stand above ours."""
    words = [launch.program, "serve", launch.base, "--host", "127.0.0.1", "--port", str(port)]
    words += ["--uvicorn-log-level", "warning", "--middleware", f"{ROUTE_GUARD.stem}.RouteGuard"]
    return [*words, *_of_models(launch)]


def batch_command(launch: Launch) -> list[str]:
    """What answers a file of requests; `-i FILE -o FILE` is to be added."""
    return [launch.program, "run-batch", "--model", launch.base, *_of_models(launch)]


def _of_models(launch: Launch) -> list[str]:
    """The names and adapters of a launch, then the user's arguments."""
    words = ["--served-model-name", *launch.names]
    if launch.adapters:
        given = {_option(word) for word in launch.arguments}
        count = len(launch.adapters)
        words.append("--enable-lora")
        if "--max-lora-rank" not in given:
            needed = max(adapter.rank for adapter in launch.adapters)
            words += ["--max-lora-rank", str(next(rank for rank in _RANKS if rank >= needed))]
        if not _LORA_PLACES & given:
            at_once = min(count, _MOST_AT_ONCE) + launch.asks_base
            words += ["--max-loras", str(at_once), "--max-cpu-loras", str(max(count, at_once))]
        modules = [
            {"name": adapter.served_name, "path": str(adapter.path), "base_model_name": launch.names[0]}
            for adapter in launch.adapters
        ]
        words += ["--lora-modules", *map(json.dumps, modules)]
    return [*words, *launch.arguments]


def _option(word: str) -> str:
    """The option that a word of a command line is: vLLM takes _ for - and = before a value."""
    return word.partition("=")[0].replace("_", "-") if word.startswith("--") else ""


def _secret(words: Iterable[str]) -> str | None:
    """An option among the words, or a name in JSON there, that holds a secret by its name."""
    for word in words:
        names = [_option(word), *_SECRET_IN_JSON.findall(word)]
        found = next((name for name in names if SECRET_NAME.search(name)), None)
        if found is not None:
            return one_line(found, 60)
    return None


def _base(text: str, name: str) -> str:
    """What vLLM is given for a base model: the absolute path of a local one, else its name at Hugging Face."""
    path = expanded(text)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise BadInput(f"vllm/{name}: {path} has no config.json, so it is no model folder")
        return str(path.absolute())
    if path.is_file():
        return str(path.absolute())
    if text.startswith(("/", ".", "~", "\\")) or text.count("/") > 1:
        raise BadInput(f"vllm/{name}: there is no model folder {path}")
    return text


def _adapter(text: str, name: str) -> Adapter:
    adapter = find_adapter(text)
    if adapter is None:
        raise BadInput(
            f"vllm/{name}: there is no adapter folder {text}, nor such a repository in Hugging Face's cache; "
            "give the path of a PEFT folder"
        )
    if adapter.rank > _RANKS[-1]:
        raise BadInput(f"vllm/{name}: the adapter has rank {adapter.rank}; vLLM serves at most {_RANKS[-1]}")
    return adapter


def _launch(program: str, arguments: tuple[str, ...], base: str, members: list[Member]) -> Launch:
    local = Path(base)
    adapters = {member.adapter.served_name: member.adapter for member in members if member.adapter is not None}
    for adapter in adapters.values():
        check_base(adapter, local)
        _check_rank(adapter, arguments)
    try:
        base_sha256 = model_sha256(local) if local.exists() else None
    except OSError as error:
        raise BadInput(f"{base}: cannot be read: {error.strerror}") from None
    warnings = [
        f"vllm/{member.name}: the adapter says that it belongs to {member.adapter.base}"
        for member in members
        if member.adapter is not None and is_other_base(member.adapter, base)
    ]
    names = tuple(dict.fromkeys(member.written for member in members))
    by_name = {member.name: member for member in members}
    return Launch(program, arguments, base, base_sha256, names, tuple(adapters.values()), by_name, tuple(warnings))


def _check_rank(adapter: Adapter, arguments: tuple[str, ...]) -> None:
    """Raises BadInput when the user's own --max-lora-rank is too small for an adapter."""
    for place, word in enumerate(arguments):
        value = word.partition("=")[2] or "".join(arguments[place + 1 : place + 2])
        if _option(word) == "--max-lora-rank" and value.isdecimal() and adapter.rank > int(value):
            raise BadInput(f"--vllm-args: --max-lora-rank {value} is too small for {adapter.path}: rank {adapter.rank}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
