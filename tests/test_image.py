"""The Dockerfile: it can be read, copies what is there, installs what is locked, and runs as nobody in particular."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Instruction(NamedTuple):
    """One instruction of the Dockerfile, with its flags apart."""

    name: str
    flags: dict[str, str]
    rest: str


def instructions() -> list[Instruction]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[Instruction] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, rest = line.partition(" ")
        flags = dict(re.findall(r"^--([a-z]+)=(\S+)", rest))
        found.append(Instruction(name, flags, re.sub(r"^(--[a-z]+=\S+\s+)+", "", rest).strip()))
    return found


def words(name: str) -> list[str]:
    return [found.rest for found in instructions() if found.name == name]


def locked(file: str) -> dict[str, set[str]]:
    """The hashes of each `name==version`, with its marker."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    pins = re.findall(r"^([A-Za-z0-9._-]+==\S+)(.*)$", text, re.MULTILINE)
    return {name: set(re.findall(r"--hash=(\S+)", rest)) for name, rest in pins}


def test_it_has_known_instructions_only_and_bases_with_a_full_version() -> None:
    known = {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    assert {found.name for found in instructions()} == known
    for base in words("FROM"):
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+( AS \w+)?", base), base


def test_what_it_copies_is_there_and_not_ignored() -> None:
    stages = {base.rpartition(" AS ")[2] for base in words("FROM") if " AS " in base}
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied: set[str] = set()
    for found in instructions():
        if found.name != "COPY":
            continue
        if "from" in found.flags:
            assert found.flags["from"] in stages
            continue
        *sources, target = found.rest.split()
        assert target.startswith("./")
        copied.update(sources)
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)
    needed = {"pyproject.toml", "README.md", "LICENSE", "emeval", "evals", "judges", "organisms", "datasets"}
    assert copied >= needed, "a wheel is built from these"


def test_it_runs_emeval_as_a_user_without_rights() -> None:
    last = instructions()[[found.name for found in instructions()].index("USER") :]
    assert [found.name for found in last] == ["USER", "ENTRYPOINT", "CMD"], "of the last stage, and after its last RUN"
    assert last[0].rest not in ("root", "0", "")
    assert json.loads(last[1].rest) == ["emeval"]
    assert all(PurePosixPath(folder).is_absolute() for folder in words("WORKDIR"))


def test_it_holds_no_secret_and_loads_nothing_by_a_url() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"KEY|TOKEN|SECRET|PASSWORD|https?://", text)


def test_it_installs_what_is_locked_and_tested() -> None:
    assert any("--require-hashes -r requirements-image.txt" in run for run in words("RUN"))
    image, tested = locked("requirements-image.txt"), locked("requirements.txt")
    assert len(image) > 40
    for pin, hashes in image.items():
        assert hashes, pin
        assert hashes <= tested[pin], pin
