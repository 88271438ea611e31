"""What a run's manifest says about programs, files and servers.

A run folder may come from anywhere, so no command believes its manifest about what is run, opened or connected to: the
command line, the environment or a config file has to say that again. A key then only goes where this command was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evals.endpoints.fleet.url_file import file_in
from evals.endpoints.model_spec import Overrides, is_own_provider, name_and_url, resolve_model
from evals.endpoints.servers.llama_cpp import SMOLLM2
from evals.endpoints.servers.organism import is_organism
from evals.errors import BadInput
from evals.io.web.urls import origin, stripped_urls
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest, read_manifest
from evals.plan.options import updated
from evals.plan.settings.rubrics import with_rubrics
from evals.plan.settings.run_settings import option_name
from evals.plan.settings.values import absolute
from evals.plan.settings.via import BY_RAY, LOCAL_RAY
from evals.scoring.judge_set import IMPORTED
from evals.text import one_line, program, quoted_path
from organisms.behaviours import JUDGE_NAME

_SHOWN = 200
_WITH_CACHE = ("resume", "judge")


class _Model(NamedTuple):
    """A model of a config as it will be asked: under its name, at its URL unless the environment has one for it."""

    name: str
    url: str | None

    @property
    def written(self) -> str:
        return self.name if self.url is None else f"{self.name}@{_shown(self.url)}"

    @property
    def has_url(self) -> bool:
        return self.name.startswith("openai/") or not resolve_model(self.name, Overrides(self.url)).is_served_here

    @property
    def is_started(self) -> bool:
        """Whether emeval starts a vLLM server for it."""
        return self.name.startswith("vllm/") and not self.has_url

    @property
    def names_files(self) -> bool:
        """Whether its name may be that of files to open, or of weights to download and run."""
        provider, _, served = self.name.partition("/")
        if provider == "local":
            return served not in (SMOLLM2, JUDGE_NAME) and not is_organism(served)
        return provider == "vllm" and not is_organism(served) and (":" in served or self.is_started)

    @property
    def needs_providers(self) -> bool:
        """Whether its provider is one that a file of the run declares, and nothing else."""
        return self.name != IMPORTED and is_own_provider(self.name)

    def in_environment(self) -> bool:
        """Whether the environment, or the provider's default, has the very servers of its URL, or the same file."""
        if self.url is None or self.name.startswith("local/"):
            return self.url is None
        if self.needs_providers:
            return False
        known = resolve_model(self.name, Overrides())
        file = file_in(self.url)
        if file is not None or known.urls_file is not None:
            return file is not None and known.urls_file is not None and absolute(str(known.urls_file)) == str(file)
        own = {origin(url) for url in self.url.split(",")}
        return own == {origin(url) for url in known.base_urls}


def confirmed(
    recorded: RunConfig, given: Mapping[str, object], folder: Path, *, sampling: bool, anchors: bool = True
) -> RunConfig:
    """`recorded`, the config in the manifest of `folder`, with the options `given` over it.

    The table of prices is left out: the manifest has the prices that it needs. So is the answer cache, which a manifest
    could have anywhere. Raises BadInput for what the manifest
    alone names; `sampling` says whether models are asked, or stored answers judged.
    """
    given = {name: value for name, value in given.items() if value is not None}
    config = updated(recorded.model_copy(update={"prices": None, "cache": None}), given)
    said = _said(given)
    if not anchors and "anchors" not in said:
        config = config.model_copy(update={"anchors": None})
    config = _with_servers_of_environment(config, said)
    if "providers" not in said and not _needs_providers(config, sampling=sampling):
        config = config.model_copy(update={"providers": None})
    if sampling:
        _check_suites(config, folder)
    words = retold(config, said, sampling=sampling)
    if words:
        raise _named_by_manifest(folder, words)
    if not sampling and config.vllm_args != recorded.vllm_args:
        raise BadInput(f"--vllm-args: the run has {recorded.vllm_args or 'none'!r}; its judge gets the same")
    return config


def _shown(urls: str) -> str:
    """URLs without what may be a secret; the file of them by its path."""
    return urls if file_in(urls) is not None else stripped_urls(urls)


def with_datasets(manifest: Manifest, given: tuple[str, ...], folder: Path) -> Manifest:
    """`manifest` with the scenario files that are `given`. Raises BadInput for files that it alone names."""
    config = manifest.config
    _check_suites(config, folder)
    if given:
        return manifest.model_copy(update={"config": updated(config, {"dataset": given})})
    if config.dataset:
        raise _named_by_manifest(folder, [word for file in config.dataset for word in ("--dataset", quoted_path(file))])
    return manifest


def retold(config: RunConfig, said: frozenset[str] = frozenset(), *, sampling: bool) -> list[str]:
    """The options that a command needs beyond those `said`, with the values that `config` has for them."""
    return [
        word
        for field, value in _unsaid(config, said, sampling=sampling)
        for word in (option_name(field), quoted_path(value))
    ]


def resume_command(folder: Path, *, sampling: bool) -> str:
    """The command that resumes the run in `folder`, with what it has to be told again."""
    return command_again("resume", folder, sampling=sampling)


