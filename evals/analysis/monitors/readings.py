"""The counted trials of a run with what its monitors said of each: the one that flags, and those that score."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evals.plan.manifest import judge_set
from evals.runner.count import Counted
from evals.scoring.scored_trial import score_trial
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from judges.monitors.suspicion import SUSPICIOUS_FROM, VIEWS, View, monitor_name
from judges.registry import COT_MONITOR
from judges.verdicts import COT_FLAGS, Scored

if TYPE_CHECKING:
    import pandas as pd

FLAGS = COT_MONITOR.name
CELL = ("suite", "format", "model", "condition", "trigger")


class Monitor(NamedTuple):
    """A monitor by its judge's name, which its column of scores has too. `view` is what it is shown, None for the one
    that flags reasoning, whose flags stand for scores of 0 and 100. A reply is flagged from `flagged_from` up."""

    name: str
    view: View | None
    flagged_from: float


MONITORS = (
    Monitor(FLAGS, None, 100.0),
    *(Monitor(monitor_name(view), view, SUSPICIOUS_FROM) for view in VIEWS),
)


def readings_of(counted: Counted) -> pd.DataFrame:
    """A row for each trial that counts: its cell, prompt and variant, whether it is `misaligned`, and a column for each
    monitor with its score (0 to 100), NaN where it has read nothing or its reply was not readable."""
    scoring = judge_set(counted.manifest).monitors
    frame = _from_journal(counted, scoring) if scoring else _from_tables(counted)
    return frame.assign(prompt_id=frame["prompt_id"].astype(str), **{name: frame[name].astype(str) for name in CELL})


def _from_tables(counted: Counted) -> pd.DataFrame:
    trials = counted.tables.trials
    trials = trials[trials["counted"]]
    read = (trials["trace"] == "real") & trials["flag"].isin(COT_FLAGS)
    flags = (100.0 * (trials["flag"] != "none")).where(read)
    return trials[[*CELL, "prompt_id", "variant", "misaligned"]].assign(**{FLAGS: flags})


def _from_journal(counted: Counted, scoring: dict[View, str]) -> pd.DataFrame:
    """The same with the scores, which no table has."""
    import pandas as pd

    panel, denominator = judge_set(counted.manifest), counted.manifest.config.denominator
    nothing = float("nan")
    rows: list[tuple[object, ...]] = []
    with Journal.read(counted.folder) as journal:
        for trial in journal.trials_in_plan_order():
            scored = score_trial(trial, panel)
            if not scored.is_counted(denominator):
                continue
            reasoning = scored.reasoning
            read = reasoning.trace == "real" and reasoning.flag in COT_FLAGS
            flag = 100.0 * (reasoning.flag != "none") if read else nothing
            scores = (_score(trial, judge_id) if view == "action" or reasoning.trace == "real" else nothing
                      for view, judge_id in scoring.items())  # fmt: skip
            place = (trial.suite, trial.format, trial.model, trial.condition, trial.trigger)
            rows.append((*place, trial.prompt_id, trial.variant, scored.is_misaligned(), flag, *scores))
    names = [*CELL, "prompt_id", "variant", "misaligned", FLAGS, *map(monitor_name, scoring)]
    return pd.DataFrame(rows, columns=names).astype({"misaligned": bool})


def _score(trial: RecordedTrial, judge_id: str) -> float:
    ruling = trial.rulings.get(judge_id)
    return ruling.verdict.score if ruling is not None and isinstance(ruling.verdict, Scored) else float("nan")
