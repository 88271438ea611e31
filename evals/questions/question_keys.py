"""The keys and types of question files, in one place, and what those mean that cannot be read."""

from __future__ import annotations

QUESTION_TYPES = ("free_form_judge_0_100", "free_form_judge", "free_form", "free_form_0_100", "rating")
JUDGE_TYPES = ("free_form_judge", "rating_judge")
OWN_NUMBER_TYPES = ("free_form_0_100", "rating")
"""Questions whose answer is itself the number that is counted."""
ID, NAME, PARAPHRASES, QUESTION = "id", "name", "paraphrases", "question"
QUESTION_KEYS = (
    *(ID, NAME, "type", PARAPHRASES, QUESTION, "samples_per_paraphrase", "system", "temperature", "max_tokens"),
    *("judge", "judge_prompts", "judges", "messages"),
)
RATING_QUESTION_KEYS = ("min_rating", "max_rating", "refusal_threshold", "top_logprobs")
"""Keys of llmcomp's rating questions, besides."""

RULE_KEYS = ("startswith", "equals", "regex")
LABEL_KEYS = ("labels", "unless", "read")
RATING_KEYS = ("range", "hit", "read", *RATING_QUESTION_KEYS)
_JUDGE_KEYS = (ID, NAME, "type", "model", PARAPHRASES, "prompt", "temperature", "max_tokens", "samples_per_paraphrase")
JUDGE_KEYS = {
    "free_form_judge": (*_JUDGE_KEYS, *LABEL_KEYS),
    "rating_judge": (*_JUDGE_KEYS, *RATING_KEYS),
}
"""The keys of a judge by its type."""
TEXT_RULE_KEYS = (ID, NAME, *RULE_KEYS, "ignore_case", "labels", "unless")
"""The keys of a judge that is a rule."""
JUDGE_ONLY_KEYS = frozenset({"model", "prompt", *RULE_KEYS, *LABEL_KEYS, "range", "hit"})
"""A key of a judge that no question has."""
TRAIT_KEYS = ("instruction", "questions", "eval_prompt", "hit", "samples_per_paraphrase", "model")
"""The keys of a trait file (persona vectors)."""

FILE_KEYS = ("conditions", "judges", "questions")
"""The keys of a file that is a mapping; each list is as in a file that is a list."""

REFUSED_KEYS = {
    "conditions": "stands in an entry of its own, for the whole file: - conditions: {NAME: {system, prefix, suffix}}",
    "logit_bias": "changes how tokens are drawn, which emeval does not ask of a server; leave it out",
    "choices": "is not read here: write the options into the question, and score the answer with equals or regex",
}
REFUSED_TYPES = {
    "next_token": "next_token needs the model's token probabilities, and emeval samples answers: ask it as free_form "
    "with an equals or startswith judge and many samples, whose share of hits estimates that probability",
}
