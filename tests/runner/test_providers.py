"""Runs at providers of one's own: servers that refuse what others take, keys that never cross, ends that are no answer.

Each server behaves as some hosted API does: it rejects a field that it does not know with 400 or 422, and records what
it was sent.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cli_runner import KEY, emeval, manifest, pooled, refused, responses, scenarios, told_again
from tests.support.runs import by_hash
from tests.support.servers.batch_server import BatchServer
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, Raw, Status

ALPHA, BETA, GAMMA = ("sk-of-alpha-0123456789", "sk-of-beta-0123456789", "sk-of-gamma-0123456789")
KEYS = {"ALPHA_API_KEY": ALPHA, "BETA_API_KEY": BETA, "GAMMA_API_KEY": GAMMA}


def as_gemini(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Every unknown field at once, in a list."""
    known = {"model", "messages", "max_tokens", "temperature", "top_p"}
    said = "\n".join(f'Unknown name "{name}": Cannot find field.' for name in body if name not in known)
    error = {"code": 400, "message": f"Invalid JSON payload received. {said}", "status": "INVALID_ARGUMENT"}
    return Raw(json.dumps([{"error": error}]).encode(), 400) if said else by_hash(body, seen)


def rejecting(*rejected: str, message: str = "Unrecognized request argument supplied: {}", status: int = 400) -> Any:
    """A server that answers with a rejection where a request has one of these fields."""

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        field = next((name for name in rejected if name in body), None)
        return by_hash(body, seen) if field is None else Status(status, message.format(field))

    return script


class Place:
    """A folder with a dataset and a config that declares providers, each at a server of its own."""

    def __init__(self, folder: Path, questions: int = 2) -> None:
        self.folder = folder
        self.data = scenarios(folder / "data.jsonl", questions)
        self.config = folder / "study.yaml"

    def declare(self, providers: Mapping[str, Any], **fields: Any) -> None:
        self.config.write_text(yaml.safe_dump({"providers": dict(providers), **fields}), encoding="utf-8")

    def run(self, *words: str, form: str = "mcq", env: Mapping[str, str] = KEYS) -> Any:
        out = ("--dataset", self.data, "--format", form, "--out", self.folder / "run", "--config", self.config)
        return emeval("run", "unethical_test", *words, *out, "--samples", "1", env=env)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@contextlib.contextmanager
def serving(script: Any = by_hash, **options: Any) -> Iterator[OpenAIServer]:
    with OpenAIServer(script, models=options.pop("models", ("m", "j")), **options).start() as live:
        yield live


def fields_sent(live: OpenAIServer) -> set[str]:
    """The fields of the requests after those that were to find out what the server takes."""
    return set().union(*(request.body for request in live.chats[-2:]))


# --- what a server rejects, whoever knows of it -----------------------------------------------------------------------

OPENAIS_LIMIT = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
MISTRALS = '{{"detail": [{{"type": "extra_forbidden", "loc": ["body", "{}"]}}]}}'


@pytest.mark.parametrize(
    ("script", "unsent", "sent"),
    [
        (rejecting("seed"), {"seed"}, {"top_k", "max_tokens"}),
        (rejecting("seed", message=MISTRALS, status=422), {"seed"}, {"top_p"}),
        (rejecting("seed", message="Extra inputs are not permitted"), {"seed", "top_k"}, {"max_tokens", "top_p"}),
        (rejecting("max_tokens", message=OPENAIS_LIMIT), {"max_tokens"}, {"max_completion_tokens", "seed"}),
        (as_gemini, {"seed", "top_k", "min_p", "presence_penalty", "frequency_penalty"}, {"top_p"}),
        (rejecting("top_k", "min_p", "seed"), {"top_k", "min_p", "seed"}, {"top_p", "repetition_penalty"}),
    ],
    ids=["seed", "seed in 422", "seed unnamed", "max_tokens", "all in a list", "several"],
)
def test_what_a_server_rejects_and_changes_no_answer_is_left_out(
    script: Any, unsent: set[str], sent: set[str], place: Place
) -> None:
    with serving(script) as live:
        place.declare({"lab": {"base_url": live.url}})
        done = place.run("-m", "lab/m")
        assert done.returncode == 0, done.stderr
        assert not fields_sent(live) & unsent
        assert fields_sent(live) >= sent
    noted = unsent - {"max_tokens"}
    assert all(name in done.stderr for name in noted)
    assert ("left out: the server refuses to be told" in done.stderr) == bool(noted)
    assert pooled(place.folder / "run")[("mcq", "off")]["n"] == 4


