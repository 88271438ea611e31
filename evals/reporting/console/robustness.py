"""The output of `emeval robustness` and `emeval judge-bridge`: compact tables, and sentences that sum them up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from evals.analysis.bridge.result import bridge_sentences, cell_names
from evals.analysis.robustness.robustness import NEAR, Robustness, near_cut
from evals.analysis.robustness.specification_grid import JudgedGroup, Specification
from evals.numbers import counted, percent, percent_range, points, share_words
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import plain
from evals.scoring.metric import MISALIGNED_BELOW
from evals.scoring.rates.rows import Row
from evals.trials.prompt import ALL

if TYPE_CHECKING:
    from evals.analysis.bridge.bridge import Bridge
    from evals.analysis.bridge.repeats import Repeats
    from evals.analysis.robustness.attacks import AttackResult


def print_robustness(console: Console, found: Robustness) -> None:
    """Print rates by judge and cut-off, agreement and claims, for each suite, format and model."""
    for number, coverage in enumerate(found.coverage, start=1):
        counts = " (counts)" if found.judges[number - 1].counts else ""
        console.print(
            f"Judge {number}: {plain(coverage.judge)}{counts}, {coverage.ruled} of {coverage.answers} answers judged"
        )
    if any(coverage.ruled < coverage.answers for coverage in found.coverage):
        console.print(
            "[yellow]A judge that has not read every answer may have read other ones than the rest did: "
            "emeval judge RUN --judge ... with all of them has it go on.[/yellow]"
        )
    numbers = {judge.label: number for number, judge in enumerate(found.judges, start=1)}
    for group in found.groups:
        console.print()
        console.print(f"[bold]{plain(_title(group))}[/bold]")
        if len(group.judges) > 1:
            console.print(_by_judge(group, found.surface, numbers))
            console.print(_agreement(group, found.agreement, numbers))
            for line in _panel(group, found.panel):
                console.print(line)
        if group.cuts != (None,):
            console.print(_by_cut(group, found.surface))
            for line in _near(group):
                console.print(line)
        for claim in found.claims:
            if (claim.suite, claim.format, claim.model, claim.metric) == _key(group):
                console.print(f"[bold]{plain(claim.sentence, 1000)}[/bold]", soft_wrap=True)


def _key(group: JudgedGroup) -> tuple[str, str, str, str]:
    return group.suite, group.format, group.model, group.metric


def _title(group: JudgedGroup) -> str:
    return f"{group.suite} ({group.format}) · {group.model} · {group.metric}"


def _rows(group: JudgedGroup, rows: list[Row]) -> Iterator[Row]:
    key = _key(group)
    return (row for row in rows if (row["suite"], row["format"], row["model"], row["metric"]) == key)


def _by_judge(group: JudgedGroup, surface: list[Row], numbers: dict[str, int]) -> FittedTable:
    """Rates at the run's own cut-offs, with a column for each judge."""
    table = FittedTable("condition", title="By judge, at the run's cut-offs", title_justify="left", title_style="")
    for judge in group.judges:
        table.add_column(f"judge {numbers[judge.label]}", justify="right", no_wrap=True)
    own = {judge.label: group.own_point(number) for number, judge in enumerate(group.judges)}
    cells = {
        (row["condition"], row["judge"]): share_words(row["rate"], row["k"], row["n"])
        for row in _rows(group, surface)
        if _is_at(group, row, own[row["judge"]])
    }
    for condition in group.condition_names:
        table.add_row(plain(condition), *(cells[condition, judge.label] for judge in group.judges))
    return table


def _is_at(group: JudgedGroup, row: Row, point: Specification) -> bool:
    least = group.least_coherence[point.coherence]
    at = (group.cuts[point.cut], "none" if least is None else str(least))
    return (row["alignment_cut"], row["coherence_cut"]) == at


def _by_cut(group: JudgedGroup, surface: list[Row]) -> FittedTable:
    """The rate of the first judge at each cut-off, and at each least coherence if coherence was scored."""
    judge = group.judges[0].label
    columns = [f"below {cut:g}" + (" *" if cut == MISALIGNED_BELOW else "") for cut in group.cuts]
    title = f"By cut-off, {judge} (* as counted)"
    table = FittedTable("condition", title=plain(title), title_justify="left", title_style="")
    if len(group.least_coherence) > 1:
        table.add_column("coherence from", justify="right")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("n", justify="right")
    rows = {
        (row["condition"], row["coherence_cut"], row["alignment_cut"]): row
        for row in _rows(group, surface)
        if row["judge"] == judge
    }
    own = group.own_point(0).coherence
    for condition in group.condition_names:
        for number, least in enumerate(group.least_coherence):
            name = "none" if least is None else str(least)
            if (condition, name, group.cuts[0]) not in rows:
                continue
            at_cuts = [rows[condition, name, cut] for cut in group.cuts]
            first = [plain(condition)]
            if len(group.least_coherence) > 1:
                first.append(name + (" *" if number == own else ""))
            table.add_row(*first, *(percent(row["rate"]) for row in at_cuts), str(at_cuts[0]["n"]))
    return table


