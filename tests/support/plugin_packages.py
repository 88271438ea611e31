"""Packages with entry points, laid out as an installer leaves them, for processes that have them on their path."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ROOT

LABELS = "labels={'yes': 'It is.', 'no': 'It is not.'}"
JUDGE_CODE = "from emeval import LabelJudge\nmade = LabelJudge({})\n"
METRIC_CODE = "from emeval import Metric\nmade = Metric({})\n"
ALWAYS = "missing=lambda facts: None, hits=lambda facts: True"
"""Source of packages: a judge, a metric, and what they are made with."""
_FILES = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example() -> dict[str, str]:
    """The files of the package on the page about extending emeval, by their paths."""
    return dict(_FILES.findall((ROOT / "docs" / "extending.md").read_text(encoding="utf-8")))


def install(site: Path, files: Mapping[str, str], version: str | None = None) -> Path:
    """Install a package from its source `files`, pyproject.toml among them, into the folder `site`."""
    project = tomllib.loads(files["pyproject.toml"])["project"]
    name, version = str(project["name"]), version or str(project["version"])
    for path, text in files.items():
        if path != "pyproject.toml":
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
    groups = project.get("entry-points", {})
    lines = [
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in of.items()) for group, of in groups.items()
    ]
    info = site / f"{name.replace('-', '_')}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    return site


def package(kind: str, name: str, code: str, *, of: str = "pack") -> dict[str, str]:
    """The source of a package `of` with one entry point, whose object `made` is what the `code` makes."""
    project = f'[project]\nname = "{of}"\nversion = "1.0"\n[project.entry-points."emeval.{kind}s"]\n'
    return {"pyproject.toml": f'{project}"{name}" = "{of}_code:made"\n', f"{of}_code.py": code}


def with_site(site: Path) -> dict[str, str]:
    """The environment of a process that has the packages in `site`."""
    return {"PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}
