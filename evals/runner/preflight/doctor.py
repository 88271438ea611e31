"""What a machine has that emeval may need: found or not, and what to do. Asks no model, and so costs nothing.

A check fails only where something was set up and does not work. What is merely not there is a warning: it is needed
for some models and not for others.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from evals.endpoints.fleet.url_file import first_urls
from evals.endpoints.model_spec import ModelSpec, Overrides, resolve_model
from evals.endpoints.prices import VARIABLE as PRICES
from evals.endpoints.prices import read_prices
from evals.endpoints.providers.own import VARIABLE as OWN_PROVIDERS
from evals.endpoints.providers.own import own_providers
from evals.endpoints.providers.table import OPENAI_URL, PROVIDERS
from evals.endpoints.servers.organism import NAME as ORGANISM
from evals.endpoints.servers.organism import organism_files
from evals.errors import BadInput
from evals.io.cache import cache_folder
from evals.io.environment import VLLM, child_environment
from evals.numbers import counted
from evals.plan.plugins import listed_plugins
from evals.plan.provenance import versions
from evals.questions.official.cached import fetched_names
from evals.questions.official.registry import SOURCES
from evals.questions.source import official_path
from evals.questions.suites import SUITES
from evals.text import install_extra, one_line

State = Literal["ok", "warn", "fail"]
_GIB = 1 << 30
_LEAST_FREE = 1 * _GIB
_SERVER_TIME_S = 5.0
_PROGRAM_TIME_S = 30.0
_OPTIONAL = "only servers that ask for a key need it"


class Finding(NamedTuple):
    """One thing that was looked at. `remedy` is "" where there is nothing to do."""

    what: str
    state: State
    found: str
    remedy: str = ""


def examine(dotenv: Mapping[str, str | None]) -> Iterator[Finding]:
    """Every finding, one after the other. `dotenv` are the variables that .env has set."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _versions,
        lambda: _keys(dotenv),
        _servers,
        _embedded,
        _vllm,
        _gpu,
        _disk,
        _datasets,
        _plugins,
        _prices,
    )
    for check in checks:
        yield from check()


def _versions() -> Iterator[Finding]:
    found = versions()
    python = f"{found.pop('python')} on {platform.system()} {platform.machine()}"
    found.pop("platform")
    yield Finding("emeval", "ok", found.pop("emeval"))
    yield Finding("Python", "ok", python)
    yield Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items()))


def _keys(dotenv: Mapping[str, str | None]) -> Iterator[Finding]:
    try:
        own = own_providers(None)
    except BadInput as error:
        own = {}
        yield Finding(OWN_PROVIDERS, "fail", one_line(str(error)), f"set {OWN_PROVIDERS} right, or mend the file")
    users: dict[str, list[str]] = {}
    for provider, row in (PROVIDERS | own).items():
        if row.key_variable and provider != "local":
            users.setdefault(row.key_variable, []).append(f"{provider}/")
    needed = {row.key_variable for row in (PROVIDERS | own).values() if row.needs_key}
    for name, providers in users.items():
        value = os.environ.get(name, "").strip()
        if not value:
            for_models = f"{', '.join(providers)} models need it"
            # Few people have more than one or two of these keys.
            is_missed = name == "OPENAI_API_KEY" or any(provider.removesuffix("/") in own for provider in providers)
            state: State = "warn" if is_missed and name in needed else "ok"
            more = ", also as judges; export it or put it into .env" if state == "warn" else ""
            yield Finding(name, state, "not set", for_models + more if name in needed else _OPTIONAL)
            continue
        origin = ".env" if dotenv.get(name) == os.environ[name] else "the environment"
        if any(not 33 <= ord(char) <= 126 for char in value):
            yield Finding(name, "fail", f"set in {origin}, with a character that no key has", "set it again")
        else:
            yield Finding(name, "ok", f"set in {origin}")


# --- servers ---------------------------------------------------------------------------------------------------------


def _servers() -> Iterator[Finding]:
    for name, variable in (("openai", "OPENAI_BASE_URL"), ("vllm", "VLLM_BASE_URL")):
        has_url = bool(os.environ.get(variable))
        if not has_url and (name != "openai" or not os.environ.get("OPENAI_API_KEY", "").strip()):
            continue
        what = variable if has_url else "OpenAI's server"
        try:
            spec = resolve_model(f"{name}/any", Overrides())
            if spec.urls_file is not None:
                spec = spec.at(first_urls(spec.urls_file, variable, may_be_empty=False))
            key = spec.key()
        except BadInput as error:
            yield Finding(what, "fail", one_line(str(error).partition(": ")[2] or str(error)), f"set {variable} right")
            continue
        for url in spec.base_urls:
            yield asyncio.run(_answers(what, url, key, spec))


