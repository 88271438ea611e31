"""How a field of a run's configuration is given, by which commands, and whether it tells two runs apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["run", "files", "judging", "judges", "models", "connection", "limits", "internal"]
"""Who takes a setting: `run` the command run alone; `judging` judge, too; `models` resume, too (a connection to the
models under test); `connection` and `limits` all three; `internal` none, since emeval itself writes it.

`files` (run and resume) and `judges` (all three) change answers or verdicts, and name files, programs or servers: about
these a manifest is not believed (`evals.plan.recorded.told_again`), so that a resumed run is told the same again.
"""
SCOPES: dict[str, frozenset[Scope]] = {
    "run": frozenset({"run", "files", "judging", "judges", "models", "connection", "limits"}),
    "resume": frozenset({"files", "judges", "models", "connection", "limits"}),
    "judge": frozenset({"judging", "judges", "connection", "limits"}),
}
"""The settings that a command takes."""


@dataclass(frozen=True)
class Setting:
    """The annotation of a field: what pydantic does not know of it.

    Args:
        scope: Which commands take it.
        flag: How the command line writes it; by default its name with dashes.
        is_option: The command line has an option of this flag for it.
        short: A one-letter flag.
        value: What the help calls its value, such as `FILE`.
        is_path: The value is the path of a file, or holds paths.
        repeats: The option may be given several times.
        in_identity: Two runs with different values are different runs. False for what cannot change an answer, and for
            files, which the manifest knows by their hashes.
    """

    scope: Scope
    flag: str = ""
    is_option: bool = True
    short: str = ""
    value: str = ""
    is_path: bool = False
    repeats: bool = False
    in_identity: bool = True


CONNECTION = Setting("connection", in_identity=False)
