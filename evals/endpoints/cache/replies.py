"""The replies of one model in the answer cache, found by all that decides them.

The key of a reply is the SHA-256 of the request's body, of what is known of the model (its server and name there, the
hashes of its files) and of the draw: the id of the trial, which counts its repeats, or of the judge's request. So the
third sample of a prompt never gets the reply of the first, and two runs that plan the same draw share it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from evals.endpoints.cache.entry import is_kept, packed, unpacked
from evals.endpoints.cache.folder import CacheFolder
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.model_spec import ModelSpec, can_be_from
from evals.endpoints.request_body import encode_chat
from evals.endpoints.served_model import ServedModel

_VERSION = 1
"""Of what goes into a key."""


class CachedReplies:
    """The replies of `model`, which was asked for as `spec`. `launch` says how emeval serves it, if it does."""

    def __init__(
        self, folder: CacheFolder, model: ServedModel, spec: ModelSpec, launch: Mapping[str, object] = {}
    ) -> None:
        self._folder = folder
        self._model = model
        self._identity = _identity(model, spec, launch)

    async def find(self, request: ChatRequest, draw: str) -> Reply | None:
        """The reply that this request got before for the same draw; it took no attempt and no time."""
        key = self._key(request, draw)
        content = await asyncio.to_thread(self._folder.read, key)
        reply = None if content is None else unpacked(key, content)
        if reply is None or not can_be_from(self._model.spec.name, self._model.spec.served_name, reply.model):
            return None
        return reply

    async def keep(self, request: ChatRequest, draw: str, reply: Reply) -> None:
        """Keep a reply, unless it is odd or too long."""
        if not is_kept(reply):
            return
        key = self._key(request, draw)
        content = packed(key, reply)
        if content is not None:
            await asyncio.to_thread(self._folder.write, key, content)

    def _key(self, request: ChatRequest, draw: str) -> str:
        # A prefill is rendered by the server; the chat, the prefill and the switch decide what comes of it.
        decided = {
            "version": _VERSION,
            "model": self._identity,
            "body": encode_chat(self._model, request).body.decode(),
            "prefill": request.prefill,
            "transcript": request.transcript,
            "draw": draw,
            **({"rendered": True} if request.rendered else {}),
        }
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def _identity(model: ServedModel, spec: ModelSpec, launch: Mapping[str, object]) -> dict[str, Any]:
    """What is known of a model: a server that emeval starts is not told by its port."""
    place: object = sorted(spec.base_urls)
    if spec.urls_file is not None:
        place = str(spec.urls_file)
    elif spec.is_served_here:
        place = dict(launch)
    return {
        "name": spec.name,
        "place": place,
        "served_name": model.spec.served_name,
        "root": model.root,
        "files": [model.file_sha256, model.base_sha256],
        "base": None if spec.provider == "local" else model.base,
        "system": model.default_system,
    }
