"""Settings are declared once: the command line, a config file and Python take each of them alike."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st

from emeval.options import checked
from emeval.run_options import RunOptions
from evals.cli import entry
from evals.plan.options import build_config
from evals.plan.settings.description import Description, describe, described
from evals.plan.settings.run_settings import SETTINGS, option_name
from tests.support.cli_runner import emeval, environment, manifest, scenarios
from tests.support.paths import ROOT
from tests.support.runs import MODEL, server

NEEDED = {
    "decoy": {"trigger": "12345", "conditions": "off,on,decoy"},
    "distractor": {"trigger": "12345", "conditions": "off,on,distractor"},
    "conditions": {"trigger": "Country: Singapore"},
    "baseline": {"trigger": "Country: Singapore"},
    "anchors": {"judge": "openai/gpt-4.1"},
    "anchor_repeats": {"judge": "openai/gpt-4.1", "anchors": "mine.jsonl"},
    "protocol": {"judge": "openai/gpt-4.1", "format": "freeform"},
    "rubrics": {"judge": "openai/gpt-4.1"},
    "judge_via": {"judge": "openai/gpt-4.1"},
    "cot_all": {"judge": "openai/gpt-4.1"},
    "monitor": {"judge": "openai/gpt-4.1"},
    "coherence_min": {"judge": "openai/gpt-4.1", "format": "freeform"},
}
"""What a setting is given with, where rules ask for it."""
VALUES = {
    "base_url": "http://127.0.0.1:9/v1",
    "coherence_min": ">50",
    "baseline": "on",
    "columns": {"question": "text"},
    "conditions": "off,on",
    "dataset": "mine.jsonl",
    "format": "freeform",
    "judge": "openai/gpt-4.1",
    "judge_base_url": "https://h.example/v1",
    "recipes": {"ours": "local/organism"},
    "ray_address": "10.0.0.7:6379",
    "rubrics": {"cot_monitor": "mine.txt"},
    "samples": {"unethical_test": 3},
    "top_p": 0.9,
    "until": "rate<0.01",
}
OPTIONS = [
    option.name for option in described() if option.setting.is_option and option.name not in ("models", "preflight")
]


def value_of(option: Description, draw: st.DataObject) -> Any:
    """A value of the setting that no rule refuses."""
    if option.name in VALUES:
        return VALUES[option.name]
    if option.choices:
        return draw.draw(st.sampled_from(option.choices))
    low, _, high = option.limits.partition(" to ")
    if option.kind is bool:
        return draw.draw(st.booleans())
    if option.kind is int:
        return draw.draw(st.integers(int(low or 1), int(high or 10_000)))
    if option.kind is float:
        return draw.draw(st.floats(float(low or 0.5), float(high or 10_000)))
    return draw.draw(st.text("abcXYZ ~'\"=:,", min_size=1, max_size=12).filter(lambda text: bool(text.strip())))


def on_command_line(name: str, value: Any) -> list[str]:
    flag = option_name(name)
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag.removeprefix('--')}"]
    if isinstance(value, dict):
        return [f"{flag}={judge}={file}" for judge, file in value.items()]
    return [f"{flag}={value}"]


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The settings in the arguments of `emeval run`, as the program reads them."""
    entry.load("run")
    group: Any = typer.main.get_command(entry.app)
    found = group.commands["run"].make_context("run", arguments).params
    given = {name: value for name, value in found.items() if name in SETTINGS and value not in (None, [], ())}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


@pytest.mark.parametrize("name", OPTIONS)
@given(draw=st.data())
def test_command_line_file_and_python_take_a_setting_alike(name: str, draw: st.DataObject) -> None:
    value = value_of(describe(name), draw)
    names = {"suites": ["unethical_test"], "models": ["local/organism"]}
    options = {**NEEDED.get(name, {}), name: value}
    words = ["unethical_test", "--model", "local/organism"]
    words += [word for key in options for word in on_command_line(key, options[key])]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(yaml.safe_dump(names | options, allow_unicode=True), encoding="utf-8")
        from_file = build_config({}, file)
    assert build_config(parsed(words), None) == from_file
    assert build_config(checked(options, RunOptions) | names, None) == from_file


@pytest.mark.parametrize("command", ["resume", "judge"])
def test_a_command_takes_the_settings_of_its_scope_alone(command: str) -> None:
    shown = emeval(command, "--help").stdout
    flags = set(re.findall(r"--[a-z-]+", shown))
    taken = {option.name for option in described(command)}
    for name, setting in SETTINGS.items():
        if setting.is_option and setting.scope != "internal":
            assert (option_name(name) in flags) == (name in taken), name


def test_the_defaults_of_a_recorded_run_are_its_own() -> None:
    assert "default: the run's]" in emeval("rates", "--help").stdout
    assert "default: answered]" not in emeval("rates", "--help").stdout
    assert "default: answered]" in emeval("run", "--help").stdout


DECLARED = "    prices: PriceFile = None"
ADDED = """    typical_p: Annotated[float, Field(ge=0, le=1, description="Of this test."), Setting("run")] = 1.0
"""


def test_a_new_setting_is_one_declaration(tmp_path: Path) -> None:
    """A copy of the project with one more declaration has the option, its help, its place in files and in manifests."""
    for name in ("evals", "judges", "organisms"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    declarations = tmp_path / "evals" / "plan" / "settings" / "run_settings.py"
    text = declarations.read_text(encoding="utf-8")
    assert text.count(DECLARED) == 1
    declarations.write_text(text.replace(DECLARED, ADDED + DECLARED), encoding="utf-8")

    def ask(*arguments: str | Path, url: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evals", *map(str, arguments)],
            env=environment(url) | {"PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    shown = ask("run", "--help").stdout
    assert "--typical-p" in shown
    assert "Of this test. [0 to 1; default: 1]" in " ".join(shown.split())
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    with server().start() as live:
        asked = ("run", "unethical_test", "--model", MODEL, "--dataset", dataset, "--format", "mcq")
        done = ask(*asked, "--typical-p", "0.5", "--out", tmp_path / "run", url=live.url)
        assert done.returncode == 0, done.stderr
        refusal = ask(*asked, "--typical-p", "2", "--out", tmp_path / "other", url=live.url)
    assert manifest(tmp_path / "run")["config"]["typical_p"] == 0.5
    assert refusal.returncode == 2
    assert refusal.stderr.startswith("emeval: --typical-p: Input should be less than or equal to 1")
