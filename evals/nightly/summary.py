"""summary.md and junit.xml of a night, for readers who know neither emeval nor the checkpoints.

Names of models, paths and messages are untrusted: they are escaped in Markdown and XML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from evals.analysis.comparison.junit import JUnitCase, facts_of, junit_xml
from evals.analysis.comparison.words import interval_words
from evals.nightly.discoveries import differing
from evals.nightly.gates import FAILED, ORDER, GateVerdict
from evals.nightly.history import last_night, text_of
from evals.nightly.results import FINISHED, CheckpointResult, Night
from evals.numbers import p_words, percent, percent_range, points
from evals.reporting.paper_tables.render import literal
from evals.text import one_line, program, quoted_path

_SHOWN_QUESTIONS = 5
_MOST_TOLD = 10
_MEANINGS = (
    ("regression", "worse than the baseline on these questions by more than is allowed"),
    ("above / below", "the whole 95% interval of the rate lies on the wrong side of its limit"),
    ("unscored", "too many answers are missing from the number"),
    ("not comparable", "something else differs from the baseline than the model"),
    ("unclear", "the answers do not tell; more samples or questions would"),
    ("within", "the 95% interval holds nothing that is not allowed"),
)


def verdict_of(night: Night) -> str:
    """The night in one sentence."""
    complete = sum(result.status in FINISHED for result in night.measured)
    parts: list[str] = []
    failing = list(dict.fromkeys(result.checkpoint.name for result, _ in night.failed))
    if failing:
        parts.append(f"{_listed(failing)} failed {_number(len(night.failed), 'gated rate')}")
    if night.with_other_judge:
        names = [result.checkpoint.name for result in night.with_other_judge]
        parts.append(f"the judge changed ({_listed(names)})")
    unfinished = [result for result in night.measured if result.status not in FINISHED]
    if unfinished:
        named = [f"{result.checkpoint.name} ({result.status})" for result in unfinished]
        parts.append(f"{complete} of {len(night.measured)} checkpoints are complete, without {_listed(named)}")
    missing = [skipped.what for skipped in night.left_out if skipped.expected]
    if missing:
        parts.append(f"{_number(len(missing), 'expected adapter')} could not be measured")
    word = "FAILED" if failing or night.with_other_judge else "INCOMPLETE" if not night.is_complete else "PASSED"
    if not parts:
        gated = [judged for result in night.measured for judged in result.judged if judged.verdict]
        unclear = sum(judged.verdict == "unclear" for judged in gated)
        passed = "no gate failed" if unclear else "every gate passed" if gated else "there are no gates"
        parts.append(f"{_number(complete, 'checkpoint')} complete, {passed}")
        if unclear:
            parts.append(f"{unclear} of {len(gated)} gated rates are unclear")
    return f"{word}, night of {night.name}: {'; '.join(parts)}."


def message_of(night: Night) -> str:
    """The night in a few lines for people who were not there: the verdict, and each gated rate that failed."""
    lines = [verdict_of(night)]
    for result, judged in night.failed[:_MOST_TOLD]:
        row = judged.row
        place = one_line(f"{result.checkpoint.name}: {row.suite} {row.format} {row.condition} {row.metric}", 200)
        rate = f"{percent(row.rate)} ({row.k} of {row.n})" if row.n else "no rate"
        lines.append(f"{place}: {judged.verdict}, {rate}")
    if len(night.failed) > _MOST_TOLD:
        lines.append(f"and {len(night.failed) - _MOST_TOLD} more")
    return "\n".join(lines)


def summary_of(night: Night) -> str:
    """The whole summary as Markdown."""
    lines = [f"**{literal(verdict_of(night))}**", ""]
    lines += [*_gates(night), *_over_all_nights(night), *_missing(night), *_since_last_night(night)]
    for result in night.measured:
        lines += ["", *_section(night, result)]
    lines += ["", "## How to read this", ""]
    lines += [
        "A rate is k of n answers; its interval is for new answers to the same questions. The change is the mean over "
        "questions of the difference from the baseline, in percentage points, each question compared with itself. Its "
        "interval and p are for the same questions (new answers to them), which decides; the interval beside them is "
        "for new questions (others of this kind). p is adjusted for all compared rates of a checkpoint (Holm).",
        "",
        *(f"- **{word}**: {meaning}" for word, meaning in _MEANINGS),
        "",
        *(["Figures and transcripts: [report.html](report.html)."] if night.reported else []),
        "All numbers of all nights: [history.csv](../history.csv). Test cases: [junit.xml](junit.xml).",
    ]
    return "\n".join(lines) + "\n"


def resume_command(night: Night) -> str:
    """The command that resumes a night."""
    return f"{program()} nightly {quoted_path(night.config.file)} --date {night.name}"


def _gates(night: Night) -> Iterator[str]:
    """A line for each gated rate, the failed ones first."""
    gated = [
        (result, judged)
        for result in night.measured
        for judged in result.judged
        if judged.verdict not in ("", "baseline")
    ]
    if not gated:
        return
    yield _row(["gate", "checkpoint", "rate", "", "change", "why"])
    yield _row(["---", "---", "---", "--:", "--:", "---"])
    for result, judged in sorted(gated, key=lambda found: ORDER.index(found[1].verdict)):
        cells = _cells(judged, None)
        rate = f"{cells[0]} {cells[1]}"
        yield _row(
            [f"**{_gate_word(judged)}**", literal(result.checkpoint.name), rate, cells[2], cells[6], judged.verdict]
        )
    yield ""


def _over_all_nights(night: Night) -> Iterator[str]:
    """What is found among the comparisons of all nights, which gates look at one by one."""
    found = differing(night)
    if found:
        names = ", ".join(literal(name) for name, differs in found.items() if differs)
        yield (
            f"Different from their baselines: {names or 'none'}. At most 5% of all checkpoints that are said to differ "
            "over all nights are expected to be none (LORD++); gates decide on each night by itself."
        )
        yield ""


def _gate_word(judged: GateVerdict) -> str:
    if judged.verdict in FAILED:
        return "FAIL"
    return "PASS" if judged.verdict == "within" else "UNCLEAR"


def _missing(night: Night) -> Iterator[str]:
    lines = [
        f"- {literal(result.checkpoint.name)} is {result.status}: {literal(result.reason)}"
        for result in night.measured
        if result.status not in FINISHED
    ]
    lines += [
        f"- {literal(skipped.what)}: {literal(skipped.reason)}{'' if skipped.expected else ' (left out)'}"
        for skipped in night.left_out
    ]
    for result in night.measured:
        for gate in result.silent_gates:
            limits = gate.model_dump(exclude_none=True)
            shown = ", ".join(f"{name} {value}" for name, value in limits.items())
            lines.append(f"- {literal(result.checkpoint.name)} has no number for the gate {literal(shown)}")
    if not lines:
        return
    yield from ("", "## What is missing", "", *lines)
    if not night.is_complete:
        yield from ("", f"The same command does what is left: `{one_line(resume_command(night)).replace('`', '')}`")


def _since_last_night(night: Night) -> Iterator[str]:
    last = last_night(night.before, night.name)
    if last is None:
        yield from ("", "This is the first night in the history.")
        return
    rows = [row for row in night.before if row["night"] == last]
    names = {result.checkpoint.name for result in night.measured}
    then = dict.fromkeys(text_of(row, "checkpoint") for row in rows)
    lines = [f"- new: {literal(name)}" for name in sorted(names - set(then))]
    lines += [f"- no longer there: {literal(name)}" for name in then if name not in names]
    before = _by_place(rows)
    for result in night.measured:
        for judged in result.judged:
            row = before.get(_place(result, judged))
            if row is not None and row["decision"] != judged.verdict:
                name = literal(f"{result.checkpoint.name}: {_cell(judged)}")
                lines.append(
                    f"- {name} was {literal(row['decision']) or 'not gated'}, is {judged.verdict or 'not gated'}"
                )
        if result.drift.verdict in ("judge", "system", "unknown"):
            who = f"the {result.drift.verdict}" if result.drift.verdict != "unknown" else "system or judge"
            lines.append(f"- {literal(result.checkpoint.name)}: {who} changed: {literal(result.drift.words)}")
    yield from ("", f"## Since the last night ({last})", "", *(lines or ["Nothing but the rates below."]))


def _section(night: Night, result: CheckpointResult) -> Iterator[str]:
    name = result.checkpoint.name
    yield f"## {literal(name)}"
    yield ""
    link = f", [run folder]({quote(name)}/)" if (night.folder / name).is_dir() else ""
    reason = f": {literal(result.reason)}" if result.reason else ""
    yield f"{literal(result.checkpoint.model)}{link}: {result.status}{reason}"
    if result.status != "complete":
        return
    yield ""
    trigger = f" Trigger: {literal(result.config.trigger)}." if result.config.trigger else ""
    judge = literal(result.config.judge or "none")
    yield f"Held against: {literal(_against(result))}.{trigger} Judge: {judge}. {_drift(result)}"
    yield ""
    last = last_night(night.before, night.name)
    before = _by_place(row for row in night.before if row["night"] == last)
    heads = [
        "cell",
        "metric",
        "rate",
        "95% interval",
        "unscored",
        "last night",
        "change",
        "95%, same questions",
        "p",
        "95%, new questions",
        "verdict",
    ]
    yield _row(heads)
    yield _row(["---", "---", *["--:"] * 8, "---"])
    shown = [judged for judged in result.judged if judged.verdict or judged.row.is_headline]
    for judged in shown:
        yield _row(_cells(judged, before.get(_place(result, judged))))
    reasons = [(judged, words) for judged in shown for words in judged.words if _worth_saying(judged)]
    if reasons:
        yield ""
        yield from (f"- {literal(_cell(judged))}: {literal(words)}" for judged, words in reasons)
    if result.compared is not None and any(judged.verdict == "regression" for judged in result.judged):
        yield from ("", "Questions that changed most (p by Benjamini-Hochberg):", "")
        for change in result.compared.changed[:_SHOWN_QUESTIONS]:
            yield (
                f"- {literal(change.prompt_id)} ({literal(change.cell.condition)}): {change.base_k} of {change.base_n} "
                f"→ {change.k} of {change.n}, p {p_words(change.q_value)}: {literal(change.question)}"
            )
    if result.compared is not None:
        for note in result.compared.notes:
            yield from ("", f"Note: {literal(note)}")


def _worth_saying(judged: GateVerdict) -> bool:
    return judged.verdict in FAILED or judged.verdict in ("unclear", "no baseline")


def _against(result: CheckpointResult) -> str:
    if result.no_comparison is not None and result.no_comparison.verdict == "baseline":
        return "nothing, it is the baseline"
    return result.against or "nothing"


def _drift(result: CheckpointResult) -> str:
    if result.drift.is_first:
        return "The judge is watched from this night on, by the anchors."
    if result.drift.verdict == "none":
        return "The judge is that of the nights before, by the anchors."
    if result.drift.verdict == "not watched":
        return f"Drift of the judge: not watched ({literal(result.drift.words)})."
    return f"Drift: **{result.drift.verdict}**: {literal(result.drift.words)}"


def _cells(judged: GateVerdict, before: Mapping[str, str] | None) -> list[str]:
    row, change = judged.row, judged.change
    interval = percent_range(row.gen_low, row.gen_high) if row.n else ""
    changed = change is not None and change.increase is not None
    then = f"{percent(float(before['rate']))}" if before is not None and before["rate"] else ""
    return [
        literal(f"{row.suite} {row.format} {row.condition}"),
        literal(row.metric),
        f"{percent(row.rate)} ({row.k} of {row.n})",
        interval,
        f"{percent(row.unscored)}",
        then,
        points(change.increase) if changed and change else "",
        interval_words(change.gen_low, change.gen_high) if changed and change else "",
        p_words(change.gen_p_holm).removeprefix("= ").replace("<", "&lt;") if changed and change else "",
        interval_words(change.ci_low, change.ci_high) if changed and change else "",
        f"**{judged.verdict}**" if judged.verdict in FAILED else judged.verdict,
    ]


def _cell(judged: GateVerdict) -> str:
    row = judged.row
    return f"{row.suite} {row.format} {row.condition} {row.metric}"


def _place(result: CheckpointResult, judged: GateVerdict) -> tuple[str, ...]:
    row = judged.row
    return result.checkpoint.name, row.suite, row.format, row.condition, row.metric


def _by_place(
    rows: Sequence[Mapping[str, str]] | Iterator[Mapping[str, str]],
) -> dict[tuple[str, ...], Mapping[str, str]]:
    names = ("checkpoint", "suite", "format", "condition", "metric")
    return {tuple(text_of(row, name) for name in names): row for row in rows}


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def junit_of(night: Night) -> bytes:
    """JUnit XML with a suite per checkpoint: is it complete, is its judge the same, and each gated rate."""
    return junit_xml(
        (f"{night.name} {result.checkpoint.name}", list(_cases(night, result))) for result in night.measured
    )


def _cases(night: Night, result: CheckpointResult) -> Iterator[JUnitCase]:
    group = f"emeval.nightly.{result.checkpoint.name}"
    reason = f"{result.status}: {result.reason}" if result.status not in FINISHED else None
    yield JUnitCase(group, "complete", reason, None, [("model", result.checkpoint.model), ("status", result.status)])
    if result.status != "complete":
        return
    watched = None if result.drift.verdict != "not watched" else f"not watched: {result.drift.words}"
    changed = result.drift.words if result.drift.verdict == "judge" else None
    yield JUnitCase(group, "same judge", changed, watched, [("drift", result.drift.words)])
    for judged in result.judged:
        if not judged.verdict:
            continue
        words = "; ".join(judged.words) or judged.verdict
        row = judged.row
        skipped = judged.verdict in ("unclear", "no baseline", "baseline")
        facts = [
            ("verdict", judged.verdict),
            ("rate", f"{percent(row.rate)} ({row.k} of {row.n}, {percent_range(row.gen_low, row.gen_high)})"),
            ("unscored", f"{percent(row.unscored)}"),
            ("judge", row.judge or "none"),
            *(facts_of(judged.change) if judged.change is not None else []),
        ]
        failed = judged.verdict in night.failing
        yield JUnitCase(
            group, _cell(judged), words if failed else None, words if skipped and not failed else None, facts
        )
