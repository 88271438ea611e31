"""The tables of a report: rates, corrected rates, drift and provenance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from evals.errors import BadInput
from evals.numbers import counted, out_of, p_words, points
from evals.plan.plugins import plugin_metrics
from evals.plan.spend import spend_words
from evals.reporting.console.rates import answered_prompts, bounds_cell, prompts_of, rate_cells, weights_words
from evals.reporting.page.conclusions import absences, primary_rows
from evals.runner.anchor_check import RESULTS_NAME
from evals.runner.count import Counted
from evals.scoring.rates.rows import Row, is_headline, is_led_by_question, label_suites, pooled_rows
from evals.scoring.side_metrics import is_side_metric
from evals.trials.condition import run_order, template_words
from judges.judge_spec import hit_words

_CORRECTED = (
    *("suite", "format", "model", "condition", "metric", "method", "rate", "corrected", "corrected_low"),
    *("corrected_high", "n_labels", "note"),
)


class ReportRow(NamedTuple):
    run: str
    suite: str
    format: str
    model: str
    condition: str
    metric: str
    rate: str
    like_these: str
    just_these: str
    counted: str
    missing: str
    bounds: str

    @property
    def place(self) -> str:
        return _place(self.suite, self.format)


class ReportTable(NamedTuple):
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class EffectRow(NamedTuple):
    """A model under a condition against `other`: the base model, or the same model under another condition."""

    run: str
    suite: str
    format: str
    model: str
    other: str
    condition: str
    metric: str
    effect: str
    these: str
    others: str

    @property
    def place(self) -> str:
        return _place(self.suite, self.format)


class DriftRow(NamedTuple):
    run: str
    verdict: str
    e_system: str
    e_judge: str
    words: str


class ReportFacts(NamedTuple):
    name: str
    facts: list[tuple[str, str]]


def _place(suite: str, fmt: str) -> str:
    return suite if suite == fmt else f"{suite} ({fmt})"


def rate_rows(runs: Sequence[Counted]) -> list[ReportRow]:
    """A row for each cell, with its suite's primary metric, then those of further judges of a question file, and those
    of plugins with their denominator."""
    return [row for run in runs for row in _rows_of(run)]


def _rows_of(run: Counted) -> Iterator[ReportRow]:
    run_id, pooled = run.manifest.run_id, _as_asked(run, pooled_rows(run.tables.rate_rows))
    added = plugin_metrics(run.manifest.plugins)
    for row in _as_asked(run, primary_rows(run)):
        yield _rate_row(run_id, row, row["metric"], is_side=is_side_metric(row["metric"]))
    for row in pooled:
        if is_side_metric(row["metric"]):
            yield _rate_row(run_id, row, row["metric"], is_side=True)
    for row in pooled:
        if row["metric"] in added:
            yield _rate_row(run_id, row, f"{row['metric']} (of {row['denominator']})", is_side=True)


def _as_asked(run: Counted, rows: Iterable[dict[Any, Any]]) -> list[dict[Any, Any]]:
    """The rows by suite and format, then with models and conditions in the order in which the run has them."""
    found = list(rows)
    places = {place: number for number, place in enumerate(dict.fromkeys(map(_suite_and_format, found)))}
    asked = run.manifest.config.models
    models = {model: number for number, model in enumerate(dict.fromkeys((*asked, *(row["model"] for row in found))))}
    conditions = {name: number for number, name in enumerate(run_order(row["condition"] for row in found))}
    return sorted(
        found,
        key=lambda row: (places[_suite_and_format(row)], models[row["model"]], conditions[row["condition"]]),
    )


def _suite_and_format(row: dict[Any, Any]) -> tuple[str, str]:
    return row["suite"], row["format"]


def base_rows(runs: Sequence[Counted]) -> list[EffectRow]:
    """A row for each effect of a model against the base model on the primary metric of a suite; none without a base."""
    return [_effect_row(run, row, row["base"]) for run in runs for row in _headlines(run, run.tables.base_rows)]


def contrast_rows(runs: Sequence[Counted]) -> list[EffectRow]:
    """A row for each contrast of the trigger with its decoy or distractor on the primary metric of a suite."""
    return [_effect_row(run, row, row["baseline"]) for run in runs for row in _headlines(run, run.tables.contrast_rows)]


def _headlines(run: Counted, rows: Sequence[Row]) -> Iterator[Row]:
    sorted_suites = label_suites((row["suite"], row["metric"]) for row in run.tables.rate_rows)
    found = (row for row in rows if is_headline(row["suite"], row["metric"], sorted_suites))
    yield from _as_asked(run, found)


def _effect_row(run: Counted, row: Row, other: str) -> EffectRow:
    this = f"{points(row['gen_low'])} to {points(row['gen_high'])}, {_p_value(row['gen_p_holm'])}"
    others = "one question" if row["ci_low"] is None else f"{points(row['ci_low'])} to {points(row['ci_high'])}"
    others += "" if row["ci_low"] is None else f", {_p_value(row['p_holm'])}"
    return EffectRow(
        run=run.manifest.run_id,
        suite=row["suite"],
        format=row["format"],
        model=row["model"],
        other=other,
        condition=row["condition"],
        metric=row["metric"],
        effect=points(row["effect"]),
        these=this,
        others=others,
    )


def _p_value(value: float) -> str:
    """On one line wherever it stands."""
    return f"p {p_words(value)}".replace(" ", "\N{NO-BREAK SPACE}")


def _rate_row(run: str, row: dict[Any, Any], metric: str, *, is_side: bool) -> ReportRow:
    place = (run, row["suite"], row["format"], row["model"], _condition(row), metric)
    found = absences([row])
    # A rate of a further judge is not about the questions that lack the judge, either.
    found |= {} if is_side or not row["n_outside"] else {"left out by a filter": row["n_outside"]}
    missing = ", ".join(f"{number:,} {words}" for words, number in found.items()) or "none"
    counted = out_of(row["k"], row["n"]) if row["n"] else f"0 of {row['n_trials']:,} trials"
    return ReportRow(*place, *rate_cells(row), counted, missing, bounds_cell(row))


def weights_notes(runs: Sequence[Counted]) -> list[str]:
    """A sentence for each cell whose mean over questions differs from its rate over answers by what matters."""
    found: list[str] = []
    for run in runs:
        prompts = prompts_of(run.tables.rate_rows)
        for row in primary_rows(run):
            if is_led_by_question(row):
                words = weights_words(row, len(answered_prompts(row, prompts)))
                place = f"{row['suite']} ({row['format']}), {row['model']}, {_condition(row)}, {row['metric']}"
                found.append(f"{place}: {words}")
    return found


def _condition(row: dict[Any, Any]) -> str:
    return row["condition"] + (f": {row['trigger']}" if row["trigger"] else "")


def corrected_table(runs: Sequence[Counted]) -> ReportTable | None:
    """Rates corrected for the judge's errors, for runs with labels."""
    rows: list[tuple[str, ...]] = []
    for run in runs:
        table = run.tables.corrected
        if table is None:
            continue
        rows += [tuple(map(_cell, row)) for row in table[list(_CORRECTED)].itertuples(index=False, name=None)]
    return ReportTable(_CORRECTED, rows) if rows else None


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def drift_rows(runs: Sequence[Counted]) -> list[DriftRow]:
    """Drift attribution for runs of the same models, if all have anchor results."""
    from evals.analysis.drift.attribution import attribute

    series: dict[tuple[str, ...], list[Path]] = {}
    for run in runs:
        series.setdefault(run.manifest.config.models, []).append(run.folder)
    rows: list[DriftRow] = []
    for folders in series.values():
        if len(folders) < 2 or not all((folder / RESULTS_NAME).exists() for folder in folders):
            continue
        try:
            found = attribute(folders)
        except BadInput as error:  # not a series: the runs differ in more than the night
            rows.append(DriftRow(folders[-1].name, "not comparable", "–", "–", str(error)))
            continue
        rows += [
            DriftRow(night.run, night.verdict, f"{night.e_system:.3g}", f"{night.e_judge:.3g}", night.words)
            for night in found
        ]
    return rows


