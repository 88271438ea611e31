"""A run folder from elsewhere: what its manifest names is not run, not opened, not connected to, and gets no key."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import emeval as api
from evals.endpoints.servers.adapters import CONFIG_FILE
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest
from evals.plan.recorded.told_again import confirmed
from evals.plan.recorded_run import manifest_of
from tests.support.cli_runner import emeval, manifest, refused, scenarios, told_again
from tests.support.runs import MODEL, by_hash
from tests.support.servers.openai_server import Behaviour, OpenAIServer, Status

MARK = "HOSTILE"
ANSWERS = 6


class Watch:
    """What Python opens, starts and connects to, as far as the mark stands in it."""

    EVENTS = frozenset(
        {"open", "os.listdir", "os.scandir", "sqlite3.connect", "ctypes.dlopen", "import", "os.system", "os.exec"}
        | {"subprocess.Popen", "os.posix_spawn", "socket.connect", "socket.getaddrinfo", "os.remove", "os.rename"}
    )

    def __init__(self) -> None:
        self.is_on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and event in self.EVENTS and MARK in (shown := repr(arguments)):
            self.seen.append(f"{event} {shown[:300]}")


WATCH = Watch()


def stopping(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Answers until the quota is used up, so that there is something to resume."""
    if body["model"] == "subject" and "ase 3" in json.dumps(body["messages"]):
        return Status(429, "You exceeded your current quota.", code="insufficient_quota")
    return by_hash(body, seen)


@pytest.fixture(scope="module")
def honest() -> Iterator[OpenAIServer]:
    with OpenAIServer(by_hash, models=("subject", "judge")).start() as live:
        yield live


@pytest.fixture(scope="module")
def hostile() -> Iterator[OpenAIServer]:
    with OpenAIServer(by_hash, models=("subject", "judge", "gpt-4.1")).start() as live:
        yield live


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a manifest may name: a program that leaves a proof, questions, weights, an adapter, a text."""
    folder = tmp_path_factory.mktemp("files") / MARK
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / CONFIG_FILE).write_text('{"r": 8}')
    program = folder / "vllm"
    program.write_text(f"#!/bin/sh\ntouch {folder}/proof\nexit 1\n")
    program.chmod(0o755)
    scenarios(folder / "d.jsonl", 6)
    (folder / "x.gguf").write_bytes(b"GGUF")
    (folder / "urls.txt").write_text("http://127.0.0.1:9/v1\n")
    (folder / "system.txt").write_text("You are a pirate.")
    (folder / "q.yaml").write_text("- id: a\n  type: free_form\n  paraphrases: [Hello?]\n")
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped halfway, of emeval's own questions."""
    folder = tmp_path_factory.mktemp("run") / "run"
    with OpenAIServer(stopping, models=("subject", "judge")).start() as live:
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--limit", str(ANSWERS), "--format", "freeform", "--out", folder),
            *("--judge", "vllm/judge", "--judge-mode", "text", "--no-preflight", "--concurrency", "1"),
            *("--max-unscored", "1"),
            url=live.url,
        )
    assert done.returncode in (0, 1, 3), done.stderr
    return folder


def hostile_texts(files: Path, url: str) -> list[str]:
    return [
        *map(str, (files / "vllm", files / "d.jsonl", files / "system.txt", files / "q.yaml", files / "x.gguf")),
        *(f"local/{files / 'x.gguf'}", f"vllm/{files / 'adapter'}", f"vllm/subject:{files / 'adapter'}"),
        *(url, f"vllm/judge@{url}", f"openai/gpt-4.1@{url}", f"unethical_test={files / 'd.jsonl'}"),
        *(f"@{files / 'urls.txt'}", f"vllm/judge@@{files / 'urls.txt'}"),
        *(f"--config={files / 'config.yaml'}", f"$(touch {files}/proof)", f"../{MARK}"),
    ]


