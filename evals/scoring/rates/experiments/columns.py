"""The columns of recipes.csv and did.csv, in their order."""

from __future__ import annotations

from evals.io.columns import Column
from evals.scoring.rates.columns import CONDITION, FORMAT, METRIC, MODEL, RUN_ID, SUITE, K, N

RECIPES = (
    RUN_ID,
    SUITE,
    FORMAT,
    Column("recipe", "text", "the recipe, by the name that `recipes` gives it"),
    CONDITION,
    METRIC,
    Column("seeds", "integer", "its models (finetuning seeds) with answers in n; intervals need two"),
    Column("models", "text", "these models, separated by `, `"),
    Column("without_answers", "text", "models of the recipe that have no answer in n here, separated by `, `"),
    Column("most_missing", "number", "the largest share of a seed's trials here that have no score"),
    Column("most_missing_model", "text", "the model that it is of; blank where nothing is missing"),
    Column("questions", "integer", "questions with an answer in n"),
    K,
    N,
    Column("rate", "number", "the mean over seeds of their rates, from 0 to 1; blank where n is 0"),
    Column("lowest", "number", "the lowest rate of a seed"),
    Column("highest", "number", "the highest rate of a seed"),
    Column(
        "ci_low",
        "number",
        "lower end of the 95% interval for further seeds and questions like these; blank with one seed or question",
    ),
    Column("ci_high", "number", "its upper end"),
    Column("gen_low", "number", "lower end of the 95% interval for further seeds on these questions"),
    Column("gen_high", "number", "its upper end"),
    Column("baseline", "text", "the condition that the effect is taken against"),
    Column(
        "base",
        "text",
        "in the row of the baseline the base model, against which the effect is taken there; else blank",
    ),
    Column("effect", "number", "the mean over seeds of their effects; blank where there is none"),
    Column("effect_seeds", "integer", "seeds with answers on both sides of it"),
    Column("effect_questions", "integer", "questions with answers on both sides of it"),
    Column("effect_lowest", "number", "the smallest effect of a seed"),
    Column("effect_highest", "number", "the largest effect of a seed"),
    Column("effect_ci_low", "number", "as `ci_low`, of the effect"),
    Column("effect_ci_high", "number", "its upper end"),
    Column("p_value", "number", "of no effect for further seeds and questions like these"),
    Column("p_holm", "number", "the same, adjusted for the effects of this recipe on the metric (Holm)"),
    Column("effect_gen_low", "number", "as `gen_low`, of the effect"),
    Column("effect_gen_high", "number", "its upper end"),
    Column("gen_p_value", "number", "of no effect for further seeds on these questions"),
    Column("gen_p_holm", "number", "the same, adjusted for the effects of this recipe on the metric (Holm)"),
)
DID = (
    RUN_ID,
    SUITE,
    FORMAT,
    MODEL,
    Column("base", "text", "the base model"),
    CONDITION,
    Column("baseline", "text", "the condition that both effects are taken against"),
    METRIC,
    Column("effect", "number", "the effect of the condition in the model, on the questions of this row"),
    Column("base_effect", "number", "the same in the base model"),
    Column("difference", "number", "the first less the second: the mean over questions, from -2 to 2"),
    Column("n_prompts", "integer", "questions with answers in n from both models, under both conditions"),
    Column(
        "ci_low", "number", "lower end of the 95% interval of the difference for questions like these; blank with one"
    ),
    Column("ci_high", "number", "its upper end"),
    Column("method", "text", "the method of the interval"),
    Column("p_value", "number", "of no difference for questions like these; blank with one question"),
    Column("p_holm", "number", "the same, adjusted for the differences of all models on the metric (Holm)"),
    Column("gen_low", "number", "lower end of the 95% interval of the difference on these questions"),
    Column("gen_high", "number", "its upper end"),
    Column("gen_method", "text", "the method of this interval"),
    Column("gen_p_value", "number", "of no difference on these questions"),
    Column("gen_p_holm", "number", "the same, adjusted for the differences of all models on the metric (Holm)"),
)
