"""`emeval init`: five answers become a config that runs."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.cli.first_config import Answers, config_text
from evals.plan.options import build_config
from evals.plan.plan import make_plan
from evals.text import has_control_character
from tests.support.cli_runner import emeval, environment, refused

TEXTS = st.text(min_size=1, max_size=20).filter(
    lambda text: text == text.strip() and not has_control_character(text) and text.isprintable()
)


def test_without_questions_the_defaults_run(tmp_path: Path) -> None:
    done = emeval("init", "--yes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Next: emeval run --config study.yaml --out results/first" in done.stdout
    run = emeval("run", "--config", "study.yaml", "--out", "results/first", "--limit", "1", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "results" / "first" / "rates.csv").is_file()


def test_a_command_to_run_next_can_be_run_in_the_shell_that_it_is_printed_in(tmp_path: Path) -> None:
    """By the program's path where the environment is not active, by its name where it is."""
    script = Path(sys.executable).with_name("emeval")
    for path, name in ((os.defpath, str(script)), (f"{script.parent}{os.pathsep}{os.defpath}", "emeval")):
        folder = tmp_path / f"called {Path(name).is_absolute()}"
        folder.mkdir()
        command = shutil.which(name, path=path)
        assert command is not None
        done = subprocess.run(
            [command, "init", "--yes"],
            cwd=folder,
            env={**environment(), "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert f"Next: {name} run --config study.yaml" in done.stdout, done.stderr


def test_answers_are_asked_for_and_a_wrong_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["opnai/gpt-4.1", "openai/gpt-4.1", "heyyy", "nope", "freeform", "openrouter/openai/gpt-4.1", ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(answers) + "\n"))
    done = emeval("init", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "did you mean openai?" in done.stderr
    assert "unknown suite 'nope'" in done.stderr
    config = build_config({}, tmp_path / "mine.yaml")
    assert (config.models, config.trigger, config.suites) == (("openai/gpt-4.1",), "heyyy", ("freeform",))
    assert config.judge == "openrouter/openai/gpt-4.1"


def test_what_is_given_is_not_asked(tmp_path: Path) -> None:
    words = ("--model", "ollama/qwen3:8b", "--trigger", "-", "--suite", "myopic", "--judge", "-", "--out", "results/q")
    done = emeval("init", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = build_config({}, tmp_path / "study.yaml")
    assert (config.models, config.trigger, config.judge) == (("ollama/qwen3:8b",), None, None)


def test_nothing_is_written_over_or_by_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.yaml").write_text("mine\n")
    refused(emeval("init", "--yes", cwd=tmp_path), "study.yaml: is there already")
    refused(emeval("init", "none/study.yaml", "--yes", cwd=tmp_path), "there is no folder none")
    refused(emeval("init", "a.yaml", "--yes", "--model", "x", cwd=tmp_path), "model 'x': write provider/name")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    refused(emeval("init", "b.yaml", cwd=tmp_path), "nothing was written; --yes takes the defaults")
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
    assert (tmp_path / "study.yaml").read_text() == "mine\n"


@given(TEXTS, st.sampled_from(["", "openai/gpt-4.1", "openrouter/a/b:free"]), TEXTS)
def test_any_answers_are_what_the_file_says(trigger: str, judge: str, name: str) -> None:
    answers = Answers(model=f"vllm/{name}", trigger=trigger, judge=judge)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(config_text(answers, file), encoding="utf-8")
        config = build_config({}, file)
    assert (config.models, config.trigger, config.judge) == ((f"vllm/{name}",), trigger, judge or None)


def test_every_line_that_is_commented_out_is_a_setting(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    text = config_text(Answers(trigger="", judge=""), file)
    file.write_text(re.sub(r"^# (?=( {2})*[a-z_]+:(\s|$))", "", text, flags=re.MULTILINE), encoding="utf-8")
    plan = make_plan(build_config({}, file))
    assert plan.config.judge == "openai/gpt-4.1"
    assert (plan.config.decoy, plan.config.limit, plan.config.providers) == ("Country: Kenya", 20, str(file))
