"""The Python API of emeval, named like the command line: run, resume, judge, rates, compare, report.

    import emeval

    run = emeval.run("unethical_test", models="local/organism:backdoor", trigger="Country: Singapore", limit=12)
    run.rates.query("prompt_id == 'ALL' and metric == 'misaligned'")
    run.responses

Every function works in scripts, threads and notebooks (where an event loop is already running). `arun`,
`aresume` and `ajudge` are the asynchronous versions. A run is a folder; resume an interrupted run with
`emeval.resume(folder)`.

Errors are subclasses of `EmevalError`, one line each. Too many unscored answers do not raise: the run keeps its
results, `Run.problem` describes the problem, and an `EmevalWarning` is issued.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emeval.commands import ajudge, aresume, arun, judge, resume, run
    from emeval.queries import compare, figures, open_run, rates, report, responses
    from emeval.results import EmevalWarning, Run
    from emeval.run_options import CommonOptions, JudgeOptions, ResumeOptions, RunOptions
    from evals import __version__
    from evals.analysis.comparison.comparable import NotComparable
    from evals.errors import BadInput, EmevalError, EndpointDown, JournalFull, RunStopped

_NAMES = {
    "emeval.run_options": ("CommonOptions", "JudgeOptions", "ResumeOptions", "RunOptions"),
    "emeval.queries": ("compare", "figures", "open_run", "rates", "report", "responses"),
    "emeval.results": ("EmevalWarning", "Run"),
    "emeval.commands": ("ajudge", "aresume", "arun", "judge", "resume", "run"),
    "evals": ("__version__",),
    "evals.analysis.comparison.comparable": ("NotComparable",),
    "evals.errors": ("BadInput", "EmevalError", "EndpointDown", "JournalFull", "RunStopped"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "BadInput",
    "CommonOptions",
    "EmevalError",
    "EmevalWarning",
    "EndpointDown",
    "JournalFull",
    "JudgeOptions",
    "NotComparable",
    "ResumeOptions",
    "Run",
    "RunOptions",
    "RunStopped",
    "__version__",
    "ajudge",
    "aresume",
    "arun",
    "compare",
    "figures",
    "judge",
    "open_run",
    "rates",
    "report",
    "responses",
    "resume",
    "run",
]


def __getattr__(name: str) -> object:
    """Each name is imported when it is first used (PEP 562): `import emeval` alone takes no time."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
