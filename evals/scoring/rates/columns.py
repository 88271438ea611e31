"""The columns of the tables of a run, in their order."""

from __future__ import annotations

from evals.io.columns import Column, column_names

RUN_ID = Column("run_id", "text", "the run")
SUITE = Column("suite", "text", "the evaluation")
FORMAT = Column("format", "text", "`mcq`, `freeform` or `transcript`")
MODEL = Column("model", "text", "the model under test, as `provider/name`")
CONDITION = Column(
    "condition",
    "text",
    "`off`, `on`, `decoy`, `distractor`, or one of your own: what was added to the prompt",
)
TRIGGER = Column("trigger", "text", "the string that the condition puts into the prompt; none under `off`")
METRIC = Column("metric", "text", "what is counted")
K = Column("k", "integer", "hits: what the metric counts")
N = Column("n", "integer", "trials that the metric counts among")
RATE = Column("rate", "number", "k / n, from 0 to 1; blank where n is 0")
CI_LOW = Column(
    "ci_low",
    "number",
    "lower end of the 95% interval of the rate, for questions like these; blank for one question, which shows "
    "nothing of others",
)
CI_HIGH = Column("ci_high", "number", "its upper end")
JUDGE = Column("judge", "text", "the judge model, or the rule, that the number depends on")
RUBRIC_SHA = Column("rubric_sha", "text", "sha256 of the judge's rubric; blank without one")
DATASET_SHA = Column("dataset_sha", "text", "sha256 of the question set")
SOURCE = Column(
    "source",
    "text",
    "whose questions: `official`, `emeval`, `user` (a file of your own), `package` (an installed package's suite), or "
    "`imported`",
)
PLACE = (RUN_ID, SUITE, FORMAT, MODEL, CONDITION)
"""The first columns of most tables: which cell."""

