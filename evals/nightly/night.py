"""One night: every checkpoint measured, held against the baseline, written down.

A night is a folder, `OUT/<night>`, with a run folder for each checkpoint. Whatever ends it, the same command goes on:
runs that are complete are not asked again, the others are resumed. History and summary are written at the end, from
what is there by then, also when a person or a scheduler ends the night early.
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

from filelock import FileLock, Timeout

from evals.analysis.comparison.comparable import NotComparable
from evals.analysis.comparison.compare import compare_by_gates
from evals.analysis.comparison.result import CellChange, Compared
from evals.errors import BadInput, EmevalError, RunStopped
from evals.io.atomic import write_whole
from evals.io.paths import expanded
from evals.nightly.checkpoints import Checkpoint, baseline_name, find_checkpoints
from evals.nightly.config import PREVIOUS, NightlyConfig
from evals.nightly.drift import complete_before, drift_tonight, judge_changed_since
from evals.nightly.gates import NoComparison, RateRow, compare_gates, gates_on, judge_rates, rate_row
from evals.nightly.history import FILE_NAME as HISTORY
from evals.nightly.history import Cells, cells, read_history, text_of, write_history
from evals.nightly.results import CheckpointResult, Night
from evals.nightly.summary import junit_of, summary_of
from evals.plan.config import RunConfig
from evals.plan.plan import make_plan
from evals.plan.provenance import now
from evals.reporting.page.writer import write_report
from evals.runner.count import RunResult, read_several
from evals.runner.run import start_run
from evals.runner.view import RunView
from evals.scoring.rates.rows import pooled_rows
from evals.text import one_line, redact

STATE = "night.json"
PAGE = "report.html"
_GOES_ON_FOR = timedelta(hours=12)


def run_night(config: NightlyConfig, night: str, view: RunView) -> Night:
    """Measure what is not measured yet and write the night down.

    Raises BadInput, before anything is asked, for a config that cannot be carried out, and RunStopped where another
    night is under way.
    """
    checkpoints, left_out = find_checkpoints(config)
    baseline_name(config, checkpoints)
    configs = {one.name: config.run_config(one.model) for one in checkpoints}
    for one in checkpoints:
        make_plan(configs[one.name])
    history = read_history(config.out / HISTORY)
    with _only_one(config.out):
        history = read_history(config.out / HISTORY)  # once more under the lock
        state = _begin(config.out / night)
        before = tuple(row for row in history if row["night"] != night)
        measured, interrupted = _measure_all(config, night, checkpoints, configs, before, view)
        found = Night(name=night, config=config, measured=tuple(measured), left_out=tuple(left_out), before=before)
        found = replace(found, interrupted=interrupted)
        found = replace(found, measured=tuple(_compared(found, one) for one in found.measured))
        write_history(config.out / HISTORY, before, night, [row for one in found.measured for row in _rows(found, one)])
        write_whole(found.folder / "junit.xml", junit_of(found))
        write_whole(found.folder / "summary.md", summary_of(found))
        if not interrupted:
            ended = {"ended_at": now(), "exit_code": found.exit_code}
            write_whole(found.folder / STATE, json.dumps(state | ended, indent=1) + "\n")
        if found.reported:
            try:
                write_report(read_several(found.reported), found.folder / PAGE)
            except EmevalError as error:  # what the night has found, and its exit code, stand without the page
                view.say(f"{night}: the page could not be written: {error}")
        return found


def night_of(out: Path, given: str | None, today: date, at: datetime) -> str:
    """Which night it is: the one given, else that of today's date.

    A night that was cut off less than twelve hours ago goes on under the name that it has, also after midnight. Raises
    BadInput for what is no date.
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
        if at - began < _GOES_ON_FOR:
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
    """Every checkpoint, one after the other, the baseline first; and whether somebody ended it before the end."""
    first = config.baseline
    order = sorted(checkpoints, key=lambda one: one.name != first)
    found: dict[str, CheckpointResult] = {}
    interrupted = stopped = False
    for number, one in enumerate(order, 1):
        if interrupted or stopped:
            reason = "the night was ended before it" if interrupted else "the night ended at the first failure"
            found[one.name] = CheckpointResult(one, configs[one.name], "not started", reason)
            continue
        earlier = _measured_before(config, one, night, history)
        if earlier:
            found[one.name] = CheckpointResult(one, configs[one.name], "measured before", f"in the night of {earlier}")
            continue
        view.say(f"{night}: {one.name} ({number} of {len(order)}): {one.model}")
        try:
            found[one.name] = _measure(one, configs[one.name], config.out / night / one.name, view)
        except KeyboardInterrupt:
            interrupted = True
            found[one.name] = CheckpointResult(one, configs[one.name], "incomplete", "interrupted")
        if found[one.name].status != "complete":
            view.say(f"{one.name}: {found[one.name].status}: {found[one.name].reason}")
            stopped = not config.keep_going
    return [found[one.name] for one in checkpoints], interrupted


def _measure(one: Checkpoint, config: RunConfig, folder: Path, view: RunView) -> CheckpointResult:
    """Run it, or resume it; what failed in an earlier attempt of this night is asked again."""
    try:
        result = start_run(config, folder, view, retry_failed=folder.exists())
    except RunStopped as error:
        return CheckpointResult(one, config, "incomplete", _clean(error))
    except EmevalError as error:
        return CheckpointResult(one, config, "failed", _clean(error))
    except Exception as error:  # one checkpoint must not take the others' night
        return CheckpointResult(one, config, "failed", _clean(error, f"{type(error).__name__}: "))
    manifest = result.manifest
    if manifest.trials_recorded < manifest.trials_planned:
        done = f"{manifest.trials_recorded} of {manifest.trials_planned} trials are recorded"
        return CheckpointResult(one, config, "incomplete", done)
    return CheckpointResult(one, config, "complete", rates=tuple(_pooled(result)))


