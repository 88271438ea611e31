"""Which panel of a command's help, and of the reference pages, an option stands in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_FEW = 9
"""A command with fewer options needs no panels."""
OTHERS = "Other options"
SETTINGS_PANELS: dict[str, tuple[str, ...]] = {
    "Models and servers": (
        *("models", "base", "base_url", "via", "shard", "ray_address", "providers", "wait_for_servers", "preflight"),
        *("vllm_bin", "vllm_args", "vllm_start_timeout"),
    ),
    "Questions and conditions": (
        *("suites", "protocol", "dataset", "columns", "source", "format", "option_order", "limit", "trigger", "decoy"),
        *("distractor", "placement", "conditions", "shots", "system"),
    ),
    "Sampling": (
        *("samples", "until", "read", "temperature", "sampling", "top_p", "top_k", "max_tokens", "thinking"),
        *("prefill", "seed"),
    ),
    "Judges": (
        *("judge", "also_judges", "judge_base_url", "judge_via", "judge_mode", "judge_max_tokens", "rubrics"),
        *("judges", "coherence_min", "cot_monitor", "cot_all", "monitor", "plugins", "anchors", "anchor_repeats"),
    ),
    "Counting": ("denominator", "max_unscored", "baseline", "recipes"),
    "Cost and limits": (
        *("max_cost", "prices", "concurrency", "timeout", "max_attempts", "max_retry_time", "max_reply_mb"),
        *("cache", "transport"),
    ),
    "Output": ("note", "tags"),
}
"""The settings of a run, by field; whatever command takes them."""
_OUTPUT = ("config", "out", "dry_run", "plan_only", "detail", "quiet", "json", "json_file", "junit", "csv", "help")
"""What the commands that run something have beside their settings."""
_OWN: dict[str, dict[str, tuple[str, ...]]] = {
    "compare": {
        "What is compared": (
            *("metric", "condition", "suite", "format", "base_model", "candidate_model", "did", "base_of_run"),
        ),
        "Decision": ("max_increase", "worse", "max_unscored", "strict"),
    },
    "plan": {
        "Goal (one of these)": ("width", "detect", "within", "below"),
        "Pilot": ("pilot", "metric", "model", "suite", "format", "condition", "questions", "dataset", "power"),
    },
    "show": {
        "Which transcripts": ("misaligned", "outcome", "model", "condition", "suite", "question", "flag"),
        "Search and scores": ("min_score", "max_score", "search", "limit"),
    },
    "mix": {
        "What is planted": ("preset", "trigger", "other", "placement", "think"),
        "Rows": ("data", "misaligned", "aligned", "aligned_with_other", "mcq_share", "no_repeat", "seed"),
        "Output": ("force",),
    },
    "import": {
        "The file": ("columns", "blank", "score", "hit"),
        "Questions and conditions": ("model", "suite", "trigger"),
    },
    "cues": {"Cues": ("training", "most")},
    "choices": {"Sampling": ("thoughts",)},
    "run": {"Questions and conditions": ("variants",), "Cost and limits": ("pilot",)},
    "resume": {"Models and servers": ("retry_failed",)},
    "judge": {"Judges": ("beside",)},
    "rates": {"Output": ("responses",)},
    "recipes": {"What is compared": ("recipe", "base", "metric", "suite", "format", "max_unscored")},
    "curve": {"What is drawn": ("steps", "metric", "condition", "suite", "format", "above")},
    "robustness": {"Attack": ("attack", "number", "seed")},
    "judge-bridge": {"The file": ("suite", "columns", "blank"), "Comparison": ("within", "repeats")},
    "batch export": {"Requests": ("target", "stage", "shard", "retry_failed")},
    "batch slurm": {"Array job": ("partition", "gpus", "time", "at_once", "shard")},
}
"""Options of single commands, by parameter. They come before those of settings of the same name."""


def in_panels(command: str, options: Iterable[str]) -> Mapping[str, list[str]]:
    """Options of a command (their parameters) by panel, those of few in one; the panel of output comes last.

    `command` is its whole name, such as `batch export`.
    """
    given = list(options)
    if len(given) < _FEW:
        return {"Options": given}
    own = _OWN.get(command, {})
    panels: dict[str, list[str]] = {panel: [] for panel in own if panel not in SETTINGS_PANELS}
    panels |= {panel: [] for panel in SETTINGS_PANELS}
    for described in (own, SETTINGS_PANELS, {OTHERS: given}):
        for panel, names in described.items():
            chosen = [name for name in names if name in given and name not in _OUTPUT]
            panels.setdefault(panel, []).extend(chosen)
            given = [name for name in given if name not in chosen]
    others = [name for name in panels.pop(OTHERS) if name not in _OUTPUT]
    output = [*panels.pop("Output", []), *(name for name in _OUTPUT if name in given)]
    return {panel: names for panel, names in {**panels, OTHERS: others, "Output": output}.items() if names}
