"""Ask models and judges: the commands run, resume and judge, for Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from emeval.options import checked, several
from emeval.progress import view_of_run
from emeval.run_options import JudgeOptions, ResumeOptions, RunOptions, StrPath
from emeval.threads import in_any_thread, in_own_thread
from evals.batches.in_runs.asked import Batches
from evals.errors import RunStopped
from evals.io.environment import read_dotenv
from evals.io.process.garbage import rare_collection
from evals.plan.config import RunConfig
from evals.plan.options import build_config
from evals.runner.count import RunResult
from evals.runner.rejudging.judge import judge_run
from evals.runner.run import resume_run, start_run
from evals.runner.view import RunView

if TYPE_CHECKING:  # it needs pandas, which is imported while servers are waited for
    from emeval.results import Run


def run(
    suites: StrPath | Iterable[StrPath] | None = None,
    models: str | Iterable[str] | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | None = None,
    progress: bool = True,
    **options: Unpack[RunOptions],
) -> Run:
    """Sample answers from models, judge them, and compute rates. As `emeval run`.

    Also works inside a running event loop, as in a notebook. An interruption (Ctrl-C, a notebook's stop
    button) stops the run at once, keeps everything recorded so far, and raises KeyboardInterrupt.

    Args:
        suites: A suite (see `emeval suites`) or a question file (`.yaml`), or several.
        models: A model as `provider/name`, such as `openai/gpt-4.1`, `vllm/BASE:ADAPTER` or `local/organism`, or
            several.
        out: The run folder; an existing run is resumed without repeating requests. Default: a new
            folder in `results/` named by date and time.
        config: A YAML file with these options; arguments override it.
        progress: Show bars (in a notebook, on a terminal) or lines (elsewhere). If False, messages go
            to the logger `emeval`.
        **options: See [RunOptions][emeval.RunOptions].

    Returns:
        The run, with its tables. Its `problem` says if too many answers are unscored; a warning is issued, too.

    Raises:
        BadInput: Invalid file, option, key or server; nothing was sent or written.
        RunStopped: The run cannot continue now. Recorded results are safe; `emeval.resume(folder)` resumes it.
    """
    began = _planned_run(suites, models, out, config, options)
    return _shown(in_any_thread(began.bound(progress=progress)), began.folder)


async def arun(
    suites: StrPath | Iterable[StrPath] | None = None,
    models: str | Iterable[str] | None = None,
    *,
    out: StrPath | None = None,
    config: StrPath | None = None,
    progress: bool = True,
    **options: Unpack[RunOptions],
) -> Run:
    """[run][emeval.run] for asynchronous code: `await emeval.arun(...)`.

    The run works in its own thread, so several can run at a time, each in its own folder. When the task
    is cancelled, the run stops and writes its tables before the cancellation propagates; `emeval.resume(folder)`
    resumes it.

    Args:
        suites: As for `run`.
        models: As for `run`.
        out: As for `run`.
        config: As for `run`.
        progress: As for `run`. Bars of concurrent runs overwrite each other.
        **options: See [RunOptions][emeval.RunOptions].

    Returns:
        The run, with its tables.

    Raises:
        BadInput: As for `run`.
        RunStopped: As for `run`.
    """
    began = _planned_run(suites, models, out, config, options)
    return _shown(await in_own_thread(began.bound(progress=progress)), began.folder)


def resume(
    folder: StrPath,
    *,
    models: str | Iterable[str] | None = None,
    retry_failed: bool = False,
    progress: bool = True,
    **options: Unpack[ResumeOptions],
) -> Run:
    """Resume a run, with the configuration in its manifest. As `emeval resume`.

    The manifest is not believed about files, programs and servers: give those that the run used again.

    Args:
        folder: The run folder.
        models: The models again, if they are files, such as `vllm/BASE:ADAPTER`.
        retry_failed: Retry trials that are recorded as failed.
        progress: As for `run`.
        **options: Options that may change, such as concurrency. See [ResumeOptions][emeval.ResumeOptions].

    Returns:
        The run, with its tables.

    Raises:
        BadInput: There is no run in the folder, or another process is running it.
        RunStopped: The run cannot continue now.
    """
    began = _resumed(folder, models, retry_failed, options)
    return _shown(in_any_thread(began.bound(progress=progress)), began.folder)


async def aresume(
    folder: StrPath,
    *,
    models: str | Iterable[str] | None = None,
    retry_failed: bool = False,
    progress: bool = True,
    **options: Unpack[ResumeOptions],
) -> Run:
    """[resume][emeval.resume] for asynchronous code; cancelled as `arun` is.

    Args:
        folder: The run folder.
        models: As for `resume`.
        retry_failed: Retry trials that are recorded as failed.
        progress: As for `run`.
        **options: See [ResumeOptions][emeval.ResumeOptions].

    Returns:
        The run, with its tables.

    Raises:
        BadInput: As for `resume`.
        RunStopped: As for `resume`.
    """
    began = _resumed(folder, models, retry_failed, options)
    return _shown(await in_own_thread(began.bound(progress=progress)), began.folder)


def judge(folder: StrPath, *, beside: bool = False, progress: bool = True, **options: Unpack[JudgeOptions]) -> Run:
    """Judge the stored answers of a run, without sampling again. As `emeval judge`.

    Args:
        folder: The run folder.
        beside: Only add the judge's verdicts; the judge that counts stays.
        progress: As for `run`.
        **options: The judge and its settings, such as `judge="openai/gpt-4.1"`.
            See [JudgeOptions][emeval.JudgeOptions].

    Returns:
        The run with its tables, counted by the new verdicts unless `beside`.

    Raises:
        BadInput: There is no run in the folder, or the judge is missing or unusable.
        RunStopped: The judge cannot continue now; repeat the call to resume.
    """
    began = _judged(folder, options, beside=beside)
    return _shown(in_any_thread(began.bound(progress=progress)), began.folder)


async def ajudge(
    folder: StrPath, *, beside: bool = False, progress: bool = True, **options: Unpack[JudgeOptions]
) -> Run:
    """[judge][emeval.judge] for asynchronous code; cancelled as `arun` is.

    Args:
        folder: The run folder.
        beside: As for `judge`.
        progress: As for `run`.
        **options: See [JudgeOptions][emeval.JudgeOptions].

    Returns:
        The run with its tables, counted by the new verdicts unless `beside`.

    Raises:
        BadInput: As for `judge`.
        RunStopped: As for `judge`.
    """
    began = _judged(folder, options, beside=beside)
    return _shown(await in_own_thread(began.bound(progress=progress)), began.folder)


class _Began:
    """Work to do in a run folder, and the call that resumes it after an interruption."""

    def __init__(self, folder: Path, act: Callable[[RunView], RunResult], go_on: str) -> None:
        self.folder = folder
        self._act = act
        self._go_on = go_on

    def bound(self, *, progress: bool) -> Callable[[], RunResult]:
        def work() -> RunResult:
            try:
                with rare_collection():
                    return self._act(view_of_run(progress=progress))
            except (RunStopped, KeyboardInterrupt) as error:
                if (self.folder / "manifest.json").exists():
                    error.add_note(f"What is recorded is safe; {self._go_on} goes on.")
                raise

        return work


def _planned_run(
    suites: StrPath | Iterable[StrPath] | None,
    models: str | Iterable[str] | None,
    out: StrPath | None,
    config: StrPath | None,
    options: RunOptions,
) -> _Began:
    read_dotenv()
    given = checked(options, RunOptions) | {"suites": several(suites), "models": several(models)}
    settings = build_config(given, None if config is None else Path(config))
    folder = _new_folder(settings) if out is None else Path(out)
    return _Began(
        folder,
        lambda view: start_run(settings, folder, view, by_batch=Batches()),
        f"emeval.resume({str(folder)!r})",
    )


def _resumed(folder: StrPath, models: str | Iterable[str] | None, retry_failed: bool, options: ResumeOptions) -> _Began:
    read_dotenv()
    place, transport = Path(folder), checked(options, ResumeOptions)
    if models is not None:
        transport["models"] = several(models)
    return _Began(
        place,
        lambda view: resume_run(place, transport, view, retry_failed=retry_failed, by_batch=Batches()),
        f"emeval.resume({str(place)!r})",
    )


def _judged(folder: StrPath, options: JudgeOptions, *, beside: bool) -> _Began:
    read_dotenv()
    place, judging = Path(folder), checked(options, JudgeOptions)
    return _Began(
        place, lambda view: judge_run(place, judging, view, by_batch=Batches(), beside=beside), "the same call"
    )


def _shown(result: RunResult, folder: Path) -> Run:
    """The run; warns about problems of its results at the caller's line."""
    from emeval.results import EmevalWarning, Run

    found = Run.of(result, folder)
    if not found.is_complete:
        done = f"{result.manifest.trials_recorded} of {result.manifest.trials_planned} trials are recorded"
        warnings.warn(f"not complete: {done}; emeval.resume({str(folder)!r}) goes on", EmevalWarning, stacklevel=3)
    elif found.problem is not None:
        warnings.warn(found.problem, EmevalWarning, stacklevel=3)
    return found


def _new_folder(config: RunConfig) -> Path:
    """A new folder in results/, numbered if two runs start within a second."""
    shown = [*config.suites[:3], *([f"and-{len(config.suites) - 3}-more"] if len(config.suites) > 3 else [])]
    folder = Path("results") / f"{datetime.now():%Y%m%d-%H%M%S}-{'-'.join(shown)}"
    number = 1
    place = folder
    while place.exists():
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    return place
