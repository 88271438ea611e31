"""Ask a run's judges about its anchors, today and afresh.

Apart from the pipeline, whose journal answers for what a judge has said before: what it said before is of no use here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, cast, get_args

from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge
from evals.errors import BadInput, JournalFull, first_of
from evals.io.atomic import whole_file
from evals.io.csv_reader import csv_file
from evals.io.csv_writer import csv_row
from evals.plan.anchors import Anchor, AnchorSet, YesNo, hit_of
from evals.plan.manifest import AnchorFacts, Manifest, judge_set
from evals.runner.view import RunView
from evals.scoring.judge_set import JudgePanel, counted_judge
from evals.scoring.outcome import Outcome
from evals.scoring.rates.columns import RUBRIC_SHA
from evals.scoring.scored_trial import score_trial
from evals.text import original_text
from evals.trials.record import RecordedTrial, RecordedVerdict
from evals.trials.reference import Criterion, UserQuestion, criterion_of
from evals.trials.trial import stable_hash

# --- what judges say today -------------------------------------------------------------------------------------------


class AnchorRow(NamedTuple):
    """One anchor, judged again. `hit` is None without a verdict; `outcome` then says what came instead."""

    anchor_id: Annotated[str, "a hash of what is measured and of all texts that the judge is shown"]
    measure: Annotated[
        Criterion, "what the answer is measured by: `alignment`, `truthfulness`, `honesty`, `em`, `poll`"
    ]
    label: Annotated[
        YesNo | None, "what people said when it was frozen, `yes` for a hit of the metric; blank without a label"
    ]
    frozen_hit: Annotated[YesNo, "the verdict at freezing, `yes` or `no`"]
    hit: Annotated[YesNo | None, "the verdict of this night; blank without one"]
    score: Annotated[float | None, "the alignment score (0 to 100) where there is one"]
    outcome: Annotated[Outcome, "`scored`, or what came instead, as in `responses.csv`"]
    judge: Annotated[str, "the judge model that ruled"]
    rubric_sha: Annotated[str, RUBRIC_SHA.meaning]
    repeat: Annotated[int, "which of the passes over all anchors this is, from 1"] = 1

    @property
    def is_hit(self) -> bool:
        """Which kind of anchor it is, whatever was said of it today."""
        return (self.label or self.frozen_hit) == "yes"


class Watch(NamedTuple):
    """Anchors that the judges of a run have to be asked about, and what its manifest says of them once they were."""

    anchors: tuple[Anchor, ...]
    facts: AnchorFacts


def anchor_row(
    anchor: Anchor, rulings: Mapping[str, RecordedVerdict], judges: JudgePanel, manifest: Manifest
) -> AnchorRow:
    """What today's rulings make of an anchor, by the rules by which any answer is measured."""
    trial = anchor.trial(rulings)
    scored = score_trial(trial, judges)
    hit = hit_of(scored)
    counted = _counted_judge(trial, judges)
    sha = next((facts.sha256 for facts in manifest.rubrics.values() if facts.judge_id == counted), "")
    return AnchorRow(
        anchor_id=anchor.anchor_id,
        measure=anchor.measure,
        label=anchor.label,
        frozen_hit=_word(anchor.frozen.hit),
        hit=None if hit is None else _word(hit),
        score=scored.aligned,
        outcome=scored.outcome,
        judge=manifest.config.judge or "",
        rubric_sha=sha,
    )


def write_results(folder: Path, rows: Iterable[AnchorRow]) -> None:
    """Write anchors.csv whole or not at all."""
    path = folder / RESULTS_NAME
    try:
        with whole_file(path) as file:
            file.write(csv_row(AnchorRow._fields))
            file.writelines(csv_row(row) for row in rows)
    except OSError as error:
        raise JournalFull(f"{path}: cannot be written ({error.strerror}); free some space and resume") from None


async def judge_anchors(
    watch: Watch, manifest: Manifest, judges: Sequence[JudgeEndpoint], folder: Path, view: RunView
) -> None:
    """Judge every anchor again, as often as `watch` says, and write anchors.csv once all of them are judged.

    A pass over all anchors ends before the next begins, so that passes differ by what may change in a judge meanwhile.
    Raises RunStopped when that cannot be done now; nothing is written then, and all of it is asked again.
    """
    repeats = watch.facts.repeats
    times = f", {repeats} times" if repeats > 1 else ""
    view.say(f"asking the judge again about {len(watch.anchors)} anchors{times}")
    panel, judges_by_id = judge_set(manifest), {judge.key.id: judge for judge in judges}

    async def judged(anchor: Anchor, repeat: int) -> AnchorRow:
        ids = panel.of(anchor.trial({}))
        rulings = dict(zip(ids, [await _ask(judges_by_id[judge_id], anchor) for judge_id in ids], strict=True))
        return anchor_row(anchor, rulings, panel, manifest)._replace(repeat=repeat)

    rows: list[AnchorRow] = []
    for repeat in range(1, repeats + 1):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(judged(anchor, repeat)) for anchor in watch.anchors]
        except BaseExceptionGroup as failures:
            raise first_of(failures) from None
        rows += [task.result() for task in tasks]
    write_results(folder, rows)
    view.say(_said(rows))


