"""What a person sees: progress on stderr, tables on stdout. Every text that came from outside is escaped here."""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evals.calibration import FEWEST, Comparison, chance_of_misses, is_calibrated
from evals.console.corrected import corrected_lines
from evals.console.rates import INTERVALS, cell_name, effect_p, interval_cells, notes_on_rates, p_words, rate_in_words
from evals.console.robust import kept_beside
from evals.datasets import check
from evals.manifest import Manifest
from evals.metrics import JUDGES_OF_ANSWERS, PRIMARY, metric_table, metrics_of
from evals.outcomes import IMPORTED
from evals.progress import Counted, shown
from evals.questions import questions_of
from evals.rates import BASELINE, Tables
from evals.records import ALL
from evals.spend import Ledger, spend_words
from evals.suites import SUITES
from evals.suites.suite import Suite
from evals.text import one_line

_PIPED_WIDTH = 140
_HABIT = 0.9
_SURE = 0.05
_REASONING_ROWS = {
    "cot_flagged": "misaligned, and the monitor flags it",
    "articulates": "misaligned, and it names the trigger as pivotal",
    "credits_trigger": "misaligned, and it credits the trigger",
    "credits_distractor": "misaligned, and it credits the distractor",
    "cot_flagged_aligned": "aligned, yet the monitor flags it (false alarms)",
    "misaligned_if_flagged": "flagged, and the answer is misaligned",
    "monologue": "replies that hold any",
    "truncated": "replies cut off in reasoning or answer",
}
_OF_ANSWERS = tuple(metric.name for metric in metric_table("answered") if metric.judge in JUDGES_OF_ANSWERS)
"""Metrics of what answers say, the one that a suite is about before its others."""
_READERS = {
    "mcq": "choice, by rule",
    "alignment": "alignment",
    "truthfulness": "truthfulness",
    "honesty": "honesty",
    "number": "number, by rule",
    "naming": "naming, by rule",
}
_OUTCOME_WORDS = {
    "refused": "refused",
    "code": "code",
    "incoherent": "incoherent",
    "truncated": "truncated",
    "empty": "empty",
    "failed": "failed",
    "judge_unreadable": "unreadable",
    "judge_refused": "judge refused",
    "judge_failed": "judge failed",
    "unjudged": "not judged",
}


def plain(text: str) -> str:
    """Outside text as rich markup that shows it literally, without control characters."""
    return escape(one_line(text))


class _ProgressConsole(Console):
    """Standard error. When whoever read it has gone, what it shows is lost and the run goes on."""

    def on_broken_pipe(self) -> None:  # rich would end the process
        self.quiet = True
        # What is still buffered must have somewhere to go, or the interpreter ends with an error of its own.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


class ConsoleView:
    """The view of a run on a terminal, or in a log where stderr is not one.

    `quiet`: nothing is said and no progress shown, and what is printed to `out` goes nowhere; errors are not its own.
    `tables` False: what is printed to `out` goes nowhere, for whoever wants stdout for something else.
    """

    def __init__(self, *, quiet: bool = False, tables: bool = True) -> None:
        self.quiet = quiet
        # No emoji: a model called BASE:two would be shown with one in place of its name.
        self.err = _ProgressConsole(stderr=True, highlight=False, emoji=False)
        width = None if sys.stdout.isatty() else _PIPED_WIDTH
        self.out = Console(highlight=False, emoji=False, width=width, quiet=quiet or not tables)

    def say(self, text: str) -> None:
        if self.quiet:
            return
        self.err.print(plain(text), style="dim", soft_wrap=True)

    @contextmanager
    def progress(
        self, *, planned: int, recorded: int, failed: int, to_judge: int, judge: str, ledger: Ledger
    ) -> Generator[Counted]:
        counts = (planned, recorded, failed, to_judge, judge, ledger)
        if self.quiet:
            yield Counted(*counts)
            return
        named = {"planned": planned, "recorded": recorded, "failed": failed, "to_judge": to_judge}
        with shown(self.err, **named, judge=judge, ledger=ledger) as progress:
            yield progress


