"""The providers as people see them: in `emeval providers`, and in the table of docs/providers.md."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from evals.endpoints.fleet.url_file import MARK
from evals.endpoints.providers.own import own_providers
from evals.endpoints.providers.provider import Provider, Quirks
from evals.endpoints.providers.table import PROVIDERS
from evals.io.web.urls import stripped_urls


class ListedProvider(NamedTuple):
    """A provider without its key. `url` says where there is none what happens instead; `departs` is in what its API
    departs from OpenAI's."""

    name: str
    url: str
    key_variable: str
    key: Literal["set", "not set", "not set, optional", "not needed"]
    own: bool
    departs: tuple[str, ...]


def listed_providers(file: str | None = None, environment: Mapping[str, str] = os.environ) -> list[ListedProvider]:
    """The providers of emeval, then the user's own. Raises BadInput for a file that declares none."""
    own = own_providers(file, environment)
    return [_listed(name, row, name in own, environment) for name, row in (PROVIDERS | own).items()]


def _listed(name: str, row: Provider, is_own: bool, environment: Mapping[str, str]) -> ListedProvider:
    given = environment.get(row.url_variable, "") if row.url_variable else ""
    url = given if given.startswith(MARK) else stripped_urls(given) if given else row.base_url
    without = "served by emeval, or " + row.url_variable if row.url_variable else "served by emeval"
    key = "not needed"
    if row.key_variable and name != "local":
        is_set = bool(environment.get(row.key_variable, "").strip())
        key = "set" if is_set else "not set" if row.needs_key else "not set, optional"
    variable = "" if name == "local" else row.key_variable
    return ListedProvider(name, url or without, variable, key, is_own, tuple(departures(row.quirks)))


def departures(quirks: Quirks) -> Iterator[str]:
    """In what an API departs from OpenAI's, a few words each."""
    if quirks.max_completion_tokens:
        yield "the limit of tokens is `max_completion_tokens`"
    if not quirks.logprobs:
        yield "no token probabilities"
    if quirks.seed is None:
        yield "no seed"
    elif quirks.seed != "seed":
        yield f"the seed is `{quirks.seed}`"
    if not quirks.system:
        yield "no system messages"
    if quirks.leaves_out:
        yield f"not sent: {', '.join(f'`{name}`' for name in quirks.leaves_out)}"
    if quirks.max_temperature < 2:
        yield f"temperatures up to {quirks.max_temperature:g}"
