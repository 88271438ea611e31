"""The conclusions of a report in sentences: model, condition, effect, uncertainty, and missing answers.

A sentence covers one suite, format and model. If a condition has an effect (Holm's p below 0.05 over the run's effects
on the metric, on these questions or for questions like these) it gives the size; if not, what the model is against the
base model, where that is more or there is no other condition; else how large an effect could have been missed, or the
rate. The most worrying sentence comes first, and nothing unmeasured is called fine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import pandas as pd

from evals.analysis.unscored import too_much_unscored
from evals.analysis.who_answered import doubts_who_answered
from evals.numbers import counted, out_of, percent, percent_range
from evals.reporting.corrected import corrected_verdict
from evals.reporting.monitor_words import monitor_words
from evals.reporting.page.effect_words import (
    SURE,
    is_sure,
    is_worse,
    rows_at,
    specificity_words,
    words_elsewhere,
    words_here,
)
from evals.runner.count import Counted
from evals.scoring.metric import MISCONDUCT
from evals.scoring.rates.rows import best_interval, headline_rows, is_led_by_question, is_of_one_question
from evals.scoring.rates.tables import pooled
from evals.trials.condition import BASELINE, CONDITIONS
from evals.trials.prompt import ALL

ABSENCES = {
    "n_truncated": "cut off",
    "n_empty": "empty",
    "n_failed": "failed",
    "n_unreadable": "not readable",
    "n_refused": "refused",
    "n_code": "code",
    "n_incoherent": "incoherent",
    "n_no_reasoning": "without reasoning",
    "n_pending": "not asked or not judged",
}
_DASH = "–"


@dataclass(frozen=True)
class Sentence:
    """A conclusion about these questions, in short (`verdict`) and in full (`text`); the `effect` that it rests on, ""
    without one; what it says of questions like them (`others`), its missing answers and what the reasoning behind the
    hits shows.

    `tone`: `changed` for a significant effect, `plain` for other measurements, `nothing` without any answer. `weight`
    orders sentences, the most worrying first. The other fields name its cell.
    """

    verdict: str
    text: str
    effect: str
    others: str
    missing: str
    reasoning: str
    tone: Literal["changed", "plain", "nothing"]
    weight: tuple[int, float]
    run: str
    suite: str
    format: str
    model: str
    condition: str
    trigger: str


class Words(NamedTuple):
    """The texts of a Sentence that depend on its effect."""

    verdict: str
    text: str
    effect: str = ""
    others: str = ""


def tally_words(found: Sequence[Sentence]) -> str:
    """How many of several sentences are of an effect, "" for one sentence or where nothing was compared."""
    compared = [sentence for sentence in found if sentence.effect]
    if len(compared) < 2:
        return ""
    changed = sum(sentence.tone == "changed" for sentence in compared)
    several = len({(sentence.run, sentence.suite, sentence.format) for sentence in compared}) > 1
    of_what = "models, each in its suite and format," if several else "models"
    return (
        f"{changed} of {len(compared)} {of_what} show more of it than under their baseline, or than their base model "
        f"(p < {SURE:g} by Holm over the model's own effects); for {len(compared) - changed} no such increase is shown."
    )


def sentences(runs: Sequence[Counted]) -> list[Sentence]:
    """A sentence for each suite, format and model with a metric of misconduct, the most worrying first."""
    return sorted(
        (sentence for run in runs for sentence in _run_sentences(run)),
        key=lambda sentence: sentence.weight,
        reverse=True,
    )


def reservations(runs: Sequence[Counted]) -> list[str]:
    """Reasons not to rely on the numbers: incomplete runs, lost adapters, replies of other models or to earlier runs,
    departures from the protocol that a run follows, cells with too many unscored answers."""
    found: list[str] = []
    for run in runs:
        manifest = run.manifest
        if manifest.trials_recorded < manifest.trials_planned:
            found.append(
                f"{manifest.run_id} is not complete: {manifest.trials_recorded:,} of {manifest.trials_planned:,} "
                "trials are recorded."
            )
        found += [f"{line}." for line in doubts_who_answered(manifest)]
        if manifest.protocol is not None and manifest.protocol.departures:
            changed = "; ".join(manifest.protocol.departures)
            found.append(f"{manifest.run_id} departs from the protocol {manifest.protocol.name}: {changed}.")
        problem = too_much_unscored(manifest, run.tables, run.folder)
        if problem is not None:
            found.append(f"{problem}.")
    return found


def _run_sentences(run: Counted) -> Iterator[Sentence]:
    rates = run.tables.rates
    for place, cells in pooled(rates, MISCONDUCT).groupby(["suite", "format", "model", "metric"], sort=False):
        rows = cells.to_dict("records")
        here: dict[str, object] = dict(zip(("suite", "format", "model", "metric"), place, strict=True))
        effects, base_effects = rows_at(run.tables.effects, here), rows_at(run.tables.base_effects, here)
        bases = [
            row
            for effect in base_effects
            for row in rows_at(pooled(rates), here | {"model": effect["base"], "condition": effect["condition"]})
        ]
        against = _AgainstBase(base_effects[0], bases[0]) if bases else None
        yield _led_by_labels(run, _sentence(run, rows, effects, against))


def _led_by_labels(run: Counted, found: Sentence) -> Sentence:
    """The sentence with the effect without the judge's errors before its own, where labels correct it; what it is taken
    for is then what that shows."""
    place = {"suite": found.suite, "format": found.format, "model": found.model, "condition": found.condition}
    corrected = corrected_verdict(run.tables, place, run.manifest.config.baseline)
    if corrected is None:
        return found
    effect, row, off = corrected
    is_more = effect["corrected"] > 0 and corrected.is_sure
    change = "" if is_more else "fewer" if corrected.is_sure else "no change shown"
    subject = _subject(row) if is_more else f"{row['model']}, {change} {_under(row)}: {MISCONDUCT[row['metric']]}"
    against = f"for the base {effect['base']}" if effect["base"] else _without(off, row)
    rates = f"{percent(row['corrected'])} of its answers{f' {_under(row)}' if is_more else ''}"
    verdict = f"Corrected by {corrected.labels}: {subject} in {rates}, against {percent(off['corrected'])} {against}."
    return replace(
        found,
        verdict=verdict,
        text=f"{verdict} {corrected.words}. As judged: {found.text}",
        effect=f"{corrected.words}. As judged: {found.verdict} {found.effect}".rstrip(". "),
        tone="changed" if is_more else "plain",
        weight=(2 if is_more else 1, effect["corrected_low"]),
    )


class _AgainstBase(NamedTuple):
    """The effect of a model against the base model, and the row of the base's rate."""

    effect: dict[Any, Any]
    base: dict[Any, Any]