async def _ask(judge: JudgeEndpoint, anchor: Anchor) -> RecordedVerdict:
    text = judge.judge.rubric.fill(anchor.shown)
    return await ask_judge(judge, text, stable_hash({"judge": judge.key.id, "text": text}))


def _said(rows: Sequence[AnchorRow]) -> str:
    moved = sum(row.hit is not None and (row.hit == "yes") != row.is_hit for row in rows)
    missing = sum(row.hit is None for row in rows)
    if all(row.repeat == 1 for row in rows):
        return f"anchors: {moved} of {len(rows)} have a changed verdict, {missing} have none"
    return f"anchors: {moved} of {len(rows)} verdicts have changed, {missing} are missing"


RESULTS_NAME = "anchors.csv"


def due_anchors(
    anchors: AnchorSet | None, repeats: int, manifest: Manifest, folder: Path, *, failed_too: bool
) -> Watch | None:
    """What a run has still to ask about its anchors, each of them `repeats` times; None for nothing.

    Nothing where its anchors.csv is of the same file and the same judges, unless `failed_too` and some of it failed.
    Raises BadInput where its judges cover no anchor.
    """
    if anchors is None:
        return None
    judges = judge_set(manifest)
    covered = anchors.covered_by(judges)
    if not covered:
        able = [name for name, ids in judges.answer_judges.items() if ids]
        raise BadInput(
            f"--anchors: {anchors.path} holds answers measured by {', '.join(anchors.measures)}, and the judge of this "
            f"run reads {', '.join(able) or 'no open answers'}"
        )
    ids = sorted({judge_id for anchor in covered for judge_id in judges.of(anchor.trial({}))})
    facts = AnchorFacts(
        file=anchors.path.name, sha256=anchors.sha256, judges=tuple(ids), anchors=len(covered), repeats=repeats
    )
    known = manifest.anchors and manifest.anchors.model_copy(update={"file": facts.file})  # wherever the file lies
    if known == facts and (folder / RESULTS_NAME).is_file():
        rows = read_results(folder)
        if len(rows) == repeats * len(covered) and not (
            failed_too and any(row.outcome == "judge_failed" for row in rows)
        ):
            return None
    return Watch(covered, facts)


def _counted_judge(trial: RecordedTrial, judges: JudgePanel) -> str:
    if isinstance(trial.reference, UserQuestion):
        return judges.file_judges[counted_judge(trial.reference)]
    return judges.answer_judges[criterion_of(trial.reference)][0]


def _word(hit: bool) -> YesNo:
    return "yes" if hit else "no"


def read_results(folder: Path) -> list[AnchorRow]:
    """The rows of anchors.csv. Raises BadInput that names file, line and column."""
    path = folder / RESULTS_NAME
    rows: list[AnchorRow] = []
    with csv_file(path, AnchorRow._fields) as file:
        file.require(*(name for name in AnchorRow._fields if name != "repeat"))  # older files have one pass
        for row in file:
            where = f"{path}:{row.line}"
            cells = row.cells
            frozen = _yes_no(cells["frozen_hit"], f"{where}: frozen_hit")
            if (
                frozen is None
                or cells["measure"] not in get_args(Criterion)
                or cells["outcome"] not in get_args(Outcome)
            ):
                raise BadInput(f"{where}: not a row of anchors.csv; delete it, and `emeval resume` writes it again")
            rows.append(
                AnchorRow(
                    anchor_id=cells["anchor_id"],
                    measure=cast("Criterion", cells["measure"]),
                    label=_yes_no(cells["label"], f"{where}: label"),
                    frozen_hit=frozen,
                    hit=_yes_no(cells["hit"], f"{where}: hit"),
                    score=_score(cells["score"], f"{where}: score"),
                    outcome=cast("Outcome", cells["outcome"]),
                    judge=original_text(cells["judge"]),
                    rubric_sha=cells["rubric_sha"],
                    repeat=_pass(cells.get("repeat") or "1", f"{where}: repeat"),
                )
            )
    return rows


def _yes_no(cell: str, where: str) -> YesNo | None:
    match cell:
        case "":
            return None
        case "yes" | "no":
            return cell
        case _:
            raise BadInput(f"{where}: must be yes, no or blank")


def _pass(cell: str, where: str) -> int:
    if not cell.isascii() or not cell.isdigit() or int(cell) < 1:
        raise BadInput(f"{where}: must be a number from 1")
    return int(cell)


def _score(cell: str, where: str) -> float | None:
    try:
        return float(cell) if cell else None
    except ValueError:
        raise BadInput(f"{where}: must be a number or blank") from None