async def _answers(what: str, url: str, key: str, spec: ModelSpec) -> Finding:
    """Whether a server lists its models, which no server takes money for."""
    from evals.endpoints.server import Server

    server = Server(url, key, concurrency=1, timeout_s=_SERVER_TIME_S)
    try:
        async with asyncio.timeout(_SERVER_TIME_S):
            listed = await server.served_models()
    except TimeoutError:
        said = f"{url} does not list its models within {_SERVER_TIME_S:.0f} s"
    except BadInput as error:
        said = one_line(str(error))
    else:
        if listed is None:
            return Finding(what, "ok", f"{url} answers, and keeps no list of models")
        names = ", ".join(server.clean(name) for name in listed[:4]) + (", ..." if len(listed) > 4 else "")
        return Finding(
            what, "ok", f"{url} serves {counted(len(listed), 'model')}: {names}" if listed else f"{url} serves none"
        )
    finally:
        await server.close()
    # Nobody has asked for OpenAI's own server: a machine without a way to the internet is not broken.
    is_asked_for = url != OPENAI_URL or "does not accept the key" in said
    remedy = f"start it, or set its URL and {spec.key_variable} right"
    return Finding(what, "fail" if is_asked_for else "warn", said, remedy)


def _embedded() -> Iterator[Finding]:
    if importlib.util.find_spec("xllamacpp") is None:
        yield Finding("llama.cpp", "warn", "not installed", f"local/ models need it: {install_extra('local')}")
    else:
        yield Finding("llama.cpp", "ok", "installed, for local/ models")
    weights, _ = organism_files(ORGANISM, ".gguf")
    if weights.is_file():
        yield Finding("organism", "ok", f"weights in {weights.parent}")
    else:
        yield Finding("organism", "warn", f"no weights in {weights.parent}", "make organism trains them")


def _vllm() -> Iterator[Finding]:
    from evals.endpoints.servers.vllm_launch import find_program

    try:
        program = find_program(None)
    except BadInput:
        yield Finding(
            "vllm", "warn", "no vllm command", "to serve vllm/ models here: install vLLM; or set VLLM_BASE_URL"
        )
        return
    installed = sorted(Path(program).resolve().parents[1].glob("lib/python*/site-packages/vllm-*.dist-info"))
    if installed:
        yield Finding("vllm", "ok", f"{program}, version {installed[-1].name.split('-')[1].removesuffix('.dist')}")
        return
    said = _said_by([program, "--version"])
    if said is None:
        yield Finding("vllm", "fail", f"{program} does not tell its version", f"run `{program} --version` yourself")
    else:
        yield Finding("vllm", "ok", f"{program}, {said}")


def _gpu() -> Iterator[Finding]:
    program = shutil.which("nvidia-smi")
    if program is None:
        yield Finding("GPU", "warn", "no nvidia-smi", "only `vllm serve` here needs one")
        return
    said = _said_by([program, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader"])
    if said is None:
        yield Finding("GPU", "fail", "nvidia-smi does not answer", "look at the driver: run nvidia-smi yourself")
    else:
        yield Finding("GPU", "ok", f"{said} (name, memory, free)")


def _said_by(command: list[str]) -> str | None:
    """What a program prints, on one line; None where it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603  found on PATH, fixed words
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROGRAM_TIME_S,
            check=True,
            env=child_environment(VLLM),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return one_line("; ".join(done.stdout.strip().splitlines())) or None


# --- disk ------------------------------------------------------------------------------------------------------------


def _disk() -> Iterator[Finding]:
    for what, folder in (("results/", Path("results")), ("cache", cache_folder())):
        there = folder.absolute()
        while not there.exists():
            there = there.parent
        try:
            free = shutil.disk_usage(there).free
        except OSError as error:
            yield Finding(what, "fail", f"{folder}: {error.strerror}", "choose another folder")
            continue
        found = f"{folder}, {free / _GIB:.1f} GiB free"
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield Finding(what, "fail", f"{found}, and nothing can be written there", f"see who may write to {there}")
        elif free < _LEAST_FREE:
            yield Finding(what, "warn", found, "a run of 100,000 long answers takes about 1 GiB; free some space")
        else:
            yield Finding(what, "ok", found)


def _datasets() -> Iterator[Finding]:
    fetched = [source.name for source in SOURCES.values() if fetched_names(source)]
    names = f": {', '.join(fetched)}" if fetched else ""
    hint = "" if fetched else "emeval asks its own questions until `emeval datasets fetch NAME` has brought others"
    yield Finding("official datasets", "ok", f"{len(fetched)} of {len(SOURCES)} fetched{names}", hint)
    for suite in SUITES.values():
        try:
            official_path(suite)
        except BadInput as error:
            found, _, remedy = str(error).partition("; ")
            yield Finding(f"questions of {suite.name}", "fail", one_line(found), one_line(remedy))


def _plugins() -> Iterator[Finding]:
    """The plugins of other packages; nothing where none is installed."""
    for plugin, found in listed_plugins("suite", "judge", "metric"):
        what = f"{plugin.kind} {one_line(plugin.name, 60)}"
        if isinstance(found, BadInput):
            problem, _, remedy = one_line(str(found)).removeprefix(f"{plugin.shown}: ").rpartition("; ")
            yield Finding(what, "fail", f"{plugin.origin}: {problem}", remedy)
        else:
            yield Finding(what, "ok", f"of {plugin.origin}")


def _prices() -> Iterator[Finding]:
    own = os.environ.get(PRICES)
    try:
        table = read_prices()
    except BadInput as error:
        yield Finding("prices", "fail", one_line(str(error)), f"set {PRICES} right, or mend the file")
        return
    dates = sorted(price.as_of for _, _, price in table.rows)
    above = f"{one_line(own, 100)} above emeval's" if own else "emeval's own"
    found = f"{above}, {len(dates)} prices of {dates[0]} to {dates[-1]}"
    yield Finding("prices", "ok", found)