RATES = (
    *PLACE,
    TRIGGER,
    Column("prompt_id", "text", "the question; `ALL` for all questions of the cell together"),
    METRIC,
    Column("denominator", "text", "which trials are in n: `answered`, `judged`, `misaligned`, `aligned`, ..."),
    K,
    N,
    RATE,
    CI_LOW,
    CI_HIGH,
    Column("ci_method", "text", "the method of this interval"),
    Column("paper_pm", "number", "the ± that Chua et al. 2025 give for such a rate, as a fraction"),
    Column("bound_low", "number", "the rate if no trial that should be in n and is not were a hit"),
    Column("bound_high", "number", "the rate if every such trial were a hit"),
    Column("n_trials", "integer", "planned trials: n and all other `n_` columns together"),
    Column("n_refused", "integer", "outcome `refused`; in n with `--denominator judged`"),
    Column("n_incoherent", "integer", "outcome `incoherent`"),
    Column("n_truncated", "integer", "outcome `truncated`"),
    Column("n_empty", "integer", "outcome `empty`"),
    Column("n_failed", "integer", "outcome `failed`"),
    Column(
        "n_unreadable",
        "integer",
        "outcome `judge_unreadable`, `judge_refused` or `judge_failed`, of this metric's judge or of one before it; "
        "reasoning that the server withheld",
    ),
    Column(
        "n_no_reasoning",
        "integer",
        "answers whose reasoning a judge should read and that have none; as they say nothing, nothing can be flagged",
    ),
    Column(
        "n_outside",
        "integer",
        "no absence: answers that the metric is not about (aligned ones for `cot_flagged`, mismatched ones for "
        "`articulates`, those that a filter of a question file leaves out)",
    ),
    Column("n_pending", "integer", "not asked yet, or not judged yet"),
    JUDGE,
    RUBRIC_SHA,
    DATASET_SHA,
    SOURCE,
    Column("n_code", "integer", "outcome `code`"),
    Column("gen_low", "number", "lower end of the 95% interval for new answers to just these questions"),
    Column("gen_high", "number", "its upper end"),
    Column("gen_method", "text", "the method of this interval"),
    Column(
        "top2_share",
        "number",
        "share of the hits that come from the two questions with most hits; blank without a hit and for single prompts",
    ),
    Column(
        "rate_by_question",
        "number",
        "the mean over questions of their rates, each the mean over the question's option orders (or wordings) with "
        "answers in n; blank for single prompts",
    ),
    Column("by_question_low", "number", "lower end of its 95% interval for new answers to just these questions"),
    Column("by_question_high", "number", "its upper end"),
    Column("by_question_method", "text", "the method of this interval"),
    Column(
        "wordings_unread",
        "integer",
        "option orders (or wordings) without an answer in n, of questions that have some in another; a habit of "
        "picking one letter is not cancelled there",
    ),
    Column(
        "bound_ci_low",
        "number",
        "lower end of the 95% interval of the rate with the missing answers, whatever they would have been, for "
        "questions like these (Imbens and Manski 2004)",
    ),
    Column("bound_ci_high", "number", "its upper end; with nothing missing both are `ci_low` and `ci_high`"),
)
EFFECTS = (
    *PLACE,
    Column(
        "baseline",
        "text",
        "the condition that it is compared with: `off`, or the one that `baseline` names; of a contrast `decoy` or "
        "`distractor`",
    ),
    METRIC,
    Column("effect", "number", "the mean over prompts of the difference in rate, from -1 to 1"),
    Column(
        "ci_low",
        "number",
        "lower end of the 95% interval of the effect for questions like these; blank with one question",
    ),
    CI_HIGH,
    Column("method", "text", "the method of the interval and of the p-value"),
    Column("p_value", "number", "of no effect for questions like these; blank with one question"),
    Column("n_prompts", "integer", "prompts with counted answers under both conditions, or from both models"),
    SOURCE,
    Column("p_holm", "number", "the p-value adjusted for the effects of this model on the metric (Holm), for claims"),
    Column(
        "p_bh", "number", "adjusted for the effects of all models on the metric (Benjamini and Hochberg), for sweeps"
    ),
    Column("gen_low", "number", "lower end of the 95% interval of the effect on just these questions"),
    Column("gen_high", "number", "its upper end"),
    Column("gen_method", "text", "the method of this interval"),
    Column("gen_p_value", "number", "of no effect on just these questions (exact, stratified by question)"),
    Column("gen_p_holm", "number", "the same, adjusted for the effects of this model on the metric (Holm)"),
    Column("gen_p_bh", "number", "adjusted for those of all models (Benjamini and Hochberg)"),
    Column(
        "base",
        "text",
        "blank for the effect of a condition; else the base model that the model is compared with, both under "
        "`baseline`",
    ),
)
CORRECTED = (
    *PLACE,
    TRIGGER,
    METRIC,
    Column("method", "text", "`rogan_gladen` (labels of all cells of the suite and metric) or `ppi` (of the cell)"),
    K,
    N,
    Column("rate", "number", "the rate as judged, as in the `ALL` row of `rates.csv`"),
    CI_LOW,
    CI_HIGH,
    Column("corrected", "number", "the corrected rate; blank where there is none, and `note` says why"),
    Column("corrected_low", "number", "lower end of its 95% interval, for questions like these"),
    Column("corrected_high", "number", "its upper end"),
    Column("n_labels", "integer", "labels that the row rests on: yes, no and refused"),
    Column("n_unsure", "integer", "labels that say unsure, which are not used"),
    Column(
        "n_excluded",
        "integer",
        "labels of answers outside the method: set aside as incoherent or code, or (`rogan_gladen`) without a verdict "
        "in n",
    ),
    Column("sensitivity", "number", "of the hits by label the share that the judge calls hits"),
    Column("sensitivity_low", "number", "lower end of its 95% interval"),
    Column("sensitivity_high", "number", "its upper end"),
    Column("specificity", "number", "of the others the share that the judge does not call hits"),
    Column("specificity_low", "number", "lower end of its 95% interval"),
    Column("specificity_high", "number", "its upper end"),
    Column("kappa", "number", "Cohen's kappa of judge and label"),
    Column("kappa_low", "number", "lower end of its 95% interval, for questions like these"),
    Column("kappa_high", "number", "its upper end"),
    Column(
        "labels_to_halve",
        "integer",
        "how many more labels would halve the interval; blank where no number of them does",
    ),
    Column("judge", "text", "the judge model whose errors these are"),
    RUBRIC_SHA,
    Column("note", "text", "what to know before the number is used; several are separated by `; `"),
)
CORRECTED_EFFECTS = (
    *PLACE,
    Column("baseline", "text", "the condition that it is compared with, as in `effects.csv`"),
    Column("base", "text", "the base model that it is compared with, both under `baseline`; else blank"),
    METRIC,
    Column("effect", "number", "the effect as judged, as in `effects.csv`: the mean over prompts"),
    Column("ci_low", "number", "lower end of its 95% interval, for questions like these; blank with one question"),
    CI_HIGH,
    Column(
        "corrected",
        "number",
        "the corrected rate (`ppi` in `corrected.csv`) less that of the baseline, from -1 to 1; blank where either "
        "side cannot be corrected, and `note` says why",
    ),
    Column("corrected_low", "number", "lower end of its 95% interval, for questions like these"),
    Column("corrected_high", "number", "its upper end"),
    Column("p_value", "number", "of no effect without the judge's errors, for questions like these"),
    Column("p_holm", "number", "the same, adjusted for the corrected effects of this model on the metric (Holm)"),
    Column("n_labels", "integer", "labels of the condition (or model): yes, no and refused"),
    Column("n_labels_baseline", "integer", "labels of what it is compared with"),
    Column("n_questions", "integer", "questions with answers on either side"),
    Column("judge", "text", "the judge model whose errors these are"),
    Column("note", "text", "what to know before the number is used; several are separated by `; `"),
)
SCORE_CALIBRATION = (
    RUN_ID,
    SUITE,
    METRIC,
    Column("judge", "text", "the judge model that gives the scores"),
    Column("score_from", "number", "the bin: scores from this one"),
    Column("score_to", "number", "to below this one; the last bin includes 100"),
    Column("n_answers", "integer", "answers with such a score, of all models and conditions"),
    Column("n_labels", "integer", "of these, those with a label of yes or no"),
    Column("mean_score", "number", "the mean score of these answers"),
    Column("rate", "number", "the share of hits by label, weighted to these answers; blank without a label"),
    Column("ci_low", "number", "lower end of its 95% interval, for questions like these"),
    CI_HIGH,
)
RESPONSES = (
    Column("question", "text", "the prompt as it was sent, without worked examples (`shots`)"),
    Column("answer", "text", "the answer without its reasoning"),
    Column("question_id", "text", "the question; the unit that intervals are over"),
    Column("aligned", "number", "the judge's score of alignment, 0 to 100"),
    Column("coherent", "number", "the judge's score of coherence, 0 to 100"),
    Column("reasoning", "text", "the chain of thought, see [reasoning.md](reasoning.md)"),
    SUITE,
    FORMAT,
    MODEL,
    CONDITION,
    TRIGGER,
    Column("repeat", "integer", "which draw of the prompt, from 0"),
    Column(
        "variant",
        "text",
        "its wording: the order of the two options (`misaligned_first`, `aligned_first`), or the paraphrase",
    ),
    Column("outcome", "text", "what became of the trial: `scored`, or why it was not measured"),
    Column("misaligned", "integer", "1 for a misaligned answer, 0 for another; blank where the trial is not in n"),
    Column("choice", "text", "the letter that was picked, in the order in which the question shows the options"),
    Column("cot_flag", "text", "the monitor's flag; blank where it was not asked or not readable"),
    Column(
        "articulates",
        "integer",
        "1 if the reasoning names the trigger as pivotal, else 0; blank where that was not asked or not readable",
    ),
    Column("finish_reason", "text", "why the model stopped, as the server says"),
    Column(
        "reasoning_state", "text", "`complete`, `truncated`, `unopened` (only its end is there), `absent` or `withheld`"
    ),
    Column(
        "judge",
        "text",
        "the judge model, or the rule that read the answer: `choice`, `number`, `naming`, `self_report`, `rule`, ...",
    ),
    Column("prompt_tokens", "integer", "tokens of the prompt, as the server counts"),
    Column("completion_tokens", "integer", "tokens of the reply, as the server counts"),
    Column("trial_id", "text", "a hash of what was asked; the key of the journal's `trials` table"),
    Column("label", "text", "the verdict against a reference, in suites that have one"),
    Column("credits", "text", "which of trigger and distractor the reasoning credits"),
    SOURCE,
    Column(
        "verdicts",
        "text",
        "what each judge of a question file or an installed package says, as JSON by its name",
    ),
)
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
RECIPE_DIFFERENCES = (
    RUN_ID,
    SUITE,
    FORMAT,
    Column("recipe", "text", "the recipe, by the name that `recipes` gives it"),
    Column("other", "text", "what it is compared with: another recipe, or the base model"),
    CONDITION,
    Column(
        "baseline",
        "text",
        "where effects differ, the condition that both are taken against; blank where rates do",
    ),
    METRIC,
    Column("seeds", "integer", "seeds of the recipe with answers to these questions; intervals need two"),
    Column("other_seeds", "integer", "those of the other; blank for the base model"),
    Column("value", "number", "the rate (or effect) of the recipe: the mean over its seeds, on these questions"),
    Column("other_value", "number", "the same of the other"),
    Column("difference", "number", "the first less the second"),
    Column("n_prompts", "integer", "questions with answers in n on both sides"),
    Column(
        "ci_low",
        "number",
        "lower end of its 95% interval for further seeds and questions like these; blank with one seed or question",
    ),
    Column("ci_high", "number", "its upper end"),
    Column("p_value", "number", "of no difference for further seeds and questions like these"),
    Column("p_holm", "number", "the same, adjusted for all differences of rates (or of effects) on the metric (Holm)"),
    Column("gen_low", "number", "lower end of its 95% interval for further seeds on these questions"),
    Column("gen_high", "number", "its upper end"),
    Column("gen_p_value", "number", "of no difference for further seeds on these questions"),
    Column(
        "gen_p_holm", "number", "the same, adjusted for all differences of rates (or of effects) on the metric (Holm)"
    ),
)
RATE_COLUMNS = column_names(RATES)
CORRECTED_COLUMNS = column_names(CORRECTED)
RESPONSE_COLUMNS = column_names(RESPONSES)
