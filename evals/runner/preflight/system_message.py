"""Which system message prompts without one of their own are sent with: chat templates may add a default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.served_model import ServedModel
from evals.errors import BadInput
from evals.runner.preflight.endpoint import Check
from evals.trials.prompt import EMPTY_SYSTEM, has_system
from evals.trials.trial import Sampling, Trial

_NAME = "system message"


async def settle_system_message(
    endpoint: Endpoint, sampling: Sampling, samples: Sequence[Trial], *, left_out: bool
) -> tuple[ServedModel, Check | None]:
    """The endpoint's model with what stands for the system message of a run's prompts, of which `samples` are some.

    `left_out`: the default is not wanted in any of them (`sampling`), or in those of a condition.

    Raises BadInput where a default is not wanted and cannot be left out, and where the template loses a system message.
    """
    model = endpoint.model
    try:
        default = await endpoint.own_system_text(sampling.thinking)
    except BadInput as error:
        if left_out:
            raise
        return model, Check(_NAME, "not checked", str(error))
    if default is None:
        unknown = Check(_NAME, "not checked", "the server does not show whether its chat template adds one")
        return model, unknown if left_out else None
    model = replace(model, default_system=default)
    await _check_kept(endpoint, samples)
    # The samples are a few prompts: others may have none, and without a default they need the empty one.
    if not left_out and samples and all(has_system(trial.messages) for trial in samples):
        return model, Check(_NAME, "ok", "in the rendered prompt as it was sent")
    if not default:
        return model, Check(_NAME, "ok", "the chat template adds none")
    shown = f"the chat template's own: {endpoint.server.clean(default)!r}"
    if not left_out:
        return model, Check(_NAME, "noted", f"{shown}; --system none leaves it out")
    left = await endpoint.own_system_text(sampling.thinking, (EMPTY_SYSTEM,))
    if left:
        raise BadInput(
            f"{endpoint.name}: {'a condition with system: none' if sampling.default_system else '--system none'}: even "
            f"with an empty system message the chat template says {endpoint.server.clean(left)!r}; leave it out, or "
            "serve the model with another template"
        )
    if sampling.default_system:
        return model, Check(_NAME, "ok", f"{shown}; an empty one where a condition has none")
    return replace(model, empty_system=True), Check(_NAME, "ok", f"an empty one, in place of {shown}")


async def _check_kept(endpoint: Endpoint, samples: Sequence[Trial]) -> None:
    for trial in samples:
        sent = [message.content.strip() for message in trial.messages if message.role == "system"]
        if not sent:
            continue
        text = await endpoint.render(trial.messages, trial.sampling.thinking) or ""
        if any(content not in text for content in sent):
            raise BadInput(
                f"{endpoint.name}: the prompt of {trial.suite} ({trial.format}) has lost its system message when the "
                "server has rendered it: the model's chat template takes none"
            )
