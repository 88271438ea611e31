"""Settings that hold URLs of servers, or name a file of them: the file stays the same wherever a run is resumed."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from evals.endpoints.fleet.url_file import MARK, file_in
from evals.endpoints.model_spec import name_and_url
from evals.plan.settings.setting import Setting
from evals.plan.settings.values import AbsoluteFile, absolute


def absolute_urls(given: str) -> str:
    """URLs as they are; a file of them, written as @FILE, with its absolute path. Raises ValueError for no path."""
    file = file_in(given)
    if file is None:
        return given
    if not given.removeprefix(MARK).strip():
        raise ValueError("names no file after the @; write @urls.txt")
    return f"{MARK}{absolute(str(file))}"


def _absolute_named(given: str) -> str:
    """The same for a NAME with such URLs behind it."""
    name, urls = name_and_url(given)
    return given if urls is None else f"{name}@{absolute_urls(urls)}"


Urls = Annotated[str, AfterValidator(absolute_urls)]
NamedUrls = Annotated[str, AfterValidator(_absolute_named)]
BaseModelName = Annotated[
    NamedUrls | None,
    Field(
        min_length=1,
        description="Base model, as provider/name. The run's other models are compared with it without a trigger "
        "(default: with the first model), and the preflight checks that merged checkpoints differ from it and are "
        "coherent.",
    ),
    Setting("models", value="NAME[@URL]", in_identity=False),
]
ProvidersFile = Annotated[
    AbsoluteFile | None,
    Field(
        description="Providers of your own, by name: a file of them, or a config file with `providers:`; also "
        "EMEVAL_PROVIDERS."
    ),
    Setting("judges", value="FILE", is_path=True, in_identity=False),
]
