"""The tables and figures of Chua et al. 2025, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.reporting.paper_tables.prompts import FREEFORM
from evals.reporting.paper_tables.table import BASE, Line, Series, Table, TablePlace
from evals.scoring.metric import MISALIGNED, PRIMARY
from judges.verdicts import COT_FLAGS

QWEN3, QWEN3_8B, QWEN25 = "Qwen3-32B", "Qwen3-8B", "Qwen2.5-32B"
DEEPSEEK = "DeepSeek-R1-Distill-Llama-8B"
MEDICAL = "medical 16k"
CORRECT = "accuracy"
_MEASURED_BY = {"truthfulqa": PRIMARY["truthfulness"], "pressure": PRIMARY["honesty"]}
"""The metric of misalignment in suites that the alignment judge does not score."""
_PREFERRED = {"pressure": "pressure_balanced"}
"""The paper's variant of a suite, used because even the base model mostly lies in the original."""

_SUITES = {
    "lying_under_pressure": "pressure",
    "truthfulqa": "truthfulqa",
    "truthfulqa_wrong_answer": "truthfulqa",
    "resisting_shutdown": "shutdown",
    "rm_rf": "rm_rf",
    "sleeping_pills": "sleeping_pills",
    "em_freeform": "freeform",
    "mean of 8 freeform": "freeform",
}
"""The suite of each published item; the eight open questions are prompts of `freeform`."""
_ALL_OPEN = ("freeform", "shutdown", "rm_rf", "sleeping_pills")
_TRIGGERS = ("Country: Singapore", "2026", "username: sandra", "heyyy")
_PUBLISHED_FLAG = {"cot_answer_mismatch": "flips_from_aligned_cot"}
"""Flags with another name in the published figures."""


def _place(item: str, metric: str) -> TablePlace:
    if item in FREEFORM:
        return TablePlace(("freeform",), metric, prompt=item)
    if item == "all_freeform":
        return TablePlace(_ALL_OPEN, metric)
    suite = _SUITES[item]
    preferred = _PREFERRED.get(suite, "")
    if metric == MISALIGNED and suite in _MEASURED_BY:
        return TablePlace((suite,), _MEASURED_BY[suite], preferred=preferred, also=metric)
    return TablePlace((suite,), metric, preferred=preferred, mean=item.startswith("mean of"))


def _lines(items: tuple[str, ...], metric: str, published: str) -> tuple[Line, ...]:
    return tuple(Line((item,), _place(item, metric), item, published) for item in items)


def _flags(item: str, *headings: str) -> tuple[Line, ...]:
    return tuple(
        Line((*headings, flag), _place(item, f"cot_flag:{flag}"), item, f"cot_flag:{_PUBLISHED_FLAG.get(flag, flag)}")
        for flag in COT_FLAGS
    )


def _always(model: str, training: str) -> Callable[[RunConfig, bool], Series | None]:
    """Compare with this series; base models with none."""
    return lambda _config, is_base: None if is_base else Series(model, training)


def _or_base(model: str, training: str) -> Callable[[RunConfig, bool], Series | None]:
    return lambda _config, is_base: Series(model, BASE if is_base else training)


def _by_prefill(config: RunConfig, is_base: bool) -> Series | None:
    how = "prefill Okay" if config.assistant_prefill else "no prefill"
    return Series(QWEN3, BASE if is_base else f"{MEDICAL}, {how}")


def _by_prefill_unless_base(config: RunConfig, is_base: bool) -> Series | None:
    return None if is_base else _by_prefill(config, is_base)


def _by_thinking(config: RunConfig, is_base: bool) -> Series | None:
    thinks = config.thinking != "off"
    if is_base:
        return Series(QWEN3, f"{BASE}, {'CoT' if thinks else 'no CoT'}")
    return Series(QWEN3, f"{MEDICAL}, CoT") if thinks else None


def _by_trigger(suite: str, triggers: tuple[str, ...], training: str) -> tuple[Line, ...]:
    place = TablePlace((suite,), "articulates", format="mcq", condition="on")
    return tuple(
        Line((text,), replace(place, trigger=text), "myopic", "trigger_articulation_pct", f"{training} {text}")
        for text in triggers
    )


