"""The rows of probabilities.csv and choices.csv."""

from __future__ import annotations

from collections.abc import Sequence

from evals.scoring.choices.cells import ChoiceCell, ChoiceEffect, ReadChoice, choice_cells, choice_effects
from evals.scoring.rates.rows import Row
from judges.rules.letter_probability import LetterProbability


def probability_rows(choices: Sequence[ReadChoice], baseline: str) -> list[Row]:
    """The rows of probabilities.csv: each cell, and its effect against `baseline`; None is a blank cell."""
    effects = {effect.key: effect for effect in choice_effects(choices, baseline)}
    return [_cell_row(cell, effects.get(cell.key)) for cell in choice_cells(choices)]


def choice_row(choice: ReadChoice) -> Row:
    key, read = choice.key, choice.read
    letters = read if isinstance(read, LetterProbability) else None
    return {
        "suite": key.suite,
        "model": key.model,
        "condition": key.condition,
        "trigger": key.trigger,
        "prompt_id": choice.prompt_id,
        "variant": choice.variant,
        "repeat": choice.repeat,
        "misaligned_letter": choice.misaligned_letter,
        "probability_low": letters and letters.low,
        "probability_high": letters and letters.high,
        "log_odds": letters and letters.log_odds,
        "letters": letters and letters.letters,
        "unread": read if isinstance(read, str) else "",
        "thought": choice.thought or "",
    }


def _cell_row(cell: ChoiceCell, effect: ChoiceEffect | None) -> Row:
    key, interval, log_odds = cell.key, cell.interval, cell.log_odds
    difference = effect and effect.difference
    return {
        "suite": key.suite,
        "model": key.model,
        "condition": key.condition,
        "trigger": key.trigger,
        "probability_low": cell.low,
        "probability_high": cell.high,
        "ci_low": interval and interval.low,
        "ci_high": interval and interval.high,
        "log_odds": log_odds and log_odds.mean,
        "log_odds_low": log_odds and log_odds.low,
        "log_odds_high": log_odds and log_odds.high,
        "log_odds_t_low": log_odds and log_odds.t_low,
        "log_odds_t_high": log_odds and log_odds.t_high,
        "log_odds_least": log_odds and log_odds.least,
        "log_odds_most": log_odds and log_odds.most,
        "n_log_odds": log_odds.questions if log_odds else 0,
        "letters": cell.letters,
        "n_questions": cell.questions,
        "n_asked": cell.asked,
        "n_orders": cell.orders,
        "n_unread": cell.unread,
        "n_failed": cell.failed,
        "n_bounds": cell.bounds,
        "n_thoughts": cell.thoughts,
        "n_turned": cell.turned,
        "unread": cell.reasons,
        "baseline": effect.baseline if effect else "",
        "effect": difference and difference.mean,
        "effect_low": difference and difference.low,
        "effect_high": difference and difference.high,
        "effect_t_low": difference and difference.t_low,
        "effect_t_high": difference and difference.t_high,
        "effect_least": difference and difference.least,
        "effect_most": difference and difference.most,
        "n_effect": difference.questions if difference else 0,
    }
