"""Entry points: the suites, judges and metrics that other installed packages declare, found without importing them.

Only names are looked up. The module of a package is imported when something of it is used, and then runs as code of
this process: installing a package is what trusts it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from evals.errors import BadInput
from evals.io.hashes import file_sha256
from evals.text import one_line

Kind = Literal["suite", "judge", "metric"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Plugin:
    """One entry point. `target` is the `module:object` it names; package and version are those of its distribution."""

    kind: Kind
    name: str
    target: str
    package: str
    version: str

    @property
    def origin(self) -> str:
        """The package and its version, on one line."""
        return one_line(f"{self.package} {self.version}", 80)

    @property
    def shown(self) -> str:
        """The plugin and its package on one line, for error lines and tables."""
        return one_line(f"{self.kind} {one_line(self.name, 60)} of {self.origin}", 160)

    def load(self) -> object:
        """The object that the entry point names. Raises BadInput if it cannot be imported."""
        return _loaded(self)

    def sha256(self) -> str:
        """The sha256 of its module, once it is loaded (see `module_sha256`)."""
        return module_sha256(self.target.partition(":")[0].strip())


def installed(kind: Kind) -> tuple[Plugin, ...]:
    """All plugins of a kind, by name; two packages may declare the same name."""
    return _installed()[kind]


def plugin_called(kind: Kind, name: str) -> Plugin | None:
    """The plugin of this name, None if no package declares it. Raises BadInput if two packages do."""
    found = [plugin for plugin in installed(kind) if plugin.name == name]
    if len(found) > 1:
        both = " and ".join(plugin.origin for plugin in found[:2])
        raise BadInput(f"{kind} {one_line(name, 60)} is declared twice, by {both}; uninstall one of them")
    return found[0] if found else None


@functools.cache
def _installed() -> dict[Kind, tuple[Plugin, ...]]:
    found: dict[Kind, tuple[Plugin, ...]] = {}
    for kind in KINDS:
        plugins = {
            Plugin(
                kind,
                point.name,
                point.value,
                point.dist.name if point.dist else "an unknown package",
                point.dist.version if point.dist else "",
            )
            for point in importlib.metadata.entry_points(group=f"emeval.{kind}s")
        }
        found[kind] = tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.package, plugin.target)))
    return found


@functools.cache
def _loaded(plugin: Plugin) -> object:
    point = importlib.metadata.EntryPoint(plugin.name, plugin.target, f"emeval.{plugin.kind}s")
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # the code of others may raise anything
        raise bad_plugin(plugin, f"cannot be loaded: {in_words(error)}") from error


def module_sha256(name: str) -> str:
    """The sha256 of an imported module's file, "" if it has none. Tells an edited module from the released one."""
    file = getattr(sys.modules.get(name), "__file__", None)
    try:
        return file_sha256(Path(file)) if file else ""
    except OSError:
        return ""


def bad_plugin(plugin: Plugin, problem: str) -> BadInput:
    """The error of a plugin, with what can be done about it."""
    return BadInput(f"{plugin.shown}: {problem}; mend the package or uninstall it")


def in_words(error: BaseException) -> str:
    """An exception of a package's code on one line."""
    return one_line(f"{type(error).__name__}: {error}", 200)
