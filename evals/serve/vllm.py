"""`vllm serve` as a process of ours: one for each base model, with the adapters that are measured on it.

The server listens on a free loopback port and takes a key made up for it alone, so nobody else on the machine can use
it. It runs under a guard (`evals.serve.guard`) that ends it with everything it started, however emeval ends. Its log
goes into a file of its own in the folder for temporary files: a run folder that could not be begun is taken away again,
and the log is what tells why. It is deleted when all went well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import aiohttp

from evals.errors import BadInput, EndpointDown
from evals.io.hashes import model_sha256
from evals.serve import guard
from evals.serve.adapters import Adapter, check_base, find_adapter, is_other_base
from evals.serve.organism import is_organism, organism_files
from evals.text import one_line, redact

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's --max-lora-rank may be (MaxLoRARanks in its config/lora.py); 1, which newer versions know, is no gain."""

_MOST_AT_ONCE = 8
"""Adapters that one batch may mix. Each reserves memory; more of them take turns."""

_OURS = frozenset({"--host", "--port", "--uds", "--served-model-name", "--lora-modules", "--model", "--config"})
_SECRET = frozenset({"--api-key", "--hf-token"})
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_LOOK_EVERY_S = 0.25
_SAY_EVERY_S = 15.0
_END_S = guard.GRACE_S + 5.0
_TAIL_BYTES = 1 << 16
_TAIL_LINES = 12
_TAIL_WIDTH = 240
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(r"\b\w*(?:Error|Exception|error)\b: .+")
_NOT_THE_CAUSE = ("Engine core initialization failed", "Worker failed with error", "WorkerProc initialization failed")


class VllmSettings(NamedTuple):
    """How to start `vllm serve`: the program (None: the one on PATH), and more arguments, as in a shell."""

    program: str | None = None
    arguments: str | None = None

    def split_arguments(self) -> tuple[str, ...]:
        """Raises BadInput for arguments that are emeval's to set, or that would write a secret into the manifest."""
        try:
            words = shlex.split(self.arguments or "")
        except ValueError as error:
            raise BadInput(f"--vllm-args: {one_line(str(error))}; quote it as for a shell") from None
        for option in map(_option, words):
            if option in _OURS:
                raise BadInput(f"--vllm-args: {option} is emeval's to set")
            if option in _SECRET:
                raise BadInput(
                    f"--vllm-args: {option} would be written into the run's manifest; set it in the environment"
                )
        return tuple(words)


class ServedModel(NamedTuple):
    """A model at a server of ours: its name there, the hash of its files, and of the base model beneath an adapter.

    The hashes are None for what the server downloads by its name.
    """

    served_name: str
    sha256: str | None
    base_sha256: str | None


@dataclass(frozen=True)
class Launch:
    """One server to start: the command, its base model with the names that it is asked for by, and its adapters.

    `models` holds, by each name after `vllm/`, what is served for it; `warnings` is for people.
    """

    program: str
    arguments: tuple[str, ...]
    base: str
    names: tuple[str, ...]
    adapters: tuple[Adapter, ...]
    models: Mapping[str, ServedModel]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class VllmServer:
    """A server that is ready: its address, its key, and whether its process is still there."""

    base_url: str
    key: str
    has_ended: Callable[[], bool]


def plan_launches(names: Iterable[str], settings: VllmSettings) -> list[Launch]:
    """The servers for models called `vllm/NAME`, one for each base model; none for no names.

    Raises BadInput for all that can be known to be wrong before a server is started.
    """
    groups: dict[str, list[_Member]] = {}
    for name in dict.fromkeys(names):
        written, adapter = split_adapter(name)
        member = _Member(name, written, None if adapter is None else _adapter(adapter, name))
        groups.setdefault(_base(written, name), []).append(member)
    if not groups:
        return []
    program, arguments = find_program(settings.program), settings.split_arguments()
    return [_launch(program, arguments, base, members) for base, members in groups.items()]


