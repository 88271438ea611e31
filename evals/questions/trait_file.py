"""The JSON files of persona vectors (Chen et al. 2025): `questions`, one `eval_prompt`, and pairs of instructions.

A question of such a file is judged by `eval_prompt`, whose score is 100 where the trait is strongly present. It is
asked without the instructions, as a baseline is: those elicit the trait, to extract its vector.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import yaml

from evals.questions.question_file import JudgePrompt, QuestionScenario
from evals.questions.question_judges import check_bound, checked_judge_name, template_of
from evals.questions.question_keys import TRAIT_KEYS
from evals.questions.question_nodes import (
    SCALARS,
    FaultError,
    NodeReader,
    check_known,
    given,
    line_of,
    optional_count,
    optional_text,
    required,
    sequence_of,
    text_of,
)
from judges.judge_spec import HIGHEST, LOWEST, JudgeSpec

DEFAULT_HIT = ">=50"
"""The trait is present, as in the filter of Chen et al. 2025 for responses that show it."""
_TABS = re.compile(r'("(?:[^"\\]|\\.)*")|\t')


def plain_json(text: str) -> str:
    """JSON as YAML can read it: tabs between values are spaces."""
    return _TABS.sub(lambda found: found[1] or " ", text)


def is_trait(root: yaml.MappingNode) -> bool:
    """Whether a mapping is a trait file, or one that lacks a part: its questions are texts, and no mappings."""
    found = {str(key.value): value for key, value in root.value if isinstance(key, yaml.ScalarNode)}
    questions: object = getattr(found.get("questions"), "value", None)
    listed = cast("list[object]", questions) if isinstance(questions, list) else []
    if "eval_prompt" in found or "instruction" in found:
        return True
    return "questions" in found and not any(isinstance(node, yaml.MappingNode) for node in listed)


def trait_questions(root: yaml.MappingNode, name: str) -> tuple[QuestionScenario, ...]:
    """The questions of a trait file. Raises FaultError. Their judge has the name of the file."""
    reader = NodeReader()
    entries = reader.mapping(root, "", "a trait: questions and eval_prompt")
    check_known(entries, TRAIT_KEYS, "a trait file")
    trait = checked_judge_name(root, Path(name).stem or "trait")
    hit_entry = given(entries, "hit")
    hit = DEFAULT_HIT if hit_entry is None else text_of(hit_entry.value, "hit", SCALARS)
    if hit_entry is not None:
        check_bound(hit_entry, "hit", hit, LOWEST, HIGHEST)
    template = template_of(required(root, entries, "eval_prompt"), "eval_prompt")
    judge = JudgePrompt(trait, "score", template, optional_text(entries, "model") or "", JudgeSpec(hit=hit))
    nodes = sequence_of(required(root, entries, "questions"), "questions")
    if not nodes:
        raise FaultError(entries["questions"].key, "questions", "holds no question")
    samples = optional_count(entries, "samples_per_paraphrase")
    return tuple(
        QuestionScenario(
            id=f"{trait}_{number}",
            line=line_of(node),
            paraphrases=(text_of(node, f"questions.{number}"),),
            measure="hit",
            samples=samples,
            judges=(judge,),
        )
        for number, node in enumerate(nodes)
    )