def _pooled(result: RunResult) -> list[RateRow]:
    return [rate_row(row) for row in pooled_rows(result.tables.rate_rows)]


def _clean(error: Exception, before: str = "") -> str:
    """What an error says, without any key that is in the environment."""
    text = one_line(f"{before}{error}", 500)
    for name, value in os.environ.items():
        if name.endswith("_API_KEY") and value:
            text = redact(text, value)
    return text


def _measured_before(config: NightlyConfig, one: Checkpoint, night: str, history: Sequence[Mapping[str, str]]) -> str:
    """The earlier night that measured this checkpoint, "" where it is to be measured: each night, or as a new one."""
    if not one.only_new or (config.out / night / one.name).exists() or one.name == config.baseline:
        return ""
    nights = [
        row["night"]
        for row in history
        if (text_of(row, "checkpoint"), text_of(row, "model"), row["status"])
        == (one.name, one_line(one.model, 1000), "complete")
        and row["night"] < night
    ]
    return max(nights, default="")


# --- comparing --------------------------------------------------------------------------------------------------------


def _compared(night: Night, one: CheckpointResult) -> CheckpointResult:
    """`one` with its drift, its comparison with the baseline, and the verdict on each of its rates."""
    if one.status != "complete":
        return one
    config, name = night.config, one.checkpoint.name
    has_anchors = config.anchors is not None
    drift = drift_tonight(config.out, name, night.name, night.before, has_anchors=has_anchors)
    one = replace(one, drift=drift)
    changes, against, compared = _changes(night, one)
    judged = judge_rates(one.rates, config.gates, name, changes, one.config.max_unscored)
    silent = [
        gate
        for gate in config.gates
        if gate.checkpoint in (None, name) and not any(gates_on([gate], name, row) for row in one.rates)
    ]
    return replace(
        one,
        judged=tuple(judged),
        against=against,
        compared=compared,
        no_comparison=changes if isinstance(changes, NoComparison) else None,
        silent_gates=tuple(silent),
    )


def _changes(night: Night, one: CheckpointResult) -> tuple[Sequence[CellChange] | NoComparison, str, Compared | None]:
    """The changes since the baseline, what the baseline is, and the whole comparison."""
    config, name = night.config, one.checkpoint.name
    gates = compare_gates(config.gates, name, one.config.max_unscored)
    if config.baseline is None or not gates:
        return NoComparison("no baseline", ""), "", None
    base, against, problem = _baseline(night, one)
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
        return NoComparison("not comparable", f"not comparable with {against}: {_clean(error)}"), against, None
    return compared.cells, against, compared


def _baseline(night: Night, one: CheckpointResult) -> tuple[Path, str, NoComparison | None]:
    """The run to compare with, what to call it, and why it cannot be compared with, if so."""
    config, name = night.config, one.checkpoint.name
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
    if one.drift.verdict == "judge":
        words = one.drift.words
    else:
        words = judge_changed_since(folder, config.out, name, night.name, night.before)
    if words:
        return folder, against, NoComparison("not comparable", f"judge changed: not comparable with {against}: {words}")
    return folder, against, None


# --- writing ----------------------------------------------------------------------------------------------------------


def _rows(night: Night, one: CheckpointResult) -> list[Cells]:
    """What history keeps of a checkpoint: its rates where it is complete, else that it is not."""
    shared: dict[str, str | float | None] = {
        "night": night.name,
        "checkpoint": one.checkpoint.name,
        "model": one.checkpoint.model,
        "run": f"{night.name}/{one.checkpoint.name}",
        "status": one.status,
    }
    if one.status == "measured before":
        return []
    if one.status != "complete":
        return [cells(**shared)]
    rows: list[Cells] = []
    for row, change, verdict, _ in one.judged:
        numbers = {
            name: value for name, value in row._asdict().items() if name in ("k", "n", "rate", "ci_low", "ci_high")
        }
        names = {name: value for name, value in row._asdict().items() if name not in numbers and name != "unscored"}
        of_change: dict[str, str | float | None] = {}
        if change is not None:
            of_change = {
                "increase": change.increase,
                "increase_low": change.ci_low,
                "increase_high": change.ci_high,
                "p_value": change.p_value,
                "p_holm": change.p_holm,
            }
        against = one.against if verdict and verdict != "baseline" else ""
        more = {"baseline": against, "decision": verdict, "drift": one.drift.verdict, "unscored": row.unscored}
        rows.append(cells(**shared, **names, **numbers, **of_change, **more))
    return rows


def _begin(folder: Path) -> dict[str, Any]:
    """Make the night's folder and note when it began; what is noted there already stays."""
    state = _state(folder) or {"schema_version": 1, "night": folder.name, "began_at": now()}
    state |= {"ended_at": None, "exit_code": None}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
    write_whole(folder / STATE, json.dumps(state, indent=1) + "\n")
    return state


def _state(folder: Path) -> dict[str, Any] | None:
    """What is noted of a night, None where nothing is that can be read."""
    try:
        found: object = json.loads((folder / STATE).read_bytes())
    except (OSError, ValueError):
        return None
    return dict(found) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]


@contextmanager
def _only_one(out: Path) -> Generator[None]:
    """Two nights in one folder never overlap."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".nightly.lock")
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
