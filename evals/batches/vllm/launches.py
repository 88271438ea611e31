"""The models under test that vLLM can answer by file, by the base model that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from evals.batches.pending import pending_answers
from evals.batches.requests import request_line
from evals.batches.unserved import UnservedModel, unserved_model
from evals.endpoints.servers.adapters import Adapter
from evals.endpoints.servers.vllm_launch import Launch, VllmSettings, plan_launches
from evals.errors import BadInput
from evals.plan.manifest import ModelFacts
from evals.plan.plan import Plan
from evals.runner.asking.trials import request_of
from evals.runner.model_endpoints import is_another_model
from evals.runner.session import RunSession


class LaunchedModels(NamedTuple):
    """A base model as vLLM is started with it, and the models of the run that it answers for, by their names."""

    launch: Launch
    models: dict[str, UnservedModel]


def launched_models(session: RunSession, plan: Plan, *, elsewhere: bool = False) -> list[LaunchedModels]:
    """What vLLM has to be started with, here or `elsewhere`. Raises BadInput for a model at a URL, one that is served
    in this process, and for files that vLLM could not serve, such as an adapter without weights."""
    config = plan.config
    for spec in plan.specs.values():
        spec.check_run_batch("vllm run-batch")
    by_served_name = {spec.served_name: spec for spec in plan.specs.values()}
    settings = VllmSettings(config.vllm_bin, config.vllm_args, config.sampling == "model", elsewhere)
    found: list[LaunchedModels] = []
    for launch in plan_launches(by_served_name, settings):
        models: dict[str, UnservedModel] = {}
        for served_name in launch.members:
            spec = by_served_name[served_name]
            known = session.manifest.models.get(spec.name)
            most = config.max_reply_mb
            models[spec.name] = unserved_model(spec, session.view.say, max_reply_mb=most, known=known)
        found.append(LaunchedModels(launch, models))
    return found


def facts_of(launched: LaunchedModels, known: dict[str, ModelFacts]) -> dict[str, ModelFacts]:
    """How the models are reached, with the hashes of their files, over what is `known`. Raises BadInput for a model
    that is not the one of the run."""
    launch, found = launched.launch, dict[str, ModelFacts]()
    for name, adapter in _adapters(launched).items():
        model = launched.models[name]
        new = ModelFacts(
            base_url="",
            served_name=model.spec.served_name,
            served=None,
            file_sha256=launch.base_sha256 if adapter is None else adapter.sha256,
            base_sha256=None if adapter is None else launch.base_sha256,
        )
        before = known.get(name)
        if before is not None and is_another_model(before, new):
            raise BadInput(f"{name}: the model file is not the one that this run began with; choose another --out")
        hashes = {"file_sha256": new.file_sha256, "base_sha256": new.base_sha256}
        found[name] = new if before is None else before.model_copy(update=hashes)
    return found


def pending_lines(
    session: RunSession, plan: Plan, launched: LaunchedModels, online: dict[str, Counter[str]]
) -> Iterator[Iterator[tuple[str, bytes]]]:
    """What the models still have to answer, as ids and lines of a batch file; all of it, or the base's apart from that
    of its adapters where vLLM might answer one with the other (`vllm_launch`). `online` counts by model, and by
    reason, what cannot go by file."""
    models, adapters = launched.models, _adapters(launched)
    groups = [models]
    if not launched.launch.keeps_place_empty:
        groups = [{name: models[name] for name in models if (adapters[name] is None) is base} for base in (True, False)]
    for group in groups:
        yield _lines(session, plan, group, online)


def _adapters(launched: LaunchedModels) -> dict[str, Adapter | None]:
    """The adapters of the models, by the names of the models."""
    adapters = {member.served_name: member.adapter for member in launched.launch.members.values()}
    return {name: adapters[model.spec.served_name] for name, model in launched.models.items()}


def _lines(
    session: RunSession, plan: Plan, models: Mapping[str, UnservedModel], online: dict[str, Counter[str]]
) -> Iterator[tuple[str, bytes]]:
    for name, model in models.items():
        for trial in pending_answers(plan, session.journal, model, "vllm", online.setdefault(name, Counter())):
            yield trial.id, request_line("vllm", trial.id, model.served, request_of(trial))
