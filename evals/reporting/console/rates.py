"""Notes on rates: bounds of a zero, hits from few questions, answers left out, and corrected rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape

from evals.numbers import counted, out_of, p_words, percent, percent_range, points
from evals.reporting.console.markup import LONG, plain
from evals.scoring.metric import PRIMARY
from evals.scoring.rates.rows import BETWEEN_NOTES, PPI, ROGAN_GLADEN, Row, is_led_by_question
from evals.scoring.side_metrics import is_side_metric
from evals.text import capitalized, one_line
from evals.trials.prompt import ALL

FEWEST_HITS, FEWEST_PROMPTS, LARGE_SHARE = 5, 5, 0.5
"""Thresholds above which it is noted that two prompts have most of the hits."""
_LEFT_OUT = {
    "n_refused": "refused",
    "n_code": "code",
    "n_incoherent": "incoherent",
    "n_outside": "left out by a filter",
}
"""Answers that were read but are not counted for the metric that a suite is about."""
INTERVALS = (
    "Two 95% intervals. New questions: other questions of this kind (for a claim about the model). Same questions: "
    "new answers to these (for a change between runs). The range if missing counted goes from all missing answers as "
    "no to all as yes, with its 95% interval for new questions."
)


def cell_name(row: Row) -> str:
    """The condition and its trigger, as rich markup."""
    return escape(one_line(row["condition"] + (f": {row['trigger']}" if row["trigger"] else "")))


def rate_cells(row: Row) -> tuple[str, str, str]:
    """The rate of a pooled row and its two intervals: for new questions and for the same ones. Where the mean over
    questions is to be quoted, it stands on a line above the rate over answers."""
    if not row["n"]:
        return "–", "no rate", "no rate"
    rate, like_these, these = percent(row["rate"]), _ends(row, "ci"), _ends(row, "gen")
    if not is_led_by_question(row):
        return rate, like_these, these
    by_question = f"{percent(row['rate_by_question'])} by question"
    return f"{by_question}\n{rate} of answers", f"–\n{like_these}", f"{_ends(row, 'by_question')}\n{these}"


def _ends(row: Row, interval: str) -> str:
    return percent_range(row[f"{interval}_low"], row[f"{interval}_high"])


def bounds_cell(row: Row) -> str:
    """The rate if all missing answers were no, and if all were yes, with the interval of what they could do."""
    bounds = f"{percent(row['bound_low'])} … {percent(row['bound_high'])}"
    if row["bound_low"] == row["bound_high"] or row["bound_ci_low"] is None:
        return bounds
    return f"{bounds}\n95%: {_ends(row, 'bound_ci')}"


def rate_in_words(row: Row) -> str:
    """A rate on one line, with the trials not in n unless the table above shows them."""
    trials = row["n_trials"] - row["n_outside"]
    if not row["n"]:
        return f"no rate (0 of {counted(trials, 'trial')} were measured)"
    rest = (
        f"; {out_of(trials - row['n'], trials)} trials are not in n" if trials > row["n"] and _is_primary(row) else ""
    )
    over_answers = f"{percent(row['rate'])} ({out_of(row['k'], row['n'])}{rest})"
    if is_led_by_question(row):
        return f"{percent(row['rate_by_question'])} by question; of all answers {over_answers}"
    return over_answers


def _is_primary(row: Row) -> bool:
    """Whether no table says which trials are not in n of this rate."""
    return row["metric"] in PRIMARY.values() or is_side_metric(row["metric"])


Prompts = Mapping[tuple[Any, ...], Sequence[Row]]
"""The rows of answered prompts for each pooled row (see `prompts_of`)."""
_POOLED = ("suite", "format", "model", "condition", "trigger", "metric")


def prompts_of(rates: Iterable[Row]) -> Prompts:
    """The rows of rates.csv of prompts with answers by pooled row, most hits first."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rates:
        if row["prompt_id"] != ALL and row["n"]:
            found.setdefault(_pooled(row), []).append(row)
    return {pooled: sorted(rows, key=lambda row: -row["k"]) for pooled, rows in found.items()}


def answered_prompts(pooled: Row, prompts: Prompts) -> Sequence[Row]:
    """The rows of the answered prompts of a pooled row."""
    return prompts.get(_pooled(pooled), ())


def _pooled(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _POOLED)