def test_a_limit_that_is_too_high_is_not_sent_in_another_field(place: Place) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if body.get("max_tokens", 0) > 100:
            return Status(400, "max_tokens must be at most 100")
        return by_hash(body, seen)

    with serving(script) as live:
        place.declare({"lab": {"base_url": live.url}})
        refused(place.run("-m", "lab/m"), "lab/m refuses a test request", "max_tokens must be at most 100")
        assert not any("max_completion_tokens" in request.body for request in live.chats)


QUIRKS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "seed": ({"seed": None}, ("seed",)),
    "random_seed": ({"seed": "random_seed"}, ("seed",)),
    "logprobs": ({"logprobs": False}, ("logprobs", "top_logprobs")),
    "limit": ({"max_completion_tokens": True}, ("max_tokens",)),
    "sampler": ({"leaves_out": ["top_k", "min_p", "repetition_penalty"]}, ("top_k", "min_p", "repeat_penalty")),
}


@pytest.mark.parametrize("name", QUIRKS)
def test_what_is_known_of_a_provider_is_never_sent(name: str, place: Place) -> None:
    quirks, rejected = QUIRKS[name]
    with serving(rejecting(*rejected)) as live:
        place.declare({"lab": {"base_url": live.url, "quirks": quirks}})
        done = place.run("-m", "lab/m", "--judge", "lab/j", form="freeform")
        assert done.returncode in (0, 1), done.stderr
        assert not any(set(rejected) & set(request.body) for request in live.chats)
        if name == "random_seed":
            assert any("random_seed" in request.body for request in live.chats)
    assert len(responses(place.folder / "run")) == 2


def test_a_judge_without_token_probabilities_is_read_by_its_text(place: Place) -> None:
    with serving() as live:
        place.declare({"lab": {"base_url": live.url, "quirks": {"logprobs": "no"}}})
        done = place.run("-m", "lab/m", "--judge", "lab/j", form="freeform")
        assert "its server gives no token probabilities; its text is read" in done.stderr
        assert "lab gives no token probabilities" in done.stderr, "nor can the sampler be checked"


def test_a_judge_whose_server_wants_the_other_limit_gets_it(place: Place) -> None:
    with serving(rejecting("max_tokens", message=OPENAIS_LIMIT)) as live:
        place.declare({"lab": {"base_url": live.url}, "own": {"base_url": live.url}})
        done = place.run("-m", "lab/m", "--judge", "own/j", form="freeform")
        assert done.returncode in (0, 1), done.stderr
    assert set(responses(place.folder / "run")["outcome"]) == {"scored"}


SYSTEM = ("--system", "Answer in one word.")


def test_a_provider_without_system_messages_is_not_asked_with_one(place: Place) -> None:
    with serving() as live:
        place.declare({"lab": {"base_url": live.url, "quirks": {"system": "no"}}})
        refused(
            place.run("-m", "lab/m", *SYSTEM), "lab/m: lab takes no system messages, and prompts of this run have one"
        )
        assert live.requests == []
        assert place.run("-m", "lab/m").returncode == 0


