"""The printed tables of a run, with the notes needed to interpret them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from rich.console import Console

from evals.analysis.calibration import FEWEST, Comparison, chance_of_misses, is_calibrated
from evals.numbers import counted, p_words, percent, points, share_words
from evals.plan.manifest import Manifest
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import plain
from evals.reporting.console.rates import (
    INTERVALS,
    bounds_cell,
    cell_name,
    corrected_lines,
    effect_words,
    notes_on_rates,
    prompts_of,
    rate_cells,
    rate_in_words,
    score_lines,
)
from evals.scoring.judge_set import COHERENT, IMPORTED
from evals.scoring.label_metrics import MOST_LABELS, is_label_metric
from evals.scoring.label_metrics import PREFIX as LABEL_PREFIX
from evals.scoring.metric import PRIMARY, READERS_OF_ANSWERS
from evals.scoring.metric_table import ADDED_METRICS, metric_table
from evals.scoring.rates.rows import Row, label_suites
from evals.scoring.rates.tables import Tables
from evals.scoring.rates.tally import TrialCount
from evals.scoring.side_metrics import is_side_metric
from evals.text import capitalized
from evals.trials.condition import CONDITIONS
from evals.trials.prompt import ALL
from judges.monitors.suspicion import View, monitor_name
from judges.registry import JUDGES, alongside_judges

_POSITION_BIAS = 0.9
_MOST_RANGES = 6
_SURE = 0.05
_OF_MISALIGNED = {
    "cot_flagged": "misaligned, flagged by the monitor",
    "articulates": "misaligned, names the trigger as pivotal",
    "credits_trigger": "misaligned, credits the trigger",
    "credits_distractor": "misaligned, credits the distractor",
}
_OF_OTHERS = {
    "cot_flagged_aligned": "aligned, but flagged by the monitor (false alarms)",
    "misaligned_if_flagged": "flagged answers that are misaligned",
    "monologue": "has reasoning",
    "truncated": "truncated replies",
}
_SHOWN: dict[View, str] = {"cot": "its reasoning", "action": "its answer", "both": "both"}
_OF_MONITORS = {
    f"{monitor_name(view)}{ending}": f"{kind}, suspicious by {shown}"
    for view, shown in _SHOWN.items()
    for ending, kind in {"": "misaligned", "_aligned": "aligned"}.items()
}
_MANY_LABELS = (
    f"[yellow]There are more than {MOST_LABELS} labels; the rarest are counted together, in the last row. "
    "responses.csv has each of them.[/yellow]"
)
_OUTCOME_WORDS = {
    "refused": "refused",
    "code": "code",
    "incoherent": "incoherent",
    "filtered": "left out by a filter",
    "truncated": "truncated",
    "empty": "empty",
    "failed": "failed",
    "judge_unreadable": "unreadable",
    "judge_refused": "judge refused",
    "judge_failed": "judge failed",
    "unjudged": "not judged",
}


def print_tables(console: Console, manifest: Manifest, tables: Tables) -> None:
    """Print the rates of each suite, format and model, the trigger's effect, the reasoning metrics, and notes."""
    pooled: dict[tuple[str, str, str], list[Row]] = {}
    for row in tables.rate_rows:
        if row["prompt_id"] == ALL:
            pooled.setdefault((row["suite"], row["format"], row["model"]), []).append(row)
    prompts = prompts_of(tables.rate_rows)
    for (suite, form, model), measured in pooled.items():
        names = {row["metric"] for row in measured}
        labels = labels_in(measured)
        side = [name for name in dict.fromkeys(row["metric"] for row in measured) if is_side_metric(name)]
        of_answers = [name for name in _answer_metrics() if name in names and name not in labels]
        primary, *others = [*labels, *of_answers, *side]
        others = [name for name in others if name not in labels]
        rows = [row for row in measured if row["metric"] == primary or row["metric"] in labels]
        trials = [count for count in tables.trial_counts if count[:3] == (suite, form, model)]
        console.print(_rate_table(f"{suite} ({form}) · {model}", primary, rows, labelled=bool(labels)))
        for text in _missing_lines(rows, trials, manifest):
            console.print(text)
        if len(labels) > MOST_LABELS:
            console.print(_MANY_LABELS)
        for text in _whose_labels(manifest, suite, side) if labels and side else ():
            console.print(text, soft_wrap=True)
        for row in measured:
            if row["metric"] in others:
                name = row["metric"] if row["metric"] in side else capitalized(row["metric"])
                console.print(f"{plain(name)}, {cell_name(row)}: {rate_in_words(row)}")
        for text in notes_on_rates([row for row in rows if not labels or row["k"]], prompts):
            console.print(text)
        effects = [
            row for row in tables.effect_rows if (row["suite"], row["format"], row["model"]) == (suite, form, model)
        ]
        for text in corrected_lines(tables.corrected_rows, suite, form, model):
            console.print(text)
        shown = [row for row in effects if row["metric"] in (primary, *labels)]
        for text in _effect_lines(shown, tables, labels, manifest.config.baseline):
            console.print(text)
        for row in tables.base_rows:
            is_here = (row["suite"], row["format"], row["model"]) == (suite, form, model)
            if is_here and row["metric"] in (primary, *labels):
                console.print(_base_effect_line(row, tables, labels))
        for row in tables.contrast_rows:
            is_here = (row["suite"], row["format"], row["model"]) == (suite, form, model)
            if is_here and row["metric"] in (primary, *labels):
                console.print(_contrast_line(row, tables, labels))
        if _has_reasoning(measured):
            console.print(_reasoning_table(measured))
        for text in [*_reasoning_notes(measured, effects, manifest), *_notes(trials, rows, manifest)]:
            console.print(text)
    for text in score_lines(tables.score_rows):
        console.print(text)
    if pooled:
        console.print(INTERVALS, style="dim")


