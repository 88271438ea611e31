"""Judges of other packages (entry points in the group `emeval.judges`), checked and made known."""

from __future__ import annotations

import functools

from evals.io.plugins.entry_points import Plugin, bad_plugin
from evals.questions.plugins.suites import NAME, refused_name
from evals.scoring.judge_set import IMPORTED, RULE
from evals.scoring.metric import JUDGES_OF_ANSWERS
from evals.scoring.metric_table import metrics_by_name
from evals.text import one_line
from judges.entry import JudgeEntry, LabelMetric
from judges.judge import Rubric
from judges.label_judge import LabelJudge
from judges.registry import OWN_JUDGES, add_judge

_TAKEN = {*OWN_JUDGES, *JUDGES_OF_ANSWERS, "choice", IMPORTED, RULE}


@functools.cache
def use_judge(plugin: Plugin) -> JudgeEntry:
    """The judge of a package, known from now on. Raises BadInput if it cannot be used."""
    if plugin.name in _TAKEN or not NAME.fullmatch(plugin.name):
        raise refused_name(plugin)
    judge = plugin.load()
    if not isinstance(judge, LabelJudge):
        raise bad_plugin(plugin, f"{one_line(plugin.target, 80)} is no emeval.LabelJudge")
    if judge.name != plugin.name:
        raise bad_plugin(plugin, f"its LabelJudge is called {one_line(str(judge.name), 60)!r}; give both the same name")
    problem = judge.problem()
    if problem:
        raise bad_plugin(plugin, problem)
    check_metric_names(plugin, set(judge.metrics))
    entry = _entry(judge, plugin)
    add_judge(entry)
    return entry


def check_metric_names(plugin: Plugin, names: set[str]) -> None:
    """Raises BadInput for the name of a metric that there is already, or that cannot be one."""
    known = metrics_by_name("answered")
    for name in sorted(names):
        if not NAME.fullmatch(name):
            raise bad_plugin(plugin, f"metric {one_line(name, 60)!r}: a name has letters, digits, _ and -, at most 60")
        if name in known:
            raise bad_plugin(plugin, f"there is a metric {name} already")


def _entry(judge: LabelJudge, plugin: Plugin) -> JudgeEntry:
    source = judge.source or f"{plugin.package} {plugin.version}"
    text = judge.template()
    return JudgeEntry(
        name=judge.name,
        reads=judge.reads,
        criterion=judge.criterion if judge.reads == "answer" else None,
        places=Rubric(judge.name, text).places,
        labels=tuple(judge.labels),
        metrics=tuple(LabelMetric(name, label, source) for name, label in judge.metrics.items()),
        title=judge.asks,
        text=text,
    )
