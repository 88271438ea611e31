"""The batches of a run at their servers, looked at or cancelled from another process than the one that waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from evals.batches.openai.api import OPEN, Batch, BatchApi, UnknownToServer, tags_of
from evals.endpoints.model_spec import ModelSpec, Overrides, name_and_url, resolve_model
from evals.endpoints.server import Server
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest
from evals.plan.recorded_run import manifest_of
from evals.runner.by_batch.records import BatchRecord, Records, read_records
from evals.runner.run_folder import open_journal
from evals.runner.view import RunView
from evals.scoring.judge_set import IMPORTED
from evals.trials.journal import Journal

_AT_SERVER = ("uploaded", "created")


class Urls(NamedTuple):
    """Where batches are, as the user says; None for what the environment or the provider has. The manifest of a run is
    not believed about that, since keys go there."""

    models: str | None = None
    judges: str | None = None
    providers: str | None = None


class SeenBatch(NamedTuple):
    """A batch of the run, with what its server says of it now, None where it was not asked: it has ended, or was never
    created. `problem` is why the server did not say anything, "" where it did."""

    record: BatchRecord
    batch: Batch | None
    problem: str = ""

    @property
    def status(self) -> str:
        return self.batch.status if self.batch is not None else self.record.state


async def see_batches(folder: Path, urls: Urls, view: RunView) -> list[SeenBatch]:
    """Every batch of a run, those that are at work as their servers see them. Raises BadInput, and RunStopped for a
    server that cannot be asked."""
    manifest, records = _read(folder)
    async with _servers(manifest.config, records, urls, view) as apis:
        return [await _seen(manifest, record, apis.get(record.number)) for record in records]


async def cancel_batches(folder: Path, urls: Urls, view: RunView, *, forget: bool) -> list[SeenBatch]:
    """Cancel the batches of a run that are at work; as they are then. `forget` those that their servers do not know
    any more, whose requests are then asked again. Raises BadInput and RunStopped."""
    manifest, records = _read(folder)
    async with _servers(manifest.config, records, urls, view) as apis:
        seen = [await _seen(manifest, record, apis.get(record.number)) for record in records]
        at_work = [one for one in seen if one.problem or (one.batch is not None and one.batch.status in OPEN)]
        cancelled = [await _cancelled(one, apis[one.record.number]) for one in at_work]
    lost = [seen for seen in cancelled if seen.problem]
    if lost and forget:
        with open_journal(folder) as journal:
            known = Records(journal)
            for seen in lost:
                known.update(seen.record, state="dropped")
    return cancelled


def _read(folder: Path) -> tuple[Manifest, list[BatchRecord]]:
    with Journal.read(folder) as journal:
        return manifest_of(folder), read_records(journal)


@asynccontextmanager
async def _servers(
    config: RunConfig, records: Sequence[BatchRecord], urls: Urls, view: RunView
) -> AsyncGenerator[dict[int, BatchApi]]:
    """Where each batch that is at work can be asked about, by its number. Raises BadInput for one that is at a server
    which the user has not named: its key goes nowhere else."""
    specs = dict(_specs(config, urls))
    async with AsyncExitStack() as stack:
        apis: dict[int, BatchApi] = {}
        for record in records:
            if record.state not in _AT_SERVER:
                continue
            spec = specs.get((record.stage, record.model))
            if spec is None or record.base_url not in spec.base_urls:
                option = "--base-url" if record.stage == "answers" else "--judge-base-url"
                name = record.id or str(record.number)
                raise BadInput(f"batch {name} of {record.model} is at {record.base_url}: say so with {option}")
            server = Server(record.base_url, spec.key(), concurrency=1, timeout_s=config.timeout, say=view.say)
            stack.push_async_callback(server.close)
            apis[record.number] = BatchApi(server, spec, max_total_s=config.max_retry_time)
            stack.push_async_callback(apis[record.number].close)
        yield apis


def _specs(config: RunConfig, urls: Urls) -> Iterator[tuple[tuple[str, str], ModelSpec]]:
    """The models and judges of a run by stage and name, at the servers that the user has named."""
    for name in () if config.imported else config.models:
        yield ("answers", name), resolve_model(name, Overrides(urls.models, providers=urls.providers))
    judges = [] if config.judge in (None, IMPORTED) else [config.judge]
    for name in (*judges, *(name_and_url(judge)[0] for judge in config.also_judges)):
        yield (
            ("judge", name),
            resolve_model(name, Overrides(urls.judges, option="--judge-base-url", providers=urls.providers)),
        )


async def _seen(manifest: Manifest, record: BatchRecord, api: BatchApi | None) -> SeenBatch:
    if api is None:
        return SeenBatch(record, None)
    try:
        if record.state == "uploaded":  # a session may have been killed as it was creating the batch
            return SeenBatch(record, await api.find(tags_of(manifest, record)))
        return SeenBatch(record, await api.retrieve(record.id))
    except UnknownToServer as error:
        return SeenBatch(record, None, str(error))


async def _cancelled(seen: SeenBatch, api: BatchApi) -> SeenBatch:
    return seen if seen.batch is None else seen._replace(batch=await api.cancel(seen.batch.id))
