"""Every command that the README and the documentation show exists, with the options that it is shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = {"cli.md", "settings.md"}
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in GENERATED)]
EVERYWHERE = {"--help"}
COMPLETION = {"--install-completion", "--show-completion", "--version"}


def options_by_command() -> dict[str, set[str]]:
    """The options of each command, of the generated reference, which a test of its own keeps current."""
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    found: dict[str, set[str]] = {}
    for section in re.split(r"^## emeval", text, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        rows = [line for line in body.splitlines() if line.startswith("| `-")]
        names = [re.findall(r"`(-[^` ]+)`", row.split(" | ")[0]) for row in rows]
        found[name.strip()] = {option for row in names for option in row} | EVERYWHERE
    return found


def code_lines(text: str) -> Iterator[str]:
    """The lines of code blocks, fenced or indented, with lines that end in a backslash joined to the next."""
    fenced, waiting = False, ""
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
            continue
        if not (fenced or line.startswith("    ")):
            continue
        if line.endswith("\\"):
            waiting += line[:-1]
            continue
        yield (waiting + line).strip()
        waiting = ""


def shown_commands(text: str) -> Iterator[list[str]]:
    """The words of each `emeval` command, in code blocks and in inline code."""
    inline = re.findall(r"`(emeval [^`]+)`", text)
    for line in [*code_lines(text), *inline]:
        line = re.sub(r"^([A-Z_]+=\S+ +)+", "", line)
        if not line.startswith("emeval "):
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a sentence, with an apostrophe
            words = line.split()
        yield words[1:]


def test_the_readme_names_every_command() -> None:
    """Of a group one of its commands is enough: the others are on its page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [name for name in options_by_command() if name and f"emeval {name.split()[0]}" not in text]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    known = options_by_command()
    for words in shown_commands(page.read_text(encoding="utf-8")):
        if words[:1] == ["--debug"]:
            words = words[1:]
        if not words or words[0] in ("COMMAND", "...") or words[0] in COMPLETION:
            continue
        if len(words) == 1 and any(name.startswith(f"{words[0]} ") for name in known):  # a group of commands
            continue
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
        assert name is not None, words
        for word in words:
            option = word.partition("=")[0]
            if re.fullmatch(r"--[a-z-]+|-[a-zA-Z]", option):
                assert option in known[name], (name, option)