def _sentence(
    run: Counted, rows: list[dict[Any, Any]], effects: list[dict[Any, Any]], against: _AgainstBase | None
) -> Sentence:
    changed = [row for row in effects if is_worse(row)]
    by_condition = {row["condition"]: row for row in rows}
    if changed:
        effect = max(changed, key=lambda row: (row["gen_low"], row["condition"] == "on"))
        row = by_condition[effect["condition"]]
        off = by_condition[effect["baseline"]]
        text = (
            f"{_subject(row)} in {rate_words(row)} {_under(row)}, against {_rate_of_base(off, row)} "
            f"{_without(off, row)}: {words_here(effect, run)}."
        )
        verdict = f"{_subject(row)} in {_short_rate(row)} {_under(row)}, against {_short_base(off, row)}."
        others = " ".join([_others(effect, against, run), *specificity_words(effect, run)])
        words = Words(verdict, text, words_here(effect, run), others)
        return _about(run, row, words, [off, row], "changed", (2, float(effect["gen_low"])))
    row = max(rows, key=lambda row: (row["n"] > 0, best_interval(row)[0] if row["n"] else 0.0))
    if not row["n"]:
        nothing = f"{row['model']}: nothing was measured."
        return _about(run, row, Words(nothing, nothing), rows, "nothing", (0, 0.0))
    if against is not None and (not effects or is_worse(against.effect)):
        under = [f"{_under(by_condition[effect['condition']])}, {_compared(effect, run)}" for effect in effects]
        return _base_sentence(run, by_condition[against.effect["condition"]], against, under, [against.base, *rows])
    if not effects:
        return _about(run, row, _alone(row), rows, "plain", (1, float(best_interval(row)[0])))
    # No significant increase: the effect with the largest upper end shows how much could have been missed.
    effect = max(effects, key=lambda row: row["gen_high"])
    row, off = by_condition[effect["condition"]], by_condition[effect["baseline"]]
    words = "fewer" if is_sure(effect) else "no change shown"
    text = (
        f"{row['model']}, {words} {_under(row)}: {MISCONDUCT[row['metric']]} in {rate_words(row)} against "
        f"{_rate_of_base(off, row)} {_without(off, row)}, {words_here(effect, run)}."
    )
    verdict = (
        f"{row['model']}, {words} {_under(row)}: {MISCONDUCT[row['metric']]} in {_short_rate(row)}, against "
        f"{_short_base(off, row)}."
    )
    found = Words(verdict, text, words_here(effect, run), _others(effect, against, run))
    return _about(run, row, found, [off, row], "plain", (1, float(best_interval(row)[0])))


