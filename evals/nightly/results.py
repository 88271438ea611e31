"""The results of a night: each checkpoint with its rates, their verdicts, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evals.analysis.comparison.result import Compared
from evals.nightly.checkpoints import Checkpoint, SkippedCheckpoint
from evals.nightly.config import GateEntry, NightlyConfig
from evals.nightly.drift import NOT_WATCHED, Drift
from evals.nightly.gates import FAILED, GateVerdict, NoComparison, RateRow, Verdict
from evals.plan.config import RunConfig

_UNKNOWN_DRIFT = Drift(NOT_WATCHED, "not complete")

Status = Literal["complete", "incomplete", "failed", "not started", "measured before"]
FINISHED: frozenset[Status] = frozenset({"complete", "measured before"})


@dataclass(frozen=True)
class CheckpointResult:
    """One checkpoint in one night. `reason` says why it is not complete; `against` names its baseline."""

    checkpoint: Checkpoint
    config: RunConfig
    status: Status
    reason: str = ""
    rates: tuple[RateRow, ...] = ()
    judged: tuple[GateVerdict, ...] = ()
    against: str = ""
    compared: Compared | None = None
    no_comparison: NoComparison | None = None
    drift: Drift = _UNKNOWN_DRIFT
    silent_gates: tuple[GateEntry, ...] = ()


@dataclass(frozen=True)
class Night:
    """A night's results. `before` is the history without this night."""

    name: str
    config: NightlyConfig
    measured: tuple[CheckpointResult, ...]
    left_out: tuple[SkippedCheckpoint, ...]
    before: tuple[Mapping[str, str], ...]
    interrupted: bool = False

    @property
    def folder(self) -> Path:
        return self.config.out / self.name

    @property
    def is_complete(self) -> bool:
        return all(result.status in FINISHED for result in self.measured) and not any(
            result.expected for result in self.left_out
        )

    @property
    def reported(self) -> list[Path]:
        """The run folders on the night's page, [] if no page is written."""
        complete = [result.checkpoint.name for result in self.measured if result.status == "complete"]
        return [self.folder / name for name in complete] if self.config.report else []

    @property
    def failing(self) -> frozenset[Verdict]:
        """The verdicts that fail a night."""
        unclear: frozenset[Verdict] = frozenset({"unclear"})
        return FAILED | unclear if self.config.on_unclear == "fail" else FAILED

    @property
    def failed(self) -> list[tuple[CheckpointResult, GateVerdict]]:
        """The rates that failed a gate."""
        return [
            (result, judged) for result in self.measured for judged in result.judged if judged.verdict in self.failing
        ]

    @property
    def with_other_judge(self) -> list[CheckpointResult]:
        return [result for result in self.measured if result.drift.verdict == "judge"]

    @property
    def exit_code(self) -> int:
        if not self.is_complete:
            return 3
        return 1 if self.failed or self.with_other_judge else 0