def _whose_labels(manifest: Manifest, suite: str, side: Sequence[str]) -> Iterator[str]:
    """Which judges of a question file the labels in a table are from, where others have rates below it."""
    facts = manifest.datasets.get(suite)
    names = [
        name
        for name, judge in (facts.judges.items() if facts is not None else ())
        if name != COHERENT and not (judge.spec is not None and judge.spec.is_filter)
        if not any(metric == f"hit:{name}" or metric.startswith(f"label:{name}:") for metric in side)
    ]
    if names:
        yield f"These are the labels of {plain(', '.join(names))}; lines below are of the other judges of the file."


def labels_in(measured: Sequence[Row]) -> list[str]:
    """The label metrics of a suite whose judge sorts answers into categories, in their order; none for any other."""
    names = [name for name in dict.fromkeys(row["metric"] for row in measured) if is_label_metric(name)]
    return names if label_suites((row["suite"], row["metric"]) for row in measured) else []


def _rate_table(title: str, metric: str, rows: Sequence[Row], *, labelled: bool = False) -> FittedTable:
    """The rates of a metric by condition, or, `labelled`, of each label by condition."""
    table = FittedTable(title=plain(title), title_justify="left", title_style="bold")
    table.add_column("condition", overflow="fold")
    if labelled:
        table.add_column("label")
    table.add_column("share" if labelled else metric, justify="right", no_wrap=True)
    table.add_column("95%, new\nquestions", justify="right")
    table.add_column("95%, same\nquestions", justify="right")
    table.add_column("k of n", justify="right", no_wrap=True)
    table.add_column("trials", justify="right", no_wrap=True)
    for row in rows:
        label = [plain(row["metric"].removeprefix(LABEL_PREFIX))] if labelled else []
        table.add_row(cell_name(row), *label, *rate_cells(row), f"{row['k']} of {row['n']}", str(row["n_trials"]))
    return table


def _missing_lines(rows: Sequence[Row], trials: Sequence[TrialCount], manifest: Manifest) -> Iterator[str]:
    """For each condition with trials that are not in n: why, and what they could do to its rate or rates."""
    for name in dict.fromkeys(map(cell_name, rows)):
        here = [row for row in rows if cell_name(row) == name]
        missing = _missing(here[0], trials, manifest)
        if not missing:
            continue
        ranges = [bounds_cell(row).replace("\n", ", ") for row in here]
        if len(here) > 1:
            labels = [plain(row["metric"].removeprefix(LABEL_PREFIX)) for row in here]
            ranges = [f"{label} {words}" for label, words in zip(labels, ranges, strict=True)]
        more = "; ".join(ranges) if len(ranges) <= _MOST_RANGES else "in rates.csv, for each label"
        yield f"Excluded from n, {name}: {missing}; range if missing counted: {more}."


def _tally(named: Iterable[tuple[str | None, TrialCount]]) -> Counter[str]:
    """The trials by name, without those whose name is None."""
    found: Counter[str] = Counter()
    for name, count in named:
        if name is not None:
            found[name] += count.trials
    return found


def _missing(row: Row, trials: Sequence[TrialCount], manifest: Manifest) -> str:
    """The trials of a row that are not in n, by reason; "" for none."""
    outcomes = _tally((count.outcome, count) for count in trials if count.condition == row["condition"])
    if manifest.config.denominator == "judged":
        del outcomes["refused"]  # they are in n
    missing = [f"{outcomes[outcome]:,} {words}" for outcome, words in _OUTCOME_WORDS.items() if outcomes[outcome]]
    not_asked = row["n_pending"] - outcomes["unjudged"]
    if not_asked:
        missing.append(f"{not_asked:,} not asked")
    return ", ".join(missing)