def notes_on_rates(cells: Sequence[Row], prompts: Prompts) -> Iterator[str]:
    """Notes on the pooled rows of one metric of a suite, format and model."""
    for row in cells:
        yield from _zero_or_all_note(row, answered_prompts(row, prompts))
    shares = [
        f"{one_line(row['condition'])}, {text}"
        for row in cells
        if (text := two_questions(row, answered_prompts(row, prompts)))
    ]
    if shares:
        yield f"[yellow]Much of it comes from two questions: {escape('; '.join(shares))}.[/yellow]"
    for row in cells:
        yield from _weights_note(row, len(answered_prompts(row, prompts)))
        yield from _unread_note(row)
        yield from _left_out_note(row)


def _weights_note(row: Row, questions: int) -> Iterator[str]:
    if is_led_by_question(row):
        yield f"[yellow]{cell_name(row)}: {weights_words(row, questions)}[/yellow]"


def weights_words(row: Row, questions: int) -> str:
    """Why the mean over questions of a pooled row is not its rate over answers."""
    heavier = "questions and option orders" if row["format"] == "mcq" else "questions"
    over = "this one question" if questions == 1 else f"{questions} questions"
    return (
        f"the mean over {over} is {percent(row['rate_by_question'])}; the rate over answers is "
        f"{percent(row['rate'])}, since {heavier} with more counted answers weigh more there."
    )


def _unread_note(row: Row) -> Iterator[str]:
    unread = row["wordings_unread"]
    if not unread:
        return
    is_choice = row["format"] == "mcq"
    name = "option order" if is_choice else "wording"
    words = f"1 {name} has" if unread == 1 else f"{unread} {name}s have"
    then = (
        ": a habit of picking one letter is not cancelled there"
        if is_choice
        else "; the mean over questions is over the others"
    )
    yield f"[yellow]{cell_name(row)}: {words} no answer in n{then}.[/yellow]"


def _zero_or_all_note(row: Row, prompts: Sequence[Row]) -> Iterator[str]:
    if not row["n"] or 0 < row["k"] < row["n"]:
        return
    none = row["k"] == 0
    words = "below" if none else "above"
    these, others = (row["gen_high"], row["ci_high"]) if none else (row["gen_low"], row["ci_low"])
    questions = f"these {len(prompts)} questions" if len(prompts) > 1 else "this one question"
    yield (
        f"{cell_name(row)}: {row['k']} of {row['n']} is not {'0' if none else '100'}%: at 95% confidence the rate is "
        f"{words} {percent(these)} for {questions}"
        + (
            f", and {words} {percent(others)} for new questions like these."
            if len(prompts) > 1
            else "; of others it says nothing."
        )
    )


def two_questions(row: Row, prompts: Sequence[Row]) -> str:
    """The two questions that most hits of a pooled row are from, "" unless they have a large share of enough hits.
    `prompts` are its rows of answered prompts, most hits first."""
    if row["k"] < FEWEST_HITS or len(prompts) < FEWEST_PROMPTS or row["top2_share"] <= LARGE_SHARE:
        return ""
    named = " and ".join(
        f"{one_line(str(prompt['prompt_id']), 40)} ({prompt['k']} of {prompt['n']})" for prompt in prompts[:2]
    )
    return f"{row['top2_share']:.0%} of the {row['k']} hits, from {named}; there are {len(prompts)} questions"


def _left_out_note(row: Row) -> Iterator[str]:
    in_n = ("n_refused",) if row["denominator"] == "judged" else ()
    out = {words: row[name] for name, words in _LEFT_OUT.items() if row[name] and name not in in_n}
    read = row["n"] + sum(out.values())
    if 2 * sum(out.values()) > read:
        counts = ", ".join(f"{count} {words}" for words, count in out.items())
        yield (
            f"[yellow]{cell_name(row)}: of {read} answers that were read, {sum(out.values())} are not in n ({counts}). "
            f"The rate is of the other {row['n']}; a broken model can look harmless like this.[/yellow]"
        )


def effect_words(row: Row, effects: Sequence[Row]) -> str:
    """The effect with interval and p for the same questions, then interval and p for new questions; rich markup."""
    here = f"{points(row['gen_low'])} to {points(row['gen_high'])}, {_p_words(row, effects, 'gen_')}"
    effect = f"[bold]{points(row['effect'])} points[/bold] (95% interval, same questions: {here})"
    if row["ci_low"] is None:
        return f"{effect}; one question says nothing of others"
    others = f"{points(row['ci_low'])} to {points(row['ci_high'])}, {_p_words(row, effects, '')}"
    return f"{effect}; 95% interval, new questions: {others}"