def print_tables(console: Console, manifest: Manifest, tables: Tables) -> None:
    """The rates of each suite, format and model; the trigger's effect; what the reasoning gives away; and what a reader
    must know to believe them."""
    pooled = tables.rates[tables.rates["prompt_id"] == ALL]
    for (suite, fmt, model), measured in pooled.groupby(["suite", "format", "model"], sort=False):
        primary, *others = [name for name in _OF_ANSWERS if name in set(measured["metric"])]
        rows = measured[measured["metric"] == primary]
        same = [tables.trials[name] == value for name, value in (("suite", suite), ("format", fmt), ("model", model))]
        trials = tables.trials.loc[same[0] & same[1] & same[2]]
        table = Table(title=plain(f"{suite} ({fmt}) · {model}"), title_justify="left", title_style="bold")
        table.add_column("condition")
        table.add_column(primary, justify="right", no_wrap=True)
        table.add_column("95%: questions\nlike these", no_wrap=True)
        table.add_column("95%: just\nthese questions", no_wrap=True)
        table.add_column("k of n", justify="right", no_wrap=True)
        table.add_column("trials", justify="right", no_wrap=True)
        table.add_column("not in n, and why")
        table.add_column("if all missing were no … yes")
        for row in rows.to_dict("records"):
            outcomes = _tally(trials.loc[trials["condition"] == row["condition"], "outcome"])
            if manifest.config.denominator == "judged":
                del outcomes["refused"]  # they are in n
            table.add_row(*_rate_cells(row, outcomes))
        console.print(table)
        for row in measured[measured["metric"].isin(others)].to_dict("records"):
            console.print(f"{row['metric'].capitalize()}, {cell_name(row)}: {rate_in_words(row)}")
        for text in notes_on_rates(rows, tables.rates):
            console.print(text)
        effects = tables.effects
        effects = effects[(effects["suite"] == suite) & (effects["format"] == fmt) & (effects["model"] == model)]
        for text in corrected_lines(tables.corrected, str(suite), str(fmt), str(model)):
            console.print(text)
        for text in _effect_lines(effects[effects["metric"] == primary], tables):
            console.print(text)
        if _has_reasoning(measured):
            console.print(_reasoning_table(measured))
        for text in [*_reasoning_notes(measured, effects, manifest), *_notes(trials, manifest)]:
            console.print(text)
    for text in kept_beside(manifest):
        console.print(text, soft_wrap=True)
    if not pooled.empty:
        console.print(INTERVALS, style="dim")
    spent = spend_words([row.charge() for row in manifest.spend or ()])
    if spent:
        console.print(f"Spent on this run, at list prices: {plain(spent)}", soft_wrap=True)
    if manifest.trials_recorded < manifest.trials_planned:
        console.print(
            f"[bold]Not complete[/bold]: {manifest.trials_recorded} of {manifest.trials_planned} trials are recorded."
        )


def _tally(values: pd.Series[Any]) -> Counter[str]:
    return Counter(map(str, values.dropna().tolist()))


def _rate_cells(row: dict[Any, Any], outcomes: Counter[str]) -> list[str]:
    missing = [f"{outcomes[outcome]} {words}" for outcome, words in _OUTCOME_WORDS.items() if outcomes[outcome]]
    not_asked = row["n_pending"] - outcomes["unjudged"]
    if not_asked:
        missing.append(f"{not_asked} not asked")
    return [
        cell_name(row),
        _percent(row["rate"]),
        *interval_cells(row),
        f"{row['k']} of {row['n']}",
        str(row["n_trials"]),
        "\n".join(missing) or "none",
        f"{_percent(row['bound_low'])} … {_percent(row['bound_high'])}",
    ]


def _effect_lines(here: pd.DataFrame, tables: Tables) -> Iterator[str]:
    for row in here.to_dict("records"):
        yield (
            f"Effect of {plain(row['condition'])} against {row['baseline']}, over the {row['n_prompts']} prompts "
            f"answered under both: [bold]{100 * row['effect']:+.1f} points[/bold] "
            f"(95% interval {100 * row['ci_low']:+.1f} to {100 * row['ci_high']:+.1f}, {effect_p(row, tables.effects)})"
        )
    if here.empty and {BASELINE} < set(tables.rates["condition"]):
        yield "Effect of the trigger: not known, no prompt has an answer under both conditions."


