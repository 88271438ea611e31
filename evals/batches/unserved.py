"""Models and judges as they are asked by file: no server is known that could be looked at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from evals.batches.shard import Target
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.endpoints.servers.adapters import find_adapter
from evals.endpoints.servers.vllm_launch import split_adapter
from evals.errors import BadInput
from evals.io.web.urls import stripped_urls
from evals.plan.judging_plan import JudgingPlan
from evals.plan.manifest import ModelFacts, judges_in
from evals.scoring.judge_set import JudgePanel, judge_key
from evals.trials.trial import FULL, SERVER_DEFAULT

NOBODY = "the batch"
"""Stands for the server in what is said about replies."""


@dataclass(frozen=True)
class UnservedModel:
    """A model that is asked by file. `base` is what its adapter is applied to, "" where that is not known, and
    `adapter` the LoRA folder on this machine, "" for none."""

    endpoint: Endpoint
    base: str = ""
    adapter: str = ""

    @property
    def served(self) -> ServedModel:
        return self.endpoint.model

    @property
    def spec(self) -> ModelSpec:
        """Of what it is called in requests."""
        return self.endpoint.spec

    @property
    def base_url(self) -> str:
        return stripped_urls(",".join(self.spec.base_urls)) if self.spec.base_urls else ""


class UnservedJudges:
    """The judges of one judge model, by their ids, with the panel that says which of them is due when."""

    def __init__(self, model: UnservedModel, judges: dict[str, JudgeEndpoint], panel: JudgePanel) -> None:
        self.model = model
        self.judges = judges
        self.panel = panel


def unserved_model(
    spec: ModelSpec, say: Callable[[str], None], *, max_reply_mb: float, known: ModelFacts | None = None
) -> UnservedModel:
    """A model by what its name says, and by what a server of it has shown before, if one has been asked (`known`).

    Raises BadInput for one that emeval serves in its own process.
    """
    if spec.provider == "local":
        raise BadInput(f"{spec.name}: emeval serves it itself; batch files are for vllm/ and openai/ models")
    named, base, adapter = _named(spec)
    server = Server(NOBODY, "none", concurrency=1, timeout_s=1.0, say=say, max_reply_mb=max_reply_mb)
    default = None if known is None else known.default_system
    model = ServedModel(named, server, default_system=default)
    return UnservedModel(Endpoint(model, RetryPolicy(max_attempts=1)), base, adapter)


def _named(spec: ModelSpec) -> tuple[ModelSpec, str, str]:
    """The model under the name that requests give it, with its base and the folder of its adapter. As emeval serves it,
    an adapter in a folder has a name that changes with its files."""
    if spec.provider != "vllm" or (spec.base_url is not None and spec.full_name is None):
        return spec, "", ""
    base, written = split_adapter(spec.full_name or spec.served_name)
    if written is None:
        return replace(spec, served_name=base, full_name=None), base, ""
    adapter = find_adapter(written)
    if adapter is None:
        return replace(spec, served_name=written, full_name=None), base, ""
    return replace(spec, served_name=adapter.served_name, full_name=None), base, str(adapter.path)


def unserved_judges(
    judging: JudgingPlan, say: Callable[[str], None], target: Target | None = None
) -> UnservedJudges | None:
    """The judges of a plan as `target` can ask them; None where it has none. Without a `target` they are only to read
    what they said. Raises BadInput where the target cannot ask as it was wanted."""
    spec, config = judging.judge_spec, judging.config
    if spec is None or not judging.judges:
        return None
    model = unserved_model(spec, say, max_reply_mb=config.max_reply_mb)
    if target == "anthropic" and config.judge_mode == "logprob":
        raise BadInput("--judge-mode logprob: Anthropic's API gives no token probabilities; judge with text, or online")
    sampler = FULL if target in ("vllm", None) and not spec.quirks.hosted else SERVER_DEFAULT
    judges: dict[str, JudgeEndpoint] = {}
    for judge in judging.judges:
        key = judge_key(judge, spec.name)
        asked = replace(judge, wants_logprobs=False, schema=None) if target == "anthropic" else judge
        judges[key.id] = JudgeEndpoint(asked, model.endpoint, key, sampler=sampler)
    return UnservedJudges(model, judges, judges_in(judging.rubric_facts(), config))
