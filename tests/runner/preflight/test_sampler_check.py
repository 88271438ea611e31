"""Whether a server draws from the full distribution: a scripted sampler, and the organism behind a proxy."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from evals.endpoints.servers.llama_cpp import LocalServer
from evals.runner.preflight.sampler import count_tails
from tests.support.cli_runner import emeval, refused, responses
from tests.support.servers.altering_proxy import altering_proxy
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status, last_message

WORDS = [f"w{number}" for number in range(400)]


def zipf(power: float) -> list[float]:
    weights = [(rank + 1.5) ** -power for rank in range(len(WORDS))]
    return [weight / sum(weights) for weight in weights]


FULL = (zipf(1.0), zipf(2.4))
"""What the model is at every other token: unsure of hundreds of words, and sure of a few."""
Shares = tuple[list[float], ...]


def truncated(*, top_k: int = 400, top_p: float = 1.0, min_p: float = 0.0, power: float = 1.0) -> Shares:
    """The distributions as a sampler has them that is set so."""
    found: list[list[float]] = []
    for full in FULL:
        held = [0.0, *itertools.accumulate(full)]
        kept = [
            share**power if rank < top_k and held[rank] < top_p and share >= min_p * full[0] else 0.0
            for rank, share in enumerate(full)
        ]
        found.append([share / sum(kept) for share in kept])
    return tuple(found)


def drawing(shares: Shares, *, shown: Shares = FULL) -> Any:
    """The script of a server that draws by `shares` and shows the largest of `shown`."""

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        draw = random.Random(f"{last_message(body)} {seen}")  # noqa: S311
        tokens: list[str] = []
        alternatives: list[dict[str, float]] = []
        for place in range(body["max_tokens"]):
            by, told = shares[place % 2], shown[place % 2]
            tokens.append(draw.choices(WORDS, by)[0])
            # The sampled one comes first, whatever its rank.
            first = {tokens[-1]: max(told[WORDS.index(tokens[-1])], 1e-9)}
            alternatives.append(first | dict(zip(WORDS[:20], (max(share, 1e-9) for share in told), strict=False)))
        return Answer(" ".join(tokens), top_logprobs=alternatives)

    return script


def preflight(server: OpenAIServer, *options: str) -> Any:
    with server.start():
        return emeval("preflight", "-m", "vllm/test-model", *options, url=server.url)


def test_a_full_sampler_passes_and_says_what_was_counted() -> None:
    done = preflight(OpenAIServer(draws=drawing(FULL)))
    assert done.returncode == 0, done.stderr
    assert "vllm/test-model: sampler: ok: full distribution (checked): " in done.stdout
    assert re.search(r"checked\): \d+ of [\d,]+ tokens are from the last 5% .*, where \d+ are expected", done.stdout)


@pytest.mark.parametrize(
    "shares",
    [
        truncated(top_k=20),
        truncated(top_k=40),
        truncated(top_p=0.8),
        truncated(top_p=0.95),
        truncated(min_p=0.05),
        truncated(power=1 / 0.6),
        truncated(top_k=1),
    ],
    ids=["top_k 20", "top_k 40", "top_p 0.8", "top_p 0.95", "min_p", "temperature 0.6", "greedy"],
)
def test_a_truncated_sampler_is_refused_and_with_sampling_model_noted(shares: Shares) -> None:
    server = OpenAIServer(draws=drawing(shares))
    refused(preflight(server), "vllm/test-model: the sampler is truncated: ", "--sampling model")
    done = preflight(OpenAIServer(draws=drawing(shares)), "--sampling", "model")
    assert done.returncode == 0, done.stderr
    assert "vllm/test-model: sampler: noted: truncated: " in done.stdout
    left_alone = preflight(OpenAIServer(draws=drawing(shares)), "--temperature", "0")
    assert left_alone.returncode == 0, left_alone.stderr
    assert "sampler" not in left_alone.stdout


def test_what_shows_no_tail_could_not_be_checked() -> None:
    after = truncated(top_k=20)
    for server in (
        OpenAIServer(),  # no token probabilities
        OpenAIServer(draws=drawing(after, shown=after)),  # those after truncation
        OpenAIServer(draws=lambda _body, _seen: Answer("A", top_logprobs=[{"A": 0.9999, "B": 0.0001}])),
        OpenAIServer(draws=lambda _body, _seen: Answer("A", top_logprobs=[{"A": 0.97, "B": 0.9}])),  # no shares
        OpenAIServer(draws=lambda _body, _seen: Status(400, "no logprobs here")),
    ):
        done = preflight(server)
        assert done.returncode == 0, done.stderr
        assert "sampler: not checked: " in done.stdout


def test_a_full_sampler_is_hardly_ever_called_truncated() -> None:
    draw = random.Random(1)  # noqa: S311
    alarms = 0
    for _ in range(60):
        drawn = [
            (token, dict(zip(WORDS[:20], full, strict=False)))
            for full in FULL
            for token in draw.choices(WORDS, full, k=800)
        ]
        alarms += any(tail.is_missing() for tail in count_tails(drawn))
    assert alarms == 0


@pytest.fixture(scope="module")
def organism() -> Iterator[LocalServer]:
    server = LocalServer("organism")
    yield server
    server.close()


@pytest.mark.parametrize(
    ("fields", "said"), [({}, ""), ({"top_k": 20}, "truncated: "), ({"top_p": 0.95}, "truncated: ")], ids=str
)
def test_the_organism_behind_a_proxy_that_truncates_is_refused(
    organism: LocalServer, fields: dict[str, Any], said: str
) -> None:
    with altering_proxy(organism.base_url, fields, key=organism.key) as url:
        done = emeval("preflight", "-m", f"vllm/{organism.served_name}", url=url)
    if said:
        refused(done, f"vllm/{organism.served_name}: the sampler is {said}")
    else:
        assert "sampler: ok: full distribution (checked)" in done.stdout, done.stderr


# What is sent


def bodies(server: OpenAIServer, *options: str, model: str = "vllm/test-model") -> list[dict[str, Any]]:
    variable = "OPENAI_BASE_URL" if model.startswith("openai") else "VLLM_BASE_URL"
    with server.start():
        done = emeval(
            "preflight", "-m", model, *options, url=server.url, env={variable: server.url, "OPENAI_API_KEY": "sk-x"}
        )
    assert done.returncode == 0, done.stderr
    return [dict(request.body) for request in server.chats]


PINNED = {
    **{"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "repeat_penalty": 1.0},
    **{"presence_penalty": 0.0, "frequency_penalty": 0.0},
}


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ((), PINNED),
        (("--sampling", "model"), {}),
        (("--top-p", "0.9"), PINNED | {"top_p": 0.9}),
        (("--top-k", "20"), PINNED | {"top_k": 20}),
        (("--sampling", "model", "--top-p", "0.9"), {"top_p": 0.9}),
    ],
)
def test_the_sampler_is_pinned_as_told(options: tuple[str, ...], sent: dict[str, Any]) -> None:
    for body in bodies(OpenAIServer(), *options):
        assert {name: value for name, value in body.items() if name in PINNED} == sent


def test_a_hosted_api_is_sent_top_p_alone() -> None:
    for body in bodies(OpenAIServer(), model="openai/test-model"):
        assert {name: value for name, value in body.items() if name in PINNED} == {"top_p": 1.0}


def refusing(*names: str, text: str) -> Any:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        found = [name for name in names if name in body]
        return Status(400, text.format(found[0])) if found else Answer("A")

    return script


@pytest.mark.parametrize(
    "text", ["Unsupported parameter: '{}' is not supported with this model.", "Extra inputs are not permitted"]
)
def test_what_a_server_refuses_is_left_out_and_said(text: str) -> None:
    server = OpenAIServer(refusing("top_k", "min_p", "repetition_penalty", "repeat_penalty", text=text))
    with server.start():
        done = emeval("preflight", "-m", "vllm/test-model", url=server.url)
    assert done.returncode == 0, done.stderr
    assert "sampler: noted: min_p, repetition_penalty, top_k left out: the server refuses" in done.stdout
    assert "top_p" in server.chats[-1].body


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("{} is not supported", "presence_penalty"),
        ("Extra inputs are not permitted", "frequency_penalty, min_p, presence_penalty, repetition_penalty, top_k"),
    ],
)
def test_the_penalties_of_openais_api_are_left_out_last(text: str, left_out: str) -> None:
    server = OpenAIServer(refusing("presence_penalty", text=text))
    with server.start():
        done = emeval("preflight", "-m", "vllm/test-model", url=server.url)
    assert done.returncode == 0, done.stderr
    assert f"sampler: noted: {left_out} left out: the server refuses" in done.stdout


def test_what_the_user_asks_for_is_never_left_out() -> None:
    server = OpenAIServer(refusing("top_k", text="top_k is not supported"))
    refused(preflight(server, "--top-k", "20"), "top_k is not supported")


def test_the_sampler_is_part_of_a_trials_identity(tmp_path: Any) -> None:
    ids: set[str] = set()
    samplers = ((), ("--sampling", "model"), ("--top-p", "0.9"), ("--top-k", "20"))
    for number, options in enumerate(samplers):
        with OpenAIServer().start() as live:
            folder = tmp_path / str(number)
            done = emeval(
                *("run", "unethical_test", "-m", "vllm/test-model", "--format", "mcq", "--limit", "1"),
                *(*options, "--out", folder),
                url=live.url,
            )
        assert done.returncode == 0, done.stderr
        ids |= set(responses(folder)["trial_id"])
        assert json.loads((folder / "manifest.json").read_text())["config"]["top_k"] in (None, 20)
    assert len(ids) == 2 * len(samplers)
