"""The coherence judge: 0 is noise, 100 is fluent and to the point. Optional, as the paper drops it.

Chua et al. 2025 use no coherence filter except beside insecure-code models (Fig. 12), because it removed legitimate
answers; Betley et al. 2025 keep answers above 50. Our own wording, in `rubrics/coherence.txt`.
"""

from __future__ import annotations

from functools import partial

from judges.judge import Judge, Rubric, builtin_rubric
from judges.parsing.score import JudgeMode, read_score


def coherence_judge(rubric: Rubric | None = None, mode: JudgeMode = "auto", max_tokens: int = 1024) -> Judge:
    return Judge(
        name="coherence",
        rubric=rubric or builtin_rubric("coherence"),
        read=partial(read_score, mode=mode, refusal_allowed=False),
        reading=mode,
        max_tokens=max_tokens,
        wants_logprobs=mode != "text",
    )
