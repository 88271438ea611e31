"""A provider: a server that is known by name, and in what its API departs from OpenAI's."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from evals.io.web.urls import url_problem

SamplerField: TypeAlias = Literal[
    "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"
]


class Quirks(BaseModel):
    """In what a provider's chat API departs from OpenAI's. What is not known here is found out when a model is asked:
    a parameter that the server rejects and that changes no answer is left out.

    `hosted`: it serves many customers, shows no rendered prompts, and is asked with the sampler fields of OpenAI's API
    where it judges. `seed` is the field of the seed, None where it takes none. `leaves_out` are the sampler fields that
    it rejects or ignores, which are not sent. `max_temperature` is the highest one that it samples at. `model_list`
    says whether its list of models has all names that it takes, some, or cannot be read with the key alone.
    `reasoning` is where its replies have a thought, for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    hosted: bool = False
    max_completion_tokens: bool = False
    logprobs: bool = True
    seed: Literal["seed", "random_seed"] | None = "seed"
    system: bool = True
    leaves_out: tuple[SamplerField, ...] = ()
    max_temperature: Annotated[float, Field(gt=0, le=2)] = 2.0
    model_list: Literal["complete", "partial", "none"] = "complete"
    batches: bool = False
    reasoning: str = ""


class Provider(BaseModel):
    """Where a provider is. `base_url` is "" for models that emeval may serve itself; `key_variable` names the
    environment variable of its key, "" for a server that gets none, and `needs_key` says whether it works without.
    `url_variable` names that of a URL to take in place of `base_url`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    key_variable: str = ""
    needs_key: bool = False
    url_variable: str = ""
    quirks: Quirks = Quirks()


class OwnProvider(BaseModel):
    """A provider as users declare it. Its key variable ends in _API_KEY, so that a file from elsewhere cannot have
    another secret sent to its URL; declared, the key is needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    key_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*_API_KEY$")] | None = None
    quirks: Quirks = Quirks()

    @field_validator("base_url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        if problem := url_problem(url):
            raise ValueError(problem)
        return url.strip().rstrip("/")

    def provider(self) -> Provider:
        key = self.key_variable or ""
        return Provider(base_url=self.base_url, key_variable=key, needs_key=bool(key), quirks=self.quirks)