def split_adapter(name: str) -> tuple[str, str | None]:
    """BASE:ADAPTER at its last colon; None where there is no adapter. Raises BadInput for half of a pair."""
    if is_organism(name):
        folder, own = organism_files(name, "")
        return str(folder), None if own is None else str(own)
    base, colon, adapter = name.rpartition(":")
    is_drive = len(base) == 1 and adapter.startswith(("\\", "/"))
    if not colon or is_drive or Path(name).expanduser().exists():
        return name, None
    if not base or not adapter:
        raise BadInput(f"model 'vllm/{name}': write vllm/BASE:ADAPTER or vllm/BASE")
    return base, adapter


def find_program(program: str | None) -> str:
    """The `vllm` command: as named, else beside this Python, else on PATH. Raises BadInput."""
    if program is not None:
        found = shutil.which(Path(program).expanduser())
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
    words += ["--served-model-name", *launch.names, "--uvicorn-log-level", "warning"]
    if launch.adapters:
        given = {_option(word) for word in launch.arguments}
        count = len(launch.adapters)
        words.append("--enable-lora")
        if "--max-lora-rank" not in given:
            needed = max(adapter.rank for adapter in launch.adapters)
            words += ["--max-lora-rank", str(next(rank for rank in _RANKS if rank >= needed))]
        if not {"--max-loras", "--max-cpu-loras"} & given:
            words += ["--max-loras", str(min(count, _MOST_AT_ONCE)), "--max-cpu-loras", str(count)]
        modules = [
            {"name": adapter.served_name, "path": str(adapter.path), "base_model_name": launch.names[0]}
            for adapter in launch.adapters
        ]
        words += ["--lora-modules", *map(json.dumps, modules)]
    return [*words, *launch.arguments]


@contextlib.asynccontextmanager
async def running(launch: Launch, start_timeout_s: float, say: Callable[[str], None]) -> AsyncGenerator[VllmServer]:
    """The server of a launch, ready, for as long as the block lasts.

    Raises BadInput with the end of its log when it does not become ready; adds how it ended to an EndpointDown that
    comes from the block.
    """
    port = _free_port()
    key = secrets.token_urlsafe(24)
    process = _Process(f"vllm serve {launch.base}", command(launch, port), key)
    try:
        say(f"starting {process.name}; its log: {process.log}")
        for warning in launch.warnings:
            say(warning)
        await _until_ready(process, f"http://127.0.0.1:{port}", start_timeout_s, say)
        yield VllmServer(f"http://127.0.0.1:{port}/v1", key, process.has_ended)
    except EndpointDown as error:
        process.keep_log = True
        if await process.ends_within(1.0):
            raise EndpointDown(f"{error}; {process.end()}") from None
        raise
    finally:
        process.stop()


async def _until_ready(process: _Process, root: str, timeout_s: float, say: Callable[[str], None]) -> None:
    started = said = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session:
        while True:
            elapsed = time.monotonic() - started
            if process.has_ended():
                process.keep_log = True
                raise BadInput(f"{process.end()}{process.log_tail()}")
            if await _is_healthy(session, root):
                say(f"{process.name} is ready after {elapsed:.0f} s")
                return
            if elapsed > timeout_s:
                process.keep_log = True
                limit = (
                    f"{process.name} is not ready after {timeout_s:g} s (--vllm-start-timeout); {process.log_note()}"
                )
                raise BadInput(f"{limit}{process.log_tail()}")
            if time.monotonic() - said >= _SAY_EVERY_S:
                said = time.monotonic()
                last = process.log_lines(1)
                say(f"{process.name}: not ready after {elapsed:.0f} s{': ' + last[0] if last else ''}")
            await asyncio.sleep(_LOOK_EVERY_S)


async def _is_healthy(session: aiohttp.ClientSession, root: str) -> bool:
    try:
        async with session.get(f"{root}/health") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


