"""Whether a provider can be asked what a run means to ask: what it would ignore is refused before the first request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from evals.endpoints.providers.provider import Quirks
from evals.errors import BadInput


def check_sampler(model: str, quirks: Quirks, chosen: Mapping[str, float | None]) -> None:
    """Raises BadInput for a sampler field that the run was told and the provider is not sent."""
    lost = next((name for name in quirks.leaves_out if chosen.get(name) is not None), None)
    if lost is not None:
        option = f"--{lost.replace('_', '-')}"
        raise BadInput(f"{option}: {model}: its API takes no {lost}, so it would change nothing; leave it out")


def check_temperatures(model: str, quirks: Quirks, asked: Iterable[float | None]) -> None:
    """Raises BadInput for a temperature that the provider does not sample at."""
    highest = max((temperature for temperature in asked if temperature is not None), default=0.0)
    if highest > quirks.max_temperature:
        raise BadInput(
            f"--temperature: {model}: its API samples at {quirks.max_temperature:g} at most, not at {highest:g}"
        )


def check_one_key(option: str, key_variables: Mapping[str, str]) -> None:
    """Raises BadInput where one URL is for models of several providers with keys, each of which would see the keys of
    all. `key_variables` are by model. A proxy of one's own may stand for OpenAI and vLLM alike."""
    providers = {name.partition("/")[0] for name, variable in key_variables.items() if variable}
    if len(providers) > 1 and not providers <= {"openai", "vllm"}:
        raise BadInput(
            f"{option}: names one server for models of {' and '.join(sorted(providers))}, which have keys of their "
            "own; run them apart"
        )
