"""Model names as users write them (`provider/name`) and the server that each stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from evals.errors import BadInput

Provider = Literal["openai", "vllm", "local"]
OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where a model is served. `base_url` is None for a model that emeval serves itself.

    `full_name` is the name to ask for in place of `served_name` if the server lists it, while that is not known yet.
    `key_variable` names the environment variable of the key; the key itself is never part of a value that is stored
    or shown.
    """

    name: str
    provider: Provider
    served_name: str
    base_url: str | None
    key_variable: str
    full_name: str | None = None

    def key(self, environment: Mapping[str, str] = os.environ) -> str:
        """The API key, or a placeholder for servers that want none. Raises BadInput where one is needed and missing."""
        key = environment.get(self.key_variable, "").strip()
        if not key and self.base_url == OPENAI_URL:
            raise BadInput(f"{self.name}: {self.key_variable} is not set; export it or put it into .env")
        if any(not 33 <= ord(char) <= 126 for char in key):
            raise BadInput(f"{self.name}: {self.key_variable} holds a character that no key has; set it again")
        return key or "none"


@dataclass(frozen=True, slots=True)
class Overrides:
    """URLs that stand before the environment's, and the option that gives them."""

    base_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    option: str = "--base-url"


def resolve_model(name: str, overrides: Overrides) -> ModelSpec:
    """The server behind `provider/name`. Raises BadInput for an unknown provider or a missing URL."""
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
            url = overrides.base_url or environment.get("OPENAI_BASE_URL") or OPENAI_URL
            return ModelSpec(name, "openai", served, _checked_url(url, name), "OPENAI_API_KEY")
        case "vllm":
            url = overrides.base_url or environment.get("VLLM_BASE_URL")
            if not url:
                raise BadInput(f"model {name!r}: set VLLM_BASE_URL (http://host:8000/v1) or pass {overrides.option}")
            # vLLM serves a LoRA adapter under a name of its own: BASE:ADAPTER asks for ADAPTER. Other servers have
            # names with a colon (qwen3:8b): which of the two it is, only the server's list can tell.
            adapter = served.rpartition(":")[2]
            if not adapter:
                raise BadInput(f"model {name!r}: no adapter after the colon; write vllm/BASE:ADAPTER or vllm/BASE")
            full_name = None if adapter == served else served
            return ModelSpec(name, "vllm", adapter, _checked_url(url, name), "VLLM_API_KEY", full_name)
        case _:
            raise BadInput(f"model {name!r}: unknown provider {provider!r}; known: openai, vllm, local")


def _checked_url(url: str, name: str) -> str:
    if "@" in url:  # said first, and without the URL: it may be a password
        raise BadInput(f"model {name!r}: the base URL holds a user name or password; put the key into the environment")
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is no number
        is_http = False
    if not is_http:
        raise BadInput(f"model {name!r}: {url!r} is not an http(s) URL")
    return url.rstrip("/")
