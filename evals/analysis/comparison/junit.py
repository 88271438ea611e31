"""Comparisons as JUnit XML for CI systems: one test case per cell.

A regression is a failure, and so are too many unscored answers. An unclear cell is skipped, or a failure if strict.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from evals.analysis.comparison.result import CellChange, Compared
from evals.analysis.comparison.words import cell_words, interval_words
from evals.numbers import percent, percent_range
from evals.text import one_line

_LONGEST = 2000


class JUnitCase(NamedTuple):
    """One test case. `failure` and `skipped` are reasons, else None; `facts` are printed as its output."""

    group: str
    name: str
    failure: str | None
    skipped: str | None
    facts: Sequence[tuple[str, str]]


def comparison_xml(compared: Compared, *, strict: bool) -> bytes:
    """The comparison as one test suite."""
    title = f"emeval compare {compared.base.folder} {compared.candidate.folder}"
    return junit_xml([(title, [case_of(cell, compared, strict=strict) for cell in compared.cells])])


def junit_xml(suites: Iterable[tuple[str, Sequence[JUnitCase]]]) -> bytes:
    """A JUnit document of test suites, each a title and its cases."""
    document = JUnitXml("emeval")
    for title, cases in suites:
        suite = TestSuite(_xml_text(title))
        for case in cases:
            test = TestCase(_xml_text(case.name), classname=_xml_text(case.group))
            if case.failure is not None:
                test.result = Failure(_xml_text(case.failure), "regression")
            elif case.skipped is not None:
                test.result = Skipped(_xml_text(case.skipped))
            test.system_out = "\n".join(f"{name}: {_xml_text(text)}" for name, text in case.facts)
            suite.add_testcase(test)
        suite.add_property("tool", "emeval")
        document.add_testsuite(suite)
    document.update_statistics()
    out = io.BytesIO()
    document.write(out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


def case_of(cell: CellChange, compared: Compared, *, strict: bool) -> JUnitCase:
    words = cell_words(cell)
    failed = cell.decision in ("regression", "unscored") or (strict and cell.decision == "unclear")
    return JUnitCase(
        group=f"emeval.{cell.key.suite}.{cell.key.format}",
        name=f"{cell.key.metric} {cell.key.condition} {cell.candidate_model}",
        failure=words if failed else None,
        skipped=words if cell.decision == "unclear" and not strict else None,
        facts=[("decision", words), *facts_of(cell), *_facts_of_runs(compared)],
    )


def facts_of(cell: CellChange) -> list[tuple[str, str]]:
    """The counts, test and trigger behind a decision, as (name, text)."""
    facts: list[tuple[str, str]] = []
    for name, model, side in (
        ("base", cell.base_model, cell.base),
        ("candidate", cell.candidate_model, cell.candidate),
    ):
        interval = f", 95% interval {percent_range(side.ci_low, side.ci_high)}" if side.n else ""
        missing = ", ".join(f"{count} {reason}" for reason, count in side.missing.items()) or "none"
        facts.append((name, f"{model}: {side.k} of {side.n} ({percent(side.rate)}{interval}); not in n: {missing}"))
    tests = (
        ("on these questions", cell.gen_method, cell.gen_low, cell.gen_high, cell.gen_p_value, cell.gen_p_holm),
        ("for questions like these", cell.method, cell.ci_low, cell.ci_high, cell.p_value, cell.p_holm),
    )
    for name, method, low, high, p_value, p_holm in tests:
        if p_value is not None:
            interval = f"95% interval {interval_words(low, high)} points"
            facts.append((name, f"{interval} ({method}), p {p_value:.4g}, by Holm {p_holm:.4g}"))
    if cell.key.trigger:
        facts.append(("trigger", cell.key.trigger))
    return facts


def _facts_of_runs(compared: Compared) -> list[tuple[str, str]]:
    side = compared.candidate
    rubrics = ", ".join(f"{name} {sha[:12] or 'imported'}" for name, sha in side.rubrics.items())
    datasets = ", ".join(f"{name} {sha[:12]}" for name, sha in side.datasets.items())
    return [("judge", side.judge or "none"), ("rubrics", rubrics or "none"), ("questions", datasets)]


def _xml_text(text: str) -> str:
    """`text` on one line, without characters that XML 1.0 does not allow."""
    clean = one_line(text, _LONGEST)
    return "".join(char for char in clean if ord(char) >= 32 and (ord(char) & 0xFFFE) != 0xFFFE)
