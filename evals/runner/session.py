"""What belongs together while a run is at work in its folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import wait
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from evals.endpoints.prices import Tariff
from evals.plan.manifest import Manifest, ModelFacts
from evals.plan.plan import Plan, Retry
from evals.plan.spend import Budget, Ledger
from evals.runner.by_batch.records import with_batches
from evals.runner.view import Earlier, Progress, RunView
from evals.scoring.judge_set import JudgePanel
from evals.scoring.rates.running import RunningRates
from evals.trials.journal import Journal

if TYPE_CHECKING:  # a run that asks nobody waits for no client of a server
    from evals.endpoints.endpoint import Endpoint
    from evals.endpoints.judge_endpoint import JudgeEndpoint
    from evals.endpoints.replicas import Replicas
    from evals.runner.pipeline import Recorder, TrialSource

_PATIENCE_S = 0.1
"""How long a session waits for the counts of earlier ones, which come later in a large run."""
VLLM_FOLDER = "vllm-batch"
"""Where in a run folder the files lie that `vllm run-batch` answers."""
RAY_FOLDER = "ray"
"""Where the requests and blocks of results lie of a run that asks over Ray."""


class ByBatch(Protocol):
    """Asks what a run has pending by files of requests, and records what comes back. Who asks returns when nothing is
    at work any more; not `begin`, it only goes on with the batches that there are. Raises BadInput and RunStopped."""

    async def check(self, session: RunSession, endpoints: Sequence[Endpoint | Replicas]) -> None:
        """Raises BadInput for a server that takes no batches."""
        ...

    async def sample_here(self, session: RunSession, plan: Plan, *, begin: bool) -> dict[str, ModelFacts]:
        """Have the models under test answer on this machine, by `vllm run-batch`, as far as they can; how each is
        reached."""
        ...

    async def ask_over_ray(
        self, session: RunSession, plan: Plan, sources: Mapping[str, TrialSource], recorder: Recorder, *, begin: bool
    ) -> None:
        """Have the workers of a Ray cluster ask the models under test what they can."""
        ...

    async def judge_over_ray(
        self,
        session: RunSession,
        judges: Sequence[JudgeEndpoint],
        panel: JudgePanel,
        recorder: Recorder,
        *,
        begin: bool,
    ) -> None:
        """Have the workers of a Ray cluster ask the judges, until none is due."""
        ...

    async def ask_models(
        self, session: RunSession, plan: Plan, sources: Mapping[str, TrialSource], recorder: Recorder, *, begin: bool
    ) -> None: ...

    async def ask_judges(
        self,
        session: RunSession,
        judges: Sequence[JudgeEndpoint],
        panel: JudgePanel,
        recorder: Recorder,
        *,
        begin: bool,
    ) -> None: ...


class RunSession(NamedTuple):
    """One run at work: its manifest so far, its folder, the open journal, and where progress is shown.

    `tariffs` are the prices of all models of the run, known once it is clear what it will ask. `by_batch` asks by batch
    where that is wanted, None where it cannot be.
    """

    manifest: Manifest
    folder: Path
    journal: Journal
    view: RunView
    retry: Retry
    tariffs: Mapping[str, Tariff] = {}
    by_batch: ByBatch | None = None

    def updated(self, facts: Mapping[str, object]) -> RunSession:
        """The session with these fields of its manifest changed."""
        return self._replace(manifest=self.manifest.model_copy(update=dict(facts)))

    @asynccontextmanager
    async def progress(
        self,
        judge: str,
        to_judge: Callable[[Journal], int],
        budget: Budget | None = None,
        rates: RunningRates | None = None,
    ) -> AsyncGenerator[Progress]:
        """Show progress during the block, with running `rates`. What a large journal holds already is added up
        meanwhile, and known when the block has ended well; where there is a `budget` of dollars, before it begins."""
        journal = self.journal

        def earlier(then: Journal) -> Earlier:
            return Earlier(then.failed(), to_judge(then), with_batches(then.usage(), then))

        known = journal.aside(earlier)
        has_limit = budget is not None and budget.most is not None
        wait([known], None if has_limit else _PATIENCE_S)
        counts = {"planned": self.manifest.trials_planned, "recorded": journal.recorded()}
        ledger = Ledger(tariffs=self.tariffs) if budget is None else budget.ledger
        with self.view.progress(**counts, earlier=known, judge=judge, ledger=ledger, rates=rates) as progress:
            yield progress
            await asyncio.wrap_future(known)
