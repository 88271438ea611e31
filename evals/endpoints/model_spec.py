"""Model names as users write them (`provider/name`) and the server that each stands for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from evals.errors import BadInput
from evals.io.web.urls import url_problem

Provider = Literal["openai", "vllm", "local"]
OPENAI_URL = "https://api.openai.com/v1"
_DATED = re.compile(r"(?<=[^/])[-@_](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4})$")
_AT_A_URL = re.compile(r"@(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where a model is served. `base_url` is None for a model that emeval serves itself.

    `more_urls` are of further servers that serve the same model. `full_name` is the name to ask for in place of
    `served_name` if the server lists it, while that is not known yet; it is the whole of what was written, and where
    that is BASE:ADAPTER with a folder for ADAPTER, the server may have to load it first.
    `key_variable` names the environment variable of the key; the key itself is never part of a value that is stored
    or shown.
    """

    name: str
    provider: Provider
    served_name: str
    base_url: str | None
    key_variable: str
    full_name: str | None = None
    more_urls: tuple[str, ...] = ()

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Every server of the model; none for a model that emeval serves itself."""
        return () if self.base_url is None else (self.base_url, *self.more_urls)

    def key(self, environment: Mapping[str, str] = os.environ) -> str:
        """The API key, or a placeholder for servers that want none. Raises BadInput where one is needed and missing."""
        key = environment.get(self.key_variable, "").strip()
        if not key and OPENAI_URL in self.base_urls:
            raise BadInput(f"{self.name}: {self.key_variable} is not set; export it or put it into .env")
        if any(not 33 <= ord(char) <= 126 for char in key):
            raise BadInput(f"{self.name}: {self.key_variable} holds a character that no key has; set it again")
        return key or "none"


@dataclass(frozen=True, slots=True)
class Overrides:
    """URLs that stand before the environment's, and the option that gives them. Several URLs have commas between."""

    base_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    option: str = "--base-url"


def is_same_model(asked: str, reported: str) -> bool:
    """Whether a reply that names the model `reported` can come from the model that was `asked` for.

    Letter case, the provider in front and a date or `-latest` behind make no other model; two dates do.
    """
    asked, reported = (name.strip().casefold().removesuffix("-latest") for name in (asked, reported))
    longer, shorter = sorted((asked, reported), key=len, reverse=True)
    if not shorter:
        return True
    if longer == shorter or longer.endswith(f"/{shorter}"):
        return True
    bare_asked, bare_reported = _DATED.sub("", asked), _DATED.sub("", reported)
    if (bare_asked == asked) == (bare_reported == reported):  # both have a date or neither has
        return False
    return is_same_model(bare_asked, bare_reported)


def can_be_from(name: str, served_name: str, reported: str) -> bool:
    """Whether a reply that names the model `reported` can come from the model `provider/name`, which its server serves
    as `served_name`: under that name or the whole of what was written."""
    return any(is_same_model(asked, reported) for asked in (served_name, name.partition("/")[2]))


def name_and_url(written: str) -> tuple[str, str | None]:
    """The two parts of `NAME@URL`; no URL where only a name is written, which may hold an @ of its own."""
    name, *url = _AT_A_URL.split(written, maxsplit=1)
    return name, url[0] if url else None


def resolve_model(name: str, overrides: Overrides) -> ModelSpec:
    """The server behind `provider/name`. Raises BadInput for an unknown provider or an invalid URL."""
    provider, slash, served = name.partition("/")
    if not slash or not served:
        raise BadInput(
            f"model {name!r}: write provider/name, such as local/smollm2, vllm/Qwen/Qwen3-32B, openai/gpt-4.1"
        )
    environment = overrides.environment
    match provider:
        case "local":
            if overrides.base_url:
                option = overrides.option
                raise BadInput(
                    f"model {name!r}: emeval serves it itself, so {option} does not apply; use vllm/ or openai/"
                )
            return ModelSpec(name, "local", served, None, "EMEVAL_LOCAL_API_KEY")
        case "openai":
            urls = _checked_urls(overrides.base_url or environment.get("OPENAI_BASE_URL") or OPENAI_URL, name)
            return ModelSpec(name, "openai", served, urls[0], "OPENAI_API_KEY", more_urls=urls[1:])
        case "vllm":
            given = overrides.base_url or environment.get("VLLM_BASE_URL")
            if not given:
                return ModelSpec(name, "vllm", served, None, "VLLM_API_KEY")
            urls = _checked_urls(given, name)
            # vLLM serves a LoRA adapter under a name of its own: BASE:ADAPTER asks for ADAPTER. Other servers have
            # names with a colon (qwen3:8b): which of the two it is, only the server's list can tell.
            adapter = served.rpartition(":")[2]
            if not adapter:
                raise BadInput(f"model {name!r}: no adapter after the colon; write vllm/BASE:ADAPTER or vllm/BASE")
            full_name = None if adapter == served else served
            return ModelSpec(name, "vllm", adapter, urls[0], "VLLM_API_KEY", full_name, urls[1:])
        case _:
            raise BadInput(f"model {name!r}: unknown provider {provider!r}; known: openai, vllm, local")


def _checked_urls(given: str, name: str) -> tuple[str, ...]:
    """The URLs in `given`, at least one. Raises BadInput, also for one that is there twice: it would count double."""
    urls = [_checked_url(url.strip(), name) for url in given.split(",")]
    if len(set(urls)) < len(urls):
        raise BadInput(f"model {name!r}: a base URL is given twice")
    return tuple(urls)


def _checked_url(url: str, name: str) -> str:
    if problem := url_problem(url):
        raise BadInput(f"model {name!r}: the base URL {problem}")
    return url.rstrip("/")