def test_a_server_that_rejects_system_messages_is_found_out_before_the_run(place: Place) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if body["messages"][0]["role"] == "system":
            return Status(400, "System role not supported")
        return by_hash(body, seen)

    with serving(script) as live:
        place.declare({"lab": {"base_url": live.url}})
        done = place.run("-m", "lab/m", *SYSTEM)
        refused(done, "lab/m with a system message, which prompts of this run have, refuses a test request")
        assert "System role not supported" in done.stderr


# --- lists of models --------------------------------------------------------------------------------------------------


def test_a_list_that_is_not_all_refuses_no_model(place: Place) -> None:
    with serving(models=("models/m",)) as live:
        place.declare({"lab": {"base_url": live.url}})
        refused(place.run("-m", "lab/m"), "does not serve 'm'; it serves models/m")
        place.declare({"lab": {"base_url": live.url, "quirks": {"model_list": "partial"}}})
        assert place.run("-m", "lab/m").returncode == 0


def test_a_list_that_wants_another_key_is_not_needed(place: Place) -> None:
    with serving(models_behaviour=Status(401, "x-api-key header is required")) as live:
        place.declare({"lab": {"base_url": live.url}})
        refused(place.run("-m", "lab/m"), "does not accept the key (401)")
        place.declare({"lab": {"base_url": live.url, "quirks": {"model_list": "none"}}})
        assert place.run("-m", "lab/m").returncode == 0


# --- ends that are no answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(None, finish_reason="content_filter"), "truncated"),
        (Answer("We keep it.", finish_reason="content_filter: SAFETY"), "truncated"),
        (Answer("We keep it.", finish_reason="PROHIBITED_CONTENT"), "truncated"),
        (Answer(None, finish_reason="refusal"), "truncated"),
        (Answer(None, finish_reason="stop", refusal="I will not."), "refused"),
        (Answer(None, finish_reason="stop"), "empty"),
        (Answer("We keep it.", finish_reason="model_length"), "truncated"),
        (Answer("We keep it.", finish_reason="eosFound"), "scored"),
        (Answer("We keep it.", finish_reason="maxPredictedTokensReached"), "truncated"),
        (Status(400, "Content Exists Risk", code="invalid_request_error"), "failed"),
    ],
    ids=lambda value: str(getattr(value, "finish_reason", getattr(value, "message", value))),
)
def test_an_end_by_a_filter_or_a_limit_is_no_aligned_answer(answer: Behaviour, outcome: str, place: Place) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if JUDGE_MARK in str(body["messages"]):
            return Answer("90")
        return answer if "Open case 0" in str(body["messages"]) else Answer("We return it.")

    with serving(script) as live:
        place.declare({"lab": {"base_url": live.url}})
        place.run("-m", "lab/m", "--judge", "lab/j", "--judge-mode", "text", form="freeform")
    table = responses(place.folder / "run")
    found = set(table[table["question"].str.contains("Open case 0")]["outcome"])
    assert found == {outcome}


# --- keys -------------------------------------------------------------------------------------------------------------


def keys_at(live: OpenAIServer) -> set[str]:
    return {request.authorization.removeprefix("Bearer ") for request in live.requests}


@pytest.fixture
def three() -> Iterator[tuple[OpenAIServer, OpenAIServer, OpenAIServer]]:
    def once_refusing(body: Mapping[str, Any], seen: int) -> Behaviour:
        is_first = seen == 1 and "Open case 1" in str(body["messages"])
        return Status(400, "Content Exists Risk") if is_first else by_hash(body, seen)

    with serving(once_refusing, key=ALPHA) as alpha, serving(key=BETA) as beta, serving(key=GAMMA) as gamma:
        yield alpha, beta, gamma


def declared(servers: tuple[OpenAIServer, ...]) -> dict[str, Any]:
    rows = zip(("alpha", "beta", "gamma"), KEYS, servers, strict=True)
    return {name: {"base_url": live.url, "key_variable": variable} for name, variable, live in rows}


Servers = tuple[OpenAIServer, OpenAIServer, OpenAIServer]


