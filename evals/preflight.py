"""Checks before the first trial: the endpoint answers, takes the key, serves the model, and accepts such requests at
all.

A wrong endpoint must fail in one line within seconds, not as ten thousand rows of the same failure.
"""

from __future__ import annotations

from dataclasses import replace

from evals.endpoints import ChatRequest, Endpoint, Server
from evals.errors import BadInput, RunStopped
from evals.models import ModelSpec
from evals.records import Failure, Message
from evals.retries import RetryPolicy
from judges.judge import Judge

_PROBE = (Message("user", "Reply with the letter A."),)
_PROBE_TOKENS = 16
_PROBE_POLICY = RetryPolicy(max_attempts=3, max_total_s=20.0, longest_wait_s=2.0)


async def checked_model(spec: ModelSpec, server: Server, temperature: float) -> list[str] | None:
    """Check a model under test; the server's own list of models, None when it keeps none. Raises BadInput."""
    endpoint = Endpoint(spec, server, _PROBE_POLICY)
    models = await endpoint.preflight()
    failure = await _probe(endpoint, ChatRequest(_PROBE, _PROBE_TOKENS, temperature, seed=0))
    if failure is not None:
        raise BadInput(f"{spec.name} refuses a test request: {failure.detail}")
    return models


async def checked_judge(spec: ModelSpec, server: Server, judge: Judge, *, logprobs_required: bool) -> Judge:
    """Check a judge model; the judge, asking for token probabilities only if the server takes that. Raises BadInput."""
    endpoint = Endpoint(spec, server, _PROBE_POLICY)
    await endpoint.preflight()
    request = ChatRequest(_PROBE, _PROBE_TOKENS, temperature=0.0, logprobs=judge.wants_logprobs)
    failure = await _probe(endpoint, request)
    if failure is not None and judge.wants_logprobs and not logprobs_required:
        judge = replace(judge, wants_logprobs=False)
        failure = await _probe(endpoint, replace(request, logprobs=False))
    if failure is not None:
        raise BadInput(f"judge {spec.name} refuses a test request: {failure.detail}")
    return judge


async def _probe(endpoint: Endpoint, request: ChatRequest) -> Failure | None:
    try:
        reply = await endpoint.send(request)
    except RunStopped as error:  # before a run there is nothing to resume: the input is what is wrong
        raise BadInput(str(error)) from None
    return reply if isinstance(reply, Failure) else None
