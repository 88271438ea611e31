"""What the sampling of a run needs of what reads letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from evals.endpoints.chat import ChatRequest, EarlierReplies, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.replicas import Replicas
from evals.runner.view import Progress
from evals.trials.record import JudgeKey, RecordedVerdict
from evals.trials.response import Failure, Response
from evals.trials.trial import Trial

Rulings = list[tuple[JudgeKey, RecordedVerdict]]


class Source(Protocol):
    """Where a model is asked, and its replies to earlier runs."""

    @property
    def endpoint(self) -> Endpoint | Replicas: ...

    @property
    def cache(self) -> EarlierReplies | None: ...


class Letters(Protocol):
    """Asks for answers in a way that shows the probabilities of their letters, and reads these."""

    def request(self, trial: Trial) -> ChatRequest: ...

    async def read(
        self,
        trial: Trial,
        reply: Reply,
        result: Response,
        rulings: Sequence[tuple[JudgeKey, RecordedVerdict]],
        source: Source,
        progress: Progress,
    ) -> tuple[Response | Failure, Rulings]:
        """The result and the rulings on it, that on its letters among them. Where a further request is needed and
        fails, so has the trial, and all of it is asked again."""
        ...
