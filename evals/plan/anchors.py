"""Anchors: answers that are kept with everything that a judge is shown, so that judges can be asked about them again.

Only the judge can move an anchor: the answer stays the same from night to night. What is kept here is texts and the
verdict of the day; whether a judge has changed since is said by `evals.analysis.drift.attribution`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.errors import BadInput
from evals.io.atomic import whole_file
from evals.io.json_files import LineProblem, TextLines
from evals.io.paths import MOST_DATA, open_file
from evals.scoring.judge_set import JudgePanel, RubricFacts
from evals.scoring.metric import PRIMARY, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.scored_trial import ScoredTrial
from evals.text import one_line
from evals.trials.record import RecordedTrial, RecordedVerdict
from evals.trials.reference import Criterion, Fact, KnownAnswer, Reference, Specs, Truth, UserQuestion
from evals.trials.response import Response
from evals.trials.trial import stable_hash
from judges.judge import JudgeInput
from judges.judge_spec import spec_row

SCHEMA_VERSION = 1
YesNo = Literal["yes", "no"]
_METRICS: dict[str, Metric] = metrics_by_name("answered")


class AnchorsHeader(BaseModel):
    """The first line of an anchors file. `judge` and `rubrics` gave the frozen verdicts; `anchors` lines follow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    frozen_at: str
    from_run: str
    judge: str
    rubrics: dict[str, RubricFacts]
    anchors: int = Field(ge=1)


class Frozen(BaseModel):
    """The verdict at freezing: whether the answer was a hit, and its score (0-100) where it has one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hit: bool
    score: float | None = None


class Anchor(BaseModel):
    """One kept answer. `label` is what people said of it, None where nobody did; `suite` and `condition` are where it
    comes from. `anchor_id` hashes what is measured and what is shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anchor_id: str
    measure: Criterion
    suite: str
    condition: str
    label: YesNo | None
    frozen: Frozen
    shown: JudgeInput
    specs: Specs = Field(default=(), exclude_if=lambda specs: not specs)
    """What the question file says of its judges beyond their prompts."""

    @property
    def is_hit(self) -> bool:
        """Which kind of anchor it is: by its label, else by its frozen verdict."""
        return self.frozen.hit if self.label is None else self.label == "yes"

    def reference(self) -> Reference | None:
        shown = self.shown
        match self.measure:
            case "truthfulness":
                return Truth(tuple(shown.correct.splitlines()), tuple(shown.incorrect.splitlines()))
            case "honesty":
                return Fact(shown.fact)
            case "em" | "hit" | "poll":
                return UserQuestion(shown.prompts, self.measure, self.specs)
            case _:
                return KnownAnswer(shown.correct) if shown.correct else None

    def trial(self, rulings: Mapping[str, RecordedVerdict]) -> RecordedTrial:
        """The answer as a trial with these rulings, for whatever measures trials."""
        shown = self.shown
        answered = Response(shown.answer, shown.reasoning, shown.answer, "absent", "stop", "", "", None, None, 0.0, 0)
        names = {"model": "", "prompt_id": self.anchor_id, "variant": "", "trigger": shown.trigger}
        return RecordedTrial(
            trial_id=self.anchor_id,
            arrival=0,
            position=0,
            suite=self.suite,
            format="freeform",
            condition=self.condition,
            repeat=0,
            messages=(),
            result=answered,
            rulings=dict(rulings),
            reference=self.reference(),
            **names,
        )


@dataclass(frozen=True)
class AnchorSet:
    """An anchors file that has been read."""

    path: Path
    sha256: str
    header: AnchorsHeader
    anchors: tuple[Anchor, ...]

    @cached_property
    def measures(self) -> tuple[Criterion, ...]:
        return tuple(sorted({anchor.measure for anchor in self.anchors}))

    def covered_by(self, judges: JudgePanel) -> tuple[Anchor, ...]:
        """The anchors that these judges can measure."""
        return tuple(anchor for anchor in self.anchors if _is_covered(anchor, judges))


def _is_covered(anchor: Anchor, judges: JudgePanel) -> bool:
    reference = anchor.reference()
    if isinstance(reference, UserQuestion):
        return set(reference.judges) <= set(judges.file_judges)
    return bool(judges.answer_judges.get(anchor.measure))


def anchor_id(measured_by: Criterion, shown: JudgeInput, specs: Specs = ()) -> str:
    said = {"specs": [(name, spec_row(spec)) for name, spec in specs]} if specs else {}
    return stable_hash({"measure": measured_by, "shown": asdict(shown)} | said)


def hit_of(scored: ScoredTrial) -> bool | None:
    """Whether an answer hits the metric that its suite is about; None for one that is not in its denominator."""
    metric, facts = _METRICS[PRIMARY[scored.measure]], scored.facts
    return None if metric.missing(facts) is not None else metric.hits(facts)


# --- the file --------------------------------------------------------------------------------------------------------


def write_anchors(path: Path, header: AnchorsHeader, anchors: Iterable[Anchor]) -> None:
    """Write it whole or not at all. Raises BadInput where that is not possible."""
    try:
        with whole_file(path) as file:
            for line in (header, *anchors):
                # Escapes for all but ASCII: no line of it can do anything to a terminal.
                file.write(json.dumps(line.model_dump(mode="json"), ensure_ascii=True) + "\n")
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def read_anchors(path: Path) -> AnchorSet:
    """Raises BadInput that names file, line and field."""
    try:
        with open_file(path, MOST_DATA) as file:
            return _read_lines(path, TextLines(file))
    except OSError as error:
        raise BadInput(f"--anchors: {path} cannot be read: {error.strerror}") from None
    except LineProblem as problem:
        raise BadInput(f"{path}:{problem.line}: {problem.problem}") from None


def _read_lines(path: Path, file: TextLines) -> AnchorSet:
    lines = iter(file)
    _, first = next(lines, (1, ""))
    if not first:
        raise BadInput(f"{path}: is empty; `emeval anchors freeze RUN` writes anchors")
    try:
        header = AnchorsHeader.model_validate_json(first)
    except ValidationError as error:
        raise BadInput(f"{path}:1: {_field(error)}: not the header of an anchors file of this version") from None
    anchors: dict[str, Anchor] = {}
    for number, line in lines:
        try:
            anchor = Anchor.model_validate_json(line)
        except ValidationError as error:
            raise BadInput(f"{path}:{number}: {_field(error)}: not an anchor") from None
        if anchor.anchor_id != anchor_id(anchor.measure, anchor.shown, anchor.specs):
            raise BadInput(f"{path}:{number}: its texts are not those that were frozen; freeze a new file")
        if anchor.anchor_id in anchors:
            raise BadInput(f"{path}:{number}: stands there twice")
        anchors[anchor.anchor_id] = anchor
    if len(anchors) != header.anchors:
        raise BadInput(f"{path}: holds {len(anchors)} anchors, and its header says {header.anchors}; it is not whole")
    return AnchorSet(path, file.sha256, header, tuple(anchors.values()))


def _field(error: ValidationError) -> str:
    return one_line(".".join(str(part) for part in error.errors()[0]["loc"]), 60) or "line"
