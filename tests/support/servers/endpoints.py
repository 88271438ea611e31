"""An endpoint of emeval's at a server of a test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server

ONCE = RetryPolicy(max_attempts=1, max_total_s=20.0)


@contextlib.asynccontextmanager
async def connected(
    url: str, *, policy: RetryPolicy = ONCE, key: str = "sk-0123456789", timeout_s: float = 20.0, **settings: Any
) -> AsyncIterator[Endpoint]:
    """The model `m` at a URL; `settings` are those of a Server."""
    server = Server(url, key, concurrency=8, timeout_s=timeout_s, **settings)
    try:
        yield Endpoint(ServedModel(ModelSpec("vllm/m", "vllm", "m", url, "TEST_API_KEY"), server), policy)
    finally:
        await server.close()
