"""A webhook is told how a night ended, and nobody is told the webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from evals.errors import BadInput
from evals.nightly.notify import notify, webhook_of
from tests.support.cli_runner import emeval, refused
from tests.support.servers.openai_server import OpenAIServer

SECRET = "T0p-s3cret-path"
NIGHT = "2026-03-01"


class Hook(ThreadingHTTPServer):
    """A webhook at this machine; `status` is what it answers with."""

    def __init__(self, status: int) -> None:
        self.told: list[tuple[str, dict[str, str]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.told.append((self.path, body))
                self.send_response(status)
                self.send_header("Location", f"{hook.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def hook(status: int = 200) -> Iterator[Hook]:
    server = Hook(status)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def config(folder: Path, model: str = "vllm/base<!channel>") -> Path:
    file = folder / "night.yaml"
    run = {"suites": ["unethical_test"], "limit": 1, "samples": 1, "max_unscored": 1}
    content = {"checkpoints": [{"name": "base", "model": model}], "run": run, "report": False}
    content["out"] = str(folder / "nights")
    file.write_text(yaml.safe_dump(content))
    return file


def written(folder: Path) -> str:
    texts = [path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()]
    return "\n".join(texts)


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_night_tells_it_the_verdict_once(tmp_path: Path, *, by_variable: bool) -> None:
    with OpenAIServer(models=("base<!channel>",)).start() as live, hook() as told:
        url = f"{told.url}/{SECRET}"
        options = [] if by_variable else ["--notify", url]
        env = {"EMEVAL_WEBHOOK": url} if by_variable else None
        done = emeval("nightly", config(tmp_path), "--date", NIGHT, *options, url=live.url, env=env)
    assert done.returncode == 0, done.stderr
    ((path, body),) = told.told
    assert (path, set(body)) == (f"/{SECRET}", {"text"})
    assert body["text"].startswith(f"PASSED, night of {NIGHT}: 1 checkpoint complete")
    assert SECRET not in done.stdout + done.stderr + written(tmp_path)


@pytest.mark.parametrize(("status", "said"), [(404, "it answers with 404"), (302, "a redirect, which is not followed")])
def test_one_that_fails_is_a_warning_and_no_redirect_is_followed(tmp_path: Path, status: int, said: str) -> None:
    with OpenAIServer(models=("m",)).start() as live, hook(status) as told:
        night = ("nightly", config(tmp_path, "vllm/m"), "--date", NIGHT, "--notify", f"{told.url}/{SECRET}")
        done = emeval(*night, url=live.url)
    assert done.returncode == 0, done.stderr
    assert f"warning: --notify: 127.0.0.1 was not told: {'it answers' if status == 404 else ''}" in done.stderr
    assert said in done.stderr
    assert [path for path, _ in told.told] == [f"/{SECRET}"]
    assert SECRET not in done.stdout + done.stderr + written(tmp_path)


def test_a_night_that_cannot_go_on_is_told(tmp_path: Path) -> None:
    file = config(tmp_path, "vllm/m")
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights" / "history.csv").write_text("not,a,history\n")
    with hook() as told:
        done = emeval(
            "nightly", file, "--date", NIGHT, "--notify", told.url, env={"VLLM_BASE_URL": "http://127.0.0.1:9"}
        )
    assert done.returncode == 2, done.stderr
    ((_, body),) = told.told
    assert body["text"].startswith(f"FAILED, night of {NIGHT}: ")
    assert "history.csv" in body["text"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"http://example.org/{SECRET}", "is no https URL"),
        (f"ftp://127.0.0.1/{SECRET}", "is no https URL"),
        (f"https://user:{SECRET}@example.org/x", "name or password"),
        (SECRET, "is no https URL"),
        (f"https://[{SECRET}", "is no URL"),
    ],
)
def test_one_that_a_secret_must_not_go_to_is_refused_before_anything_is_asked(
    tmp_path: Path, url: str, said: str
) -> None:
    done = emeval("nightly", config(tmp_path, "vllm/m"), "--notify", url)
    refused(done, "--notify: ", said)
    assert SECRET not in done.stderr
    assert not (tmp_path / "nights").exists()


def test_no_name_mentions_a_channel_and_nothing_listening_is_one_line() -> None:
    with hook() as told:
        webhook = webhook_of(f"{told.url}/{SECRET}")
        assert SECRET not in repr(webhook)
        assert notify(webhook, "<!channel> & <@U1>") == ""
    assert told.told[0][1]["text"] == "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert notify(webhook, "x") == "127.0.0.1 could not be told: ConnectError"
    with pytest.raises(BadInput, match="no https URL"):
        webhook_of("http://127.0.0.1.example.org/x")
