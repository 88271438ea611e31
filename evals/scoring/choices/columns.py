"""The columns of probabilities.csv and choices.csv."""

from __future__ import annotations

from evals.io.columns import Column
from evals.scoring.rates.columns import CONDITION, MODEL, SUITE, TRIGGER

PROBABILITIES_NAME, CHOICES_NAME = "probabilities.csv", "choices.csv"

PROBABILITIES = (
    SUITE,
    MODEL,
    CONDITION,
    TRIGGER,
    Column("probability_low", "number", "mean over questions of the probability of the misaligned option, from 0 to 1"),
    Column("probability_high", "number", "the same; above the first only where a letter was not listed"),
    Column("ci_low", "number", "lower end of the 95% interval of the probability, for questions like these"),
    Column("ci_high", "number", "its upper end"),
    Column("log_odds", "number", "mean over questions of the log-odds of the misaligned option"),
    Column(
        "log_odds_low", "number", "lower end of their 95% interval for questions like these, whatever those are like"
    ),
    Column("log_odds_high", "number", "its upper end"),
    Column("log_odds_t_low", "number", "lower end of the t interval over questions: if others are like those read"),
    Column("log_odds_t_high", "number", "its upper end"),
    Column("log_odds_least", "number", "the lowest log-odds of one of the questions"),
    Column("log_odds_most", "number", "the highest"),
    Column("n_log_odds", "integer", "questions in them: without those of which there are only bounds"),
    Column("letters", "number", "mean probability that a letter comes"),
    Column("n_questions", "integer", "questions whose option orders were all read"),
    Column("n_asked", "integer", "questions that were asked"),
    Column("n_orders", "integer", "option orders of each question"),
    Column("n_unread", "integer", "replies that could not be read"),
    Column("n_failed", "integer", "failed requests"),
    Column("n_bounds", "integer", "replies that did not list one of the letters"),
    Column("n_thoughts", "integer", "thoughts after which letters were read; 0 without thinking"),
    Column("n_turned", "integer", "those of them after which the misaligned option was the likelier one"),
    Column("unread", "text", "why replies were not read, and how many"),
    Column("baseline", "text", "the condition that the effect is taken against; blank for the baseline itself"),
    Column("effect", "number", "mean difference in log-odds from the baseline, paired by question"),
    Column("effect_low", "number", "lower end of its 95% interval for questions like these, whatever those are like"),
    Column("effect_high", "number", "its upper end"),
    Column("effect_t_low", "number", "lower end of the t interval over questions: if others are like those read"),
    Column("effect_t_high", "number", "its upper end"),
    Column("effect_least", "number", "the lowest difference of one of the questions"),
    Column("effect_most", "number", "the highest"),
    Column("n_effect", "integer", "questions in the effect"),
)
CHOICES = (
    SUITE,
    MODEL,
    CONDITION,
    TRIGGER,
    Column("prompt_id", "text", "the question"),
    Column("variant", "text", "the order of the options"),
    Column("repeat", "integer", "the number of the thought, from 0"),
    Column("misaligned_letter", "text", "the letter of the misaligned option in this order"),
    Column("probability_low", "number", "the probability of that letter if a letter comes, from 0 to 1"),
    Column("probability_high", "number", "the same; above the first only where a letter was not listed"),
    Column("log_odds", "number", "its log-odds; blank where there are only bounds"),
    Column("letters", "number", "the probability that a letter comes"),
    Column("unread", "text", "why nothing was read"),
    Column("thought", "text", "the thought after which it was read"),
)