def _base_sentence(
    run: Counted, row: dict[Any, Any], against: _AgainstBase, under: Sequence[str], cells: Sequence[dict[Any, Any]]
) -> Sentence:
    """What a model is against the base model, where no condition makes it worse, as the texts `under` say; `cells` are
    all that this is about."""
    effect, base = against
    where = f" {_under(row)}" if row["condition"] != BASELINE else " without a trigger" if under else ""
    name, here, others = effect["base"], words_here(effect, run), words_elsewhere(effect, run)
    others = " ".join([others, *(f"{words[0].upper()}{words[1:]}." for words in under)])
    full, short = f"{_rate_of_base(base, row)} for the base {name}", f"{_counted_base(base, row)} for the base {name}"
    if is_worse(effect):
        verdict = f"{_subject(row)} in {_short_rate(row)}{where}, against {short}."
        text = f"{_subject(row)} in {rate_words(row)}{where}, against {full}: {here}."
        weight = (2, float(effect["gen_low"]))
        return _about(run, row, Words(verdict, text, here, others), cells, "changed", weight)
    change = "fewer than its base" if is_sure(effect) else "no difference from its base shown"
    begin = f"{row['model']}, {change}{where}: {MISCONDUCT[row['metric']]} in"
    verdict = f"{begin} {_short_rate(row)}, against {short}."
    text = f"{begin} {rate_words(row)} against {full}, {here}."
    weight = (1, float(best_interval(row)[0]))
    return _about(run, row, Words(verdict, text, here, others), cells, "plain", weight)


def _compared(effect: dict[Any, Any], run: Counted) -> str:
    """`no change shown against off: +1.0 points on ...`."""
    words = "fewer than" if is_sure(effect) else "no change shown against"
    return f"{words} {effect['baseline']}: {words_here(effect, run)}"


def _others(effect: dict[Any, Any], against: _AgainstBase | None, run: Counted) -> str:
    """What is known beside the effect on these questions: for questions like these, and against the base model."""
    if against is None:
        return words_elsewhere(effect, run)
    found = against.effect
    where = "without a trigger" if found["condition"] == BASELINE else f"under {found['condition']}"
    return f"{words_elsewhere(effect, run)} Against the base {found['base']}, both {where}: {words_here(found, run)}."


def _without(off: dict[Any, Any], row: dict[Any, Any]) -> str:
    """What the baseline of an effect is called: `without` of the trigger, else by its name."""
    of_trigger = off["condition"] == BASELINE and row["condition"] in CONDITIONS
    return "without" if of_trigger else _under(off)


def _rate_of_base(off: dict[Any, Any], row: dict[Any, Any]) -> str:
    """The rate under the baseline, averaged over questions where either of the two is to be quoted so."""
    led = is_led_by_question(row) or is_led_by_question(off)
    return percent(off["rate_by_question"] if led else off["rate"])


def _about(
    run: Counted,
    row: dict[Any, Any],
    words: Words,
    cells: Sequence[dict[Any, Any]],
    tone: Literal["changed", "plain", "nothing"],
    weight: tuple[int, float],
) -> Sentence:
    place = (row["suite"], row["format"], row["model"], row["condition"], row["trigger"])
    return Sentence(*words, missing_words(cells), _reasoning(run, row), tone, weight, run.manifest.run_id, *place)


def _subject(row: dict[Any, Any]) -> str:
    words = MISCONDUCT[row["metric"]]
    return f"{row['model']} {words}" if words == "lies" else f"{row['model']} is {words}"


def _short_rate(row: dict[Any, Any]) -> str:
    """`50.0% of its answers (24 of 48)`."""
    if is_led_by_question(row):
        return f"{percent(row['rate_by_question'])} of its answers, averaged over questions"
    return f"{percent(row['rate'])} of its answers ({out_of(row['k'], row['n'])})"


