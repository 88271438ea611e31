"""The answer cache by itself: what a key depends on, and what is kept."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.cache.folder import CacheFolder
from evals.endpoints.cache.replies import CachedReplies
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.trials.prompt import Message
from evals.trials.trial import FULL

ASKED = ChatRequest((Message("user", "Hi"),), 50, 1.0, seed=1)
REPLY = Reply("Hello.", "", "", "stop", "m", 3, 2, (("H", {"H": 0.5, "J": 0.25}),), 1.5, 2)
URL = "http://127.0.0.1:9/v1"


def replies(folder: Path, said: list[str] | None = None, launch: dict[str, object] | None = None, **of: Any) -> Any:
    spec = resolve_model("openai/m", Overrides(of.pop("url", URL), {}))
    server = Server("http://127.0.0.1:9/v1", "none", concurrency=1, timeout_s=1.0)
    known = replace(ServedModel(spec, server), **of)
    return CachedReplies(CacheFolder(folder, (said if said is not None else []).append), known, spec, launch or {})


def test_a_reply_comes_back_without_time_and_attempts(tmp_path: Path) -> None:
    cache = replies(tmp_path)

    async def go() -> Reply | None:
        assert await cache.find(ASKED, "a") is None
        await cache.keep(ASKED, "a", REPLY)
        return await replies(tmp_path).find(ASKED, "a")

    assert asyncio.run(go()) == replace(REPLY, latency_s=0.0, attempts=0)


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, messages=(Message("user", "Hi!"),)),
        replace(ASKED, messages=(Message("system", ""), *ASKED.messages)),
        replace(ASKED, max_tokens=51),
        replace(ASKED, temperature=None),
        replace(ASKED, seed=2),
        replace(ASKED, logprobs=True),
        replace(ASKED, reply_schema={"type": "object"}),
        replace(ASKED, thinking=False),
        replace(ASKED, prefill="Sure"),
        replace(ASKED, transcript=True),
        replace(ASKED, sampler=FULL),
    ],
)
def test_whatever_is_sent_makes_another_entry(other: ChatRequest, tmp_path: Path) -> None:
    cache = replies(tmp_path)

    async def go() -> Reply | None:
        await cache.keep(ASKED, "a", REPLY)
        return await cache.find(other, "a")

    assert asyncio.run(go()) is None


@pytest.mark.parametrize(
    "other",
    [
        {"url": "http://127.0.0.1:8/v1"},
        {"file_sha256": "ab" * 32},
        {"base_sha256": "ab" * 32},
        {"base": "b"},
        {"root": "/models/of-today"},
        {"default_system": "Be kind."},
    ],
)
def test_whatever_is_known_of_the_model_makes_another_entry(other: dict[str, str], tmp_path: Path) -> None:
    async def go() -> Reply | None:
        await replies(tmp_path).keep(ASKED, "a", REPLY)
        found: Reply | None = await replies(tmp_path, **other).find(ASKED, "a")
        return found

    assert asyncio.run(go()) is None


def test_the_same_words_for_another_draw_are_another_entry(tmp_path: Path) -> None:
    async def go() -> Reply | None:
        cache = replies(tmp_path)
        await cache.keep(ASKED, "a", REPLY)
        found: Reply | None = await cache.find(ASKED, "b")
        return found

    assert asyncio.run(go()) is None


@pytest.mark.parametrize(
    "odd",
    [
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"refusal": "No."},
        {"content": " "},
        {"answered_as": "other"},
        {"content": "half \ud800"},
        {"content": "x" * (5 << 20)},
        {"prompt_tokens": -1},
    ],
)
def test_odd_replies_are_not_kept(odd: dict[str, Any], tmp_path: Path) -> None:
    asyncio.run(replies(tmp_path).keep(ASKED, "a", replace(REPLY, **odd)))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_full_folder_costs_a_line_and_no_answer(tmp_path: Path) -> None:
    said: list[str] = []
    cache = replies(tmp_path, said)

    asyncio.run(cache.keep(ASKED, "a", REPLY))
    [folder] = tmp_path.iterdir()
    shutil.rmtree(folder)
    folder.write_text("stands where an entry would go")
    for _ in range(2):
        asyncio.run(cache.keep(ASKED, "a", REPLY))
    assert len(said) == 1
    assert said[0].startswith(f"--cache: {tmp_path}: cannot be written (")


def test_runs_at_once_never_see_half_an_entry(tmp_path: Path) -> None:
    reply = replace(REPLY, content="Hello. " * 20_000)

    async def go() -> set[Reply | None]:
        one, other = replies(tmp_path), replies(tmp_path)
        kept = [cache.keep(ASKED, "a", reply) for cache in (one, other) * 20]
        found = [cache.find(ASKED, "a") for cache in (one, other) * 20]
        pairs = [task for pair in zip(kept, found, strict=True) for task in pair]
        return {seen and replace(seen, token_alternatives=None) for seen in await asyncio.gather(*pairs)}

    whole = replace(reply, latency_s=0.0, attempts=0, token_alternatives=None)
    assert asyncio.run(go()) <= {None, whole}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
