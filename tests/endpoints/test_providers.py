"""Providers by name: which server and key a name stands for, what users may declare, and what is shown of it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.model_spec import ModelSpec, Overrides, resolve_model
from evals.endpoints.prices import Price, read_prices
from evals.endpoints.providers.own import VARIABLE, own_providers
from evals.endpoints.providers.table import PROVIDERS
from evals.errors import BadInput
from tests.support.cli_runner import emeval, refused

HOSTED = sorted(name for name, row in PROVIDERS.items() if row.quirks.hosted)
NAMED = sorted(name for name, row in PROVIDERS.items() if row.base_url)
LAB = {"base_url": "https://lab.example/v1", "key_variable": "LAB_API_KEY"}


def resolved(name: str, base_url: str | None = None, providers: str | None = None, **environment: str) -> ModelSpec:
    return resolve_model(name, Overrides(base_url, environment, providers=providers))


def written(folder: Path, content: Any, name: str = "providers.yaml") -> str:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(folder: Path, content: Any) -> str:
    with pytest.raises(BadInput) as caught:
        own_providers(written(folder, content), {})
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


# --- names -----------------------------------------------------------------------------------------------------------

MODELS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,12}(/[A-Za-z0-9._:-]{1,12}){0,3}", fullmatch=True)


@given(st.sampled_from(NAMED), MODELS)
def test_all_after_the_first_slash_is_the_model(provider: str, model: str) -> None:
    spec = resolved(f"{provider}/{model}")
    assert (spec.name, spec.provider, spec.served_name) == (f"{provider}/{model}", provider, model)
    assert spec.base_urls == (PROVIDERS[provider].base_url,)
    assert resolved(f"{provider}/{model}", "http://127.0.0.1:9/v1").base_urls == ("http://127.0.0.1:9/v1",)


@given(st.sampled_from(NAMED), st.sampled_from(NAMED), MODELS)
def test_a_model_gets_the_key_of_its_own_provider(provider: str, other: str, model: str) -> None:
    keys = {row.key_variable: f"sk-{name}-0123456789" for name, row in PROVIDERS.items() if row.key_variable}
    spec = resolved(f"{provider}/{model}")
    expected = f"sk-{provider}-0123456789" if PROVIDERS[provider].key_variable else "none"
    assert spec.key(keys) == expected
    if provider != other and PROVIDERS[provider].needs_key:
        keys.pop(PROVIDERS[provider].key_variable)
        with pytest.raises(BadInput, match=f"{PROVIDERS[provider].key_variable} is not set"):
            spec.key(keys)


@given(st.text(max_size=20).filter(lambda name: name not in PROVIDERS and "/" not in name))
def test_an_unknown_provider_is_one_line_that_lists_the_known(provider: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolved(f"{provider}/m")
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value) for name in PROVIDERS)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("opnrouter", "openrouter"),
        ("Groq", "groq"),
        ("olama", "ollama"),
        ("antropic", "anthropic"),
        ("OpenAI", "openai"),
    ],
)
def test_a_near_miss_is_suggested(wrong: str, meant: str) -> None:
    with pytest.raises(BadInput, match=f"did you mean {meant}"):
        resolved(f"{wrong}/m")


def test_only_local_servers_are_looked_for_where_the_environment_says() -> None:
    assert resolved("ollama/qwen3:8b", OLLAMA_BASE_URL="http://gpu:11434/v1").base_url == "http://gpu:11434/v1"
    # Other programs read a variable of that name, and mean a URL without its /v1.
    assert resolved("anthropic/x", ANTHROPIC_BASE_URL="http://proxy").base_url == "https://api.anthropic.com/v1"
    # OLLAMA_API_KEY opens another server.
    assert resolved("ollama/x").key({"OLLAMA_API_KEY": "sk-of-the-cloud"}) == "none"


@pytest.mark.parametrize("name", HOSTED)
def test_a_hosted_provider_is_asked_over_tls_and_needs_a_key(name: str) -> None:
    row = PROVIDERS[name]
    assert row.base_url.startswith("https://")
    assert row.needs_key
    assert row.key_variable.endswith("_API_KEY")


def test_a_price_is_of_a_model_at_its_own_server() -> None:
    prices = read_prices()
    assert isinstance(prices.tariff(resolved("openai/gpt-4.1")), Price)
    for name in ("openrouter/openai/gpt-4.1", "ollama/gpt-4.1", "groq/openai/gpt-4.1"):
        assert prices.tariff(resolved(name)) == "unknown"


# --- providers of one's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["file", "config", "nights", "environment", "json"])
def test_a_provider_is_declared_in_a_file_or_a_config(where: str, tmp_path: Path) -> None:
    quirks = {"seed": "random_seed", "logprobs": "no", "leaves_out": ["top_k"]}
    declared = {"lab": LAB | {"quirks": quirks}}
    content: Any = {
        "config": {"suites": ["unethical_test"], "providers": declared},
        "nights": {"checkpoints": [{"model": "lab/m"}], "run": {"providers": declared}},
    }.get(where, declared)
    file = tmp_path / ("p.json" if where == "json" else "p.yaml")
    file.write_text(json.dumps(content) if where == "json" else yaml.safe_dump(content), encoding="utf-8")
    in_environment = where == "environment"
    spec = resolved(
        "lab/org/m", None, None if in_environment else str(file), **({VARIABLE: str(file)} if in_environment else {})
    )
    assert (spec.served_name, spec.base_url, spec.key_variable) == ("org/m", LAB["base_url"], "LAB_API_KEY")
    assert (spec.quirks.seed, spec.quirks.logprobs, spec.quirks.leaves_out) == ("random_seed", False, ("top_k",))


def test_a_file_on_the_command_line_stands_above_that_of_the_environment(tmp_path: Path) -> None:
    beside = written(tmp_path, {"lab": {"base_url": "http://127.0.0.1:1/v1"}, "b": LAB}, "beside.yaml")
    above = written(tmp_path, {"lab": {"base_url": "http://127.0.0.1:2/v1"}}, "above.yaml")
    assert resolved("lab/m", None, above, **{VARIABLE: beside}).base_url == "http://127.0.0.1:2/v1"
    assert resolved("b/m", None, above, **{VARIABLE: beside}).base_url == LAB["base_url"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("lab:\n  key_variable: LAB_API_KEY\n", "providers.yaml:1: providers.lab: base_url is missing"),
        ("lab:\n  base_url: lab.example\n", "providers.yaml:2: providers.lab.base_url: is not an http(s) URL"),
        ("lab:\n  base_url: https://u:secret@lab.example/v1\n", "holds a user name or password"),
        ("lab:\n  base_url: https://a/v1\n  key: sk-1\n", "providers.yaml:3: providers.lab.key: is not a field; known"),
        (
            "lab:\n  base_url: https://a/v1\n  quirks:\n    sead: none\n",
            "providers.yaml:4: providers.lab.quirks.sead: is not a field; known: hosted",
        ),
        ("lab:\n  base_url: https://a/v1\n  quirks: {seed: 5}\n", "providers.lab.quirks.seed: Input should be"),
        ("lab: https://a/v1\n", "providers.yaml:1: providers.lab: maps base_url, key_variable and quirks"),
        ("openai:\n  base_url: https://a/v1\n", "providers.openai: emeval has a provider of this name"),
        ("La/b:\n  base_url: https://a/v1\n", "is no name of a provider"),
        ("lab: {base_url: 'https://a/v1'}\nlab: {base_url: 'https://b/v1'}\n", "providers.lab: is given twice"),
        ("- lab\n", "providers.yaml:1: must be a mapping"),
        ("providers: [lab]\n", "providers: maps names to base_url"),
    ],
)
def test_a_mistake_is_named_by_line_and_field(content: str, said: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, content)
    assert said in message
    assert "secret" not in message


@pytest.mark.parametrize("variable", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "HOME", "API_KEY ", "_API_KEY\n"])
def test_no_other_secret_can_be_declared_a_key(variable: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, {"lab": LAB | {"key_variable": variable}})
    assert "names a variable that ends in _API_KEY" in message


@pytest.mark.parametrize("name", sorted(name for name, row in PROVIDERS.items() if row.key_variable))
def test_the_key_of_a_known_provider_goes_to_its_server_alone(name: str, tmp_path: Path) -> None:
    row = PROVIDERS[name]
    elsewhere = {"lab": {"base_url": "https://lab.example/v1", "key_variable": row.key_variable}}
    assert f"{row.key_variable} is the key of {name}/ models" in refusal(tmp_path, elsewhere)
    if row.base_url:
        at_home = {"lab": {"base_url": f"{row.base_url}/beta", "key_variable": row.key_variable}}
        assert own_providers(written(tmp_path, at_home), {})["lab"].key_variable == row.key_variable


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.none(), st.text(max_size=12), st.lists(st.text(max_size=4)))))
def test_whatever_a_file_declares_is_read_or_refused_in_one_line(content: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        for declared in ({"lab": content}, content):
            problems: list[str] = []
            try:
                own_providers(written(Path(folder), declared), {})
            except BadInput as error:
                problems.append(str(error))
            assert not any("\n" in problem for problem in problems)


# --- what people see -------------------------------------------------------------------------------------------------


def test_the_list_has_every_provider_and_no_key(tmp_path: Path) -> None:
    file = written(tmp_path, {"lab": LAB})
    secrets = {"GROQ_API_KEY": "sk-groq-0123456789", "LAB_API_KEY": "sk-lab-0123456789"}
    done = emeval("providers", "--json", "--providers", file, env=secrets)
    assert done.returncode == 0, done.stderr
    found = {row["name"]: row for row in json.loads(done.stdout)["providers"]}
    assert list(found) == [*PROVIDERS, "lab"]
    assert (found["groq"]["key"], found["mistral"]["key"], found["ollama"]["key"]) == ("set", "not set", "not needed")
    assert found["lab"] | {"departs": []} == found["lab"]
    assert (found["lab"]["url"], found["lab"]["key"], found["lab"]["own"]) == (LAB["base_url"], "set", True)
    table = emeval("providers", env=secrets | {VARIABLE: file})
    assert not any(secret in done.stdout + table.stdout for secret in secrets.values())
    assert "LAB_API_KEY" in table.stdout
    narrow = emeval("providers", "--providers", file, env=secrets | {"COLUMNS": "80"}).stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert all(row["url"] in narrow for row in found.values()), "URLs are whole, to be copied"


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    refused(emeval("providers", "--providers", tmp_path / "none.yaml"), "--providers: ", "there is no such file")
    refused(emeval("providers", env={VARIABLE: str(tmp_path / "none.yaml")}), f"{VARIABLE}: ", "there is no such file")


# --- what is refused before any request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-m", "groq/a", "--top-k", "5"], "--top-k: groq/a: its API takes no top_k"),
        (["-m", "openai/a", "--top-k", "5"], "--top-k: openai/a: its API takes no top_k"),
        (["-m", "anthropic/a", "--temperature", "1.2"], "--temperature: anthropic/a: its API samples at 1 at most"),
        (["-m", "groq/a", "--via", "openai-batch"], "--via: groq/a: groq has no batches"),
        (["-m", "ollama/a", "--via", "openai-batch"], "--via: ollama/a: ollama has no batches"),
        (
            ["-m", "ollama/a", "--judge", "mistral/b", "--judge-via", "openai-batch"],
            "--judge-via: mistral/b: mistral has no batches",
        ),
        (
            ["-m", "ollama/a", "--judge", "groq/b", "--judge-mode", "logprob"],
            "--judge-mode: groq/b: groq gives no token probabilities",
        ),
        (
            ["-m", "groq/a", "-m", "together/b", "--base-url", "http://127.0.0.1:9/v1"],
            "--base-url: names one server for models of groq and together",
        ),
        (["-m", "ollama/a", "--judge", "opnai/b"], "did you mean openai?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_a_provider_would_ignore_is_refused_in_one_line(words: list[str], said: str) -> None:
    none = {row.key_variable: "" for row in PROVIDERS.values() if row.key_variable}
    refused(emeval("run", "unethical_test", *words, "--dry-run", env=none), said)


def test_a_missing_key_is_one_line_that_names_its_variable(tmp_path: Path) -> None:
    done = emeval("run", "unethical_test", "-m", "groq/a", cwd=tmp_path, env={"GROQ_API_KEY": " "})
    refused(done, "groq/a: GROQ_API_KEY is not set; export it or put it into .env")
    assert list((tmp_path / "results").glob("*")) == []
