"""That a model's servers give what letters are read from, before the questions are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evals.endpoints.endpoint import Endpoint
from evals.errors import BadInput
from evals.runner.letters.reading import letter_request, lists_tokens, thinks
from evals.trials.response import Failure
from evals.trials.trial import Trial


async def check_letters(endpoints: Sequence[Endpoint], trial: Trial) -> None:
    """Ask each server once as `trial` is read. Raises BadInput where it gives no token probabilities, or, with thinking
    on, does not show the prompt that a turn goes on from."""
    request = letter_request(trial)
    if thinks(trial):
        request = replace(request, prefill=trial.sampling.prefill, rendered=True)
    for endpoint in endpoints:
        if request.rendered and endpoint.renderer is None:
            endpoint.renderer = await endpoint.find_renderer()
            if endpoint.renderer is None:
                raise BadInput(
                    f"{endpoint.name}: {endpoint.server.base_url} does not show its rendered prompt (vLLM and "
                    "llama.cpp do), and without it nothing is read after a thought; add --thinking off"
                )
        reply = await endpoint.send(request)
        if isinstance(reply, Failure) and "logprob" not in reply.detail.lower():
            raise BadInput(f"{endpoint.name}: {reply.detail}")
        if isinstance(reply, Failure) or not lists_tokens(reply):
            raise without_probabilities(endpoint.name)


def without_probabilities(name: str) -> BadInput:
    return BadInput(
        f"{name}: its server gives no token probabilities (logprobs with top_logprobs), which choices are read from; "
        "emeval run samples answers instead"
    )
