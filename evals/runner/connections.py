"""Connections to every server that a run needs: those that run already, and those that are ours to start and stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.server import Server
from evals.endpoints.servers.llama_cpp import LocalServer, model_files
from evals.endpoints.servers.reference_judge import REFERENCE_JUDGE, reference_judge
from evals.endpoints.servers.vllm import running
from evals.endpoints.servers.vllm_launch import VllmSettings, plan_launches
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan
from evals.runner.view import RunView


class Served(NamedTuple):
    """A model, its servers, and the hashes of its files where they were read here.

    `base` is for an adapter that emeval serves: its base's served name at vLLM, its file for llama.cpp.
    """

    spec: ModelSpec
    servers: tuple[Server, ...]
    file_sha256: str | None = None
    base_sha256: str | None = None
    base: str | None = None


@dataclass(frozen=True)
class Connections:
    models: dict[str, Served]
    judge: Served | None


@asynccontextmanager
async def connections(
    judging: JudgingPlan, view: RunView, models: Iterable[ModelSpec] = ()
) -> AsyncGenerator[Connections]:
    """Connections to the judge's model and to `models`, for as long as the block lasts; one for each URL.

    Raises BadInput where a server cannot be started.
    """
    specs = list(models)
    judge_spec = judging.judge_spec if judging.judges else None
    async with AsyncExitStack() as stack:
        opened = _Opened(judging.config, stack)
        own = await _start(opened, [*specs, judge_spec] if judge_spec else specs, view)

        def served(spec: ModelSpec) -> Served:
            if spec.base_url is None:
                return own[spec.name]
            return Served(spec, tuple(opened.at(url, spec.key_variable, spec.key()) for url in spec.base_urls))

        yield Connections({spec.name: served(spec) for spec in specs}, served(judge_spec) if judge_spec else None)


class _Opened:
    """The connections that are open, closed again by the stack."""

    def __init__(self, config: RunConfig, stack: AsyncExitStack) -> None:
        self.config = config
        self.stack = stack
        self._servers: dict[tuple[str, str], Server] = {}

    def at(self, url: str, key_variable: str, key: str, has_ended: Callable[[], bool] = lambda: False) -> Server:
        """The one connection to a URL with the key of that variable."""
        place = (url, key_variable)
        if place not in self._servers:
            concurrency, timeout_s = self.config.concurrency, self.config.timeout_s
            server = Server(url, key, concurrency=concurrency, timeout_s=timeout_s, has_ended=has_ended)
            self.stack.push_async_callback(server.close)
            self._servers[place] = server
        return self._servers[place]


@asynccontextmanager
async def base_of_local(file: str, config: RunConfig, served: Connections) -> AsyncGenerator[tuple[ModelSpec, Server]]:
    """The base beneath an adapter at llama.cpp: the one that is served already, else for as long as the block lasts.

    A server of its own rather than the adapter's own one with its scale at 0: what that one keeps of a prompt for later
    requests would then hold the work of two models.
    """
    for model in served.models.values():
        spec = model.spec
        if spec.provider == "local" and model.base is None and str(model_files(spec.served_name).base) == file:
            yield spec, model.servers[0]
            return
    base = LocalServer(file)
    try:
        async with AsyncExitStack() as stack:
            spec = ModelSpec(f"local/{file}", "local", base.served_name, base.base_url, "EMEVAL_LOCAL_API_KEY")
            yield spec, _Opened(config, stack).at(base.base_url, spec.key_variable, "none")
    finally:
        base.close()


async def _start(opened: _Opened, specs: Sequence[ModelSpec], view: RunView) -> dict[str, Served]:
    """Start what is ours to serve, one server after the other; by the model's name."""
    config = opened.config
    ours = {spec.name: spec for spec in specs if spec.base_url is None}
    by_vllm = {spec.served_name: spec for spec in ours.values() if spec.provider == "vllm"}
    # What is wrong with any of them is said before the first is started.
    launches = plan_launches(by_vllm, VllmSettings(config.vllm_bin, config.vllm_args))
    started: dict[str, Served] = {}
    for spec in ours.values():
        if spec.provider == "local" and spec.served_name == REFERENCE_JUDGE:
            judge = reference_judge()
            opened.stack.callback(judge.close)
            served_as = replace(spec, base_url=judge.base_url)
            started[spec.name] = Served(served_as, (opened.at(judge.base_url, "", judge.key),))
        elif spec.provider == "local":
            view.say(f"starting {spec.name} in this process")
            local = LocalServer(spec.served_name)
            opened.stack.callback(local.close)  # and so it lives for as long as the connections
            served_as = replace(spec, base_url=local.base_url, served_name=local.served_name)
            server = opened.at(local.base_url, spec.key_variable, spec.key())
            base = None if local.base_file is None else str(local.base_file)
            started[spec.name] = Served(served_as, (server,), local.sha256, local.base_sha256, base)
    for launch in launches:
        vllm = await opened.stack.enter_async_context(running(launch, config.vllm_start_s, view.say))
        server = opened.at(vllm.base_url, "", vllm.key, vllm.has_ended)
        for name, model in launch.models.items():
            spec = by_vllm[name]
            served_as = replace(spec, base_url=vllm.base_url, served_name=model.served_name)
            base = None if model.served_name in launch.names else launch.names[0]
            started[spec.name] = Served(served_as, (server,), model.sha256, model.base_sha256, base)
    return started