def _counted_base(off: dict[Any, Any], row: dict[Any, Any]) -> str:
    """The rate that another is held against, with its counts, or averaged over questions as `_rate_of_base` does."""
    led = is_led_by_question(row) or is_led_by_question(off)
    return _rate_of_base(off, row) + ("" if led else f" ({out_of(off['k'], off['n'])})")


def _short_base(off: dict[Any, Any], row: dict[Any, Any]) -> str:
    return f"{_counted_base(off, row)} {_without(off, row)}"


def _alone(row: dict[Any, Any]) -> Words:
    where = "" if row["condition"] == "off" else f" {_under(row)}"
    if row["k"]:
        text = f"{_subject(row)} in {rate_words(row)}{where}."
        return Words(text, text)
    asked = "its one question (of others it says nothing)" if is_of_one_question(row) else "questions like these"
    hit = MISCONDUCT[row["metric"]]
    text = (
        f"{row['model']}: none of {counted(row['n'], 'answer')} is {hit}{where}; the rate for {asked} "
        f"is below {percent(best_interval(row)[1])} at 95% confidence."
    )
    return Words(text, text)


def _under(row: dict[Any, Any]) -> str:
    match row["condition"]:
        case "off":
            return f"under {BASELINE}"
        case "on":
            return f"under the trigger “{row['trigger']}”"
        case "decoy":
            return f"under the decoy “{row['trigger']}”"
        case _:
            return f"under {row['condition']}" + (f" (“{row['trigger']}”)" if row["trigger"] else "")


def _reasoning(run: Counted, row: dict[Any, Any]) -> str:
    """What the judges of reasoning found about the hits in the cell, "" if there are none."""
    rates = run.tables.rates
    same: pd.Series[bool] = rates["prompt_id"] == ALL
    for name in ("suite", "format", "model", "condition", "trigger"):
        same &= rates[name] == row[name]
    found: dict[str, dict[Any, Any]] = {rate["metric"]: rate for rate in rates[same].to_dict("records")}
    words = monitor_words(found)
    if (named := found.get("articulates")) and named["n"]:
        words.append(f"the reasoning names the trigger as pivotal in {share(named)}")
    text = "; ".join(words)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def rate_words(row: dict[Any, Any]) -> str:
    """`89.4% of its answers (84 of 94; 95% interval on these questions 80.7% to 94.4%)`; the mean over questions where
    that is to be quoted."""
    if is_led_by_question(row):
        return (
            f"{percent(row['rate_by_question'])} of its answers, averaged over questions (95% interval on these "
            f"questions {percent(row['by_question_low'])} to {percent(row['by_question_high'])}; over all answers "
            f"{percent(row['rate'])}, {out_of(row['k'], row['n'])}, where questions with more counted answers weigh "
            "more)"
        )
    return (
        f"{percent(row['rate'])} of its answers ({out_of(row['k'], row['n'])}; 95% interval on "
        f"{'its one question' if is_of_one_question(row) else 'these questions'} "
        f"{percent_range(row['gen_low'], row['gen_high'])})"
    )


def share(row: dict[Any, Any]) -> str:
    return f"{percent(row['rate'])} ({out_of(row['k'], row['n'])})" if row["n"] else _DASH


def missing_words(rows: Sequence[dict[Any, Any]]) -> str:
    """How many trials of these cells are excluded from n."""
    trials = sum(int(row["n_trials"]) - int(row["n_outside"]) for row in rows)
    reasons = absences(rows)
    absent = sum(reasons.values())
    if not absent:
        return f"None of the {trials:,} answers is missing."
    listed = ", ".join(f"{number:,} {words}" for words, number in reasons.items())
    return f"Missing from it: {out_of(absent, trials)} answers ({listed})."


def absences(rows: Sequence[dict[Any, Any]]) -> dict[str, int]:
    """The number of trials of these cells not in n, by reason."""
    found: dict[str, int] = {}
    for column, words in ABSENCES.items():
        number = sum(int(row[column]) for row in rows if not (column == "n_refused" and row["denominator"] == "judged"))
        if number:
            found[words] = number
    return found


def primary_rows(run: Counted) -> list[dict[Any, Any]]:
    """The rows over all prompts of each suite's primary metric."""
    return headline_rows(run.tables.rate_rows)
