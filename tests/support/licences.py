"""The licences of what emeval runs with, out of the metadata of the installed packages.

    python -m tests.support.licences        lists them; exit 1 where one does not fit an MIT project

What its own package says is believed: an SPDX expression, else the classifiers, else the old free field, else the first
words of its licence file. A package that says nothing that is known does not pass.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

EXTRAS = ("local", "parquet", "inspect", "wandb", "notebook", "docs", "ray")
"""The extras of users. `vllm` is asked over HTTP and not imported; `dev` is no part of what is installed for use."""

_PERMISSIVE = re.compile(
    r"\b(mit|0?bsd|apache|isc|psf|python software foundation|zlib|cc0|unlicense|mit-cmu|hpnd|cnri-python|bsl-1\.0)\b",
    re.I,
)
_FILE_LEVEL = re.compile(r"\b(mpl|mozilla public)\b", re.I)
"""Copyleft for its own files alone, which nobody changes here."""
_COPYLEFT = re.compile(
    r"\b[al]?gpl|(affero|lesser|library)? ?general public|eupl|cc[ -]by[ -]sa|sspl|osl-|cddl|epl-", re.I
)


def fits(licence: str) -> bool:
    """Whether an MIT project may depend on code under `licence`: an SPDX expression or a licence's usual name.

    Of alternatives (OR) one is enough; of parts (AND) each has to fit.
    """
    return any(all(_part_fits(part) for part in re.split(r"\bAND\b", way)) for way in re.split(r"\bOR\b", licence))


def _part_fits(part: str) -> bool:
    return not _COPYLEFT.search(part) and bool(_PERMISSIVE.search(part) or _FILE_LEVEL.search(part))


def licence_of(package: Distribution) -> str:
    """What `package` says of its licence, "" if nothing."""
    fields = package.metadata
    classifiers = [
        line.rpartition(" :: ")[2] for line in fields.get_all("Classifier", []) if line.startswith("License")
    ]
    named = [line for line in classifiers if line != "OSI Approved"]
    old = str(fields.get("License") or "").strip().partition("\n")[0]
    return str(fields.get("License-Expression") or "") or " AND ".join(named) or old or _file_head(package)


def _file_head(package: Distribution) -> str:
    files = [file for file in package.files or [] if re.fullmatch(r"(?i)licen[cs]e.*|copying.*", file.name)]
    words = " ".join(files[0].read_text().split()) if files else ""
    return re.split(r"(?i) copyright", words)[0][:60]


def runtime_packages(extras: Iterable[str] = EXTRAS) -> list[Distribution]:
    """emeval's dependencies with these extras and theirs, as far as they are installed, by name."""
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    todo = [("emeval", extra) for extra in ("", *extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of another system, or an extra that is not installed
            continue
        if name != "emeval":
            found[name] = package
        todo += _needs(package, extra)
    return [found[name] for name in sorted(found)]


def _needs(package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for line in package.requires or []:
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            name = re.sub(r"[-_.]+", "-", needed.name).lower()
            yield from ((name, wanted) for wanted in ("", *needed.extras))


def main() -> int:
    packages = [(package.metadata["Name"], licence_of(package)) for package in runtime_packages()]
    wrong = [(name, licence or "says nothing of its licence") for name, licence in packages if not fits(licence)]
    for name, licence in packages:
        print(f"{name:32} {licence}")
    for name, licence in wrong:
        print(f"{name}: {licence}: an MIT project may not depend on it", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
