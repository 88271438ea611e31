"""A model at a server that serves it."""

from __future__ import annotations

from dataclasses import dataclass

from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.server import Server


@dataclass(frozen=True)
class ServedModel:
    """A model at one of its servers, with what has been read of its files and found out at the server.

    The hashes are of files that emeval has read itself: the model's, or an adapter's and then of the base beneath it.
    `base` is what an adapter is applied to: its name at the server, for llama.cpp its file. `listed` are the models
    that the server lists, None where it keeps no list or has not been asked. `refused` are sampler fields that the
    server does not take. `default_system` is what the chat template says where a chat has no system message: "" for
    nothing, None where that is not known. With `empty_system`, such a chat is sent with an empty one in its place.
    """

    spec: ModelSpec
    server: Server
    file_sha256: str | None = None
    base: str | None = None
    base_sha256: str | None = None
    listed: tuple[str, ...] | None = None
    refused: frozenset[str] = frozenset()
    default_system: str | None = None
    empty_system: bool = False
