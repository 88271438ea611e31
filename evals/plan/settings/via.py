"""How requests travel: one by one, or in files that are answered later."""

from __future__ import annotations

import operator
import re
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from evals.plan.settings.setting import CONNECTION, Setting

Via: TypeAlias = Literal["online", "openai-batch", "ray"]
ModelVia: TypeAlias = Literal["online", "openai-batch", "vllm-batch", "ray"]
BY_BATCH: Via = "openai-batch"
BY_VLLM: ModelVia = "vllm-batch"
BY_RAY: Via = "ray"
LOCAL_RAY = "local"
_RAY_ADDRESS = re.compile(r"local|auto|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")


def _known_address(address: str) -> str:
    if not _RAY_ADDRESS.fullmatch(address):
        raise ValueError("give local, auto, or the HOST:PORT of the cluster's head")
    return address


ModelsVia = Annotated[
    ModelVia,
    Field(
        description="Ask the models online, by OpenAI's Batch API (half the price, within 24 hours), with `vllm "
        "run-batch` on this machine, or from the workers of a Ray cluster. What cannot go by batch stays online."
    ),
    Setting("models", in_identity=False),
]
JudgesVia = Annotated[
    Via,
    Field(description="Ask the judges online, by OpenAI's Batch API (half the price), or from a Ray cluster."),
    CONNECTION,
]
ShardSize = Annotated[
    int,
    Field(ge=1, le=50_000, description="Requests for each start of `vllm run-batch`: what a crash may lose."),
    Setting("models", in_identity=False),
]
StartLimit = Annotated[
    float,
    Field(gt=0, description="Seconds to wait until `vllm serve` is ready; `vllm run-batch` has no such limit."),
    CONNECTION,
]
RayAddress = Annotated[
    str,
    AfterValidator(_known_address),
    Field(
        description="Cluster for what is asked over Ray, which this machine is a node of; local starts one here for "
        "the run.",
    ),
    Setting("connection", value="local|auto|HOST:PORT", in_identity=False),
]
OtherJudgesVia = Annotated[dict[str, Via], Field(exclude_if=operator.not_), Setting("internal", in_identity=False)]
"""How judges that do not count are asked, by their names; the others of them as the one that counts."""