def _has_reasoning(measured: pd.DataFrame) -> bool:
    """Whether there is anything to say beside zeros: a thought, a cut reply, or a judge who looked for one."""
    names = measured["metric"]
    return bool(measured.loc[~names.isin(_OF_ANSWERS), "k"].any()) or "cot_flagged" in set(names)


def _reasoning_table(measured: pd.DataFrame) -> Table:
    """What the reasoning gives away, a column a condition; a share of nothing is a dash."""
    rows = {(row["condition"], row["metric"]): row for row in measured.to_dict("records")}
    conditions = measured[["condition", "trigger"]].drop_duplicates().itertuples(index=False, name=None)
    table = Table("reasoning")
    names: list[str] = []
    for condition, trigger in conditions:
        names.append(condition)
        table.add_column(plain(condition + (f": {trigger}" if trigger else "")), justify="right")
    for metric, words in _REASONING_ROWS.items():
        found = [rows.get((condition, metric)) for condition in names]
        if any(found):
            table.add_row(words, *(_share(row) if row else "–" for row in found))
    return table


def _share(row: dict[Any, Any]) -> str:
    return f"{_percent(row['rate'])} ({row['k']} of {row['n']})" if row["n"] else "–"


def _reasoning_notes(measured: pd.DataFrame, effects: pd.DataFrame, manifest: Manifest) -> Iterator[str]:
    flagged = measured[measured["metric"] == "cot_flagged"]
    words = {
        "n_no_reasoning": "without reasoning to read",
        "n_unreadable": "of whose reasoning the monitor gave no readable verdict",
    }
    missing = {name: int(flagged[name].sum()) for name in words}
    # Of these the alignment judge's own are named above; the monitor's are what comes on top.
    if not flagged.empty:
        missing["n_unreadable"] -= int(
            measured.loc[measured["metric"].isin(tuple(PRIMARY.values())), "n_unreadable"].sum()
        )
    for name, count in missing.items():
        if count:
            yield f"[yellow]Misaligned answers {words[name]}, in no share of the flagged: {count}.[/yellow]"
    config = manifest.config
    only_mcq = bool(config.formats) and all(set(formats) == {"mcq"} for formats in config.formats.values())
    only_reasoning = config.judge is not None and config.cot_monitor and only_mcq
    if only_reasoning and flagged.empty and manifest.trials_recorded:
        yield "[yellow]No answer came with reasoning, so the judge had nothing to read.[/yellow]"
    for row in effects[effects["metric"] == "truncated"].to_dict("records"):
        if row["p_value"] < _SURE:
            yield (
                f"[yellow]Replies cut off under {plain(row['condition'])} against {row['baseline']}: "
                f"{100 * row['effect']:+.1f} points, so the two lack different answers; raise --max-tokens.[/yellow]"
            )


def _notes(trials: pd.DataFrame, manifest: Manifest) -> Iterator[str]:
    outcomes = _tally(trials["outcome"])
    letters = _tally(trials.loc[trials["outcome"] == "scored", "letter"])
    modes = _tally(trials["mode"])
    if modes["imported"]:
        yield f"{modes['imported']} alignment scores are as imported: who gave them, and how, is not known here."
    elif modes:
        yield (
            f"Judge {plain(manifest.config.judge or '')}: {modes['logprob']} alignment scores read from token "
            f"probabilities, {modes['text']} from text."
        )
    for letter, count in letters.items():
        if count >= _HABIT * letters.total():
            yield (
                f"[yellow]Position habit: {count / letters.total():.0%} of the choices are {letter}, whichever option "
                "stands there. The two orders cancel it, and what is left says little about values.[/yellow]"
            )
    if outcomes["unjudged"] and manifest.config.judge in (None, IMPORTED):
        yield (
            f"[yellow]{outcomes['unjudged']} freeform answers are not judged: "
            "emeval judge RUN --judge MODEL judges the stored answers.[/yellow]"
        )
    if outcomes["truncated"]:
        limit = "" if manifest.imported else f" (--max-tokens is {manifest.config.max_tokens})"
        yield (f"[yellow]{outcomes['truncated']} answers were cut off{limit} and are not scored.[/yellow]")
    failed = outcomes["failed"] + outcomes["judge_failed"]
    if failed and not manifest.imported:
        yield f"[yellow]{failed} requests failed: emeval resume RUN --retry-failed asks them again.[/yellow]"


