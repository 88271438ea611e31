"""Model names and their servers: what each provider reads from the environment, and that no secret is ever shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.model_spec import ModelSpec, Overrides, can_be_from, is_same_model, resolve_model
from evals.endpoints.providers.table import OPENAI_URL
from evals.errors import BadInput


def resolved(name: str, base_url: str | None = None, **environment: str) -> ModelSpec:
    return resolve_model(name, Overrides(base_url, environment))


def refusal(name: str, base_url: str | None = None, **environment: str) -> str:
    with pytest.raises(BadInput) as caught:
        resolved(name, base_url, **environment)
    return str(caught.value)


def test_each_provider_has_its_server_and_key() -> None:
    openai = resolved("openai/gpt-4.1")
    assert (openai.served_name, openai.base_url, openai.key_variable) == ("gpt-4.1", OPENAI_URL, "OPENAI_API_KEY")
    vllm = resolved("vllm/Qwen/Qwen3-32B", VLLM_BASE_URL="http://gpu:8000/v1/")
    assert (vllm.served_name, vllm.base_url) == ("Qwen/Qwen3-32B", "http://gpu:8000/v1")
    assert vllm.key_variable == "VLLM_API_KEY"
    local = resolved("local/smollm2")
    assert (local.provider, local.served_name, local.base_url) == ("local", "smollm2", None)
    assert resolved("local//models/x.gguf").served_name == "/models/x.gguf"


def test_option_stands_before_the_environment() -> None:
    name = "openai/gpt-4.1"
    assert resolved(name, "https://proxy/v1", OPENAI_BASE_URL="http://other/v1").base_url == "https://proxy/v1"
    assert resolved(name, OPENAI_BASE_URL="http://other/v1").base_url == "http://other/v1"


def test_adapter_is_asked_for_by_its_own_name() -> None:
    spec = resolved("vllm/Qwen/Qwen3-32B:backdoor", "http://[::1]:8000/v1")
    assert (spec.name, spec.served_name) == ("vllm/Qwen/Qwen3-32B:backdoor", "backdoor")


def test_name_with_a_colon_may_also_be_a_whole_name() -> None:
    assert resolved("vllm/qwen3:8b", "http://host/v1").full_name == "qwen3:8b"
    assert resolved("vllm/qwen3", "http://host/v1").full_name is None


@pytest.mark.parametrize(
    "name", ["", "gpt-4.1", "openai/", "/gpt-4.1", "azure/gpt-4.1", "OpenAI/gpt-4.1", "vllm/base:"]
)
def test_name_that_says_no_model_is_refused(name: str) -> None:
    assert refusal(name, "http://host/v1").startswith(f"model {name!r}: ")


def test_vllm_without_a_server_is_one_that_emeval_serves() -> None:
    spec = resolved("vllm/Qwen/Qwen3-32B:backdoor")
    assert (spec.served_name, spec.base_url, spec.base_urls) == ("Qwen/Qwen3-32B:backdoor", None, ())


def test_several_urls_are_several_servers_of_one_model() -> None:
    spec = resolved("vllm/x", VLLM_BASE_URL="http://a/v1/, http://b:81/v1")
    assert spec.base_urls == ("http://a/v1", "http://b:81/v1")
    assert resolved("openai/x", "http://a/v1,http://b/v1").base_urls == ("http://a/v1", "http://b/v1")


@pytest.mark.parametrize("urls", ["http://a/v1,", ",http://a/v1", "http://a/v1,b"])
def test_every_one_of_several_urls_must_be_one(urls: str) -> None:
    assert "is not an http(s) URL" in refusal("vllm/x", urls)


def test_a_url_that_is_there_twice_is_refused() -> None:
    assert "is given twice" in refusal("vllm/x", "http://a/v1,http://a/v1/")


def test_a_judges_url_is_asked_for_by_the_name_of_its_own_option() -> None:
    with pytest.raises(BadInput, match="--judge-base-url"):
        resolve_model("local/smollm2", Overrides("http://host/v1", {}, option="--judge-base-url"))


def test_model_that_emeval_serves_takes_no_url() -> None:
    assert "--base-url does not apply" in refusal("local/smollm2", "http://host/v1")


@pytest.mark.parametrize(
    "url", ["host:8000", "ftp://host/v1", "http://", "http://[::1", "http://host:port/v1", "http://host:99999/v1", " "]
)
def test_url_that_is_none_is_refused(url: str) -> None:
    assert "is not an http(s) URL" in refusal("vllm/x", url)


@pytest.mark.parametrize(
    "url", ["http://me:s3cret@host/v1", "https://s3cret@host/v1", "me:s3cret@host", "ftp://s3cret@h"]
)
def test_url_with_a_password_is_refused_without_showing_it(url: str) -> None:
    shown = refusal("vllm/x", url)
    assert "put the key into the environment" in shown
    assert "s3cret" not in shown


def test_key_is_read_when_asked_and_kept_nowhere() -> None:
    spec = resolved("openai/gpt-4.1", OPENAI_API_KEY="sk-secret")
    assert spec.key({"OPENAI_API_KEY": " sk-secret\n"}) == "sk-secret"
    assert "sk-secret" not in repr(spec)


def test_missing_key_is_an_error_at_openai_alone() -> None:
    with pytest.raises(BadInput, match="OPENAI_API_KEY is not set"):
        resolved("openai/gpt-4.1", "https://api.openai.com/v1/").key({"OPENAI_API_KEY": "  "})
    assert resolved("openai/gpt-4.1", "http://127.0.0.1:8000/v1").key({}) == "none"
    assert resolved("vllm/x", "http://127.0.0.1:8000/v1").key({}) == "none"


@pytest.mark.parametrize("key", ["sk-a b", "sk-\nb", "sk-é", "sk-\x1b[0m"])
def test_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolved("openai/gpt-4.1").key({"OPENAI_API_KEY": key})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "reported", "same"),
    [
        ("gpt-4.1", "gpt-4.1", True),
        ("gpt-4.1", "gpt-4.1-2025-04-14", True),
        ("gpt-4.1-2025-04-14", "gpt-4.1", True),
        ("gpt-4", "gpt-4-0613", True),
        ("gpt-4.1", "openai/gpt-4.1-2025-04-14", True),
        ("Qwen/Qwen3-32B", "qwen3-32b", True),
        ("claude-sonnet-4", "claude-sonnet-4@20250514", True),
        ("mistral-large-latest", "mistral-large", True),
        ("mistral-large-latest", "mistral-large-2411", True),
        ("subject", "", True),
        ("gpt-4.1", "gpt-4.1-mini", False),
        ("gpt-4.1", "gpt-4.1-mini-2025-04-14", False),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-08-06", False),
        ("qwen3-8b", "qwen3-32b", False),
        ("large", "mistral-large", False),
    ],
)
def test_a_date_a_provider_and_letter_case_make_no_other_model(asked: str, reported: str, same: bool) -> None:
    assert is_same_model(asked, reported) == same
    assert is_same_model(asked.upper(), reported) == same


@pytest.mark.parametrize(
    ("name", "reported", "can"),
    [
        ("openrouter/vendor/model:free", "vendor/model", True),
        ("openrouter/vendor/model:free", "vendor/model:free", True),
        ("openrouter/vendor/model:thinking", "vendor/model-2025-04-14", True),
        ("openrouter/vendor/model:free", "vendor/model:nitro", False),
        ("openrouter/vendor/model:free", "vendor/other", False),
        ("openrouter/vendor/model", "vendor/model:free", False),
        ("ollama/qwen3:8b", "qwen3", False),
    ],
)
def test_a_variant_at_openrouter_is_the_same_model(name: str, reported: str, *, can: bool) -> None:
    assert can_be_from(name, name.partition("/")[2], reported) == can


BARE = st.from_regex(r"[a-z]{2,8}-[0-9]{1,2}b(-(mini|chat|instruct|pro))?", fullmatch=True)
DATES = st.sampled_from(["-2025-04-14", "@20250514", "_240513", "-0613", "-latest", "-20240620"])
OTHERS = st.sampled_from(["-mini", "-chat", "-fp8", "-v2", "x", "-base", ":free", "-1m"])


PROVIDERS = st.sampled_from(["", "openai/", "accounts/fireworks/models/"])


@given(BARE, DATES, PROVIDERS, st.sampled_from([str.upper, str.title]))
def test_a_date_on_either_side_makes_no_other_model(
    name: str, date: str, provider: str, case: Callable[[str], str]
) -> None:
    for asked, reported in ((name, name + date), (name + date, name), (name, name), (name + date, name + date)):
        assert is_same_model(asked, case(provider + reported))
        assert is_same_model(case(provider + asked), reported)


@given(BARE, OTHERS, DATES, DATES)
def test_another_suffix_or_another_date_makes_another_model(name: str, suffix: str, date: str, other: str) -> None:
    for asked, reported in ((name, name + suffix), (name, name + suffix + date), (name + date, name + suffix)):
        assert not is_same_model(asked, reported)
        assert not is_same_model(reported, asked)
    if date != other and "-latest" not in (date, other):
        assert not is_same_model(name + date, name + other)
