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
    that the server lists, None where it keeps no list or has not been asked. `context` is the longest prompt and answer
    in tokens, and `root` where its files come from, where the server says it. `refused` are sampler fields that the
    server does not take. `default_system` is what the chat template says where a chat has no system message: "" for
    nothing, None where that is not known. With `empty_system`, such a chat is sent with an empty one in its place.
    """

    spec: ModelSpec
    server: Server
    file_sha256: str | None = None
    base: str | None = None
    base_sha256: str | None = None
    listed: tuple[str, ...] | None = None
    context: int | None = None
    refused: frozenset[str] = frozenset()
    default_system: str | None = None
    empty_system: bool = False
    root: str | None = None


def difference(first: ServedModel, other: ServedModel) -> str:
    """In what a model at another server is certainly not the one at the first, "" where nothing shows that."""
    if first.file_sha256 != other.file_sha256:
        return "has the adapter under a name of its own, where others load it; unload it"
    if first.spec.served_name != other.spec.served_name:
        return f"serves the model under another name, {other.server.clean(other.spec.served_name)!r}"
    if None not in (first.base, other.base) and first.base != other.base:
        return f"has an adapter of another base, {other.server.clean(str(other.base))!r}"
    if None not in (first.context, other.context) and first.context != other.context:
        return f"has a context length of {other.context:,} tokens, others {first.context:,}"
    if first.refused != other.refused:
        return "does not take the same sampler fields as others"
    known = None not in (first.default_system, other.default_system)
    if (known and first.default_system != other.default_system) or first.empty_system != other.empty_system:
        return "has another system message in its chat template"
    return ""
