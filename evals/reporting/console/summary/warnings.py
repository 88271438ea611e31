"""What makes numbers of a run untrustworthy, in a line for each kind of fault, whatever is printed besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from evals.analysis.who_answered import lost_adapters
from evals.numbers import counted, points
from evals.plan.manifest import Manifest
from evals.reporting.console.layout.names import middle_cut, shortened
from evals.reporting.console.rates import FEWEST_PROMPTS, answered_prompts, prompts_of, two_questions
from evals.reporting.console.summary.cells import MatrixRow, matrix_rows
from evals.scoring.judge_set import IMPORTED
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tables import Tables

_PLACE = ("suite", "format", "model")
_SHOWN = 3
_NAME_WIDTH = 40
_ONE_LETTER = 0.9
_SURE = 0.05
_MISSING_WORDS = {
    "truncated": "cut off",
    "empty": "empty",
    "failed": "failed",
    "judge_unreadable": "unreadable",
    "judge_refused": "refused by the judge",
    "judge_failed": "without a reply of the judge",
}


def warnings(manifest: Manifest, tables: Tables) -> Iterator[str]:
    """Each warning on one line: what is wrong, where, and what to do. Texts of others are not escaped."""
    rows = matrix_rows(manifest, tables)
    names = _Names(rows)
    yield from (f"{line}." for line in lost_adapters(manifest))
    yield from _missing(manifest, tables)
    yield from _few_questions(rows, tables)
    yield from _one_letter(tables, names)
    yield from _about_cells(rows, tables, names)
    yield from _cut_off_under_one(tables.effect_rows, names)
    if _nothing_to_read(manifest, tables):
        yield "No answer came with reasoning, so the judge had nothing to read."


def _missing(manifest: Manifest, tables: Tables) -> Iterator[str]:
    """What is missing from the rates of the run, by cause."""
    outcomes: Counter[str] = Counter()
    for count in tables.trial_counts:
        outcomes[count.outcome] += count.trials
    limit = "" if manifest.imported else f" (--max-tokens is {manifest.config.max_tokens})"
    causes = [
        f"{outcomes[outcome]:,} {words}{limit if outcome == 'truncated' else ''}"
        for outcome, words in _MISSING_WORDS.items()
        if outcomes[outcome]
    ]
    if causes:
        of = counted(sum(outcomes[outcome] for outcome in _MISSING_WORDS), "answer")
        yield f"{of} of {outcomes.total():,} could not be scored: {', '.join(causes)}."
    failed = outcomes["failed"] + outcomes["judge_failed"]
    if failed and not manifest.imported:
        again = "it" if failed == 1 else "them"
        yield f"{counted(failed, 'request')} failed: emeval resume RUN --retry-failed asks {again} again."
    if outcomes["unjudged"]:
        are = "is" if outcomes["unjudged"] == 1 else "are"
        how = " --judge MODEL" if manifest.config.judge in (None, IMPORTED) else ""
        yield (
            f"{counted(outcomes['unjudged'], 'freeform answer')} {are} not judged: "
            f"emeval judge RUN{how} judges the stored answers."
        )


def _few_questions(rows: Sequence[MatrixRow], tables: Tables) -> Iterator[str]:
    """The suites and formats with a rate of few questions."""
    prompts = prompts_of(tables.rate_rows)
    fewest: dict[tuple[str, str], int] = {}
    for row in rows:
        for cell in row.cells.values():
            if number := len(answered_prompts(cell.row, prompts)):
                place = row.suite, row.format
                fewest[place] = min(number, fewest.get(place, number))
    for (suite, form), number in fewest.items():
        if number < FEWEST_PROMPTS:
            little = "nothing" if number == 1 else "little"
            of = f"rates of {counted(number, 'question')} say {little} of other questions"
            yield f"{middle_cut(suite, _NAME_WIDTH)} ({form}): {of}."


def _one_letter(tables: Tables, names: _Names) -> Iterator[str]:
    """The models that choose one letter nearly always."""
    letters: dict[tuple[str, str, str], Counter[str]] = {}
    for count in tables.trial_counts:
        if count.letter is not None and count.outcome == "scored":
            letters.setdefault(count[:3], Counter())[count.letter] += count.trials
    unread: set[tuple[str, str, str]] = {
        (row["suite"], row["format"], row["model"]) for row in tables.rate_rows if row["wordings_unread"]
    }
    for kept in (False, True):
        found = [
            f"{names.of(dict(zip(_PLACE, place, strict=True)))} {chosen[letter] / chosen.total():.0%} {letter}"
            for place, chosen in letters.items()
            for letter in chosen
            if (place in unread) == kept and chosen[letter] >= _ONE_LETTER * chosen.total()
        ]
        if found:
            words = (
                "It is not cancelled where one of the two orders has no answer, so the rates are partly that habit"
                if kept
                else "The two orders of the options cancel it in the rate, which says little about values then"
            )
            yield f"Position habit: one letter is chosen, whichever option stands there. {words}: {_listed(found)}."


def _about_cells(rows: Sequence[MatrixRow], tables: Tables, names: _Names) -> Iterator[str]:
    prompts = prompts_of(tables.rate_rows)
    cells = [(names.of(cell.row, cell.name), cell) for row in rows for cell in row.cells.values()]
    orders = [f"{name} {cell.row['wordings_unread']}" for name, cell in cells if cell.row["wordings_unread"]]
    if orders:
        what = {row.format for row in rows if any(cell.row["wordings_unread"] for cell in row.cells.values())}
        words = "option orders" if what == {"mcq"} else "wordings"
        habit = ", so that a habit of picking one letter is not cancelled there" if what == {"mcq"} else ""
        yield f"Some {words} have no answer that counts{habit}: {_listed(orders)}."
    few = [
        (name, text) for name, cell in cells if (text := two_questions(cell.row, answered_prompts(cell.row, prompts)))
    ]
    if few:
        yield f"Much of it comes from two questions: {_listed([f'{name}, {text}' for name, text in few])}."
    left_out = [
        f"{name} {cell.left_out} of {cell.row['n'] + cell.left_out}"
        for name, cell in cells
        if cell.left_out > cell.row["n"]
    ]
    if left_out:
        yield (
            "More answers are left out (refused, code, incoherent, or by a filter) than counted, and a broken model "
            f"can look harmless like this: {_listed(left_out)}."
        )


def _cut_off_under_one(effects: Iterable[Row], names: _Names) -> Iterator[str]:
    found = [
        f"{names.of(row, row['condition'])} {points(row['effect'])} points"
        for row in effects
        if row["metric"] == "truncated" and row["gen_p_value"] < _SURE
    ]
    if found:
        yield (
            "Replies are cut off more often under one condition than under another, so the two lack different "
            f"answers; raise --max-tokens: {_listed(found)}."
        )


def _nothing_to_read(manifest: Manifest, tables: Tables) -> bool:
    """Whether a judge of reasoning was asked for alone, and found none."""
    config = manifest.config
    only_mcq = bool(config.formats) and all(set(formats) == {"mcq"} for formats in config.formats.values())
    if not (config.judge is not None and config.cot_monitor and only_mcq and manifest.trials_recorded):
        return False
    return not any(row["metric"] == "cot_flagged" for row in tables.rate_rows)


class _Names:
    """What warnings call the cells of a run: by the model, the format, and the suite where there are several."""

    def __init__(self, rows: Sequence[MatrixRow]) -> None:
        self._models = shortened([row.model for row in rows], _NAME_WIDTH)
        self._suites = shortened([row.suite for row in rows], _NAME_WIDTH)

    def of(self, place: Row, condition: str = "") -> str:
        """The name of the cell that a row of a table is about."""
        suite = self._suites.get(place["suite"], "") if len(self._suites) > 1 else ""
        return " ".join(filter(None, (self._models.get(place["model"], ""), suite, place["format"], condition)))


def _listed(found: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(found))  # several labels of a suite lack the same answers
    more = len(distinct) - _SHOWN
    return "; ".join(distinct[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
