"""Ask a run's judges about its anchors, today and afresh.

Apart from the pipeline, whose journal answers for what a judge has said before: what it said before is of no use here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from evals.endpoints.judge_endpoint import BoundJudge, ask_judge
from evals.errors import first_of
from evals.plan.anchors import Anchor, AnchorRow, Watch, anchor_row, write_results
from evals.plan.manifest import Manifest, judge_set
from evals.trials.record import Ruling
from evals.trials.trial import stable_hash
from evals.view import RunView


async def judge_anchors(
    watch: Watch, manifest: Manifest, judges: Sequence[BoundJudge], folder: Path, view: RunView
) -> None:
    """Judge every anchor again and write anchors.csv, once all of them are judged.

    Raises RunStopped when that cannot be done now; nothing is written then, and all of it is asked again.
    """
    view.say(f"asking the judge again about {len(watch.anchors)} anchors")
    panel, bound = judge_set(manifest), {judge.key.id: judge for judge in judges}

    async def judged(anchor: Anchor) -> AnchorRow:
        ids = panel.of(anchor.trial({}))
        rulings = dict(zip(ids, [await _ask(bound[judge_id], anchor) for judge_id in ids], strict=True))
        return anchor_row(anchor, rulings, panel, manifest)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(judged(anchor)) for anchor in watch.anchors]
    except BaseExceptionGroup as failures:
        raise first_of(failures) from None
    rows = [task.result() for task in tasks]
    write_results(folder, rows)
    view.say(_said(rows))


async def _ask(judge: BoundJudge, anchor: Anchor) -> Ruling:
    text = judge.judge.rubric.fill(anchor.shown)
    return await ask_judge(judge, text, stable_hash({"judge": judge.key.id, "text": text}))


def _said(rows: Sequence[AnchorRow]) -> str:
    moved = sum(row.hit is not None and (row.hit == "yes") != row.is_hit for row in rows)
    missing = sum(row.hit is None for row in rows)
    return f"anchors: {moved} of {len(rows)} have another verdict than their own, {missing} have none"
