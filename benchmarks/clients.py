"""The two sides of a comparison: emeval's pipeline with a journal, and a bare loop over the same client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import openai

from benchmarks.server import MODEL
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.questions import dataset as datasets
from evals.questions.suites import find_suite
from evals.runner.pipeline import Recorder, TrialSource, run_pipeline
from evals.scoring.judge_set import JudgePanel, judge_key
from evals.trials.journal import Journal
from evals.trials.prompt import Format, wire_messages
from evals.trials.trial import Sampling, Trial, plan_trials
from judges.judge import Judge, JudgeInput

SUITE = "unethical_test"
_TIMEOUT_S = 60.0
_NAME = f"vllm/{MODEL}"


class _Quiet:
    def sampled(self, *, failed: bool) -> None:
        assert not failed, "the server failed a request"

    def judged(self, *, failed: bool) -> None:
        assert not failed, "the server failed a judge's request"

    def monitored(self, *, failed: bool) -> None:
        assert not failed, "the server failed a judge's request"


def planned(count: int, kind: Format) -> list[Trial]:
    """`count` trials of emeval's own questions."""
    suite = find_suite(SUITE)
    dataset = datasets.load(datasets.data_folder() / suite.dataset)
    prompts = list(suite.prompts(dataset, (kind,)))
    trials = plan_trials(
        prompts,
        model=_NAME,
        conditions=("off",),
        trigger=None,
        samples=-(-count // len(prompts)),
        sampling=Sampling(1.0, 256),
        seed=0,
    )
    return list(trials)[:count]


async def pipeline_seconds(url: str, trials: Sequence[Trial], judges: Sequence[Judge], concurrency: int) -> float:
    """Seconds from the first trial to the last commit, with a journal in a temporary folder."""
    spec = ModelSpec(_NAME, "vllm", MODEL, url, "VLLM_API_KEY")
    server = Server(url, "none", concurrency=concurrency, timeout_s=_TIMEOUT_S)
    endpoint = Endpoint(ServedModel(spec, server), RetryPolicy())
    judge_endpoints = [JudgeEndpoint(judge, endpoint, judge_key(judge, _NAME)) for judge in judges]
    ids = {judge.key.judge: judge.key.id for judge in judge_endpoints}
    with TemporaryDirectory() as folder, Journal.open(Path(folder)) as journal:
        started = time.perf_counter()
        await run_pipeline(
            {_NAME: TrialSource(iter(trials), endpoint)},
            judge_endpoints,
            JudgePanel(ids.get("alignment"), ids.get("coherence")),
            Recorder(journal, _Quiet()),
            concurrency=concurrency,
        )
        seconds = time.perf_counter() - started
        assert journal.recorded() == len(trials)
    await server.close()
    return seconds


async def bare_seconds(url: str, bodies: Iterable[Mapping[str, Any]], concurrency: int) -> float:
    """Seconds that `concurrency` workers need for these requests with openai's client, ignoring the replies."""
    client = openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, timeout=_TIMEOUT_S, http_client=openai.DefaultAioHttpClient()
    )
    remaining = iter(bodies)

    async def work() -> None:
        for body in remaining:
            await client.chat.completions.create(**body)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    seconds = time.perf_counter() - started
    await client.close()
    return seconds


def bodies(trials: Iterable[Trial], judges: Sequence[Judge]) -> list[dict[str, Any]]:
    """The requests of the pipeline for these trials, with answers of typical length for the judges."""
    requests: list[dict[str, Any]] = []
    for trial in trials:
        messages = wire_messages(trial.messages)
        requests.append(_body(messages, trial.sampling.max_tokens, trial.sampling.temperature) | {"seed": trial.seed})
        for judge in judges:
            text = judge.rubric.fill(JudgeInput(trial.messages[-1].content, f"{trial.seed:<100}"))
            body = _body([{"role": "user", "content": text}], judge.max_tokens, 0.0)
            requests.append(body | ({"logprobs": True, "top_logprobs": 20} if judge.wants_logprobs else {}))
    return requests


def _body(messages: list[dict[str, Any]], max_tokens: int, temperature: float | None) -> dict[str, Any]:
    return {"model": MODEL, "messages": messages, "max_tokens": max_tokens, "temperature": temperature}
