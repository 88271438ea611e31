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

Packages that add suites, judges and metrics declare them with `Suite` or `open_suite`, `LabelJudge` and `Metric`
(docs/extending.md).
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
    from evals.questions.dataset import Dataset
    from evals.questions.suite import Suite
    from evals.questions.suites.own_table import open_suite
    from evals.scoring.metric import Metric, Missing, TrialFacts, missing_outcome
    from evals.trials.prompt import Message, Prompt
    from evals.trials.reference import Fact, Number, Truth
    from judges.label_judge import LabelJudge

_NAMES = {
    "emeval.run_options": ("CommonOptions", "JudgeOptions", "ResumeOptions", "RunOptions"),
    "emeval.queries": ("compare", "figures", "open_run", "rates", "report", "responses"),
    "emeval.results": ("EmevalWarning", "Run"),
    "emeval.commands": ("ajudge", "aresume", "arun", "judge", "resume", "run"),
    "evals": ("__version__",),
    "evals.analysis.comparison.comparable": ("NotComparable",),
    "evals.errors": ("BadInput", "EmevalError", "EndpointDown", "JournalFull", "RunStopped"),
    "evals.questions.dataset": ("Dataset",),
    "evals.questions.suite": ("Suite",),
    "evals.questions.suites.own_table": ("open_suite",),
    "evals.scoring.metric": ("Metric", "Missing", "TrialFacts", "missing_outcome"),
    "evals.trials.prompt": ("Message", "Prompt"),
    "evals.trials.reference": ("Fact", "Number", "Truth"),
    "judges.label_judge": ("LabelJudge",),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "BadInput",
    "CommonOptions",
    "Dataset",
    "EmevalError",
    "EmevalWarning",
    "EndpointDown",
    "Fact",
    "JournalFull",
    "JudgeOptions",
    "LabelJudge",
    "Message",
    "Metric",
    "Missing",
    "NotComparable",
    "Number",
    "Prompt",
    "ResumeOptions",
    "Run",
    "RunOptions",
    "RunStopped",
    "Suite",
    "TrialFacts",
    "Truth",
    "__version__",
    "ajudge",
    "aresume",
    "arun",
    "compare",
    "figures",
    "judge",
    "missing_outcome",
    "open_run",
    "open_suite",
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
    from evals.io.process.garbage import rare_collection

    with rare_collection():
        value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