def by_config(place: Place, servers: Servers) -> dict[str, str]:
    place.declare(declared(servers))
    return {}


def by_environment(place: Place, servers: Servers) -> dict[str, str]:
    place.config.write_text("samples: 1\n", encoding="utf-8")
    file = place.folder / "mine.json"
    file.write_text(json.dumps(declared(servers)), encoding="utf-8")
    return {"EMEVAL_PROVIDERS": str(file)}


@pytest.mark.parametrize("declare", [by_config, by_environment])
def test_model_and_judges_of_three_providers_never_see_each_others_keys(
    declare: Callable[[Place, Servers], dict[str, str]], place: Place, three: Servers
) -> None:
    alpha, beta, gamma = three
    env = KEYS | declare(place, three)
    run = place.folder / "run"
    done = place.run("-m", "alpha/m", "--judge", "beta/j", "--judge-mode", "text", form="freeform", env=env)
    assert done.returncode == 1, done.stderr
    assert set(responses(run)["outcome"]) == {"scored", "failed"}
    assert (keys_at(alpha), keys_at(beta), keys_at(gamma)) == ({ALPHA}, {BETA}, set())

    again = ["--providers", str(place.config)] if declare is by_config else []
    assert ("--providers" in told_again(run)) == bool(again)
    before = len(alpha.chats)
    resumed = emeval("resume", run, "--dataset", str(place.data), *again, "--retry-failed", env=env)
    assert resumed.returncode == 0, resumed.stderr
    assert len(alpha.chats) > before
    assert set(responses(run)["outcome"]) == {"scored"}
    words = ("--judge", "gamma/j", "--judge-mode", "text")
    judged = emeval("judge", run, *words, *again, env=env)
    assert judged.returncode == 0, judged.stderr
    assert (keys_at(alpha), keys_at(beta), keys_at(gamma)) == ({ALPHA}, {BETA}, {GAMMA})
    kept = b"".join(path.read_bytes() for path in run.rglob("*") if path.is_file())
    assert not [key for key in KEYS.values() if key.encode() in kept]


@pytest.mark.parametrize("command", ["resume", "judge", "robustness"])
def test_a_providers_file_that_only_a_manifest_names_is_not_opened(command: str, place: Place, three: Servers) -> None:
    by_config(place, three)
    run = place.folder / "run"
    done = place.run("-m", "alpha/m", "--judge", "beta/j", "--judge-mode", "text", form="freeform")
    assert done.returncode == 1, done.stderr
    asked = [len(live.requests) for live in three]
    words = [command, str(run), *(["--attack"] if command == "robustness" else [])]
    refused(emeval(*words, env=KEYS), "give the same again: ", f"--providers {place.config}")
    assert [len(live.requests) for live in three] == asked
    assert manifest(run)["config"]["providers"] == str(place.config)


@pytest.mark.parametrize("command", [["judge", "RUN"], ["robustness", "RUN", "--attack", "--n", "1"]], ids=" ".join)
def test_said_again_the_judges_provider_gets_its_own_key(command: list[str], tmp_path: Path, three: Servers) -> None:
    place, (_, beta, _) = Place(tmp_path, questions=8), three
    by_config(place, three)
    run = place.folder / "run"
    place.run("-m", "alpha/m", "--judge", "beta/j", "--judge-mode", "text", form="freeform")
    asked = len(beta.chats)
    words = [str(run) if word == "RUN" else word for word in command]
    more = ["--judge-max-tokens", "64"]  # asked anew
    done = emeval(*words, *more, "--providers", place.config, env=KEYS)
    assert done.returncode in (0, 1), done.stderr
    assert len(beta.chats) > asked
    assert keys_at(beta) == {BETA}


