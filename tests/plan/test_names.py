"""Keys of a config file are called as their options; older ones still work, and say what they are called now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import emeval as api
from evals.errors import BadInput
from evals.nightly.config import read_nightly
from evals.plan.config import RunConfig
from evals.plan.config_file.names import OLD_NAMES
from evals.plan.options import build_config, updated
from evals.plan.recorded_run import manifest_of
from evals.plan.settings.run_settings import SETTINGS, option_name
from tests.support.cli_runner import emeval, manifest, refused, scenarios
from tests.support.runs import MODEL, server

ASKED: dict[str, Any] = {"suites": ["unethical_test"], "models": ["local/organism"]}
SECONDS = {"timeout": 7.0, "max_retry_time": 8.0, "vllm_start_timeout": 9.0}
PLURALS = {"models", "plugins", "recipes", "rubrics", "tags"}


def from_keys(folder: Path, keys: dict[str, Any]) -> RunConfig:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")
    return build_config({}, file)


def test_a_key_is_called_as_its_option() -> None:
    for name, setting in SETTINGS.items():
        if setting.is_option:
            option = option_name(name).removeprefix("--").replace("-", "_")
            assert name == (f"{option}s" if name in PLURALS else option)


def test_older_names_dashes_and_singulars_mean_the_same(tmp_path: Path) -> None:
    now = from_keys(tmp_path, ASKED | SECONDS | {"tags": ["a"]})
    old = {old: SECONDS[new] for old, new in OLD_NAMES.items()}
    dashed = {name.replace("_", "-"): value for name, value in SECONDS.items()}
    assert from_keys(tmp_path, ASKED | old | {"tag": "a"}) == now
    assert from_keys(tmp_path, {"suite": "unethical_test", "model": "local/organism", "tag": "a"} | dashed) == now
    assert build_config(ASKED | old | {"tags": ("a",)}, None) == now
    assert updated(from_keys(tmp_path, ASKED), {"max_total_s": 3.0}).max_retry_time == 3.0


def test_the_manifest_of_an_older_run_is_read(tmp_path: Path) -> None:
    now = json.loads(from_keys(tmp_path, ASKED | SECONDS).model_dump_json())
    older = {next((old for old, new in OLD_NAMES.items() if new == name), name): value for name, value in now.items()}
    assert set(OLD_NAMES) < set(older)
    assert RunConfig.model_validate_json(json.dumps(older)) == RunConfig.model_validate_json(json.dumps(now))


def test_a_setting_under_two_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"run.yaml:6: max_total_s: is max_retry_time under another name; give it once"):
        from_keys(tmp_path, ASKED | {"max_retry_time": 1, "max_total_s": 1})
    with pytest.raises(BadInput, match=r"run.yaml:5: model: is models under another name"):
        from_keys(tmp_path, ASKED | {"model": "local/organism"})


@pytest.mark.parametrize(
    ("key", "near"), [("max_token", "max_tokens"), ("retry_time", "max_retry_time"), ("temprature", "temperature")]
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, key: str, near: str) -> None:
    with pytest.raises(BadInput, match=rf"run.yaml:5: {key}: is not an option; did you mean {near}\?"):
        from_keys(tmp_path, ASKED | {key: 1})
    with pytest.raises(BadInput, match="is not an option; known: suites, models"):
        from_keys(tmp_path, ASKED | {"zzz": 1})


def test_a_run_says_once_what_a_key_is_called_now(tmp_path: Path) -> None:
    file, data = tmp_path / "run.yaml", scenarios(tmp_path / "d.jsonl", 1)
    file.write_text("suites: [unethical_test]\nmax_total_s: 30\nmax-attempts: 2\n", encoding="utf-8")
    with server().start() as live:
        words = ("--config", file, "-m", MODEL, "--dataset", data, "--format", "mcq", "--out", tmp_path / "run")
        done = emeval("run", *words, url=live.url)
    assert done.returncode == 0, done.stderr
    said = f"emeval: {file}:2: max_total_s: is called max_retry_time now, as its option is; the older name still works"
    assert done.stderr.count(said) == done.stderr.count("is called") == 1
    config = manifest(tmp_path / "run")["config"]
    assert (config["max_retry_time"], config["max_attempts"]) == (30.0, 2)
    assert not set(OLD_NAMES) & set(config)


def test_a_run_folder_with_the_older_names_is_counted_and_resumed(tmp_path: Path) -> None:
    folder, data = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 1)
    with server().start() as live:
        words = ("unethical_test", "-m", MODEL, "--dataset", data, "--format", "mcq", "--timeout", "77")
        assert emeval("run", *words, "--out", folder, url=live.url).returncode == 0
        content = manifest(folder)
        for old, new in OLD_NAMES.items():
            content["config"][old] = content["config"].pop(new)
        (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
        for command in ("rates", "resume"):
            done = emeval(command, folder, *(("--dataset", data) if command == "resume" else ()), url=live.url)
            assert done.returncode == 0, done.stderr
    assert manifest_of(folder).config.timeout == 77.0


def test_the_run_of_a_night_may_have_older_names_and_no_models(tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    text = "out: {out}\ncheckpoints:\n- model: vllm/a\nrun:\n  suites: [unethical_test]\n  timeout_s: 5\n"
    file.write_text(text.format(out=tmp_path / "nights"), encoding="utf-8")
    assert read_nightly(file).run_config("vllm/a").timeout == 5.0
    done = emeval("nightly", file, "--dry-run", url="http://127.0.0.1:9/v1")
    assert f"{file}:6: timeout_s: is called timeout now" in done.stderr
    file.write_text(text.format(out=tmp_path / "nights") + "  model: vllm/b\n", encoding="utf-8")
    refused(emeval("nightly", file), f"{file}:7: run.model: the checkpoints name the models")


def test_python_takes_the_older_names(tmp_path: Path) -> None:
    data = scenarios(tmp_path / "d.jsonl", 1)
    run = api.run(
        "unethical_test",
        "local/organism",
        out=tmp_path / "run",
        dataset=data,
        format="mcq",
        max_unscored=1,
        max_total_s=40.0,
    )
    assert run.manifest.config.max_retry_time == 40.0
