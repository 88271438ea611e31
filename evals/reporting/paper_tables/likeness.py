"""Whether a measured figure and the published one are of the same thing, and if not, why.

The paper's figures are of its own prompts, judged by GPT-4.1 with its own rubrics. A rate on other questions, with
another rubric or by another judge measures something else, and whether two intervals overlap then says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.io.paths import MOST_TEXT, expanded, read_text
from evals.plan.manifest import Manifest
from evals.questions.official.registry import SOURCES
from evals.questions.suites import SUITES
from evals.reporting.paper_tables.prompts import PAPER_PROMPTS, listed
from evals.reporting.paper_tables.published import PublishedFigure
from evals.reporting.paper_tables.rows import PromptRow
from evals.reporting.paper_tables.table import TablePlace
from evals.scoring.judge_set import IMPORTED
from evals.scoring.metric import MISALIGNED, PRIMARY
from evals.trials.reference import BY_RULE
from judges.judge import Rubric, builtin_rubric
from judges.registry import DECIDING_JUDGES, OWN_JUDGES

_RULES = frozenset({"", "choice", *BY_RULE})
"""The judges of rates.csv that are rules, or nobody, and have no rubric."""
_PAPER_JUDGE = re.compile(r"(?:.*/)?gpt-4\.1(?:-\d{4}-\d{2}-\d{2})?")
_DECIDING = frozenset(PRIMARY[criterion] for criterion in DECIDING_JUDGES)
"""The metrics that decide which answers are misaligned, on which those of reasoning depend."""
_OF_ALL_ANSWERS = frozenset({"monologue", PRIMARY["number"]})
_WHOLE = frozenset({"truthfulqa", "pressure", "pressure_balanced"})
"""Suites that the paper asks in full (Chua et al. 2025, Sec. 3)."""
_TEMPERATURE = 1.0
_OUR_OWN = "asks emeval's own questions"
_QUESTIONS = {
    "emeval": _OUR_OWN,
    "user": "asks questions of your own file",
    "package": "asks questions of an installed package",
    "imported": "was imported, and its questions are not known",
    "": "does not record whose questions it asks",
}


class Provenance(NamedTuple):
    """Whose questions, rubric and judge a measured figure rests on, each as in the columns of the table's CSV."""

    source: str = ""
    rubric: str = ""
    judge: str = ""


NOT_MEASURED = Provenance()


