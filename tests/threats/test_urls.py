"""What may be a secret in a URL (user name, password, query, fragment) stands in no file, no output and no error."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.model_spec import Overrides, resolve_model
from evals.errors import BadInput
from evals.io.web.download import shown_url
from evals.io.web.urls import origin, stripped_url, url_problem
from evals.plan.options import build_config
from tests.support.cli_runner import emeval, scenarios
from tests.support.runs import MODEL, server

SECRET = "s3cr3t-in-a-url"
URLS = [
    *(f"http://user:{SECRET}@127.0.0.1:9/v1", f"http://{SECRET}@127.0.0.1:9/v1", f"http://127.0.0.1:9/v1?key={SECRET}"),
    *(f"http://127.0.0.1:9/v1#{SECRET}", f"http://127.0.0.1:9?{SECRET}", f"HTTP://u:{SECRET}@[::1]:9/v1"),
    *(f"http://u:{SECRET}@[::1", f"ftp://u:{SECRET}@h/v1", f"http://127.0.0.1:x?key={SECRET}", f"http:///v1?{SECRET}"),
    f"http://127.0.0.1:9/v1,http://127.0.0.1:10/v1?key={SECRET}",
]
WAYS = {
    "--base-url": lambda url: (["--base-url", url], {}),
    "environment": lambda url: ([], {"VLLM_BASE_URL": url}),
    "--judge-base-url": lambda url: (["--judge", "vllm/judge", "--judge-base-url", url], {}),
    "--judge": lambda url: (["--judge", f"vllm/judge@{url}"], {}),
    "a second --judge": lambda url: (["--judge", "vllm/judge", "--judge", f"vllm/other@{url}"], {}),
    "--base": lambda url: (["--base", f"vllm/base@{url}"], {}),
    "--base unchecked": lambda url: (["--base", f"vllm/base@{url}", "--no-preflight"], {}),
    "--model": lambda url: (["-m", f"vllm/other@{url}"], {}),
    "OpenAI's": lambda url: (["--judge", "openai/gpt-4.1"], {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "sk-012345678"}),
}


def everything(folder: Path) -> str:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return "".join(file.read_bytes().decode("utf-8", "replace") for file in files)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_refuses_a_url_with_what_may_be_a_secret_and_does_not_quote_it(tmp_path: Path, way: str) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    with server().start() as live:
        for url in URLS:
            words, environment = WAYS[way](url)
            done = emeval(
                *("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--format", "freeform", *words),
                *("--out", tmp_path / "out" / "run"),
                url=live.url,
                env=environment,
            )
            assert done.returncode == 2, (url, done.stderr)
            assert SECRET not in done.stdout + done.stderr
            assert len(done.stderr.splitlines()) == 1
    assert SECRET not in everything(tmp_path)


@pytest.mark.parametrize("field", ["base_url", "judge_base_url", "judge", "also_judges", "base"])
@pytest.mark.parametrize("url", URLS)
def test_a_config_file_is_refused_alike(tmp_path: Path, field: str, url: str) -> None:
    value = {"judge": f"'vllm/judge@{url}'", "also_judges": f"['vllm/x@{url}']", "base": f"'vllm/x@{url}'"}
    file = tmp_path / "run.yaml"
    judge = "" if field == "judge" else "judge: vllm/judge\n"
    file.write_text(f"suites: [freeform]\nmodels: [{MODEL}]\n{judge}{field}: {value.get(field, repr(url))}\n")
    with pytest.raises(BadInput) as said:
        build_config({}, file)
    assert SECRET not in str(said.value)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("command", ["preflight", "resume", "judge", "doctor", "fetch"])
def test_other_commands_do_not_quote_it(tmp_path: Path, command: str, url: str) -> None:
    words = {
        "preflight": ["preflight", "-m", MODEL, "--base-url", url],
        "resume": ["resume", str(tmp_path), "--base-url", url],
        "judge": ["judge", str(tmp_path), "--judge", f"vllm/judge@{url}"],
        "doctor": ["doctor"],
        "fetch": ["datasets", "fetch", "mask", "--from", url],
    }
    environment = {"VLLM_BASE_URL": url, "EMEVAL_DATA": str(tmp_path / "data")}
    done = emeval(*words[command], env=environment, cwd=tmp_path)
    assert SECRET not in done.stdout + done.stderr
    assert SECRET not in everything(tmp_path)


_PARTS = st.text("abc@:/?#[]%.0123456789-", max_size=12)


@given(st.tuples(st.sampled_from(["http", "https", "HTTP", "ftp", ""]), _PARTS, _PARTS, _PARTS))
def test_a_url_that_passes_is_all_address(parts: tuple[str, str, str, str]) -> None:
    scheme, user, host, rest = parts
    for url in (f"{scheme}://{user}@{host}{rest}", f"{scheme}://{host}{rest}", f"{scheme}://{host}?{rest}"):
        shown = stripped_url(url)
        assert not {"@", "?", "#"} & set(shown.removeprefix("[no http(s) URL]").partition("://")[2].partition("/")[0])
        if url_problem(url) is None:
            found = urlsplit(url)
            assert (found.username, found.password, found.query, found.fragment) == (None, None, "", "")
            assert origin(url) == origin(resolve_model("vllm/x", Overrides(url, {})).base_url or "")


def test_a_url_that_cannot_be_read_is_not_quoted() -> None:
    assert SECRET not in shown_url(f"http://u:{SECRET}@[::1")
    assert stripped_url(f"https://u:{SECRET}@H.example:443/v1?x={SECRET}#y") == "https://h.example/v1"