def provenance(runs: Sequence[Counted]) -> list[ReportFacts]:
    """The facts of each run from its manifest."""
    return [ReportFacts(run.manifest.run_id, [fact for fact in _facts(run) if fact[1]]) for run in runs]


def _facts(run: Counted) -> Iterator[tuple[str, str]]:
    manifest, config = run.manifest, run.manifest.config
    yield "status", f"{manifest.status}, {manifest.trials_recorded:,} of {manifest.trials_planned:,} trials recorded"
    yield "begun, last written", f"{manifest.created_at}, {manifest.updated_at}"
    if manifest.imported is not None:
        yield "imported from", f"{manifest.imported.file} (sha256 {manifest.imported.sha256[:16]})"
    for name, model in manifest.models.items():
        served = f", served as {model.served_name}" if model.served_name != name else ""
        hashes = [f"sha256 {sha[:16]}" for sha in (model.file_sha256, model.base_sha256) if sha]
        yield f"model {name}", f"{model.base_url}{served}{', ' if hashes else ''}{' on base '.join(hashes)}"
    yield "judge", config.judge or "none"
    for panel in manifest.all_panels():
        rubrics = ", ".join(f"{name} {facts.sha256[:12]}" for name, facts in panel.rubrics.items())
        yield f"rubrics of {panel.judge}", rubrics
    for suite, facts in manifest.datasets.items():
        yield f"questions of {suite}", f"{facts.file} ({facts.source}, {facts.scenarios}, sha256 {facts.sha256[:16]})"
        for name, judge in facts.judges.items():
            if judge.spec is not None:
                yield f"judge {name} of {suite}", hit_words(judge.spec)
    for plugin in manifest.plugins:
        code = f" (sha256 {plugin.sha256[:16]})" if plugin.sha256 else ""
        yield f"{plugin.kind} {plugin.name}", f"of {plugin.package} {plugin.version}{code}"
    for spent in manifest.spend or ():
        tokens = f"{spent.prompt_tokens:,} tokens in, {spent.completion_tokens:,} out"
        yield f"{spent.role}, {spent.model}", f"{counted(spent.replies, 'reply')}, {tokens}"
    yield "spent", spend_words([spent.charge() for spent in manifest.spend or ()])
    if manifest.anchors is not None:
        yield "anchors", f"{manifest.anchors.anchors} of {manifest.anchors.file}"
    for name, template in config.condition_templates.items():
        yield f"condition {name}", template_words(template, 2000)
    if config.shots is not None:
        yield "examples", f"{config.shots.file} (sha256 {config.shots.sha256[:16]})"
    own = {"suites", "models", "judge", "templates", "shots"}
    given = config.model_dump(mode="json", exclude_defaults=True, exclude=own)
    yield "options", ", ".join(f"{name} = {_plain(value)}" for name, value in given.items())
    yield "versions", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    yield "git revision", manifest.git_revision or ""


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={file}" for key, file in cast("dict[str, object]", value).items())
    return " ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