def test_another_judge_needs_no_file_of_the_providers_before(place: Place, three: Servers) -> None:
    by_config(place, three)
    run = place.folder / "run"
    assert place.run("-m", "alpha/m", form="freeform").returncode == 1
    place.config.unlink()
    with serving(models=("other",)) as live:
        done = emeval("judge", run, "--judge", "vllm/other", "--judge-mode", "text", url=live.url, env=KEYS)
        assert "1/2 judged, 0 failed" in done.stderr
        assert keys_at(live) == {KEY}


def test_base_url_overrides_and_a_model_of_ollama_may_have_a_judge_elsewhere(place: Place, three: Servers) -> None:
    _, beta, _ = three
    by_config(place, three)
    with serving(models=("qwen3:8b",)) as local:
        words = ("-m", "ollama/qwen3:8b", "--base-url", local.url, "--judge", "beta/j", "--judge-mode", "text")
        done = place.run(*words, form="freeform", env=KEYS | {"OLLAMA_API_KEY": "sk-of-the-cloud-0123456789"})
        assert done.returncode == 0, done.stderr
        assert (keys_at(local), keys_at(beta)) == ({"none"}, {BETA})
        assert not any("top_k" in request.body for request in local.chats)


def test_a_provider_said_to_have_batches_is_asked_by_batch(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    folder = tmp_path / "run"
    scenarios(tmp_path / "d.jsonl", 1)
    with BatchServer(by_hash, models=("m",), key=ALPHA).start() as live:
        row = {"base_url": live.url, "key_variable": "ALPHA_API_KEY"}
        words = ["run", "unethical_test", "-m", "lab/m", "--dataset", str(tmp_path / "d.jsonl"), "--out", str(folder)]
        words += ["--samples", "1", "--format", "mcq", "--via", "openai-batch", "--providers", str(file)]
        file.write_text(yaml.safe_dump({"lab": row}))
        refused(emeval(*words, env=KEYS), "--via: lab/m: lab has no batches as OpenAI's API has them")
        file.write_text(yaml.safe_dump({"lab": row | {"quirks": {"batches": True}}}))
        done = emeval(*words, env=KEYS)
        assert done.returncode == 0, done.stderr
        assert len(live.batches) == 1
        assert keys_at(live) == {ALPHA}
        status = emeval("batch", "status", folder, "--providers", file, env=KEYS)
        assert status.returncode == 0, status.stderr
    assert set(responses(folder)["outcome"]) == {"scored"}


def test_variants_at_openrouter_are_asked_judged_and_priced_by_their_whole_names(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        answer = by_hash(body, seen)
        assert isinstance(answer, Answer)
        return replace(answer, model=str(body["model"]).partition(":")[0])

    model, judge = "openrouter/vendor/model:free", "openrouter/vendor/judge:thinking"
    prices = tmp_path / "prices.csv"
    prices.write_text(
        f"model,server,input,output,as_of,source\n{model},,0,0,2026-01-01,here\n{judge},,1,1,2026-01-01,here\n"
    )
    with OpenAIServer(script, models=("other",)).start() as live:
        data = scenarios(tmp_path / "data.jsonl", 2)
        done = emeval(
            *("run", "unethical_test", "-m", model, "--base-url", live.url, "--judge", f"{judge}@{live.url}"),
            *("--judge-mode", "text", "--dataset", data, "--format", "freeform", "--samples", "1"),
            *("--prices", prices, "--out", tmp_path / "run", "--no-cot-monitor"),
        )
        assert done.returncode == 0, done.stderr
        assert {chat.body["model"] for chat in live.chats} == {"vendor/model:free", "vendor/judge:thinking"}
    assert "another model" not in done.stderr + done.stdout
    assert {row["model"]: row["usd"] is not None for row in manifest(tmp_path / "run")["spend"]} == {
        model: True,
        judge: True,
    }
    assert set(responses(tmp_path / "run")["model"]) == {model}
    page = tmp_path / "page.html"
    assert emeval("report", tmp_path / "run", "-o", page).returncode == 0
    assert "model:free" in page.read_text(encoding="utf-8")
