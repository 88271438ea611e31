"""What a batch is: files of requests for one model or one judge model, in a folder that says what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from evals.errors import BadInput
from evals.io.json_files import read_stored

Target: TypeAlias = Literal["openai", "vllm", "anthropic"]
"""Who is to answer: OpenAI's Batch API (and others that take its files), `vllm run-batch`, Anthropic's Message
Batches."""
Stage: TypeAlias = Literal["answers", "judge"]
"""The models under test, or the judges of their answers."""

FILE_NAME = "batch.json"
FORMAT_VERSION = 1
DEFAULT_SHARD = 5_000
"""Requests in a file, unless the user wants another number."""


class Limits(NamedTuple):
    """The most that one file may hold."""

    requests: int
    size: int


LIMITS: dict[Target, Limits] = {
    "openai": Limits(50_000, 200_000_000),
    "vllm": Limits(50_000, 200_000_000),
    "anthropic": Limits(100_000, 256_000_000),
}
"""Of vLLM there are none; the ones here keep a file small enough for one job."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of requests.

    `model` is the model under test, or the judge model, as the run names it; `served_name` is what the requests call
    it. `base_url` is the server that it has online, several with commas between, "" where emeval would start one.
    `count` is of its requests, `sha256` of its bytes.
    """

    path: Path
    stage: Stage
    model: str
    served_name: str
    base_url: str
    count: int
    sha256: str


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchFile(_Stored):
    """A file of a batch, by its name in the batch's folder."""

    name: str
    sha256: str
    requests: int


class Batch(_Stored):
    """batch.json. `identity` hashes what makes the run the one that it is, so that the folder of another run with the
    same name is told apart; `adapter` is the LoRA folder that `served_name` stands for, "" for none that is known
    here, and `base` the model below it. `sampler` is what the requests ask for, "varies" where they differ."""

    version: int = FORMAT_VERSION
    target: Target = Field(validation_alias=AliasChoices("for", "target"), serialization_alias="for")
    stage: Stage
    run_id: str
    identity: str
    model: str
    served_name: str
    base_url: str
    base: str = ""
    adapter: str = ""
    sampler: dict[str, Any]
    created_at: str
    files: tuple[BatchFile, ...]

    def shards(self, folder: Path) -> list[Shard]:
        """The files of the batch, which lies in `folder`."""
        return [
            Shard(
                folder / file.name, self.stage, self.model, self.served_name, self.base_url, file.requests, file.sha256
            )
            for file in self.files
        ]


def read_batch(folder: Path) -> Batch | None:
    """The batch in a folder, None where there is none. Raises BadInput for one that cannot be read."""
    batch = read_stored(folder / FILE_NAME, Batch, "a batch")
    if batch is not None and batch.version != FORMAT_VERSION:
        raise BadInput(f"{folder / FILE_NAME}: is of another version of emeval")
    if batch is not None and any(Path(file.name).name != file.name for file in batch.files):
        raise BadInput(f"{folder / FILE_NAME}: names a file outside its folder")
    return batch
