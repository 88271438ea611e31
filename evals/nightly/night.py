"""Run one night: measure every checkpoint, compare it with the baseline, and write the results.

A night is a folder, `OUT/<night>`, with a run folder for each checkpoint. After an interruption the same command
continues: complete runs are skipped, the others are resumed. History and summary are written at the end from what is
there by then, also if a person or a scheduler ends the night early.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import Timeout

from evals.analysis.comparison.comparable import NotComparable
from evals.analysis.comparison.compare import compare_by_gates
from evals.analysis.comparison.result import CellChange, Compared
from evals.analysis.who_answered import lost_adapters
from evals.batches.in_runs.asked import Batches
from evals.errors import BadInput, EmevalError, RunStopped
from evals.io.atomic import write_whole
from evals.io.environment import secrets_in
from evals.io.folders.locks import own_lock
from evals.io.folders.strange_files import refuse_linked_folder, refuse_strange_entries
from evals.io.paths import MOST_TEXT, expanded, read_file
from evals.nightly.checkpoints import Checkpoint, baseline_name, find_checkpoints
from evals.nightly.config import PREVIOUS, NightlyConfig, check_labels
from evals.nightly.discoveries import differing
from evals.nightly.drift import complete_before, drift_tonight, judge_changed_since
from evals.nightly.gates import NoComparison, compare_gates, gates_on, judge_rates, rate_rows
from evals.nightly.history import FILE_NAME as HISTORY
from evals.nightly.history import Cells, cells, read_history, text_of, write_history
from evals.nightly.results import CheckpointResult, Night
from evals.nightly.summary import junit_of, summary_of
from evals.plan.config import RunConfig
from evals.plan.plan import make_plan
from evals.plan.provenance import now
from evals.reporting.page.writer import write_report
from evals.runner.count import read_several
from evals.runner.run import start_run
from evals.runner.view import RunView
from evals.scoring.rates.rows import pooled_rows
from evals.text import one_line, redact

STATE = "night.json"
PAGE = "report.html"
_RESUMABLE_FOR = timedelta(hours=12)


def run_night(config: NightlyConfig, night: str, view: RunView) -> Night:
    """Measure what is not measured yet and write the results of the night.

    Raises BadInput, before the first request, for a config that cannot be run, and RunStopped if another night is
    running.
    """
    checkpoints, left_out = find_checkpoints(config)
    baseline_name(config, checkpoints)
    configs = {checkpoint.name: config.run_config(checkpoint.model, checkpoint.via) for checkpoint in checkpoints}
    for checkpoint in checkpoints:
        check_labels(config, make_plan(configs[checkpoint.name]))
    refuse_strange_entries(config.out)
    history = read_history(config.out / HISTORY)
    with _night_lock(config.out):
        history = read_history(config.out / HISTORY)  # once more under the lock
        state = _begin(config.out / night)
        before = tuple(row for row in history if row["night"] != night)
        measured, interrupted = _measure_all(config, night, checkpoints, configs, before, view)
        found = Night(name=night, config=config, measured=tuple(measured), left_out=tuple(left_out), before=before)
        found = replace(found, interrupted=interrupted)
        found = replace(found, measured=tuple(_with_verdicts(found, result) for result in found.measured))
        differ = differing(found)
        rows = [row for result in found.measured for row in _rows(found, result, differ.get(result.checkpoint.name))]
        write_history(config.out / HISTORY, before, night, rows)
        write_whole(found.folder / "junit.xml", junit_of(found))
        write_whole(found.folder / "summary.md", summary_of(found))
        if not interrupted:
            ended = {"ended_at": now(), "exit_code": found.exit_code}
            write_whole(found.folder / STATE, json.dumps(state | ended, indent=1) + "\n")
        if found.reported:
            try:
                write_report(read_several(found.reported), found.folder / PAGE)
            except EmevalError as error:  # the results and the exit code do not need the page
                view.say(f"{night}: the page could not be written: {error}")
        return found


def night_of(out: Path, given: str | None, today: date, at: datetime) -> str:
    """The name of the night: `given`, else today's date.

    A night interrupted less than twelve hours after it began keeps its name, even after midnight. Raises BadInput if
    `given` is no date.
    """
    if given is not None:
        try:
            if date.fromisoformat(given).isoformat() == given:
                return given
        except ValueError:
            pass
        raise BadInput(f"--date: {one_line(given, 40)!r} is no date; write YYYY-MM-DD")
    yesterday = (today - timedelta(days=1)).isoformat()
    state = _state(out / yesterday)
    if not (out / today.isoformat()).exists() and state and not state.get("ended_at"):
        try:
            began = datetime.fromisoformat(str(state.get("began_at")))
        except ValueError:
            return today.isoformat()
        if at - began < _RESUMABLE_FOR:
            return yesterday
    return today.isoformat()


# --- measuring --------------------------------------------------------------------------------------------------------


def _measure_all(
    config: NightlyConfig,
    night: str,
    checkpoints: Sequence[Checkpoint],
    configs: Mapping[str, RunConfig],
    history: Sequence[Mapping[str, str]],
    view: RunView,
) -> tuple[list[CheckpointResult], bool]:
    """The result of every checkpoint (the baseline is measured first), and whether the night was interrupted."""
    first = config.baseline
    order = sorted(checkpoints, key=lambda checkpoint: checkpoint.name != first)
    found: dict[str, CheckpointResult] = {}
    interrupted = stopped = False
    for number, checkpoint in enumerate(order, 1):
        if interrupted or stopped:
            reason = "the night was ended before it" if interrupted else "the night ended at the first failure"
            found[checkpoint.name] = CheckpointResult(checkpoint, configs[checkpoint.name], "not started", reason)
            continue
        earlier = _earlier_measurement(config, checkpoint, night, history)
        if earlier:
            found[checkpoint.name] = CheckpointResult(
                checkpoint, configs[checkpoint.name], "measured before", f"in the night of {earlier}"
            )
            continue
        view.say(f"{night}: {checkpoint.name} ({number} of {len(order)}): {checkpoint.model}")
        try:
            found[checkpoint.name] = _measure(
                checkpoint, configs[checkpoint.name], config.out / night / checkpoint.name, view
            )
        except KeyboardInterrupt:
            interrupted = True
            found[checkpoint.name] = CheckpointResult(checkpoint, configs[checkpoint.name], "incomplete", "interrupted")
        if found[checkpoint.name].status != "complete":
            view.say(f"{checkpoint.name}: {found[checkpoint.name].status}: {found[checkpoint.name].reason}")
            stopped = not config.keep_going
    return [found[checkpoint.name] for checkpoint in checkpoints], interrupted


def _measure(checkpoint: Checkpoint, config: RunConfig, folder: Path, view: RunView) -> CheckpointResult:
    """Run or resume a checkpoint, with trials that failed earlier this night retried."""
    try:
        refuse_linked_folder(folder)
        result = start_run(config, folder, view, retry_failed=folder.exists(), by_batch=Batches())
    except RunStopped as error:
        return CheckpointResult(checkpoint, config, "incomplete", _error_text(error))
    except EmevalError as error:
        return CheckpointResult(checkpoint, config, "failed", _error_text(error))
    except Exception as error:  # one checkpoint must not end the night
        return CheckpointResult(checkpoint, config, "failed", _error_text(error, f"{type(error).__name__}: "))
    manifest = result.manifest
    if manifest.trials_recorded < manifest.trials_planned:
        done = f"{manifest.trials_recorded} of {manifest.trials_planned} trials are recorded"
        return CheckpointResult(checkpoint, config, "incomplete", done)
    lost = next(lost_adapters(manifest), None)
    if lost is not None:
        return CheckpointResult(checkpoint, config, "failed", lost)
    rates = rate_rows(pooled_rows(result.tables.rate_rows))
    return CheckpointResult(checkpoint, config, "complete", rates=tuple(rates))


def _error_text(error: Exception, before: str = "") -> str:
    """The message of an error, without any secret of the environment."""
    text = one_line(f"{before}{error}", 500)
    for secret in secrets_in(os.environ):
        text = redact(text, secret)
    return text


def _earlier_measurement(
    config: NightlyConfig, checkpoint: Checkpoint, night: str, history: Sequence[Mapping[str, str]]
) -> str:
    """The earlier night that measured an `only_new` checkpoint, "" if it is to be measured tonight."""
    if not checkpoint.only_new or (config.out / night / checkpoint.name).exists() or checkpoint.name == config.baseline:
        return ""
    nights = [
        row["night"]
        for row in history
        if (text_of(row, "checkpoint"), text_of(row, "model"), row["status"])
        == (checkpoint.name, one_line(checkpoint.model, 1000), "complete")
        and row["night"] < night
    ]
    return max(nights, default="")


# --- comparing --------------------------------------------------------------------------------------------------------


def _with_verdicts(night: Night, result: CheckpointResult) -> CheckpointResult:
    """The result with its drift, its comparison with the baseline, and the verdict on each of its rates."""
    if result.status != "complete":
        return result
    config, name = night.config, result.checkpoint.name
    has_anchors = config.anchors is not None
    drift = drift_tonight(config.out, name, night.name, night.before, has_anchors=has_anchors)
    result = replace(result, drift=drift)
    changes, against, compared = _changes(night, result)
    judged = judge_rates(result.rates, config.gates, name, changes, result.config.max_unscored)
    silent = [
        gate
        for gate in config.gates
        if gate.checkpoint in (None, name) and not any(gates_on([gate], name, row) for row in result.rates)
    ]
    return replace(
        result,
        judged=tuple(judged),
        against=against,
        compared=compared,
        no_comparison=changes if isinstance(changes, NoComparison) else None,
        silent_gates=tuple(silent),
    )


def _changes(
    night: Night, result: CheckpointResult
) -> tuple[Sequence[CellChange] | NoComparison, str, Compared | None]:
    """The changes since the baseline, the name of the baseline, and the whole comparison."""
    config, name = night.config, result.checkpoint.name
    gates = compare_gates(config.gates, name, result.rates, result.config.max_unscored)
    if config.baseline is None or not gates:
        return NoComparison("no baseline", ""), "", None
    base, against, problem = _baseline(night, result)
    if problem is not None:
        return problem, against, None
    try:
        compared = compare_by_gates(base, night.folder / name, gates)
    except NotComparable as error:
        words = "; ".join(difference.words for difference in error.differences)
        about_judge = any(difference.what in ("judge", "rubric") for difference in error.differences)
        prefix = "judge changed: not comparable" if about_judge else "not comparable"
        return NoComparison("not comparable", f"{prefix} with {against}: {words}"), against, None
    except EmevalError as error:
        return NoComparison("not comparable", f"not comparable with {against}: {_error_text(error)}"), against, None
    return compared.cells, against, compared


def _baseline(night: Night, result: CheckpointResult) -> tuple[Path, str, NoComparison | None]:
    """The run to compare with, its name, and why it cannot be compared with, else None."""
    config, name = night.config, result.checkpoint.name
    baseline = config.baseline or ""
    same_night = next((other for other in night.measured if other.checkpoint.name == baseline), None)
    if same_night is not None:
        folder = night.folder / baseline
        if same_night.checkpoint.name == name:
            return folder, baseline, NoComparison("baseline", "the others are held against it")
        if same_night.status != "complete":
            return folder, baseline, NoComparison("no baseline", f"no baseline: {baseline} is {same_night.status}")
        return folder, baseline, None
    if baseline == PREVIOUS:
        earlier = complete_before(config.out, name, night.name)
        if not earlier:
            return night.folder, "", NoComparison("no baseline", "no baseline: no earlier night has it complete")
        folder = earlier[-1]
        against = f"{folder.parent.name}/{name}"
    else:
        folder = expanded(baseline)
        against = baseline
    if result.drift.verdict == "judge":
        words = result.drift.words
    else:
        words = judge_changed_since(folder, config.out, name, night.name, night.before)
    if words:
        return folder, against, NoComparison("not comparable", f"judge changed: not comparable with {against}: {words}")
    return folder, against, None


# --- writing ----------------------------------------------------------------------------------------------------------


def _rows(night: Night, result: CheckpointResult, differs: bool | None) -> list[Cells]:
    """The history rows of a checkpoint: its rates if it is complete, else one row with its status."""
    shared: dict[str, str | float | None] = {
        "night": night.name,
        "checkpoint": result.checkpoint.name,
        "model": result.checkpoint.model,
        "run": f"{night.name}/{result.checkpoint.name}",
        "status": result.status,
    }
    if result.status == "measured before":
        return []
    if result.status != "complete":
        return [cells(**shared)]
    rows: list[Cells] = []
    for row, change, verdict, _ in result.judged:
        numbers = {
            name: value for name, value in row._asdict().items() if name in ("k", "n", "rate", "ci_low", "ci_high")
        }
        names = {
            name: value
            for name, value in row._asdict().items()
            if name not in (*numbers, "gen_low", "gen_high", "unscored", "is_headline")
        }
        change_columns: dict[str, str | float | None] = {}
        if change is not None:
            change_columns = {
                "increase": change.increase,
                "increase_low": change.ci_low,
                "increase_high": change.ci_high,
                "p_value": change.p_value,
                "p_holm": change.p_holm,
                "increase_gen_low": change.gen_low,
                "increase_gen_high": change.gen_high,
                "gen_p_value": change.gen_p_value,
                "gen_p_holm": change.gen_p_holm,
                "differs": None if differs is None else "yes" if differs else "no",
            }
        against = result.against if verdict and verdict != "baseline" else ""
        more = {"baseline": against, "decision": verdict, "drift": result.drift.verdict, "unscored": row.unscored}
        rows.append(cells(**shared, **names, **numbers, **change_columns, **more))
    return rows


def _begin(folder: Path) -> dict[str, Any]:
    """Make the night's folder and record when it began, unless that is recorded already."""
    refuse_linked_folder(folder)
    state = _state(folder) or {"schema_version": 1, "night": folder.name, "began_at": now()}
    state |= {"ended_at": None, "exit_code": None}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
    write_whole(folder / STATE, json.dumps(state, indent=1) + "\n")
    return state


def _state(folder: Path) -> dict[str, Any] | None:
    """The recorded state of a night, None if there is none or it cannot be read. Raises BadInput for a pipe there."""
    refuse_strange_entries(folder)
    try:
        found: object = json.loads(read_file(folder / STATE, MOST_TEXT))
    except (OSError, ValueError):
        return None
    return dict(found) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


@contextmanager
def _night_lock(out: Path) -> Generator[None]:
    """Hold the lock on the folder, so that two nights in it never overlap."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = own_lock(out / ".nightly.lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise RunStopped(
            f"{out}: another night is under way there; when it has ended, the same command does what is left"
        ) from None
    except OSError as error:
        raise BadInput(f"{out}: cannot be made or locked: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
