"""Sampling with `vllm run-batch` on this machine, one shard after the other.

vLLM writes its results at its end alone, so a shard is what a crash can cost. The results of a shard are recorded
before the next one begins, and files of results that a killed process left behind come first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from evals.batches.importing import import_results
from evals.batches.openai.stages import MAY_PASS
from evals.batches.outcomes import failure_in
from evals.batches.results import ResultFile, Results, opened, spooled
from evals.batches.unserved import unserved_model
from evals.batches.vllm.files import ShardFiles
from evals.batches.vllm.launches import LaunchedModels, facts_of, launched_models, pending_lines
from evals.endpoints.servers.vllm_batch import run_batch
from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.plan.config import RunConfig
from evals.plan.manifest import ModelFacts, read_manifest, write_manifest
from evals.plan.plan import Plan
from evals.runner.session import RunSession
from evals.runner.view import Progress
from evals.text import one_line

_MOST_ROUNDS = 3
"""How often a request is asked that fails in a way that may pass: each round loads the model again."""
_ENGINE_DIED = ("EngineCore", "EngineDead")
"""What the errors say of the requests that were at work when vLLM's engine died; vLLM itself then ends well."""


async def sample_here(session: RunSession, plan: Plan, *, begin: bool) -> dict[str, ModelFacts]:
    """Have everything answered that vLLM can answer by file; how the models are reached. Not `begin`, only record the
    results that are there.

    Raises BadInput before anything is asked, RunStopped where vLLM fails.
    """
    launches = launched_models(session, plan) if begin else []
    models = session.manifest.models
    for launched in launches:
        for warning in launched.launch.warnings:
            session.view.say(warning)
        models = models | facts_of(launched, models)
    session = session.updated({"models": models})
    if begin:
        write_manifest(session.folder, session.manifest)
        if plan.config.vllm_start_timeout != RunConfig.model_fields["vllm_start_timeout"].default:
            session.view.say(
                "--vllm-start-timeout limits the start of `vllm serve`; `vllm run-batch` has no server that could be "
                "seen to be ready, and no limit"
            )
    await session.journal.flush()
    async with session.progress("", lambda _journal: 0) as progress:
        sampler = _Sampler(session, plan, progress)
        sampler.take_left()
        if begin and session.retry.trials:
            session.journal.forget_failed_trials()
        await sampler.ask(launches)
    return dict(sampler.session.manifest.models)


class _Taken(NamedTuple):
    """What a file of results has brought: the ids in it, those that are to be asked again, and what a dead engine said,
    "" where it lived."""

    ids: frozenset[str]
    again: frozenset[str]
    died: str = ""


class _Sampler:
    def __init__(self, session: RunSession, plan: Plan, progress: Progress) -> None:
        self.session = session
        self._plan, self._progress = plan, progress
        self._files = ShardFiles(session.folder)
        self._say = session.view.say

    def take_left(self) -> None:
        """Record what an earlier session has left."""
        for path in self._files.left():
            self._say(f"{path.name}: results that were not recorded yet")
            self._take(path, is_last=False)
            self._files.remove(path)
        self._files.clear()

    async def ask(self, launches: Iterable[LaunchedModels]) -> None:
        """Raises RunStopped where requests are left unanswered."""
        rounds, unanswered = min(self._plan.config.max_attempts, _MOST_ROUNDS), 0
        for number in range(1, rounds + 1):
            online: dict[str, Counter[str]] = {}
            unanswered = 0
            for launched in launches:
                for lines in pending_lines(self.session, self._plan, launched, online):
                    while shard := list(islice(lines, self._plan.config.shard)):
                        unanswered += await self._ask(launched, shard, is_last=number == rounds)
            for name, reasons in online.items() if number == 1 else ():
                for reason, count in reasons.items():
                    self._say(f"{name}: {counted(count, 'answer')} to be asked online: {reason}")
            if not unanswered:
                break
        self._files.clear()
        if unanswered:
            raise RunStopped(f"vllm run-batch gave no result for {counted(unanswered, 'request')}, in {rounds} rounds")

    async def _ask(self, launched: LaunchedModels, shard: list[tuple[str, bytes]], *, is_last: bool) -> int:
        """Have a shard answered and record it; how many requests are still unanswered."""
        ids = {custom_id for custom_id, _ in shard}
        requests = self._files.write([line for _, line in shard])
        part = self._files.part_of(requests)
        try:
            await run_batch(launched.launch, requests, part, self._say)
        except RunStopped as error:
            # It may have failed only once it had written everything.
            taken = self._take(part, is_last=is_last) if part.exists() else _Taken(frozenset(), frozenset())
            if not ids <= taken.ids:
                self._files.remove(part)
                raise
            self._say(f"{one_line(str(error))}; its results are complete")
        else:
            taken = self._take(self._files.finished(part), is_last=is_last)
        self._files.remove(part)
        if taken.died:
            raise RunStopped(f"vllm run-batch {launched.launch.base}: its engine died: {taken.died}")
        left = (ids - taken.ids) | (ids & taken.again)
        said = f", {len(left):,} to be asked again" if left else ""
        self._say(f"{requests.name}: {len(ids) - len(left):,} of {len(ids):,} recorded{said}")
        return len(left)

    def _take(self, path: Path, *, is_last: bool) -> _Taken:
        """Record the results in a file, but for failures that may pass, which are to be asked again unless this
        `is_last`. Raises RunStopped for a file that cannot be read."""
        try:
            with opened([path]) as files:
                results = Results(files, lambda _text: None, max_reply_mb=self._plan.config.max_reply_mb)
                again, died = self._unanswered(results, is_last=is_last)
                if not again:
                    self._import(files)
                else:
                    kept = (json.dumps(results.read(name)) for name in results.ids() if name not in again)
                    with spooled(str(path), kept) as file:
                        self._import([file])
                return _Taken(frozenset(results.ids()), again, died)
        except BadInput as error:
            raise RunStopped(f"{error}; once the file is removed, its requests are asked again") from None

    def _unanswered(self, results: Results, *, is_last: bool) -> tuple[frozenset[str], str]:
        """The results that are not to be recorded, and what a dead engine said."""
        again: set[str] = set()
        died = ""
        # Who was asked makes no difference to what an error says.
        spec = next(iter(self._plan.specs.values()))
        endpoint = unserved_model(spec, self._say, max_reply_mb=self._plan.config.max_reply_mb).endpoint
        for custom_id in results.ids():
            failure = failure_in(results.read(custom_id), endpoint)
            if failure is None or failure.kind not in MAY_PASS:
                continue
            if any(word in failure.detail for word in _ENGINE_DIED):
                died = failure.detail
                again.add(custom_id)
            elif not is_last:
                again.add(custom_id)
        return frozenset(again), died

    def _import(self, files: list[ResultFile]) -> None:
        answers = import_results(self.session, self._plan, files).answers
        for number in range(answers.recorded):
            self._progress.sampled(failed=number < answers.failed)
        written = read_manifest(self.session.folder)
        assert written is not None  # noqa: S101  import_results has written it
        self.session = self.session.updated({"models": written.models})
