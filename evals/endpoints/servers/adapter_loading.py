"""Adapters at a vLLM server that runs already: found under a name that it lists, else loaded while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from evals.endpoints.served_model import ServedModel
from evals.endpoints.servers.adapters import check_base, find_adapter, is_other_base
from evals.endpoints.servers.vllm_launch import split_adapter
from evals.errors import BadInput


async def load_adapter(model: ServedModel, say: Callable[[str], None]) -> ServedModel:
    """Where `model` is BASE:ADAPTER, ADAPTER a folder here, and the server lists neither name: have it load the folder.

    It stays loaded: its name holds the hash of its files, so a later request for it gets the same. Raises BadInput.
    """
    spec, server = model.spec, model.server
    base, written = split_adapter(spec.full_name or "") if spec.provider == "vllm" else ("", None)
    listed = await server.served_models() if written is not None else None
    if written is None or listed is None or {spec.full_name, spec.served_name} & set(listed):
        return model
    adapter = find_adapter(written)
    if adapter is None:  # what the server lacks then is for the check of the endpoint to say
        return model
    if base not in listed:
        shown = ", ".join(server.clean(other) for other in listed[:8]) or "no models"
        raise BadInput(f"{server.base_url} does not serve {base!r}, the base of {written}; it serves {shown}")
    name = adapter.served_name
    if name not in listed:
        check_base(adapter, Path(base))
        if is_other_base(adapter, base):
            say(f"{spec.name}: the adapter says that it belongs to {adapter.base}")
        await server.load_adapter(name, str(adapter.path))
        say(f"{spec.name}: loaded at {server.base_url} as {name}")
    loaded = replace(spec, served_name=name, full_name=None)
    return replace(model, spec=loaded, file_sha256=adapter.sha256, base=base)
