"""`emeval doctor`: what is there, what is not, and what was set up and does not work."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.cli_runner import COMMAND, KEY, emeval, environment
from tests.support.servers.openai_server import OpenAIServer

SECRET = "sk-another-secret-of-mine"


def looked_at(cwd: Path, code: int, url: str = "", **env: str) -> dict[str, dict[str, Any]]:
    """The findings by what they are of."""
    fresh = {"EMEVAL_DATA": str(cwd / "cache"), "OPENAI_API_KEY": "", "PATH": "/usr/bin:/bin", **env}
    done = emeval("doctor", "--json", url=url, cwd=cwd, env=fresh)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == ""
    assert KEY not in done.stdout
    assert SECRET not in done.stdout
    content = json.loads(done.stdout)
    assert content["ok"] == (code == 0)
    return {finding["what"]: finding for finding in content["findings"]}


def test_a_bare_machine_is_not_broken(tmp_path: Path) -> None:
    found = looked_at(tmp_path, 0)
    assert {"emeval", "Python", "llama.cpp", "organism", "vllm", "results/", "cache", "prices"} <= set(found)
    assert not [one for one in found.values() if one["state"] == "fail"]
    assert all(one["remedy"] for one in found.values() if one["state"] == "warn")
    assert found["OPENAI_API_KEY"]["state"] == "warn"
    assert found["official datasets"]["found"].startswith("0 of")
    assert "VLLM_BASE_URL" not in found, "no server was named"
    assert not (tmp_path / "cache").exists(), "it looks and makes nothing"
    assert not (tmp_path / "results").exists()


def test_every_providers_key_is_looked_for(tmp_path: Path) -> None:
    own = tmp_path / "providers.yaml"
    own.write_text("mine: {base_url: 'http://127.0.0.1:9/v1', key_variable: MINE_API_KEY}\n")
    keys = {"OPENROUTER_API_KEY": SECRET, "EMEVAL_PROVIDERS": str(own), "GROQ_API_KEY": ""}
    found = looked_at(tmp_path, 0, **keys)
    assert found["OPENROUTER_API_KEY"]["found"] == "set in the environment"
    assert (found["GROQ_API_KEY"]["state"], found["GROQ_API_KEY"]["found"]) == ("ok", "not set")
    assert found["GROQ_API_KEY"]["remedy"].startswith("groq/ models need it")
    assert found["MINE_API_KEY"]["state"] == "warn"
    assert found["MINE_API_KEY"]["remedy"].startswith("mine/ models need it")
    own.write_text("mine: 5\n")
    assert looked_at(tmp_path, 1, **keys)["EMEVAL_PROVIDERS"]["state"] == "fail"


def test_servers_are_asked_for_their_models_and_for_nothing_else(tmp_path: Path) -> None:
    with OpenAIServer(models=("one", "two"), key=KEY).start() as live:
        found = looked_at(tmp_path, 0, live.url)
        assert {request.path for request in live.requests} == {"/v1/models"}
        assert found["VLLM_BASE_URL"]["state"] == "ok"
        assert "serves 2 models: one, two" in found["VLLM_BASE_URL"]["found"]
        wrong = looked_at(tmp_path, 1, live.url, VLLM_API_KEY=SECRET)
    assert "does not accept the key" in wrong["VLLM_BASE_URL"]["found"]
    gone = looked_at(tmp_path, 1, live.url)
    assert gone["VLLM_BASE_URL"]["state"] == "fail"
    assert "cannot be reached" in gone["VLLM_BASE_URL"]["found"]
    assert gone["VLLM_BASE_URL"]["remedy"]
    assert looked_at(tmp_path, 1, "not a url")["VLLM_BASE_URL"]["state"] == "fail"


def test_a_key_is_told_by_where_it_comes_from(tmp_path: Path) -> None:
    with OpenAIServer(key=SECRET).start() as live:
        base = {"OPENAI_BASE_URL": live.url}
        assert looked_at(tmp_path, 0, OPENAI_API_KEY=SECRET, **base)["OPENAI_API_KEY"]["found"] == (
            "set in the environment"
        )
    odd = looked_at(tmp_path, 1, VLLM_API_KEY="half a key")
    assert odd["VLLM_API_KEY"]["state"] == "fail"
    (tmp_path / ".env").write_text(f"VLLM_API_KEY={SECRET}\nOPENAI_API_KEY=\n")
    variables = environment("", {"EMEVAL_DATA": str(tmp_path)})
    variables.pop("VLLM_API_KEY")
    done = subprocess.run(
        [*COMMAND, "doctor", "--json"], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["VLLM_API_KEY"]["found"] == "set in .env"
    assert SECRET not in done.stdout


def test_what_is_set_up_and_does_not_work_is_a_failure_with_a_remedy(tmp_path: Path) -> None:
    table = tmp_path / "prices.csv"
    table.write_text("model\n")
    found = looked_at(tmp_path, 1, EMEVAL_PRICES=str(table))
    assert found["prices"]["state"] == "fail"
    (tmp_path / "cache").write_text("a file")
    found = looked_at(tmp_path, 1)
    assert found["cache"]["state"] == "fail"
    assert all(one["remedy"] for one in found.values() if one["state"] == "fail")
    shown = emeval("doctor", cwd=tmp_path, env={"EMEVAL_DATA": str(tmp_path / "cache"), "OPENAI_API_KEY": ""})
    assert shown.returncode == 1
    assert re.search(r"│ fail +│ cache ", shown.stdout)
    assert "\x1b" not in shown.stdout


def test_programs_are_found_and_asked_for_their_version(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name, said in (("vllm", "0.11.0"), ("nvidia-smi", "NVIDIA H100, 81559 MiB, 80000 MiB")):
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/sh\necho '{said}'\n")
        program.chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    found = looked_at(tmp_path, 0, PATH=path)
    assert "0.11.0" in found["vllm"]["found"]
    assert "NVIDIA H100" in found["GPU"]["found"]
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho 'no driver'; exit 9\n")
    assert looked_at(tmp_path, 1, PATH=path)["GPU"]["state"] == "fail"
