"""Help: every command in one group, every option in a panel, examples that parse, and no wider than its place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from evals.cli import entry
from evals.cli.help.command_groups import COMMANDS, GROUPS
from evals.cli.help.examples import EXAMPLES
from evals.cli.help.panels import OTHERS, SETTINGS_PANELS
from evals.plan.settings.run_settings import SETTINGS
from tests.support.cli_runner import emeval
from tests.support.terminal import on_terminal


def _leaves(group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        whole = f"{above} {name}".strip()
        yield from _leaves(command, whole) if hasattr(command, "commands") else [(whole, command)]


def _commands() -> dict[str, Any]:
    entry.load()
    return dict(_leaves(typer.main.get_command(entry.app)))


def test_every_command_is_in_one_group_and_help_lists_them_in_order() -> None:
    _commands()
    root: Any = typer.main.get_command(entry.app)
    grouped = [name for commands in GROUPS.values() for name in commands]
    assert sorted(grouped) == sorted(root.commands)
    shown = emeval("--help").stdout.partition("Ask models:")[0:3]
    listed = re.findall(r"^(?:  (\S+)  .*|(\S.*):)$", "".join(shown[1:]).partition("\nExamples:")[0], re.MULTILINE)
    assert [title for _, title in listed if title] == list(GROUPS)
    assert [name for name, _ in listed if name] == list(COMMANDS)


def test_every_command_has_two_examples_that_parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latest").mkdir()  # stands for the latest run
    monkeypatch.chdir(tmp_path)
    commands = _commands()
    assert set(EXAMPLES) == {"", *commands}
    for name, examples in EXAMPLES.items():
        assert len(set(examples)) == 2, name
        for example in examples:
            program, *words = shlex.split(example)
            used = name or words[0]  # those of emeval itself are of some command
            assert [program, *words[: len(used.split())]] == ["emeval", *used.split()], example
            context = commands[used].make_context(used, words[len(used.split()) :])
            assert context.params, example


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_in_a_pipe_help_has_80_columns_at_most(columns: str) -> None:
    most = min(int(columns), 80)
    for name in ["", *_commands(), "datasets", "batch"]:
        shown = emeval(*name.split(), "--help", env={"COLUMNS": columns}).stdout
        indented = [line for line in shown.splitlines() if not line.startswith("  emeval ")]
        assert max(map(len, indented)) <= most, name
        assert max(map(len, shown.splitlines())) <= 80, name
        assert OTHERS not in shown, name
        assert not re.search(r"<[a-z]", shown), name


def test_on_a_terminal_help_is_as_wide_as_it() -> None:
    outputs = [on_terminal("run", "--help", env={"COLUMNS": columns})[1] for columns in ("140", "80")]
    assert all("\x1b[1mJudges" in output for output in outputs)
    wide, narrow = (re.sub(r"\x1b\[\d*m", "", output) for output in outputs)
    assert 120 < max(map(len, wide.splitlines())) <= 140
    assert 70 < max(map(len, narrow.splitlines())) <= 80
    assert len(wide.splitlines()) < len(narrow.splitlines())


def test_every_setting_is_in_one_panel() -> None:
    grouped = [name for names in SETTINGS_PANELS.values() for name in names]
    assert sorted(grouped) == sorted(name for name, setting in SETTINGS.items() if setting.scope != "internal")


def test_an_option_shows_its_default_and_what_it_takes() -> None:
    text = " ".join(emeval("compare", "--help").stdout.split())
    assert "--max-increase NUMBER Largest allowed change for the worse" in text
    assert "[default: 0.05; 0 to 1]" in text
    assert "Usage: emeval compare [OPTIONS] BASE [CANDIDATE]" in text
    assert "--blank [refused|unjudged]" in emeval("import", "--help").stdout