def _near(group: JudgedGroup) -> Iterator[str]:
    for number, judge in enumerate(group.judges):
        point = group.own_point(number)
        near = near_cut(group, point, group.of(None))
        n = int(group.counted[point.judge, point.coherence].sum())
        if near is not None and n:
            share = f"{near} of {n} ({percent(near / n)})"
            yield f"Scores of {plain(judge.label)} within {NEAR:g} points of {group.cuts[point.cut]:g}: {share}"


def _agreement(group: JudgedGroup, rows: list[Row], numbers: dict[str, int]) -> FittedTable:
    scored = group.cuts != (None,)
    table = FittedTable("judges", title="Agreement on the same answers", title_justify="left", title_style="")
    for name in ("agree", "95% interval", "k of n", "kappa", "alpha", *(("alpha of scores",) if scored else ())):
        table.add_column(name, justify="right", no_wrap=True)
    for row in _rows(group, rows):
        if row["condition"] != ALL:
            continue
        pair = "all" if row["judge_a"] == ALL else f"{numbers[row['judge_a']]} and {numbers[row['judge_b']]}"
        interval = "–" if row["ci_low"] is None else f"{percent(row['ci_low'])} to {percent(row['ci_high'])}"
        cells = [percent(row["agreement"]), interval, f"{row['agreed']} of {row['n']}"]
        names = ("kappa", "alpha", *(("alpha_scores",) if scored else ()))
        table.add_row(pair, *cells, *(_coefficient(row, name) for name in names))
    return table


def _panel(group: JudgedGroup, rows: list[Row]) -> Iterator[str]:
    """What the judges say together under each condition: corrected by labels first, the latent class model last."""
    here = list(_rows(group, rows))
    for row in here:
        parts: list[str] = []
        if row["ppi"] is not None:
            interval = percent_range(row["ppi_low"], row["ppi_high"])
            parts.append(f"corrected by {counted(row['n_labels'], 'label')} {percent(row['ppi'])} ({interval})")
        parts.append(f"mean of {row['judges']} judges {percent(row['mean_rate'])} of {counted(row['n'], 'answer')}")
        if row["latent"] is not None:
            interval = percent_range(row["latent_low"], row["latent_high"])
            parts.append(f"if judges err independently {percent(row['latent'])} ({interval})")
        yield f"Panel, {plain(row['condition'])}: {'; '.join(parts)}"
    notes = dict.fromkeys(row["note"] for row in here if row["note"])
    yield from (f"[yellow]Panel: {plain(note)}.[/yellow]" for note in notes)
    if any(row["latent"] is not None for row in here):
        yield (
            "That judges err independently, and alike under every condition, is an assumption that their verdicts "
            "cannot check: a blind spot in common passes for agreement."
        )


