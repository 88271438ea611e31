"""The likely lengths of replies: those that a recorded run has seen, else those of a prior."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.cost.prior import JUDGED_SHARE, answer_tokens, verdict_tokens
from evals.plan.manifest import judge_set, read_manifest
from evals.plan.recorded_run import open_run
from evals.scoring.judge_set import JudgePanel
from evals.text import shown_path
from evals.trials.journal import Journal
from evals.trials.response import Response
from evals.trials.trial import Trial
from judges.judge import Judge
from judges.question_file import PREFIX
from judges.registry import JUDGES

_MOST_READ = 20_000
"""Trials of a recorded run whose lengths are read, spread over all of it."""
Source = Literal["recorded", "recorded of other models", "prior"]


class Likely(NamedTuple):
    """Tokens of one reply, and where the number comes from."""

    tokens: float
    source: Source


@dataclass
class Sums:
    """Replies that told their tokens."""

    replies: int = 0
    tokens: int = 0

    def add(self, tokens: int | None) -> None:
        if tokens is not None:
            self.replies += 1
            self.tokens += tokens


@dataclass(frozen=True)
class Recorded:
    """How long the replies of a run were, by model, suite and format, and by judge; `read` of its answers, and how many
    of these each judge was asked about. `planned` and `recorded` are of the whole run."""

    folder: Path
    answers: Mapping[tuple[str, str, str], Sums]
    verdicts: Mapping[str, Sums]
    asked: Mapping[str, int]
    read: int
    recorded: int
    planned: int

    @cached_property
    def of_any_model(self) -> dict[tuple[str, str], Sums]:
        """The answers by suite and format."""
        found: dict[tuple[str, str], Sums] = {}
        for (_, suite, form), sums in self.answers.items():
            total = found.setdefault((suite, form), Sums())
            total.replies += sums.replies
            total.tokens += sums.tokens
        return found


@dataclass(frozen=True)
class Lengths:
    """What is likely of a run with this config."""

    config: RunConfig
    recorded: Recorded | None = None

    def answer(self, trial: Trial) -> Likely:
        """Of an answer, its reasoning included: as the same model's in the suite and format, else as other models'."""
        most = trial.sampling.max_tokens
        if self.recorded is not None:
            own = self.recorded.answers.get((trial.model, trial.suite, trial.format), Sums())
            if own.replies:
                return Likely(min(own.tokens / own.replies, most), "recorded")
            others = self.recorded.of_any_model.get((trial.suite, trial.format), Sums())
            if others.replies:
                return Likely(min(others.tokens / others.replies, most), "recorded of other models")
        tokens = answer_tokens(trial.suite, trial.format, thinking=bool(self.config.thinking_switch))
        return Likely(min(tokens, most), "prior")

    def verdict(self, judge: Judge) -> Likely:
        """Of a judge's reply."""
        sums = self.recorded.verdicts.get(judge.name) if self.recorded is not None else None
        if sums is not None and sums.replies:
            return Likely(min(sums.tokens / sums.replies, judge.max_tokens), "recorded")
        return Likely(min(verdict_tokens(judge), judge.max_tokens), "prior")

    def judged_share(self, judge: Judge) -> Likely:
        """The share of the answers that a judge reads which is shown their reasoning."""
        recorded = self.recorded
        if recorded is not None and recorded.read and judge.name in recorded.asked:
            return Likely(min(recorded.asked[judge.name] / recorded.read, 1.0), "recorded")
        if self.config.thinking_switch is False:
            return Likely(0.0, "prior")
        every = self.config.cot_all or JUDGES[judge.name].reads == "reply"
        return Likely(1.0 if every else JUDGED_SHARE, "prior")


def likely_lengths(config: RunConfig, pilot: Path | None = None, out: Path | None = None) -> Lengths:
    """The lengths that a pilot run shows, else the run in `out` as far as it is recorded, else those of the prior.

    Raises BadInput for a pilot that is no run, or one whose models were told otherwise whether to think.
    """
    if pilot is not None:
        recorded, thinking = _recorded(pilot, "--pilot")
        if thinking != config.thinking:
            raise BadInput(
                f"--pilot: {shown_path(pilot)} ran with --thinking {thinking}, and this run has {config.thinking}: "
                "its answers are of another length; give a pilot with the same"
            )
        return Lengths(config, recorded)
    if out is not None and read_manifest(out) is not None:
        recorded, thinking = _recorded(out, "--out")
        return Lengths(config, recorded if thinking == config.thinking and recorded.read else None)
    return Lengths(config)


def _recorded(folder: Path, option: str) -> tuple[Recorded, str]:
    """What a run holds, and its --thinking."""
    with open_run(folder, option) as run:
        found = _lengths_of(folder, run.journal, judge_set(run.manifest), run.manifest.trials_planned)
        return found, run.manifest.config.thinking


def _lengths_of(folder: Path, journal: Journal, panel: JudgePanel, planned: int) -> Recorded:
    names = {panel.id_of(name): name for name in JUDGES if panel.id_of(name) is not None}
    names |= {judge_id: f"{PREFIX}{name}" for name, judge_id in panel.file_judges.items()}
    answers: dict[tuple[str, str, str], Sums] = {}
    verdicts: dict[str, Sums] = {}
    asked: Counter[str] = Counter()
    read, recorded = 0, journal.recorded()
    for trial in journal.trials_in_plan_order(min(1.0, _MOST_READ / max(recorded, 1))):
        if not isinstance(trial.result, Response):
            continue
        read += 1
        sums = answers.setdefault((trial.model, trial.suite, trial.format), Sums())
        sums.add(trial.result.completion_tokens)
        for judge_id, ruling in trial.rulings.items():
            if judge_id in names:
                asked[names[judge_id]] += 1
                verdicts.setdefault(names[judge_id], Sums()).add(ruling.completion_tokens)
    return Recorded(folder, answers, verdicts, asked, read, recorded, planned)