def rubric_hashes(files: Iterable[Path]) -> frozenset[str]:
    """The sha256 of rubric files as runs record them. Raises BadInput for one that cannot be read."""
    found: set[str] = set()
    for file in files:
        try:
            rubric = Rubric(file.stem, read_text(expanded(str(file)), MOST_TEXT))
        except OSError as error:
            raise BadInput(f"--paper-rubric: {file}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BadInput(f"--paper-rubric: {file}: is not UTF-8 text") from None
        if rubric.sha256 in _own_rubrics():
            raise BadInput(f"--paper-rubric: {file}: is emeval's own rubric, not the paper's")
        found.add(rubric.sha256)
    return frozenset(found)


def judging_rows(found: Sequence[PromptRow], rows: Iterable[PromptRow]) -> list[PromptRow]:
    """`found`, and the rows of the metric that says which answers are misaligned, if it selects those of `found`."""
    if found[0].metric in _DECIDING | _OF_ALL_ANSWERS:
        return list(found)
    cells = {_cell(row) for row in found}
    return [*found, *(row for row in rows if row.metric in _DECIDING and _cell(row) in cells)]


def _cell(row: PromptRow) -> tuple[object, ...]:
    return row.run, row.suite, row.format, row.model, row.condition, row.trigger


def provenance(rows: Sequence[PromptRow], paper_rubrics: frozenset[str]) -> Provenance:
    """What `rows` rest on. `paper_rubrics` are the sha256 of rubrics that hold the paper's own text."""
    return Provenance(
        source=_joined(_source(row) for row in rows),
        rubric=_joined(_rubric(row, paper_rubrics) for row in rows),
        judge=_joined(row.judge for row in rows),
    )


def _joined(values: Iterable[str]) -> str:
    return ", ".join(value for value in dict.fromkeys(values) if value)


def _source(row: PromptRow) -> str:
    """As in rates.csv; a user's file with the very bytes of the official one is official."""
    return "official" if row.dataset_sha and row.dataset_sha in _official_shas(row.suite) else row.source


@cache
def _official_shas(suite: str) -> frozenset[str]:
    """The pinned sha256 of the suite's official file, if it has one and it is known beforehand."""
    known = SUITES[suite].official if suite in SUITES else None
    file = SOURCES[known.source].find(known.file) if known else None
    return frozenset({file.sha256} if file is not None and file.sha256 else ())


def _rubric(row: PromptRow, paper_rubrics: frozenset[str]) -> str:
    if row.judge in _RULES:
        return ""
    if not row.rubric_sha:
        return "imported" if row.judge == IMPORTED else "unknown"
    if row.rubric_sha in paper_rubrics:
        return "paper"
    return "emeval" if _is_own_rubric(row.rubric_sha, row.run.manifest) else "file"


def _is_own_rubric(sha256: str, manifest: Manifest) -> bool:
    """Whether a rubric is emeval's: of this version, or of the one that made the run."""
    names = [name for name, facts in manifest.rubrics.items() if facts.sha256 == sha256]
    of_run = manifest.imported is None and bool(names) and not any(name in manifest.config.rubrics for name in names)
    return sha256 in _own_rubrics() or (of_run and all(name in OWN_JUDGES for name in names))


@cache
def _own_rubrics() -> frozenset[str]:
    return frozenset(builtin_rubric(name).sha256 for name in OWN_JUDGES)


def differences(
    place: TablePlace, rows: Sequence[PromptRow], figure: PublishedFigure, paper_rubrics: frozenset[str]
) -> tuple[str, ...]:
    """Why a figure measured by `rows` cannot be compared with a published one; () if it can."""
    found = (
        *(_QUESTIONS[source] for source in dict.fromkeys(map(_source, rows)) if source in _QUESTIONS),
        *_of_rubrics({_rubric(row, paper_rubrics) for row in rows}),
        *_of_judges(rows),
        *_of_suites(place, rows),
        *_of_settings(rows, figure),
    )
    return tuple(dict.fromkeys(found))


def _of_rubrics(rubrics: set[str]) -> Iterator[str]:
    if "emeval" in rubrics:
        yield "is judged by emeval's rubric"
    if "file" in rubrics:
        yield "is judged by a rubric file that is not named with --paper-rubric"
    if "imported" in rubrics:
        yield "has verdicts whose rubric and judge are not known"
    if "unknown" in rubrics:
        yield "does not record its rubric"


def _of_judges(rows: Iterable[PromptRow]) -> Iterator[str]:
    for row in rows:
        if row.judge in _RULES or row.judge == IMPORTED:
            continue
        answered = row.run.manifest.judges_answered_as.get(row.judge, {})
        others = {name for name in (row.judge, *answered) if not _PAPER_JUDGE.fullmatch(name)}
        if others:
            yield f"is judged by {listed(others)}, and the paper's judge is GPT-4.1"


def _of_suites(place: TablePlace, rows: Sequence[PromptRow]) -> Iterator[str]:
    suites = {row.suite for row in rows}
    if place.preferred and place.preferred not in suites:
        yield f"asks {', '.join(sorted(suites))}, and the paper {place.preferred}"
    if place.format == "transcript":
        yield "opens its transcript in emeval's words"
    for suite in suites & _WHOLE:
        limits = {row.run.config.limit for row in rows if row.suite == suite}
        asked = len({row.prompt_id for row in rows if row.suite == suite})
        if any(limit is not None and asked >= limit for limit in limits):
            yield f"asks only {asked} of the questions of {suite} (--limit)"
    if suites & PAPER_PROMPTS.keys():
        temperatures = {row.run.config.temperature for row in rows} - {_TEMPERATURE}
        if temperatures:
            yield f"samples at temperature {max(temperatures):g}, and the paper at {_TEMPERATURE:g}"


def _of_settings(rows: Sequence[PromptRow], figure: PublishedFigure) -> Iterator[str]:
    leaves_out = figure.training.startswith("insecure code")  # Chua et al. 2025, Fig. 12
    for row in rows:
        config = row.run.config
        if row.metric == MISALIGNED and row.judge not in _RULES:
            if config.coherence_min is not None and not leaves_out:
                yield "leaves out incoherent answers, and the paper does not"
            if config.coherence_min is None and leaves_out:
                yield "keeps incoherent answers, and the paper does not (--coherence-min)"
        if figure.source == "Figure 5" and config.thinking != "off":
            yield "does not switch thinking off in the chat"
        if config.system_text is not None:
            yield "adds a system message of your own"
