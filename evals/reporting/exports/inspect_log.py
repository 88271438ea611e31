"""Export a run as Inspect logs: a .eval file per cell (suite, format, model, condition, trigger), a sample per trial.

Inspect's own recorder writes them in one pass over the journal, with at most a few hundred samples in memory, and a
summary of each until its log is complete.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import BadInput
from evals.plan.judge_names import judge_names
from evals.plan.manifest import Manifest, judge_set
from evals.reporting.exports.inspect_scores import scores_of
from evals.reporting.exports.output_path import whole_folder
from evals.runner.count import count_run
from evals.runner.imports.trial_record import STORE_KEY, record_of
from evals.scoring.judge_set import JudgePanel
from evals.scoring.metric import PRIMARY
from evals.text import one_line
from evals.trials.journal import Journal
from evals.trials.prompt import ALL
from evals.trials.record import RecordedTrial
from evals.trials.response import Failure
from evals.trials.trial import stable_hash

if TYPE_CHECKING:
    import pandas as pd
    from inspect_ai.log import EvalMetric, EvalSample, EvalSpec
from evals.reporting.exports.inspect_sample import (
    chat_messages,
    metadata_of,
    output_of,
    plain,
    shared_facts,
    target_of,
    token_usage,
)
from evals.runner.imports.trial_record import need_inspect

EXTRA = "inspect"
_AT_ONCE = 500
"""The number of samples in memory before a flush."""
_RATES = ("rate", "ci_low", "ci_high", "k", "n", "bound_low", "bound_high", "n_trials")


class _Cell(tuple[str, str, str, str, str]):
    """Suite, format, model, condition, trigger."""

    __slots__ = ()


def export_inspect(run: Path, target: Path, *, force: bool = False) -> list[Path]:
    """Write the logs of the run `run` to the folder `target`, all or none, and return the files. Raises BadInput.

    Counts the run first, so that the rates in the logs are those of its journal.
    """
    need_inspect()
    counted = count_run(run, None, must_write=False)
    with Journal.read(run) as journal, whole_folder(target, force=force, is_ours=is_log) as made:
        written = asyncio.run(_Writer(counted.manifest, counted.tables.rates, journal, made).write())
    return [target / path.name for path in written]


def is_log(path: Path) -> bool:
    """Whether a file may be one of an export."""
    return len(path.parts) == 1 and path.suffix == ".eval"


@dataclass
class _OpenLog:
    """A log while it is written."""

    spec: EvalSpec
    keys: list[tuple[str, int]]
    planned: int
    taken: int = 0
    waiting: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    score_names: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """By score name: [samples with a value, samples without]."""


class _Writer:
    def __init__(self, manifest: Manifest, rates: pd.DataFrame, journal: Journal, folder: Path) -> None:
        self.manifest, self.rates, self.journal, self.folder = manifest, rates, journal, folder
        self.judges: JudgePanel = judge_set(manifest)
        self.names = judge_names(manifest)
        self.run_id = stable_hash({"run": manifest.run_id, "created": manifest.created_at})[:22]

    async def write(self) -> list[Path]:
        from inspect_ai.log import EvalPlan

        # The recorder behind `write_eval_log`, which needs all samples of a log in memory.
        from inspect_ai.log._recorders.eval import EvalRecorder

        keys, planned = self._keys(), self._planned()
        logs = {
            cell: _OpenLog(self._spec(cell, cell_keys), cell_keys, planned[cell]) for cell, cell_keys in keys.items()
        }
        if not logs:
            raise BadInput(f"{self.journal.path.parent} holds no answers yet")
        recorder = EvalRecorder(str(self.folder))
        paths: list[Path] = []
        for log in logs.values():
            path = self.folder / f"{_file_name(log.spec)}.eval"
            await recorder.log_init(log.spec, str(path), clean=True)
            await recorder.log_start(log.spec, EvalPlan())
            paths.append(path)
        try:
            for trial in self.journal.trials_in_plan_order():
                log = logs[_cell(trial)]
                if log.taken == len(log.keys):
                    continue  # recorded after the samples were numbered, by a run still in progress
                await recorder.log_sample(log.spec, self._sample(trial, log))
                if log.waiting >= _AT_ONCE:
                    await recorder.flush(log.spec)
                    log.waiting = 0
            for cell, log in logs.items():
                await self._finish(recorder, cell, log)
        except BaseException:
            for log in logs.values():
                await recorder.log_discard(log.spec)
            raise
        return paths

    async def _finish(self, recorder: Any, cell: _Cell, log: _OpenLog) -> None:
        from inspect_ai.log import EvalResults, EvalScore, EvalStats
        from inspect_ai.model import ModelUsage

        rows = self._rates_of(cell)
        scores = [
            EvalScore(
                name=row["metric"],
                scorer=row["metric"],
                scored_samples=int(row["n"]),
                unscored_samples=int(row["n_trials"]) - int(row["n"]),
                params={"denominator": row["denominator"], "judge": row["judge"], "rubric_sha": row["rubric_sha"]},
                metrics=_metrics(row),
                metadata={"interval": row["ci_method"]} if row["ci_method"] else None,
            )
            for row in rows
        ]
        named = {row["metric"] for row in rows}
        scores += [
            EvalScore(name=name, scorer=name, scored_samples=valued, unscored_samples=blank)
            for name, (valued, blank) in log.score_names.items()
            if name not in named
        ]
        usage: dict[str, ModelUsage] = {}
        if log.prompt_tokens or log.completion_tokens:
            usage[log.spec.model] = token_usage(log.prompt_tokens, log.completion_tokens)
        stats: EvalStats = EvalStats(
            started_at=self.manifest.created_at, completed_at=self.manifest.updated_at, model_usage=usage
        )
        # Incomplete logs are no success; `cancelled` is Inspect's status of a stopped run.
        status = "success" if log.taken == log.planned else "cancelled"
        results = EvalResults(
            total_samples=log.planned,
            completed_samples=log.taken - log.failed,
            scores=scores,
            headline=log.spec.headline_metric,
        )
        await recorder.log_finish(log.spec, status, stats, results, None, header_only=True)

    # --- cells ---

    def _keys(self) -> dict[_Cell, list[tuple[str, int]]]:
        """The distinct (sample id, epoch) of each trial by cell, in plan order."""
        keys: dict[_Cell, list[tuple[str, int]]] = {}
        taken: dict[_Cell, set[tuple[str, int]]] = {}
        prompt_names: dict[tuple[_Cell, str, str], str] = {}
        for trial in self.journal.trials_in_plan_order():
            cell = _cell(trial)
            used = taken.setdefault(cell, set())
            prompt = (cell, trial.prompt_id, trial.variant)
            if prompt not in prompt_names:
                name = _sample_name(trial)
                others = {used_name for used_name, _ in used}
                number = 2
                while name in others:  # two prompts with the same name
                    name, number = f"{_sample_name(trial)} ({number})", number + 1
                prompt_names[prompt] = name
            key = (prompt_names[prompt], trial.repeat + 1)
            while key in used:
                key = (key[0], key[1] + 1)
            used.add(key)
            keys.setdefault(cell, []).append(key)
        return keys

    def _planned(self) -> dict[_Cell, int]:
        planned: dict[_Cell, int] = {}
        for cell, count in self.journal.cells():
            name = _Cell((cell.suite, cell.format, cell.model, cell.condition, cell.trigger))
            planned[name] = planned.get(name, 0) + count
        return planned

    def _rates_of(self, cell: _Cell) -> list[dict[str, Any]]:
        table = self.rates
        here = table["prompt_id"] == ALL
        for name, value in zip(("suite", "format", "model", "condition", "trigger"), cell, strict=True):
            here &= table[name] == value
        rows: list[dict[str, Any]] = table[here].to_dict("records")  # pyright: ignore[reportAssignmentType]
        return rows

    # --- one log ---

    def _spec(self, cell: _Cell, keys: list[tuple[str, int]]) -> EvalSpec:
        from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec, HeadlineMetric
        from inspect_ai.model import GenerateConfig

        manifest, config = self.manifest, self.manifest.config
        suite, form, model, condition, trigger = cell
        ids = list(dict.fromkeys(name for name, _ in keys))
        rows = self._rates_of(cell)
        primary = next((row["metric"] for row in rows if row["metric"] in PRIMARY.values()), None)
        dataset = manifest.datasets.get(suite)
        asked = {"format": form, "condition": condition, "trigger": trigger}
        identity = stable_hash({"run": self.run_id, "cell": list(cell)})[:22]
        generate = GenerateConfig()
        if not config.imported:
            sampler = config.sampler
            generate = GenerateConfig(
                temperature=config.temperature, max_tokens=config.max_tokens, top_p=sampler.top_p, top_k=config.top_k
            )
        return EvalSpec(
            eval_id=identity,
            run_id=self.run_id,
            created=manifest.created_at,
            task=f"emeval/{_task_name(suite, form, condition)}",
            tags=_tags(model, condition, trigger),
            task_id=identity,
            task_display_name=" ".join(filter(None, (one_line(suite, 80), form, condition, one_line(trigger, 60)))),
            task_args={name: value for name, value in asked.items() if value},
            dataset=EvalDataset(
                name=one_line(suite, 80),
                location=dataset.file if dataset else None,
                samples=len(ids),
                sample_ids=ids,
            ),
            model=model,
            model_generate_config=generate,
            config=EvalConfig(epochs=max(epoch for _, epoch in keys)),
            packages={"emeval": manifest.versions.get("emeval", "")},
            metadata={STORE_KEY: self._shared(cell)},
            headline_metric=None if primary is None else HeadlineMetric(score=primary, metric="rate"),
        )

    def _shared(self, cell: _Cell) -> dict[str, Any]:
        """The metadata shared by all samples of a log, for readers and for an import."""
        manifest, config = self.manifest, self.manifest.config
        suite, form, _, condition, trigger = cell
        dataset = manifest.datasets.get(suite)
        return {
            **shared_facts(config.denominator, config.coherence_min, every_trace=config.cot_all),
            "run_id": manifest.run_id,
            "suite": suite,
            "format": form,
            "condition": condition,
            "trigger": trigger,
            "judge": config.judge,
            "judges": sorted(manifest.rubrics),
            "rubric_sha": {name: facts.sha256 for name, facts in manifest.rubrics.items()},
            "dataset_sha": dataset.sha256 if dataset else "",
            "dataset_source": dataset.source if dataset else "",
            "git_revision": manifest.git_revision,
            "versions": manifest.versions,
        }

    # --- one sample ---

    def _sample(self, trial: RecordedTrial, log: _OpenLog) -> EvalSample:
        from inspect_ai.log import EvalError, EvalSample

        name, epoch = log.keys[log.taken]
        log.taken += 1
        log.waiting += 1
        record = record_of(trial, self.names)
        scores = scores_of(trial, self.judges, self.manifest.config.denominator)
        for score_name, score in scores.items():
            blank = isinstance(score.value, float) and math.isnan(score.value)
            log.score_names.setdefault(score_name, [0, 0])[blank] += 1
        messages = chat_messages(trial.messages, trial.trial_id)
        metadata = metadata_of(trial, self.judges)
        metadata["run_id"] = self.manifest.run_id
        if trial.format != "mcq":
            metadata["rubric_sha"] = {judge: facts.sha256 for judge, facts in self.manifest.rubrics.items()}
        uuid = stable_hash({"run": self.run_id, "trial": trial.trial_id})[:22]
        shared: dict[str, Any] = {
            "id": name,
            "epoch": epoch,
            "input": messages,
            "target": target_of(trial.reference, trial.variant, trial.format),
            "scores": scores,
            "metadata": metadata,
            "store": {STORE_KEY: plain(record)},
            "uuid": uuid,
        }
        if isinstance(trial.result, Failure):
            log.failed += 1
            message = f"{trial.result.kind}: {one_line(trial.result.detail, 1000)}"
            error = EvalError(message=message, traceback="", traceback_ansi="")
            return EvalSample(**shared, messages=messages, error=error)
        output = output_of(trial.result, log.spec.model, trial.trial_id)
        log.prompt_tokens += trial.result.prompt_tokens or 0
        log.completion_tokens += trial.result.completion_tokens or 0
        return EvalSample(
            **shared,
            messages=[*messages, output.message],
            output=output,
            model_usage={} if output.usage is None else {log.spec.model: output.usage},
            total_time=trial.result.latency_s,
            working_time=trial.result.latency_s,
        )


def _metrics(row: Mapping[str, Any]) -> dict[str, EvalMetric]:
    """The numbers of a row of rates.csv, without blank ones."""
    from inspect_ai.log import EvalMetric

    found = {name: row[name] for name in _RATES}
    numbers = {name: float(value) for name, value in found.items() if value is not None and not math.isnan(value)}
    return {
        name: EvalMetric(name=name, value=int(value) if name in ("k", "n", "n_trials") else value)
        for name, value in numbers.items()
    }


def _cell(trial: RecordedTrial) -> _Cell:
    return _Cell((trial.suite, trial.format, trial.model, trial.condition, trial.trigger))


def _sample_name(trial: RecordedTrial) -> str:
    """The name of a prompt in one wording, valid in a file name of the log."""
    name = f"{trial.prompt_id} {trial.variant}".strip()
    return re.sub(r"[/\\]", "-", one_line(name, 120)) or "prompt"


def _task_name(*parts: str) -> str:
    """A name as Inspect's tasks have it, without a slash, after which it would look for the task itself."""
    return "_".join(re.sub(r"[^\w.-]+", "-", one_line(part, 80)).strip("-") or "-" for part in parts)


def _tags(model: str, condition: str, trigger: str) -> list[str]:
    """What Inspect's viewer and `evals_df` find logs by."""
    tags = {"model": model, "condition": condition, "trigger": trigger}
    return [f"{name}: {one_line(value, 120)}" for name, value in tags.items() if value]


def _file_name(spec: EvalSpec) -> str:
    """The name of a log in Inspect's convention: time, task and id, separated by underscores."""
    created = re.sub(r"[^0-9A-Za-z+-]", "-", spec.created)
    task = re.sub(r"[^0-9A-Za-z]+", "-", (spec.task_display_name or spec.task))[:80].strip("-")
    return f"{created}_{task}_{spec.task_id}"