def _coefficient(row: Row, name: str) -> str:
    """A coefficient of agreement, and its 95% interval on the line below."""
    value, low, high = (row[name + end] for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    return f"{value:.2f}" + ("" if low is None else f"\n{low:.2f} to {high:.2f}")


def print_attacks(console: Console, attacked: AttackResult) -> None:
    """Print for each judge the verdicts that each attack flipped, and those that flip without one."""
    drawn = f"{attacked.misaligned} misaligned and {attacked.aligned} aligned answers"
    rows = {(row["judge"], row["rubric"], row["attack"], row["answers"]): row for row in attacked.rows}
    for judge, rubric in dict.fromkeys((row["judge"], row["rubric"]) for row in attacked.rows):
        console.print()
        title = f"Verdicts of {judge} ({rubric}) that turn, of {drawn}"
        table = FittedTable("attack", "wants", title=plain(title), title_justify="left", title_style="bold")
        for name in (
            "misaligned no more",
            "95% interval",
            "misaligned now",
            "95% interval",
            "mean shift",
            "unreadable",
        ):
            table.add_column(name, justify="right", no_wrap=True)
        names = dict.fromkeys(row["attack"] for row in attacked.rows)
        for name in names:
            bad, good, both = (rows[judge, rubric, name, side] for side in ("misaligned", "aligned", "all"))
            shift = "–" if both["mean_shift"] is None else f"{both['mean_shift']:+.1f}"
            sides = [*_flipped(bad), *_flipped(good)]
            table.add_row(name, _AIMS[both["aim"]], *sides, shift, str(both["n_unreadable"]))
        console.print(table)
        console.print(plain(_worst(judge, [rows[judge, rubric, name, "all"] for name in names])), soft_wrap=True)


_AIMS = {"none": "nothing", "better": "a better verdict", "worse": "a worse verdict", "refusal": "to be left out"}


def _flipped(row: Row) -> tuple[str, str]:
    if not row["n"]:
        return "–", "–"
    return f"{row['flips']} of {row['n']}", f"{percent(row['ci_low'])} to {percent(row['ci_high'])}"


def _worst(judge: str, rows: list[Row]) -> str:
    by_itself = max((row["flip_rate"] or 0.0 for row in rows if row["aim"] == "none"), default=0.0)
    worst = max((row for row in rows if row["aim"] != "none"), key=lambda row: row["flip_rate"] or 0.0)
    if not worst["n"]:
        return f"{judge}: no verdict could be read, so nothing is known of it."
    return (
        f"{judge}: the attack that turns most is {worst['attack']}, {worst['flips']} of {worst['n']} "
        f"({percent(worst['flip_rate'])}); by itself or with a plain ending at most {percent(by_itself)} turn."
    )


# --- judge-bridge -----------------------------------------------------------------------------------------------------

_LEGEND = (
    "Rates are of the answers that both judges count (n). Difference in points, with its 95% interval clustered by "
    "question. Corrected, with its 95% interval: the judge's rate by its errors against the imported scores in all "
    "other rows (Rogan and Gladen 1978)."
)


def print_bridge(console: Console, found: Bridge) -> None:
    """Print both rates for each cell, the two judges' verdicts side by side, what is missing, and the conclusion."""
    name = plain(found.judges.second)
    console.print(f"[bold]{name}, against the scores that came with the same answers[/bold]", soft_wrap=True)
    console.print(_bridge_rates(found))
    console.print(_LEGEND, style="dim")
    console.print(_confusion(found.whole))
    for line in _facts(found):
        console.print(plain(line, 1000), soft_wrap=True)
    if found.repeats is not None:
        console.print(plain(_repeat_words(found.repeats), 1000), soft_wrap=True)
    for sentence in bridge_sentences(found.rows):
        console.print(f"[bold]{plain(sentence, 1000)}[/bold]", soft_wrap=True)


def _bridge_rates(found: Bridge) -> FittedTable:
    table = FittedTable()
    table.add_column("model", overflow="fold")
    for words in ("n", "imported", "judge", "difference", "corrected"):
        table.add_column(words, justify="right", no_wrap=True)
    for name, row in zip(cell_names(found.rows), found.rows, strict=True):
        corrected = percent(row["rogan_gladen"])
        if row["rogan_gladen"] is not None:
            corrected += f"\n{percent_range(row['rogan_gladen_low'], row['rogan_gladen_high'])}"
        table.add_row(
            plain(name),
            f"{row['n']}\nof {row['answers']}",
            percent(row["rate_a"]),
            percent(row["rate_b"]),
            points(row["difference"]) + (f"\n{points(row['low'])} to {points(row['high'])}" if row["n"] else ""),
            corrected,
        )
    return table


def _confusion(row: Row) -> FittedTable:
    table = FittedTable(
        "", title=f"{counted(row['n'], 'answer')} that both count", title_justify="left", title_style=""
    )
    table.add_column("judge: hit", justify="right")
    table.add_column("judge: no hit", justify="right")
    table.add_row("imported: hit", str(row["both_hit"]), str(row["hit_a"]))
    table.add_row("imported: no hit", str(row["hit_b"]), str(row["neither_hit"]))
    return table


def _facts(found: Bridge) -> Iterator[str]:
    row = found.whole
    for name, words in (("sensitivity", "imported hits it calls hits"), ("specificity", "others it calls no hits")):
        if row[name] is not None:
            yield f"{name}: {percent(row[name])} ({percent_range(row[f'{name}_low'], row[f'{name}_high'])}), {words}"
    left = row["answers"] - row["n"]
    if left:
        said = [
            f"{judge}: {text}" for judge, text in (("imported", row["missing_a"]), ("judge", row["missing_b"])) if text
        ]
        yield f"Not compared: {left} of {row['answers']} answers ({'; '.join(said)})"
    if row["ppi"] is not None and row["missing_a"]:
        rate = f"{percent(row['ppi'])} ({percent_range(row['ppi_low'], row['ppi_high'])})"
        every = counted(row["answers"], "answer")
        yield f"The imported judge's rate on all {every}, by both judges' verdicts (PPI++): {rate}"
    if found.incomplete:
        yield f"{counted(found.incomplete, 'answer')} {_is(found.incomplete)} empty or cut off; no judge reads such."
    if found.other:
        yield f"{counted(found.other, 'answer')} left out: not measured by an alignment score."


def _repeat_words(repeats: Repeats) -> str:
    spread, interval = repeats.spread, repeats.interval
    words = f"Judged {repeats.times} times: {repeats.flipped} of {repeats.compared} answers changed sides"
    words += f" ({percent_range(interval.low, interval.high)})" if interval else ""
    if spread.share is None or spread.within is None:
        words += "; the scores do not vary, so there is no share of variance"
    else:
        words += (
            f"; the variance within an answer is {percent(spread.share)} of the whole (a standard deviation of "
            f"{spread.within**0.5:.1f} points)"
        )
    return words + (
        f". {counted(repeats.missing, 'verdict')} {_is(repeats.missing)} no score." if repeats.missing else "."
    )


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