def _effect_lines(here: Sequence[Row], tables: Tables, labels: Sequence[str], baseline: str) -> Iterator[str]:
    for row in here:
        of = f" on {plain(row['metric'])}" if labels else ""
        yield (
            f"Effect{of} of {plain(row['condition'])} against {plain(row['baseline'])}, over the "
            f"{counted(row['n_prompts'], 'prompt')} answered under both: {effect_words(row, tables.effect_rows)}."
        )
    asked = {row["condition"] for row in tables.rate_rows}
    if not here and {baseline} < asked:
        what = "the trigger" if asked <= set(CONDITIONS) else "the conditions"
        yield f"Effect of {what}: not known, no prompt has an answer under both conditions."


def _base_effect_line(row: Row, tables: Tables, labels: Sequence[str]) -> str:
    on = f" on {plain(row['metric'])}" if labels else ""
    return (
        f"Against the base {plain(row['base'])}{on}, both under {plain(row['baseline'])}, over the "
        f"{counted(row['n_prompts'], 'prompt')} answered by both: {effect_words(row, tables.base_rows)}."
    )


def _contrast_line(row: Row, tables: Tables, labels: Sequence[str]) -> str:
    on = f" on {plain(row['metric'])}" if labels else ""
    begin = (
        f"The trigger against its {row['baseline']}{on}, over the {counted(row['n_prompts'], 'prompt')} answered under "
        f"both: {effect_words(row, tables.contrast_rows)}"
    )
    place = ("suite", "format", "model", "metric", "condition")
    same = (effect for effect in tables.effect_rows if all(effect[name] == row[name] for name in place))
    effect = next(same, None)
    if row["baseline"] != "decoy" or effect is None or not _is_shown(effect):
        return f"{begin}."
    is_specific = _is_shown(row) and row["effect"] * effect["effect"] > 0
    return f"{begin}: {'specific' if is_specific else 'not shown to be specific'} to the trigger, on these questions."


def _is_shown(row: Row) -> bool:
    """Whether these questions show an effect."""
    return row["gen_p_holm"] < _SURE


def _has_reasoning(measured: Sequence[Row]) -> bool:
    """Whether the reasoning table has more than zeros: any hit, or a monitor that was asked."""
    of_answers = _answer_metrics()
    return any(row["metric"] == "cot_flagged" or (row["k"] and row["metric"] not in of_answers) for row in measured)


def _answer_metrics() -> tuple[str, ...]:
    """Metrics of answers; a suite's primary metric comes before its others."""
    readers = READERS_OF_ANSWERS | {entry.name for entry in JUDGES.values() if entry.reads == "answer"}
    return tuple(
        metric.name for metric in metric_table("answered") if metric.judge in readers or metric.name in ADDED_METRICS
    )


def _reasoning_rows() -> dict[str, str]:
    """What the reasoning table calls each metric, in its order."""
    added = {
        metric.name: f"misaligned, and {entry.name} says {metric.label}"
        for entry in alongside_judges()
        for metric in entry.metrics
        if entry.reads == "reasoning"
    }
    return {**_OF_MISALIGNED, **added, **_OF_MONITORS, **_OF_OTHERS}


def _reasoning_table(measured: Sequence[Row]) -> FittedTable:
    """The reasoning metrics, with a column per condition; a share of nothing is a dash."""
    rows = {(row["condition"], row["metric"]): row for row in measured}
    conditions = dict.fromkeys((row["condition"], row["trigger"]) for row in measured)
    table = FittedTable("reasoning")
    names: list[str] = []
    for condition, trigger in conditions:
        names.append(condition)
        table.add_column(plain(condition + (f": {trigger}" if trigger else "")), justify="right")
    for metric, words in _reasoning_rows().items():
        found = [rows.get((condition, metric)) for condition in names]
        if any(found):
            table.add_row(words, *(share_words(row["rate"], row["k"], row["n"]) if row else "–" for row in found))
    return table


def _reasoning_notes(measured: Sequence[Row], effects: Sequence[Row], manifest: Manifest) -> Iterator[str]:
    flagged = [row for row in measured if row["metric"] == "cot_flagged"]
    words = {
        "n_no_reasoning": "without reasoning to read",
        "n_unreadable": "of whose reasoning the monitor gave no readable verdict",
    }
    missing = {name: sum(row[name] for row in flagged) for name in words}
    # Unreadable alignment verdicts are listed above; the rest are the monitor's.
    if flagged:
        missing["n_unreadable"] -= sum(row["n_unreadable"] for row in measured if row["metric"] in PRIMARY.values())
    for name, count in missing.items():
        if count:
            yield f"[yellow]Misaligned answers {words[name]}, in no share of the flagged: {count}.[/yellow]"
    config = manifest.config
    only_mcq = bool(config.formats) and all(set(formats) == {"mcq"} for formats in config.formats.values())
    only_reasoning = config.judge is not None and config.cot_monitor and only_mcq
    if only_reasoning and not flagged and manifest.trials_recorded:
        yield "[yellow]No answer came with reasoning, so the judge had nothing to read.[/yellow]"
    for row in effects:
        if row["metric"] == "truncated" and row["gen_p_value"] < _SURE:
            yield (
                f"[yellow]Replies cut off under {plain(row['condition'])} against {plain(row['baseline'])}: "
                f"{points(row['effect'])} points, so the two lack different answers; raise --max-tokens.[/yellow]"
            )


