"""The names of a run's judges, and what each of them said of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from evals.plan.manifest import Manifest
from evals.scoring.judge_set import (
    CHOICE_JUDGE_ID,
    IMPORTED,
    LETTERS_JUDGE_ID,
    NAMING_JUDGE_ID,
    NUMBER_JUDGE_ID,
    OWN_SCORE_JUDGE_ID,
    RULE,
    SELF_REPORT_JUDGE_ID,
    rule_key,
)
from evals.scoring.verdict_words import verdict_words
from evals.trials.record import RecordedTrial
from judges.question_file import PREFIX

BY_RULE_IDS = {
    CHOICE_JUDGE_ID: "choice",
    NUMBER_JUDGE_ID: "number",
    NAMING_JUDGE_ID: "naming",
    OWN_SCORE_JUDGE_ID: "own_score",
    SELF_REPORT_JUDGE_ID: "self_report",
    LETTERS_JUDGE_ID: "letters",
}
"""The rules that read answers without a model, by the id of their rulings."""


class JudgeName(NamedTuple):
    """What stands behind the id of a judge: its name, and the model, "" for a rule. `counts` is whether the run's rates
    are by its verdicts."""

    name: str
    model: str
    counts: bool

    @property
    def shown(self) -> str:
        """The name as a question file of the user's has it, without what sets it apart from our own judges."""
        return self.name.removeprefix(PREFIX)


class Said(NamedTuple):
    """One judge's verdict in words, and the judge's own `reply` as it came, "" where a rule has read the answer."""

    judge: JudgeName
    words: str
    reply: str


def judge_names(manifest: Manifest) -> dict[str, JudgeName]:
    """Every judge that has ruled on the run, by id."""
    counted = {facts.judge_id for facts in manifest.rubrics.values()}
    names = {judge_id: JudgeName(name, "", True) for judge_id, name in BY_RULE_IDS.items()}
    for facts in manifest.datasets.values():
        for name, judge in facts.judges.items():
            if judge.kind == "rule" and judge.spec is not None:
                key = rule_key(name, judge.spec)
                names[key.id] = JudgeName(key.judge, RULE, True)
    panels = [(panel.judge, panel.rubrics) for panel in manifest.all_panels()]
    if manifest.imported is not None:
        panels.append((IMPORTED, manifest.imported.rubrics()))
    for judge, rubrics in panels:
        for name, facts in rubrics.items():
            names[facts.judge_id] = JudgeName(name, judge, facts.judge_id in counted)
    return names


def said_of(trial: RecordedTrial, names: Mapping[str, JudgeName]) -> list[Said]:
    """What was said of the trial, by judges whose verdicts count first. A judge that `names` lacks shows its id."""
    said = [
        Said(names.get(judge_id, JudgeName(judge_id, "", False)), verdict_words(ruling.verdict), ruling.reply)
        for judge_id, ruling in trial.rulings.items()
    ]
    return sorted(said, key=lambda judged: (not judged.judge.counts, judged.judge.model, judged.judge.name))