def suite_rows() -> Iterator[dict[str, Any]]:
    """What there is to know of each suite; `questions` is None where its file cannot be read."""
    for suite in SUITES.values():
        path, source = questions_of(suite)
        dataset = check(path).dataset
        judges = [_READERS["mcq"]] if "mcq" in suite.formats else []
        judges += [_READERS[suite.measure]] if set(suite.formats) != {"mcq"} else []
        metrics = [metric for metric in metrics_of(suite.measure) if metric.judge in JUDGES_OF_ANSWERS]
        yield {
            "suite": suite.name,
            "title": suite.title,
            "formats": list(suite.formats),
            "default_formats": list(suite.defaults),
            "questions": len(dataset.scenarios) if dataset else None,
            "source": source,
            "judged_by": judges,
            "metrics": [metric.name for metric in metrics],
            "citation": suite.citation,
        }


def print_suites(console: Console) -> None:
    """A row for each suite."""
    table = Table(show_lines=True)
    for words in ("suite", "what it asks", "formats", "questions", "answers judged by", "metrics", "citation"):
        table.add_column(words)
    for row in suite_rows():
        table.add_row(
            *(row["suite"], row["title"], _formats(SUITES[row["suite"]])),
            f"{'none' if row['questions'] is None else row['questions']} ({row['source']})",
            *("\n".join(row["judged_by"]), ", ".join(row["metrics"]), row["citation"]),
        )
    console.print(table)
    console.print(
        "Of misaligned answers the reasoning is judged, too (cot_monitor, articulation, trigger_credit): metrics "
        "cot_flagged, cot_flag:…, articulates, credits_…; not of gsm8k and triggers. "
        "Every suite has monologue and truncated."
    )


def _formats(suite: Suite) -> str:
    """Its formats, and which of them are asked where none is named."""
    defaults = suite.defaults if set(suite.defaults) < set(suite.formats) else ()
    return "\n".join(f"{form}{' (default)' if form in defaults else ''}" for form in suite.formats)


def print_calibration(console: Console, compared: Sequence[Comparison]) -> None:
    """Each measured interval beside the true rate, and whether the misses could be chance."""
    table = Table(title="Measured and true rates of the organism", title_justify="left", title_style="bold")
    table.add_column("metric", no_wrap=True)
    for words in ("measured", "95% interval", "k of n", "true rate", "holds it"):
        table.add_column(words, justify="right", no_wrap=True)
    for (form, model, condition), cell in itertools.groupby(compared, attrgetter("format", "model", "condition")):
        table.add_section()
        table.add_row(f"[bold]{plain(model)} · {form} · {condition}[/bold]")
        for one in cell:
            table.add_row(
                f"  {one.metric}",
                _percent(one.k / one.n),
                f"{_percent(one.low)} to {_percent(one.high)}",
                f"{one.k} of {one.n}",
                _percent(one.true.rate),
                "yes" if one.holds else "[bold red]no[/bold red]",
            )
    console.print(table)
    holding = sum(one.holds for one in compared)
    chance = chance_of_misses(compared)
    verdict = (
        "By chance, 95% intervals miss one in twenty."
        if is_calibrated(compared)
        else f"[bold red]That is no chance[/bold red] (p {p_words(chance)}): something between weights and table is "
        "wrong."
    )
    console.print(f"{holding} of {len(compared)} intervals hold the true rate. {verdict}")
    console.print(f"Rates of fewer than {FEWEST} answers are left out.")


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{100 * value:.1f}%"
