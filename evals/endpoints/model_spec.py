"""Model names as users write them (`provider/name`) and the server that each stands for."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from evals.endpoints.fleet.url_file import MARK, file_in
from evals.endpoints.providers.own import own_providers
from evals.endpoints.providers.provider import Provider, Quirks
from evals.endpoints.providers.table import PROVIDERS
from evals.errors import BadInput
from evals.io.paths import expanded
from evals.io.web.urls import url_problem
from evals.text import one_line

_DATED = re.compile(r"(?<=[^/])[-@_](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{4})$")
_AT_A_URL = re.compile(rf"@(?=[a-zA-Z][a-zA-Z0-9+.-]*://|{MARK})")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where a model is served. `base_url` is None for a model that emeval serves itself, and while no URL is known of
    those that `urls_file` will list.

    `more_urls` are of further servers that serve the same model. `urls_file` lists the servers there are, and is read
    again while a run goes on. `full_name` is the name to ask for in place of
    `served_name` if the server lists it, while that is not known yet; it is the whole of what was written, and where
    that is BASE:ADAPTER with a folder for ADAPTER, the server may have to load it first.
    `key_variable` names the environment variable of the key, "" for a server that gets none; the key itself is never
    part of a value that is stored or shown. `own` is a provider that the user has declared, None for one that emeval
    knows.
    """

    name: str
    provider: str
    served_name: str
    base_url: str | None
    key_variable: str
    full_name: str | None = None
    more_urls: tuple[str, ...] = ()
    urls_file: Path | None = None
    own: Provider | None = None

    @property
    def known_as(self) -> Provider:
        """The provider that its name begins with."""
        return self.own or PROVIDERS[self.provider]

    @property
    def quirks(self) -> Quirks:
        """In what its API departs from OpenAI's."""
        return self.known_as.quirks

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Every server of the model that is known; none for a model that emeval serves itself."""
        return () if self.base_url is None else (self.base_url, *self.more_urls)

    @property
    def is_served_here(self) -> bool:
        """Whether emeval serves the model itself."""
        return self.base_url is None and self.urls_file is None

    def at(self, urls: tuple[str, ...]) -> ModelSpec:
        """The model at these servers, of those that its file lists."""
        return replace(self, base_url=urls[0] if urls else None, more_urls=urls[1:])

    def check_batches(self, option: str) -> None:
        """Raises BadInput, about the option that asks for batches, for a model that is not at one server that has
        OpenAI's Batch API."""
        if self.is_served_here:
            raise BadInput(f"{option}: {self.name}: emeval serves it itself, and no batch goes there; ask it online")
        if not self.quirks.batches:
            raise BadInput(
                f"{option}: {self.name}: {self.provider} has no batches as OpenAI's API has them; ask it online"
            )
        if self.more_urls or self.urls_file is not None:
            raise BadInput(f"{option}: {self.name}: batches are at one server; give one URL")

    def check_run_batch(self, option: str) -> None:
        """Raises BadInput, about the option that asks for `vllm run-batch`, for a model that it cannot sample."""
        if self.is_served_here and self.provider == "vllm":
            return
        where = "emeval serves it in its own process" if self.is_served_here else "it is at a URL"
        raise BadInput(
            f"{option}: {self.name}: {where}, and `vllm run-batch` samples vllm/ models without one; ask it online"
        )

    def check_workers(self, option: str) -> None:
        """Raises BadInput, about the option that asks for workers on other machines, for a model that these cannot
        reach by URLs that stay the same."""
        if self.is_served_here:
            raise BadInput(f"{option}: {self.name}: emeval serves it itself; give the --base-url of a server of it")
        if self.urls_file is not None:
            raise BadInput(f"{option}: {self.name}: its workers read no file of URLs; give one URL, or several")

    def key(self, environment: Mapping[str, str] = os.environ) -> str:
        """The API key, or a placeholder for servers that want none. Raises BadInput where one is needed and missing."""
        key = environment.get(self.key_variable, "").strip()
        if not key and self.known_as.needs_key and self.known_as.base_url in self.base_urls:
            raise BadInput(f"{self.name}: {self.key_variable} is not set; export it or put it into .env")
        if any(not 33 <= ord(char) <= 126 for char in key):
            raise BadInput(f"{self.name}: {self.key_variable} holds a character that no key has; set it again")
        return key or "none"


