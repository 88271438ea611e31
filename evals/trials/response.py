"""What came back for a trial: a response, or a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ReasoningState = Literal["complete", "truncated", "unopened", "absent", "withheld"]
FailureKind = Literal[
    "timeout",
    "connection",
    "rate_limited",
    "server_error",
    "denied",
    "rejected",
    "unparsable",
    "broken_off",
    "too_large",
    "unknown",
]
"""Why nothing usable came back. `broken_off` is a reply that an error ended, or whose end has no known meaning;
`too_large` one above emeval's limits; `unknown` is a failure that was imported, from a file that does not say why."""


@dataclass(frozen=True, slots=True)
class Response:
    """A reply of the model under test. `raw` is the content as received and `raw_reasoning` the reasoning field.

    `prefill` is what the assistant's turn said before the model's first word; `raw` goes on from it. Reasoning and
    answer are read from the three. `finish_reason` is the server's word, whose meaning is
    `evals.trials.finish_reason.ending_of`.
    `latency_s` is the time of the successful attempt in seconds; token counts are the server's, None when not given.
    `attempts` is 0 for a reply that was given to an earlier run, from the answer cache or a file.
    """

    raw: str
    reasoning: str
    answer: str
    reasoning_state: ReasoningState
    finish_reason: str
    refusal: str
    reported_model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float
    attempts: int
    raw_reasoning: str = ""
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing usable came back: a closed kind for counting, one line of detail for people."""

    kind: FailureKind
    detail: str
    attempts: int
