"""Connections to every server that a run needs: those that run already, and those that emeval starts and stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from evals.endpoints.fleet.url_file import UrlFile
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.endpoints.servers.llama_cpp import SMOLLM2, LocalServer, model_files
from evals.endpoints.servers.reference_judge import REFERENCE_JUDGE, reference_judge
from evals.endpoints.servers.vllm import running
from evals.endpoints.servers.vllm_launch import Launch, VllmSettings, plan_launches
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan
from evals.runner.view import RunView


@dataclass(frozen=True)
class Connections:
    """The models under test by their names, the judge's model, and the base of merged checkpoints, each at all of its
    servers; () without a judge or a base. Servers that a file lists are for `arrivals`, and left out here."""

    models: dict[str, tuple[ServedModel, ...]]
    judge: tuple[ServedModel, ...]
    arrivals: Arrivals
    base: tuple[ServedModel, ...] = ()
    judge_spec: ModelSpec | None = None
    base_spec: ModelSpec | None = None


@asynccontextmanager
async def connect(
    judging: JudgingPlan, view: RunView, models: Iterable[ModelSpec] = (), base: ModelSpec | None = None
) -> AsyncGenerator[Connections]:
    """Connections to the judge's model, to `models` and their base, for as long as the block lasts; one for each URL.

    Raises BadInput where a server cannot be started.
    """
    specs = list(models)
    judge_spec = judging.judge_spec if judging.judges else None
    async with AsyncExitStack() as stack:
        servers = _ServerPool(judging.config, stack, view.say)
        beside = [spec for spec in (judge_spec, base) if spec is not None]
        started = await _start(servers, [*specs, *beside], view)

        def at_each_server(spec: ModelSpec | None) -> tuple[ServedModel, ...]:
            if spec is None or spec.urls_file is not None:
                return ()
            if spec.base_url is None:
                return (started[spec.name],)
            return tuple(ServedModel(spec, servers.get(url, spec.key_variable, spec.key())) for url in spec.base_urls)

        models_at = {spec.name: at_each_server(spec) for spec in specs}
        async with _arriving(servers, specs, view.say) as arrivals:
            yield Connections(models_at, at_each_server(judge_spec), arrivals, at_each_server(base), judge_spec, base)


class Arrivals:
    """Servers that files list: each is connected to when it comes, and closed when it has gone.

    `specs` are the models under test whose servers a file lists, by their names.
    """

    def __init__(self, servers: _ServerPool, specs: Iterable[ModelSpec], say: Callable[[str], None]) -> None:
        self.specs = {spec.name: spec for spec in specs if spec.urls_file is not None}
        self._servers = servers
        self._say = say
        self._files: dict[Path, UrlFile] = {}
        self._following: list[asyncio.Task[None]] = []

    def file_of(self, spec: ModelSpec) -> UrlFile:
        """The file of a model's URLs, one for all models that have the same."""
        assert spec.urls_file is not None  # noqa: S101  asked of such models alone
        if spec.urls_file not in self._files:
            self._files[spec.urls_file] = UrlFile(spec.urls_file, spec.base_urls, self._say)
        return self._files[spec.urls_file]

    def open(self, spec: ModelSpec, url: str) -> ServedModel:
        """A model at one of the servers that its file lists. Raises BadInput where there is no key for it."""
        spec_there = spec.at((url,))
        return ServedModel(spec_there, self._servers.lease(url, spec.key_variable, spec_there.key()))

    async def close(self, model: ServedModel) -> None:
        """Close the connection, unless another model is asked there."""
        await self._servers.give_back(model.server)

    def follow(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Do this until the connections end."""
        self._following.append(asyncio.create_task(work))
        return self._following[-1]

    async def stop(self) -> BaseException | None:
        """End what follows the files; what has gone wrong with it, if anything."""
        for task in self._following:
            task.cancel()
        ends = await asyncio.gather(*self._following, return_exceptions=True)
        await self._servers.close_leased()
        return next((end for end in ends if end is not None and not isinstance(end, asyncio.CancelledError)), None)


@asynccontextmanager
async def _arriving(
    servers: _ServerPool, specs: Iterable[ModelSpec], say: Callable[[str], None]
) -> AsyncGenerator[Arrivals]:
    arrivals = Arrivals(servers, specs, say)
    try:
        yield arrivals
    except BaseException:
        await arrivals.stop()
        raise
    error = await arrivals.stop()
    if error is not None:
        raise error


@dataclass
class _Lease:
    """A connection, and how many use it."""

    server: Server
    users: int = 0


class _ServerPool:
    """The servers that are connected to; the stack closes the connections."""

    def __init__(
        self, config: RunConfig, stack: AsyncExitStack, say: Callable[[str], None] = lambda _text: None
    ) -> None:
        self.config = config
        self._say = say
        self.stack = stack
        self._servers: dict[tuple[str, str], Server] = {}
        self._leased: dict[tuple[str, str], _Lease] = {}

    def get(
        self,
        url: str,
        key_variable: str,
        key: str,
        has_ended: Callable[[], bool] = lambda: False,
        *,
        may_come_back: bool = True,
    ) -> Server:
        """The one connection to a URL with the key of that variable."""
        place = (url, key_variable)
        if place not in self._servers:
            server = self._connected(url, key, has_ended, may_come_back=may_come_back)
            self.stack.push_async_callback(server.close)
            self._servers[place] = server
        return self._servers[place]

    def _connected(
        self, url: str, key: str, has_ended: Callable[[], bool] = lambda: False, *, may_come_back: bool = True
    ) -> Server:
        config = self.config
        return Server(
            url,
            key,
            concurrency=config.concurrency,
            timeout_s=config.timeout,
            has_ended=has_ended,
            say=self._say,
            transport=config.transport,
            max_reply_mb=config.max_reply_mb,
            may_come_back=may_come_back,
        )

    def lease(self, url: str, key_variable: str, key: str) -> Server:
        """The one connection to a URL, to give back when it is done with."""
        place = (url, key_variable)
        if place in self._servers:
            return self._servers[place]
        if place not in self._leased:
            self._leased[place] = _Lease(self._connected(url, key))
        self._leased[place].users += 1
        return self._leased[place].server

    async def give_back(self, server: Server) -> None:
        """Close it where nobody else uses it."""
        for place, lease in list(self._leased.items()):
            if lease.server is server:
                lease.users -= 1
                if not lease.users:
                    del self._leased[place]
                    await server.close()

    async def close_leased(self) -> None:
        while self._leased:
            _, lease = self._leased.popitem()
            await lease.server.close()


@asynccontextmanager
async def local_base(file: str, config: RunConfig, connections: Connections) -> AsyncGenerator[ServedModel]:
    """The base beneath an adapter at llama.cpp: the one that is served already, else for as long as the block lasts.

    A server of its own rather than the adapter's own one with its scale at 0: what that one keeps of a prompt for later
    requests would then hold the work of two models.
    """
    for model in (models[0] for models in connections.models.values() if models):
        spec = model.spec
        if spec.provider == "local" and model.base is None and str(model_files(spec.served_name).base) == file:
            yield model
            return
    base = LocalServer(file)
    try:
        async with AsyncExitStack() as stack:
            spec = ModelSpec(f"local/{file}", "local", base.served_name, base.base_url, "")
            yield ServedModel(spec, _ServerPool(config, stack).get(base.base_url, "", base.key))
    finally:
        base.close()


async def _start(servers: _ServerPool, specs: Sequence[ModelSpec], view: RunView) -> dict[str, ServedModel]:
    """Start the servers of the models that emeval serves itself, one after the other; the models by their names."""
    config = servers.config
    to_serve = {spec.name: spec for spec in specs if spec.is_served_here}
    by_vllm = {spec.served_name: spec for spec in to_serve.values() if spec.provider == "vllm"}
    # What is wrong with any of them is said before the first is started. SmolLM2 may have to be downloaded.
    for spec in to_serve.values():
        if spec.provider == "local" and spec.served_name not in (REFERENCE_JUDGE, SMOLLM2):
            model_files(spec.served_name)
    launches = plan_launches(by_vllm, VllmSettings(config.vllm_bin, config.vllm_args, config.sampling == "model"))
    started: dict[str, ServedModel] = {}
    for spec in to_serve.values():
        if spec.provider == "local" and spec.served_name == REFERENCE_JUDGE:
            judge = reference_judge()
            servers.stack.callback(judge.close)
            spec_there = replace(spec, base_url=judge.base_url)
            server = servers.get(judge.base_url, "", judge.key, may_come_back=False)
            started[spec.name] = ServedModel(spec_there, server)
        elif spec.provider == "local":
            view.say(f"starting {spec.name} in this process")
            started[spec.name] = _start_local(servers, spec)
    for launch in launches:
        started |= await _start_vllm(servers, launch, by_vllm, view)
    return started


def _start_local(servers: _ServerPool, spec: ModelSpec) -> ServedModel:
    local = LocalServer(spec.served_name)
    servers.stack.callback(local.close)  # and so it lives for as long as the connections
    return ServedModel(
        spec=replace(spec, base_url=local.base_url, served_name=local.served_name),
        server=servers.get(local.base_url, "", local.key, may_come_back=False),
        file_sha256=local.sha256,
        base=None if local.base_file is None else str(local.base_file),
        base_sha256=local.base_sha256,
    )


async def _start_vllm(
    servers: _ServerPool, launch: Launch, specs: dict[str, ModelSpec], view: RunView
) -> dict[str, ServedModel]:
    """The models of a launch by their names; `specs` are by the names that the launch has for them."""
    vllm = await servers.stack.enter_async_context(running(launch, servers.config.vllm_start_timeout, view.say))
    server = servers.get(vllm.base_url, "", vllm.key, vllm.has_ended)
    started: dict[str, ServedModel] = {}
    for name, member in launch.members.items():
        spec = replace(specs[name], base_url=vllm.base_url, served_name=member.served_name)
        if member.adapter is None:
            started[spec.name] = ServedModel(spec, server, launch.base_sha256)
        else:
            started[spec.name] = ServedModel(spec, server, member.adapter.sha256, launch.names[0], launch.base_sha256)
    return started