@dataclass(frozen=True, slots=True)
class Overrides:
    """URLs that stand before the environment's, and the option that gives them. Several URLs have commas between;
    `@FILE` in their place names a file that lists them, which is not read here. `providers` is a file that declares
    providers, above that of the environment."""

    base_url: str | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    option: str = "--base-url"
    providers: str | None = None


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
    as `served_name`: under that name or the whole of what was written. OpenRouter may leave out the variant of a model
    (`vendor/model:free`), which says how it is routed."""
    names = [served_name, name.partition("/")[2]]
    if name.startswith("openrouter/"):
        names += [asked.rpartition(":")[0] for asked in names if ":" in asked]
    return any(is_same_model(asked, reported) for asked in names)


def name_and_url(written: str) -> tuple[str, str | None]:
    """The two parts of `NAME@URL`, or of `NAME@@FILE`; no URL where only a name is written, which may hold an @ of its
    own."""
    name, *url = _AT_A_URL.split(written, maxsplit=1)
    return name, url[0] if url else None


def resolve_model(name: str, overrides: Overrides) -> ModelSpec:
    """The server behind `provider/name`. Raises BadInput for an unknown provider or an invalid URL."""
    provider, slash, served = name.partition("/")
    if not slash or not served:
        # Tables of models that all have the same provider leave it out.
        is_own = provider.partition(":")[0] in ("organism", "smollm2")
        examples = f"as in local/{name}" if is_own else "such as local/smollm2, vllm/Qwen/Qwen3-32B, openai/gpt-4.1"
        raise BadInput(f"model {name!r}: write provider/name, {examples}")
    known = PROVIDERS.get(provider)
    own = own_providers(overrides.providers, overrides.environment) if known is None else {}
    row = known or own.get(provider)
    if row is None:
        raise BadInput(f"model {name!r}: {_unknown(provider, [*PROVIDERS, *own])}")
    spec = ModelSpec(name, provider, served, None, row.key_variable, own=own.get(provider))
    if provider == "local":
        if overrides.base_url:
            option = overrides.option
            raise BadInput(f"model {name!r}: emeval serves it itself, so {option} does not apply; use vllm/ or openai/")
        return spec
    given = overrides.base_url or overrides.environment.get(row.url_variable, "") or row.base_url
    if provider != "vllm":
        return _at(given, spec)
    if not given:
        return spec
    # vLLM serves a LoRA adapter under a name of its own: BASE:ADAPTER asks for ADAPTER. Other servers have names with
    # a colon (qwen3:8b): which of the two it is, only the server's list can tell.
    adapter = served.rpartition(":")[2]
    if not adapter:
        raise BadInput(f"model {name!r}: no adapter after the colon; write vllm/BASE:ADAPTER or vllm/BASE")
    return _at(given, replace(spec, served_name=adapter, full_name=None if adapter == served else served))


def is_own_provider(name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the provider of a model is one that neither emeval nor EMEVAL_PROVIDERS knows."""
    provider = name.partition("/")[0]
    return provider not in PROVIDERS and provider not in own_providers(None, environment)


def _unknown(provider: str, known: list[str]) -> str:
    near = difflib.get_close_matches(provider.lower(), known, 1, 0.7)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown provider {one_line(provider, 40)!r}; {hint}known: {', '.join(known)}"


def _at(given: str, spec: ModelSpec) -> ModelSpec:
    """The model at the servers that are written so."""
    file = file_in(given)
    if file is not None:
        return replace(spec, urls_file=expanded(file))
    return spec.at(_checked_urls(given, spec.name))


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