def command_again(command: str, folder: Path, *, sampling: bool) -> str:
    """The line `emeval COMMAND` on the run in `folder`, with what it has to be told again."""
    manifest = read_manifest(folder)
    words = [] if manifest is None else retold(manifest.config, sampling=sampling and not manifest.imported)
    cache = manifest.config.cache if manifest is not None and command in _WITH_CACHE else None
    words += [option_name("cache"), quoted_path(cache)] if cache is not None else []
    return " ".join([program(), command, quoted_path(folder), *words])


def _named_by_manifest(folder: Path, words: Iterable[str]) -> BadInput:
    shown = " ".join(one_line(word, _SHOWN) for word in words)
    return BadInput(
        f"{folder}: its manifest names what would be run, opened or connected to, and a run folder may come from "
        f"anywhere. If you trust it, give the same again: {shown}"
    )


def _check_suites(config: RunConfig, folder: Path) -> None:
    """Raises BadInput for a question file that is a suite without its file: its name alone would be opened."""
    missing = [name for name in config.question_files if name not in config.dataset_files or Path(name).name != name]
    if missing and not config.imported:
        raise BadInput(f"{folder}: its manifest names the suite {one_line(missing[0], 100)}, and no file of it")


def _said(given: Mapping[str, object]) -> frozenset[str]:
    """The fields that options give; of rubrics those of each judge."""
    said = set(given)
    judge = given.get("judge")
    first = judge[0] if isinstance(judge, list | tuple) and judge else judge  # pyright: ignore[reportUnknownVariableType]
    if isinstance(judge, list | tuple):
        said.add("also_judges")
    if isinstance(first, str) and name_and_url(first)[1] is not None:
        said.add("judge_base_url")
    rubrics = with_rubrics(dict(given)).get("rubrics", {})
    return frozenset(said | {f"rubrics {name}" for name in rubrics})


def _with_servers_of_environment(config: RunConfig, said: frozenset[str]) -> RunConfig:
    """`config` without the URLs that the environment has, too: they are then taken from there."""
    changes: dict[str, object] = {}
    models = [_Model(name, config.base_url) for name in config.models]
    if "base_url" not in said and config.base_url and all(model.in_environment() for model in models):
        changes["base_url"] = None
    if "judge_base_url" not in said and config.judge and _Model(config.judge, config.judge_base_url).in_environment():
        changes["judge_base_url"] = None
    if "also_judges" not in said:
        others = [_Model(*name_and_url(judge)) for judge in config.also_judges]
        changes["also_judges"] = tuple(
            other.name if other.in_environment() else judge
            for other, judge in zip(others, config.also_judges, strict=True)
        )
    return config.model_copy(update=changes)


def _models_of(config: RunConfig, *, sampling: bool) -> tuple[list[_Model], ...]:
    """The models under test and their base, () without `sampling`; the judge that counts; the others."""
    models = [_Model(name, config.base_url) for name in config.models] if sampling else []
    base = [_Model(*name_and_url(config.base))] if sampling and config.base else []
    base = [_Model(model.name, model.url or config.base_url) for model in base]
    judge = [_Model(config.judge, config.judge_base_url)] if config.judge not in (None, IMPORTED) else []
    return models, base, judge, [_Model(*name_and_url(name)) for name in config.also_judges]


def _needs_providers(config: RunConfig, *, sampling: bool) -> bool:
    return any(model.needs_providers for models in _models_of(config, sampling=sampling) for model in models)


def _unsaid(config: RunConfig, said: frozenset[str], *, sampling: bool) -> Iterator[tuple[str, str]]:
    """What `config` alone names, as fields with their values; all values of a field that takes several."""
    models, base, judge, others = _models_of(config, sampling=sampling)
    if "models" not in said and any(model.names_files for model in models):
        yield from (("models", model.name) for model in models)
    if sampling and "base_url" not in said and config.base_url is not None:
        yield "base_url", _shown(config.base_url)
    if "base" not in said and config.base and any(model.names_files or "@" in config.base for model in base):
        yield "base", _Model(*name_and_url(config.base)).written
    yield from _unsaid_judges(judge, others, said)
    if sampling and "dataset" not in said:
        yield from (("dataset", file) for file in config.dataset)
    if sampling and "judges" not in said:
        yield from (("judges", file) for file in config.judges)
    yield from (("rubrics", f"{name}={file}") for name, file in config.rubrics.items() if f"rubrics {name}" not in said)
    if config.anchors is not None and "anchors" not in said:
        yield "anchors", config.anchors
    if "providers" not in said and config.providers is not None and _needs_providers(config, sampling=sampling):
        yield "providers", config.providers
    ways = {config.judge_via, *config.also_judges_via.values(), *([config.via] if sampling else [])}
    is_on_cluster = BY_RAY in ways and config.ray_address != LOCAL_RAY
    if is_on_cluster and "ray_address" not in said:  # whose cluster runs the code
        yield "ray_address", config.ray_address
    if any(model.is_started for model in (*models, *base, *judge, *others)):
        for field in ("vllm_bin", "vllm_args"):
            if field not in said and (value := getattr(config, field)) is not None:
                yield field, str(value)


def _unsaid_judges(judge: list[_Model], others: list[_Model], said: frozenset[str]) -> Iterator[tuple[str, str]]:
    is_unsaid = any(
        ("judge" not in said and model.names_files) or ("judge_base_url" not in said and model.url is not None)
        for model in judge
    )
    if is_unsaid or ("also_judges" not in said and any(model.names_files or model.url for model in others)):
        yield from (("judge", model.written) for model in (*judge, *others))