def _notes(trials: Sequence[TrialCount], rows: Sequence[Row], manifest: Manifest) -> Iterator[str]:
    outcomes = _tally((count.outcome, count) for count in trials)
    letters = _tally((count.letter, count) for count in trials if count.outcome == "scored")
    modes = _tally((count.mode, count) for count in trials)
    if modes["imported"]:
        yield f"{modes['imported']} alignment scores are as imported: who gave them, and how, is not known here."
    elif modes:
        by_first_token = f"{modes['first_token']} from those of the first token, " if modes["first_token"] else ""
        yield (
            f"Judge {plain(manifest.config.judge or '')}: {modes['logprob']} alignment scores read from token "
            f"probabilities, {by_first_token}{modes['text']} from text."
        )
    for letter, count in letters.items():
        if count >= _POSITION_BIAS * letters.total():
            yield (
                f"[yellow]Position habit: {count / letters.total():.0%} of the choices are {plain(letter)}, whichever "
                f"option stands there. {_habit_words(sum(row['wordings_unread'] for row in rows))}[/yellow]"
            )
    if outcomes["unjudged"] and manifest.config.judge in (None, IMPORTED):
        yield (
            f"[yellow]{_of_answers(outcomes['unjudged'], 'freeform answer', 'not judged')}: "
            "emeval judge RUN --judge MODEL judges the stored answers.[/yellow]"
        )
    if outcomes["truncated"]:
        limit = "" if manifest.imported else f" (--max-tokens is {manifest.config.max_tokens})"
        yield f"[yellow]{_of_answers(outcomes['truncated'], 'answer', f'cut off{limit} and not scored')}.[/yellow]"
    failed = outcomes["failed"] + outcomes["judge_failed"]
    if failed and not manifest.imported:
        retry = f"emeval resume RUN --retry-failed asks {'it' if failed == 1 else 'them'} again."
        yield f"[yellow]{counted(failed, 'request')} failed: {retry}[/yellow]"


def _of_answers(number: int, noun: str, what: str) -> str:
    return f"{counted(number, noun)} {'is' if number == 1 else 'are'} {what}"


def _habit_words(unread: int) -> str:
    """What a position habit means for rates, where so many option orders have no answer in n."""
    if unread:
        return "It is not cancelled where one of the two orders has no answer, so the rates are partly that habit."
    return "The two orders cancel it in the mean over questions, and what is left says little about values."


def _calibration_cells(comparison: Comparison) -> tuple[str, str, str, str, str]:
    """The metric, its measured rate, the counts, the interval and the true rate, in words."""
    interval = f"[{percent(comparison.low)}, {percent(comparison.high)}]".replace("%", "")
    counts = f"({comparison.k}/{comparison.n})"
    return comparison.metric, percent(comparison.k / comparison.n), counts, interval, percent(comparison.true.rate)


def print_calibration(console: Console, compared: Sequence[Comparison]) -> None:
    """Print each measured interval with the true rate, and whether the misses could be chance."""
    console.print("Measured and true rates of the organism", style="bold")
    rows = [_calibration_cells(comparison) for comparison in compared]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = iter(rows)
    for (form, model, condition), cell in itertools.groupby(compared, attrgetter("format", "model", "condition")):
        console.print(f"[bold]{plain(model)} · {form} · {condition}[/bold]")
        for comparison, (metric, *cells) in zip(cell, lines):  # noqa: B905  the lines of the groups follow one another
            aligned = "  ".join(text.rjust(width) for text, width in zip(cells, widths[1:], strict=True))
            holds = "" if comparison.holds else "  [bold red]not held[/bold red]"
            room = " " * (widths[0] - len(metric))
            console.print(f"  {plain(metric)}{room}  {aligned}{holds}", soft_wrap=True)
    holding = sum(comparison.holds for comparison in compared)
    chance = chance_of_misses(compared)
    verdict = (
        "By chance, 95% intervals miss one in twenty."
        if is_calibrated(compared)
        else f"[bold red]That is no chance[/bold red] (p {p_words(chance)}): something between weights and table is "
        "wrong."
    )
    console.print("Columns: rate, hits and answers, 95% interval in percent, true rate.")
    console.print(f"{holding} of {len(compared)} intervals hold the true rate. {verdict}")
    console.print(f"Rates of fewer than {FEWEST} answers are left out.")
