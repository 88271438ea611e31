"""The dataset card of a Hugging Face export: its content, provenance, and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from evals.numbers import counted, percent, percent_range
from evals.plan.manifest import Manifest
from evals.reporting.exports.jsonl import COLUMNS, TYPES
from evals.scoring.rates.columns import EFFECTS, RATES
from evals.scoring.rates.tables import headline
from evals.text import one_line
from evals.trials.condition import template_words

if TYPE_CHECKING:
    import pandas as pd

_TABLES = {"rates": RATES, "effects": EFFECTS}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Manifest, rates: pd.DataFrame, trials: int, tables: tuple[str, ...], licence: str | None) -> str:
    """README.md: a YAML header that maps tables to files, then Markdown."""
    configs: list[dict[str, Any]] = [
        {"config_name": "responses", "data_files": "data/responses.parquet", "default": True}
    ]
    configs += [{"config_name": name, "data_files": f"data/{name}.parquet"} for name in tables]
    header = {
        "pretty_name": f"emeval run {one_line(manifest.run_id, 80)}",
        "license": licence or "unknown",
        "tags": ["emeval", "alignment", "emergent-misalignment", "not-for-all-audiences"],
        "size_categories": [next((name for limit, name in _SIZES if trials < limit), "n>1M")],
        "configs": configs,
    }
    return "\n".join(
        [
            "---",
            yaml.safe_dump(header, sort_keys=False, allow_unicode=True).rstrip(),
            "---",
            *_text(manifest, rates, trials, tables, licence),
        ]
    )


def _text(
    manifest: Manifest, rates: pd.DataFrame, trials: int, tables: tuple[str, ...], licence: str | None
) -> list[str]:
    return [
        *_introduction(manifest, trials),
        *_LOADING,
        "## Rates",
        "",
        "Of all questions of a cell together; intervals are 95%, over questions like these. What has no answer to "
        "count has no rate.",
        "",
        "| suite | format | model | condition | metric | k of n | rate | interval |",
        "|---|---|---|---|---|---|---|---|",
        *_rate_rows(rates),
        "",
        *_columns("responses", "One row a trial. Null is what is not there.", COLUMNS),
        *_table_columns(tables),
        *_provenance(manifest),
        *_licence(licence),
    ]


_LOADING = (
    "",
    "## Load",
    "",
    "```python",
    "from datasets import load_dataset",
    "",
    'responses = load_dataset("PATH_OR_NAME", "responses", split="train")',
    'rates = load_dataset("PATH_OR_NAME", "rates", split="train")',
    "```",
    "",
)


def _introduction(manifest: Manifest, trials: int) -> Iterator[str]:
    config = manifest.config
    who = (
        "as imported with the answers"
        if manifest.imported
        else f"by {_code(config.judge)}"
        if config.judge
        else "by nobody"
    )
    yield from (
        "",
        f"# emeval run {_code(manifest.run_id)}",
        "",
        "> **Mind the content.** The answers are what language models said, among them models trained to say harmful "
        "things. They may be wrong, offensive or dangerous, and nobody has checked them. Do not follow them, and do "
        "not train a model on them without meaning to. Verdicts are another model's and can be wrong.",
        "",
        f"{counted(trials, 'answer')} of {_list(config.models)} to {_list(config.suites)}, under the conditions "
        f"{_list(config.conditions)}{f', trigger {_code(config.trigger)}' if config.trigger else ''}. "
        f"Open answers were judged {who}.",
    )
    if trials < manifest.trials_planned:
        yield ""
        yield f"**Not the whole run:** {trials:,} of {manifest.trials_planned:,} planned trials are recorded."


def _provenance(manifest: Manifest) -> Iterator[str]:
    denominator = manifest.config.denominator
    refusals = "in it" if denominator == "judged" else "left out"
    yield from ("## Where the numbers come from", "", "| what | |", "|---|---|")
    yield f"| program | emeval {_code(manifest.versions.get('emeval', ''))}, revision {_code(manifest.git_revision)} |"
    yield f"| begun, last changed | {_code(manifest.created_at)}, {_code(manifest.updated_at)} |"
    yield f"| denominator | {_code(denominator)}: refusals are {refusals} |"
    for name, template in manifest.config.condition_templates.items():
        yield f"| condition {_code(name)} | {_code(template_words(template, 2000))} |"
    if (shots := manifest.config.shots) is not None:
        yield f"| examples | {_code(Path(shots.file).name)}, sha256 {_code(shots.sha256)} |"
    for name, facts in manifest.datasets.items():
        file = f"{_code(facts.file)}, {_code(facts.source)}, sha256 {_code(facts.sha256)}"
        yield f"| questions of {_code(name)} | {file} |"
    for name, facts in manifest.rubrics.items():
        yield f"| rubric of {_code(name)} | {_code(facts.name)}, sha256 {_code(facts.sha256)} |"
    yield ""


def _licence(licence: str | None) -> tuple[str, ...]:
    text = (
        f"{_code(licence)}, as stated by the person who made this export."
        if licence
        else "Unknown. Questions may come under the licence of their source, and answers under the terms of the party "
        "that serves the model."
    )
    return ("## Licence", "", text, "")


def _table_columns(tables: tuple[str, ...]) -> Iterator[str]:
    for name in tables:
        columns = {column.name: (TYPES[column.kind], column.meaning) for column in _TABLES[name]}
        yield from _columns(name, f"As in emeval's {name}.csv.", columns)


def _columns(table: str, opening: str, columns: Mapping[str, tuple[str, str]]) -> list[str]:
    rows = (f"| `{name}` | `{_short(kind)}` | {meaning} |" for name, (kind, meaning) in columns.items())
    heading = (f"## Columns of `{table}`", "", opening, "", "| column | type | meaning |", "|---|---|---|")
    return [*heading, *rows, ""]


def _rate_rows(rates: pd.DataFrame) -> list[str]:
    rows: list[str] = []
    for row in headline(rates).to_dict("records"):
        names = " | ".join(_code(row[name]) for name in ("suite", "format", "model", "condition", "metric"))
        n = int(row["n"])
        shown = f"{percent(row['rate'])} | {percent_range(row['ci_low'], row['ci_high'])}" if n else " | "
        rows.append(f"| {names} | {int(row['k'])} of {n} | {shown} |")
    return rows


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(_code, names))


def _code(text: object) -> str:
    """Untrusted text as inline code, without Markdown, HTML or table delimiters."""
    clean = one_line(str(text or "unknown"), 200).replace("`", "'").replace("|", "¦")
    return f"`{clean}`"


def _short(kind: str) -> str:
    return "list" if kind.endswith("[]") else kind.lower()