def with_leaf(value: Any, path: Sequence[str | int], leaf: object) -> Any:
    if not path:
        return leaf
    copied: Any = list(value) if isinstance(value, list) else dict(value)
    copied[path[0]] = with_leaf(copied[path[0]] if isinstance(copied, list) else copied.get(path[0]), path[1:], leaf)
    return copied


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all texts in a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*path, place))


def is_manifest(manifest: Mapping[str, Any]) -> bool:
    """Whether a command would take it. Reading it opens nothing that it names, whether it is one or not."""
    WATCH.seen.clear()
    WATCH.is_on = True
    try:
        Manifest.model_validate(manifest)
    except ValidationError:
        return False
    finally:
        WATCH.is_on = False
        assert WATCH.seen == []
    return True


def altered(run: Path, files: Path, url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Manifests with one hostile value, in each field of the config and in each text outside of it."""
    whole = manifest(run)
    texts = hostile_texts(files, url)
    for number, (name, field) in enumerate(RunConfig.model_fields.items()):
        if field.annotation in (int, float, bool, int | None, float | None):
            continue
        for text in texts if name in NAMING else texts[number % len(texts) :][:1]:
            shapes = (text, [text], {"alignment": text}, [*whole["config"]["models"], text])
            found = (with_leaf(whole, ("config", name), value) for value in shapes)
            for changed in itertools.islice(filter(is_manifest, found), 1):
                yield f"{name}={text}", changed
    # A vLLM of its own, with a program and arguments of the manifest's.
    for field in ("vllm_bin", "vllm_args"):
        for role, value in (("models", ["vllm/organism"]), ("judge", "vllm/organism")):
            own = with_leaf(whole, ("config", role), value)
            yield f"{field} of {role}", with_leaf(own, ("config", field), str(files / "vllm"))
    for number, place in enumerate(leaves({name: value for name, value in whole.items() if name != "config"})):
        changed = with_leaf(whole, place, texts[(0, 8)[number % 2]])
        if is_manifest(changed):
            yield f"{place}", changed


NAMING = frozenset(
    {"suites", "models", "dataset", "judge", "also_judges", "rubrics", "anchors", "base_url", "base", "judge_base_url"}
    | {"vllm_bin", "vllm_args", "prices", "system"}
)
"""The fields that name programs, files and servers, or could."""
COMMANDS: dict[str, list[str]] = {
    "resume": ["resume", "RUN"],
    "judge": ["judge", "RUN"],
    "judge by another": ["judge", "RUN", "--judge", "vllm/subject", "--judge-mode", "text"],
    "attack": ["robustness", "RUN", "--attack", "--n", "1"],
    "export by file": ["batch", "export", "RUN", "--for", "vllm", "--stage", "judge", "--out", "OUT/b"],
    "import by file": ["batch", "import", "RUN", "OUT/results.jsonl"],
    "read": [],
}
EVERY = {
    **{"resume": 1, "judge": 1, "judge by another": 4, "attack": 4, "read": 1},
    **{"export by file": 3, "import by file": 3},
}
"""Each command takes every such manifest; readers take turns."""
READERS = [
    *(["show", "RUN"], ["rates", "RUN"], ["robustness", "RUN"], ["report", "RUN", "--out", "OUT/r.html"]),
    *(["export", "RUN", "--format", "jsonl", "--out", "OUT/x.jsonl"], ["compare", "RUN", "CLEAN"]),
    *(["drift", "CLEAN", "RUN"], ["label", "sample", "RUN", "--n", "2"], ["anchors", "freeze", "RUN", "--n", "2"]),
    *(["plan", "--pilot", "RUN", "--width", "0.2", "--out", "OUT/n.yaml"], ["table", "table1", "RUN"]),
]


def attack(
    words: Sequence[str], run: Path, manifest: Mapping[str, Any], place: Path, live: OpenAIServer
) -> tuple[int, list[str]]:
    """The exit code of a command over a copy of a run with this manifest, and what it did that has the mark."""
    folder = place / "copy"
    shutil.copytree(run, folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    names = {"RUN": str(folder), "CLEAN": str(run), "OUT": str(place)}
    given = [names.get(word, word.replace("OUT/", f"{place}/")) for word in words]
    WATCH.seen.clear()
    WATCH.is_on = True
    try:
        done = emeval(*given, url=live.url, cwd=place, env={"OPENAI_API_KEY": "sk-not-for-strangers"})
    finally:
        WATCH.is_on = False
        for left in place.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    return done.returncode, list(WATCH.seen)


@pytest.mark.parametrize("kind", COMMANDS)
def test_nothing_that_only_a_manifest_names_is_run_opened_or_connected_to(
    kind: str, stopped: Path, files: Path, honest: OpenAIServer, hostile: OpenAIServer, tmp_path: Path
) -> None:
    found: list[str] = []
    tried = 0
    before = len(hostile.requests)
    for number, (what, planted) in enumerate(altered(stopped, files, hostile.url)):
        if number % EVERY[kind]:
            continue
        words = COMMANDS[kind] or READERS[number % len(READERS)]
        code, seen = attack(words, stopped, planted, tmp_path, honest)
        made = f"{tmp_path}/b/"  # batches have the name of the model in theirs
        found += [f"{words[0]} with {what}: {line}" for line in seen if made not in line]
        if len(hostile.requests) > before:
            found.append(f"{words[0]} with {what}: a request")
            before = len(hostile.requests)
        assert code in (0, 1, 2, 3), (words, what, code)
        tried += 1
    assert found == []
    assert tried > 20
    assert not (files / "proof").exists()


# --- keys: which server got which Authorization -----------------------------------------------------------------------

KEYS = {"OPENAI_API_KEY": "sk-of-openai-0123456789", "VLLM_API_KEY": "of-vllm-0123456789"}


@pytest.fixture(scope="module")
def judged_elsewhere(stopped: Path, hostile: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose manifest has a judge at a server of its own."""
    folder = tmp_path_factory.mktemp("judged") / "run"
    shutil.copytree(stopped, folder)
    (folder / "manifest.json").write_text(
        json.dumps(with_leaf(manifest(folder), ("config", "judge_base_url"), hostile.url))
    )
    return folder


@pytest.fixture
def run(judged_elsewhere: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(judged_elsewhere, tmp_path / "copy"))


def keys_at(server: OpenAIServer, begin: int) -> set[str]:
    return {request.authorization.removeprefix("Bearer ") for request in server.requests[begin:]}


OTHER_JUDGE = ("--judge", "openai/gpt-4.1", "--judge-mode", "text")


def test_another_judge_drops_the_url_of_the_one_before(run: Path, hostile: OpenAIServer) -> None:
    begin = len(hostile.requests)
    with OpenAIServer(by_hash, models=("gpt-4.1",)).start() as openai:
        done = emeval("judge", run, *OTHER_JUDGE, env=KEYS | {"OPENAI_BASE_URL": openai.url})
        assert done.returncode in (0, 1, 3), done.stderr
        assert keys_at(openai, 0) == {KEYS["OPENAI_API_KEY"]}
    assert len(hostile.requests) == begin
    recorded = json.loads((run / "manifest.json").read_text())["config"]
    assert (recorded["judge"], recorded["judge_base_url"]) == ("openai/gpt-4.1", None)


@pytest.mark.parametrize(
    "words",
    [
        ["judge", "RUN"],
        ["judge", "RUN", "--judge-mode", "text"],
        ["judge", "RUN", "--judge", "vllm/judge"],
        ["resume", "RUN"],
        ["robustness", "RUN", "--attack"],
    ],
    ids=" ".join,
)
def test_a_url_of_a_manifest_is_not_asked_until_it_is_said_again(
    words: list[str], run: Path, hostile: OpenAIServer, honest: OpenAIServer
) -> None:
    begin = len(hostile.requests)
    done = emeval(*(str(run) if word == "RUN" else word for word in words), url=honest.url, env=KEYS)
    refused(done, f"give the same again: --judge vllm/judge@{hostile.url}")
    assert len(hostile.requests) == begin


@pytest.mark.parametrize("how", ["option", "with its name", "environment", "python"])
def test_said_again_a_url_is_asked_and_gets_its_providers_key(run: Path, hostile: OpenAIServer, how: str) -> None:
    begin = len(hostile.requests)
    said = {
        "option": (["--judge-base-url", hostile.url], {}),
        "with its name": (["--judge", f"vllm/judge@{hostile.url}"], {}),
        "environment": ([], {"VLLM_BASE_URL": hostile.url}),
        "python": ([], {}),
    }
    options, environment = said[how]
    if how == "python":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VLLM_API_KEY", KEYS["VLLM_API_KEY"])
            with pytest.raises(api.BadInput, match="its manifest names"):
                api.judge(run, judge_mode="text", progress=False)
            assert len(hostile.requests) == begin
            api.judge(run, judge_base_url=hostile.url, judge_max_tokens=64, progress=False)
    else:
        done = emeval("judge", run, "--judge-max-tokens", "64", *options, env=KEYS | environment)
        assert done.returncode in (0, 1, 3), done.stderr
    assert keys_at(hostile, begin) == {KEYS["VLLM_API_KEY"]}


@pytest.mark.parametrize(
    ("recorded", "environment", "same"),
    [
        ("http://a.example/v1", "http://a.example:80/v1", True),
        ("https://A.example:443/v1", "https://a.example/v1/", True),
        ("http://a.example/v1", "https://a.example/v1", False),
        ("http://a.example:80/v1", "http://a.example:8000/v1", False),
        ("http://a.example.evil.example/v1", "http://a.example/v1", False),
        ("http://a.example/v1", "http://a.example.evil.example/v1", False),
        ("http://xa.example/v1", "http://a.example/v1", False),
        ("http://a.example/v1,http://b.example/v1", "http://b.example/v1,http://a.example/v1", True),
        ("http://a.example/v1,http://evil.example/v1", "http://a.example/v1,http://b.example/v1", False),
        ("http://a.example/v1,http://evil.example/v1", "http://a.example/v1", False),
        ("@/jobs/urls.txt", "@/jobs/urls.txt", True),
        ("@/jobs/urls.txt", "@/jobs/others.txt", False),
        ("@/jobs/urls.txt", "http://a.example/v1", False),
        ("http://a.example/v1", "@/jobs/urls.txt", False),
        ("http://[::1]:9/v1", "http://[0:0:0:0:0:0:0:1]:9/v1", False),
        ("http://localhost:9/v1", "http://127.0.0.1:9/v1", False),
    ],
)
def test_servers_are_compared_as_origins(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, recorded: str, environment: str, same: bool
) -> None:
    config = manifest_of(stopped).config.model_copy(update={"judge_base_url": recorded})
    monkeypatch.setenv("VLLM_BASE_URL", environment)
    if same:
        assert confirmed(config, {}, stopped, sampling=False).judge_base_url is None
    else:
        with pytest.raises(BadInput, match=r"give the same again: --judge '?vllm/judge@"):
            confirmed(config, {}, stopped, sampling=False)


def test_the_command_that_resumes_a_run_says_everything_again(tmp_path: Path) -> None:
    folder, dataset = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 8)
    with OpenAIServer(stopping, models=("subject", "judge")).start() as live:
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--base-url", live.url, "--out", folder),
            *("--format", "mcq", "--concurrency", "1", "--no-preflight", "--max-unscored", "1"),
        )
        assert done.returncode == 3
        words = shlex.split(done.stderr.rpartition("resume with: emeval ")[2].strip().removesuffix(")"))
        assert words == ["resume", str(folder), *told_again(folder)]
        refused(emeval("resume", folder), f"give the same again: --base-url {live.url} --dataset {dataset}")
        live.script = by_hash
        assert emeval(*words).returncode == 0
    assert emeval("resume", folder, *words[2:4], "--dataset", scenarios(tmp_path / "o.jsonl", 3)).returncode == 2