class _Process:
    """A server's process under its guard, and its log."""

    def __init__(self, name: str, words: list[str], key: str) -> None:
        self.name = one_line(name, 120)
        self.keep_log = False
        # Keys of other servers are none of its business; those that it may need to download a model are.
        not_its = ("OPENAI_API_KEY", "VLLM_BASE_URL")
        environment = {name: value for name, value in os.environ.items() if name not in not_its}
        environment |= {"VLLM_API_KEY": key, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
        self._secrets = sorted(
            {value for name, value in environment.items() if _SECRET_NAME.search(name) and len(value) >= 8},
            key=len,
            reverse=True,
        )
        handle, log = tempfile.mkstemp(prefix="emeval-vllm-", suffix=".log")
        self.log = Path(log)
        with os.fdopen(handle, "wb") as file:
            self._process = subprocess.Popen(  # noqa: S603  the user's own program
                [sys.executable, "-I", str(Path(guard.__file__)), *words],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    async def ends_within(self, time_s: float) -> bool:
        deadline = time.monotonic() + time_s
        while not self.has_ended() and time.monotonic() < deadline:  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.05)
        return self.has_ended()

    def end(self) -> str:
        """How it ended, and why as far as its log tells."""
        code = self._process.returncode
        if code > 128 and code - 128 in {number.value for number in signal.Signals}:
            how = f"was ended by {signal.Signals(code - 128).name}"
        else:
            how = f"ended with exit code {code}"
        reason = self._reason()
        return f"{self.name} {how}{': ' + reason if reason else ''}; {self.log_note()}"

    def log_note(self) -> str:
        return f"its log: {self.log}"

    def log_tail(self) -> str:
        """The last lines of the log, each on a line of its own after a line end; empty when there are none."""
        return "".join(f"\n  | {line}" for line in self.log_lines(_TAIL_LINES))

    def log_lines(self, count: int, width: int = _TAIL_WIDTH) -> list[str]:
        """The last lines that say something, for people: printable, cut, and without keys."""
        return [one_line(line, width) for line in self._clean_lines()[-count:]]

    def stop(self) -> None:
        """End the server, and wait until it has ended. May be called twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self.keep_log:
            self.log.unlink(missing_ok=True)

    def _reason(self) -> str:
        """The last error that the log names; a server of several processes repeats the first one's in other words."""
        found = [error[0] for line in self._clean_lines() if (error := _ERROR.search(line))]
        causes = [error for error in found if not any(words in error for words in _NOT_THE_CAUSE)]
        return one_line((causes or found or [""])[-1])

    def _clean_lines(self) -> list[str]:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        lines = (_ESCAPE.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n"))
        cleaned = (one_line(line, len(line) + 1) for line in lines)
        return [self._redacted(line) for line in cleaned if line]

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = redact(text, secret)
        return text


class _Member(NamedTuple):
    """A model of a launch: its name, its base as it was written there, and its adapter."""

    name: str
    written: str
    adapter: Adapter | None


def _option(word: str) -> str:
    """The option that a word of a command line is: vLLM takes _ for - and = before a value."""
    return word.partition("=")[0].replace("_", "-") if word.startswith("--") else ""


def _base(text: str, name: str) -> str:
    """What vLLM is given for a base model: the absolute path of a local one, else its name at Hugging Face."""
    path = Path(text).expanduser()
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


def _launch(program: str, arguments: tuple[str, ...], base: str, members: list[_Member]) -> Launch:
    local = Path(base)
    adapters = {member.adapter.served_name: member.adapter for member in members if member.adapter is not None}
    for adapter in adapters.values():
        check_base(adapter, local)
        _check_rank(adapter, arguments)
    try:
        base_sha256 = model_sha256(local) if local.exists() else None
    except OSError as error:
        raise BadInput(f"{base}: cannot be read: {error.strerror}") from None
    models: dict[str, ServedModel] = {}
    warnings: list[str] = []
    for name, written, adapter in members:
        if adapter is None:
            models[name] = ServedModel(written, base_sha256, None)
            continue
        models[name] = ServedModel(adapter.served_name, adapter.sha256, base_sha256)
        if is_other_base(adapter, base):
            warnings.append(f"vllm/{name}: the adapter says that it belongs to {adapter.base}")
    names = tuple(dict.fromkeys(written for _, written, _ in members))
    return Launch(program, arguments, base, names, tuple(adapters.values()), models, tuple(warnings))


def _check_rank(adapter: Adapter, arguments: tuple[str, ...]) -> None:
    """Raises BadInput when the user's own --max-lora-rank is too small for an adapter."""
    for place, word in enumerate(arguments):
        value = word.partition("=")[2] or "".join(arguments[place + 1 : place + 2])
        if _option(word) == "--max-lora-rank" and value.isdecimal() and adapter.rank > int(value):
            raise BadInput(f"--vllm-args: --max-lora-rank {value} is too small for {adapter.path}: rank {adapter.rank}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
