"""What the sampling of a run needs of what reads letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from evals.endpoints.chat import ChatRequest, EarlierReplies, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.replicas import Replicas
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


class Told(Protocol):
    """Receives the progress of requests, as that of a run does."""

    def retried(self, stage: Literal["sampling"]) -> None: ...

    def replied(
        self, stage: Literal["sampling"], model: str, prompt_tokens: int | None, completion_tokens: int | None
    ) -> None: ...


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
        progress: Told,
    ) -> tuple[Response | Failure, Rulings]:
        """The result and the rulings on it, that on its letters among them. Where a further request is needed and
        fails, so has the trial, and all of it is asked again."""
        ...