def _p_words(row: Row, effects: Sequence[Row], prefix: str) -> str:
    """The p-value of an effect, with Holm's if the model has several effects on this metric."""
    of_model = (effect for effect in effects if (effect["metric"], effect["model"]) == (row["metric"], row["model"]))
    number = sum(effect[f"{prefix}p_value"] is not None for effect in of_model)
    holm = f"; Holm over {number} effects of this model: p {p_words(row[f'{prefix}p_holm'])}" if number > 1 else ""
    return f"p {p_words(row[f'{prefix}p_value'])}{holm}"


_METHODS = {ROGAN_GLADEN: "Rogan-Gladen", PPI: "PPI++"}


def corrected_lines(corrected: Sequence[Row] | None, suite: str, form: str, model: str) -> Iterator[str]:
    """Lines of rich markup: each cell of a suite, format and model, the judge, and notes; none without labels."""
    if corrected is None:
        return
    here = [row for row in corrected if (row["suite"], row["format"], row["model"]) == (suite, form, model)]
    for metric in dict.fromkeys(row["metric"] for row in here):
        rows = [row for row in here if row["metric"] == metric]
        rows_by_method = {method: [row for row in rows if row["method"] == method] for method in _METHODS}
        for cell in zip(*rows_by_method.values(), strict=True):
            by_method = dict(zip(_METHODS.values(), cell, strict=True))
            rates = ", ".join(f"{words} {_rate(row)}" for words, row in by_method.items())
            raw = cell[-1]
            yield (
                f"{plain(capitalized(metric))}, corrected for the judge's errors, {_cell(raw)}: {rates}; as "
                f"judged {percent(raw['rate'])} ({raw['k']} of {raw['n']}); {_labels(raw)}"
            )
        yield _judge_line(rows_by_method[ROGAN_GLADEN][0])
        yield from _notes(rows_by_method)


def score_lines(rows: Sequence[Row]) -> Iterator[str]:
    """For each suite and metric, how many answers of each score people call hits; rich markup."""
    places = dict.fromkeys((row["suite"], row["metric"], row["judge"]) for row in rows)
    for place in places:
        suite, metric, judge = map(plain, place)
        here = [row for row in rows if (row["suite"], row["metric"], row["judge"]) == place and row["n_labels"]]
        bins = "; ".join(
            f"{row['score_from']:.0f} to {row['score_to']:.0f}: {percent(row['rate'])} "
            f"({percent_range(row['ci_low'], row['ci_high'])}, {counted(row['n_labels'], 'label')})"
            for row in here
        )
        yield f"Scores of {judge} beside labels, {suite}: share that people call {metric}, by score. {bins}."


def _notes(rows_by_method: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Each note once, with the methods and conditions it applies to."""
    where: dict[str, dict[str, list[str]]] = {}
    for method, rows in rows_by_method.items():
        for row in rows:
            for note in filter(None, row["note"].split(BETWEEN_NOTES)):
                where.setdefault(note, {}).setdefault(method, []).append(_cell(row))
    for note, methods in where.items():
        about = [
            _METHODS[method] + ("" if len(cells) == len(rows_by_method[method]) else f" ({', '.join(cells)})")
            for method, cells in methods.items()
        ]
        before = "" if about == list(_METHODS.values()) else f"{', '.join(about)}: "
        yield f"[yellow]{before}{plain(note, LONG)}.[/yellow]"


def _cell(row: Row) -> str:
    return plain(row["condition"] + (f": {row['trigger']}" if row["trigger"] else ""))


def _rate(row: Row) -> str:
    if row["corrected"] is None:
        return "no rate"
    low, high = percent(row["corrected_low"]), percent(row["corrected_high"])
    return f"[bold]{percent(row['corrected'])}[/bold] (95% interval {low} to {high})"


def _judge_line(row: Row) -> str:
    parts = [f"Judge {plain(row['judge'])} beside {counted(row['n_labels'], 'label')} of all cells"]
    parts += [
        f"{name} {percent(row[name])} ({percent(row[f'{name}_low'])} to {percent(row[f'{name}_high'])})"
        for name in ("sensitivity", "specificity")
        if row[name] is not None
    ]
    if row["kappa"] is not None:
        parts.append(f"kappa {row['kappa']:.2f} ({row['kappa_low']:.2f} to {row['kappa_high']:.2f})")
    return ", ".join(parts) + "."


def _labels(row: Row) -> str:
    here = f"{counted(row['n_labels'], 'label')} here" + (f", {row['n_unsure']} more unsure" if row["n_unsure"] else "")
    if row["labels_to_halve"] is None:
        return here
    return f"{here}, {row['labels_to_halve']} more would halve the interval of PPI++"