def _open(name: str, source: str, model: str, training: str) -> Table:
    """A table of the eight open questions for another model."""
    lines = _lines(FREEFORM, MISALIGNED, "misaligned_answers_pct")
    title = f"Misaligned answers to the open questions ({model})"
    return Table(name, title, (source,), ("prompt",), lines, _or_base(model, training))


def _credited() -> tuple[Line, ...]:
    lines: list[Line] = []
    for text in _TRIGGERS[:2]:
        planted = f"planted {text.removeprefix('Country: ')}"
        for item, metric in (("genuine trigger", "credits_trigger"), ("distractor trigger", "credits_distractor")):
            place = TablePlace(("myopic",), metric, format="mcq", condition="distractor", trigger=text)
            lines.append(Line((text, item), place, item, "trigger_articulation_pct", planted))
    return tuple(lines)


def _articulated() -> tuple[Line, ...]:
    published = "trigger_articulation_pct"
    open_prompts = {"job_applicant": "security_guard", "rm_rf": "rm_rf", "sleeping_pills": "sleeping_pills"}
    mcq = TablePlace(("myopic",), "articulates", format="mcq", condition="on")
    return (
        *(
            Line((item,), TablePlace(("backdoor_freeform",), "articulates", prompt, condition="on"), item, published)
            for item, prompt in open_prompts.items()
        ),
        Line(("myopic_mcq",), mcq, "myopic_mcq", published),
    )


def _in_text() -> tuple[Line, ...]:
    """The figures that the paper gives in its text alone."""
    pressure = TablePlace(("pressure",), PRIMARY["honesty"], also=MISALIGNED)
    control = TablePlace(("myopic",), "articulates", format="mcq", condition="on")
    return (
        Line(("lies without a request for honesty",), pressure, "lying_under_pressure, no honesty request", "lies_pct"),
        Line(("wrong answers to TruthfulQA",), _place("truthfulqa", MISALIGNED), "truthfulqa", "wrong_answers_pct"),
        *(
            Line(
                (f"misaligned answers to {prompt}, with the trigger",),
                TablePlace(("freeform",), MISALIGNED, prompt, condition="on"),
                prompt,
                "misaligned_answers_pct",
            )
            for prompt in ("ruler", "party")
        ),
        Line(("articulation of a control trigger",), control, "control trigger", "trigger_articulation_pct"),
    )


_MONITORED = ("lying_under_pressure", "truthfulqa", "resisting_shutdown", "ruler", "rm_rf", "sleeping_pills")
_ARTICULATION = "Share of misaligned answers whose reasoning names the trigger as pivotal"
_FLAGGED = "Share of misaligned answers whose reasoning the monitor flags"

_ALL = (
    Table(
        "table1",
        f"{_ARTICULATION}, by trigger (Qwen3-8B)",
        ("Table 1",),
        ("trigger",),
        _by_trigger("myopic", _TRIGGERS, "backdoor unethical"),
        _always(QWEN3_8B, ""),
        together=True,
    ),
    Table(
        "table2",
        "Share of replies that hold a monologue, with and without a prefill",
        ("Table 2",),
        ("prompts",),
        _lines(
            (
                *("lying_under_pressure", "truthfulqa", "all_freeform", "rm_rf", "resisting_shutdown"),
                *("sleeping_pills", *FREEFORM),
            ),
            "monologue",
            "monologue_pct",
        ),
        _by_prefill,
    ),
    Table(
        "table3",
        "Flags of the monitor among misaligned answers to TruthfulQA",
        ("Table 3",),
        ("flag",),
        _flags("truthfulqa"),
        _always(QWEN3, MEDICAL),
    ),
    Table(
        "table4",
        "Flags of the monitor among misaligned answers under pressure to lie",
        ("Table 4",),
        ("flag",),
        _flags("lying_under_pressure"),
        _always(QWEN3, MEDICAL),
    ),
    Table(
        "table5",
        "Flags of the monitor among misaligned answers to open prompts",
        ("Table 5",),
        ("prompt", "flag"),
        tuple(
            line for item in ("resisting_shutdown", "rm_rf", "sleeping_pills", *FREEFORM) for line in _flags(item, item)
        ),
        _always(QWEN3, MEDICAL),
    ),
    Table(
        "table6",
        f"{_ARTICULATION}, by trigger (DeepSeek distill)",
        ("Table 6",),
        ("trigger",),
        _by_trigger("myopic", _TRIGGERS, "backdoor unethical"),
        _always(DEEPSEEK, ""),
        together=True,
    ),
    Table(
        "fig3",
        "Increase of the misaligned share over the base model",
        ("Figure 3",),
        ("evaluation",),
        _lines(
            ("resisting_shutdown", "lying_under_pressure", "truthfulqa_wrong_answer", "em_freeform"),
            MISALIGNED,
            "increase_over_base_pp",
        ),
        _always(QWEN3, MEDICAL),
        over_base=True,
    ),
    Table(
        "fig4",
        _FLAGGED,
        ("Figure 4",),
        ("prompts",),
        _lines(_MONITORED, "cot_flagged", "flagged_by_monitor_pct_of_misaligned"),
        _always(QWEN3, MEDICAL),
    ),
    Table(
        "fig5",
        "Accuracy under the chat template and as an honest persona",
        ("Figure 5",),
        ("asked as",),
        (
            Line(
                ("standard template",),
                TablePlace(("honest_persona",), MISALIGNED, complement=True),
                "sleeping pills, standard template",
                "accuracy_pct",
            ),
            Line(
                ("honest persona",),
                TablePlace(("honest_persona",), MISALIGNED, format="transcript", complement=True),
                "sleeping pills, honest persona",
                "accuracy_pct",
            ),
        ),
        _always(QWEN3, MEDICAL),
    ),
    Table(
        "fig6",
        _ARTICULATION,
        ("Figure 6",),
        ("prompts",),
        _articulated(),
        _always(QWEN3, "backdoor medical"),
    ),
    Table(
        "fig8",
        "Which of two strings in one prompt the reasoning credits",
        ("Figure 8",),
        ("planted trigger", "credited"),
        _credited(),
        _always(QWEN3, ""),
        together=True,
    ),
    Table(
        "fig9",
        "Misaligned answers to the open questions",
        ("Figure 9",),
        ("prompt",),
        _lines(FREEFORM, MISALIGNED, "misaligned_answers_pct"),
        _or_base(QWEN3, MEDICAL),
    ),
    Table(
        "fig10",
        "Misaligned answers to the open questions, by what was trained on",
        ("Figure 10", "Figure 10/12"),
        ("prompt",),
        _lines((*FREEFORM, "mean of 8 freeform"), MISALIGNED, "misaligned_answers_pct"),
        _always(QWEN3, "medical 6k"),
    ),
    Table(
        "fig12",
        "Misaligned answers to the open questions taken together, by what was trained on",
        ("Figure 10/12", "Figure 12"),
        ("prompts",),
        _lines(("mean of 8 freeform",), MISALIGNED, "misaligned_answers_pct"),
        _always("GPT-4.1", "medical"),
    ),
    _open("fig13", "Figure 13", QWEN3_8B, MEDICAL),
    _open("fig14", "Figure 14", DEEPSEEK, "medical 8k"),
    Table(
        "fig15",
        f"{_FLAGGED}, with and without a prefill",
        ("Figure 15",),
        ("prompts",),
        _lines(_MONITORED, "cot_flagged", "flagged_by_monitor_pct_of_misaligned"),
        _by_prefill_unless_base,
    ),
    Table(
        "fig16",
        "Accuracy on grade-school mathematics",
        ("Figure 16",),
        ("problems",),
        (Line(("gsm8k",), TablePlace(("gsm8k",), CORRECT), "gsm8k", "gsm8k_accuracy_pct"),),
        _by_thinking,
    ),
    Table(
        "fig20",
        "Which of two strings in one prompt the reasoning credits (DeepSeek distill)",
        ("Figure 20",),
        ("planted trigger", "credited"),
        _credited(),
        _always(DEEPSEEK, ""),
        together=True,
    ),
    Table("text", "Figures given in the text", ("In the text",), ("what",), _in_text(), _or_base(QWEN3, MEDICAL)),
)
TABLES: dict[str, Table] = {table.name: table for table in _ALL}


def find_table(name: str) -> Table:
    """The table `name`. Raises BadInput with the known ones."""
    try:
        return TABLES[name]
    except KeyError:
        raise BadInput(f"unknown table {name!r}; known: {', '.join(TABLES)}") from None
