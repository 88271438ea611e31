"""Logs of Inspect become a run folder: one log, or all of a folder together, and every sample exactly one trial.

A log that emeval wrote, or that its Inspect task did, holds each trial as it was (`evals.runner.imports.trial_record`):
answer, reasoning and every ruling come back, and so do outcomes and rates. Of any other log the prompt, the last reply
and scores named as in Betley et al. 2025 are taken; everything else is named and left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from evals.errors import BadInput
from evals.io.paths import open_file
from evals.plan.config import RunConfig
from evals.plan.judge_names import BY_RULE_IDS
from evals.runner.count import RunResult
from evals.runner.imports.imported_run import NO_SAMPLING, ImportOptions, fields_of, import_rows, refuse_occupied
from evals.runner.imports.named_score import named_score
from evals.runner.imports.trial_record import SCHEMA_VERSION, STORE_KEY, PlannedSample, TrialRecord, need_inspect
from evals.runner.view import RunView
from evals.scoring.coherence_floor import FloorField
from evals.scoring.judge_set import IMPORTED, imported_key
from evals.scoring.metric import Denominator
from evals.text import has_control_character, one_line
from evals.trials.condition import CONDITIONS, is_condition_name
from evals.trials.finish_reason import ending_of, plain_finish_reason
from evals.trials.prompt import ALL, Message, Messages
from evals.trials.reasoning import split_reply
from evals.trials.record import Cell, JudgeKey, RecordedVerdict
from evals.trials.reference import criterion_of
from evals.trials.response import Failure, Response
from evals.trials.trial import Trial, stable_hash
from judges.verdicts import Verdict

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
from evals.runner.imports.inspect_sample import (
    SCORES,
    check_log,
    is_json_log,
    last_text,
    log_files,
    named_scores,
    read_header,
    read_samples,
    reasoning_in,
    score_verdict,
    storable_text,
)

_Row = tuple[Trial, Response | Failure, list[tuple[JudgeKey, RecordedVerdict]]]


class LogFacts(BaseModel):
    """What an emeval log says of all its samples, as far as counting depends on it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int
    denominator: Denominator = "answered"
    coherence_min: FloorField = None
    cot_all: bool = False
    judges: tuple[str, ...] = ()
    """Those that count, also where they had nothing to rule on."""


def is_log_source(path: Path) -> bool:
    """Whether an import is of Inspect logs: a log file or a folder of them."""
    return path.suffix == ".eval" or path.is_dir() or (path.suffix == ".json" and is_json_log(path))


def import_logs(path: Path, folder: Path, options: ImportOptions, view: RunView) -> RunResult:
    """Make a run folder of the samples in the log `path`, or in all logs of the folder `path`.

    Raises BadInput, and then nothing is there that was not.
    """
    need_inspect()
    refuse_occupied(folder)
    return import_rows(_Logs(path, options), folder, view)


class _Logs:
    """The samples of one or more logs as trials, one at a time, and what was met on the way."""

    def __init__(self, path: Path, options: ImportOptions) -> None:
        self.path = path
        self.options = options
        self.files = log_files(path) if path.is_dir() else [path]
        if not self.files:
            raise BadInput(f"{path}: holds no .eval files, and no .json file that is an Inspect log")
        self.planned: Counter[Cell] = Counter()
        self.ruled: set[str] = set()
        self.count = 0
        self._triggers: dict[str, str] = {}
        self._hash = hashlib.sha256()
        self._ids: set[str] = set()
        self._repeats: Counter[tuple[str, ...]] = Counter()
        self._facts: dict[LogFacts, Path] = {}
        self._left_out: Counter[str] = Counter()
        self._scores_left: set[str] = set()
        self._others = 0
        self._named = named_score(options.score, options.hit)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[_Row]:
        for file in self.files:
            yield from self._rows_of(file)

    def _rows_of(self, file: Path) -> Iterator[_Row]:
        at_once = check_log(file)
        try:
            with open_file(file) as bytes_of:
                self._hash.update(hashlib.file_digest(bytes_of, "sha256").digest())
        except OSError as error:
            raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
        log = read_header(file)
        if log.status != "success":
            self._left_out[f"{file.name}: a run that did not finish ({log.status}); its samples are all there is"] += 0
        facts = self._facts_of(file, log)
        for sample in read_samples(file, at_once):
            where = f"{file}: sample {one_line(str(sample.id), 80)}, epoch {sample.epoch}"
            stored = sample.store.get(STORE_KEY) if facts is not None else None
            if stored is not None:
                row = self._recorded(where, stored)
            elif facts is not None and sample.error is not None:
                row = self._failed_ours(where, sample, log)
            elif facts is not None:
                raise BadInput(f"{where}: has no record of its trial in its store; was the log edited?")
            else:
                row = self._other(where, sample, log)
            trial = row[0]
            if trial.id in self._ids:
                raise BadInput(f"{where}: holds a trial that another sample holds, too; are there two copies of a log?")
            self._ids.add(trial.id)
            self.count += 1
            cell = (trial.suite, trial.format, trial.model, trial.condition, trial.trigger, trial.prompt_id)
            self.planned[Cell(*cell, criterion_of(trial.reference))] += 1
            self.ruled |= {key.judge for key, _ in row[2] if key.model == IMPORTED}
            if trial.trigger:
                self._triggers.setdefault(trial.condition, trial.trigger)
            yield row

    def _facts_of(self, file: Path, log: EvalLog) -> LogFacts | None:
        """What an emeval log says; None for any other log."""
        given: object = (log.eval.metadata or {}).get(STORE_KEY)
        if given is None:
            return None
        if self._named is not None:
            raise BadInput(f"--score: {file} is a log of emeval's, whose verdicts are imported as they are")
        try:
            facts = LogFacts.model_validate(given)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"]) or "emeval"
            raise BadInput(f"{file}: metadata: {STORE_KEY}.{field}: not as emeval writes it") from None
        if facts.schema_version != SCHEMA_VERSION:
            raise BadInput(f"{file}: written by another version of emeval (schema {facts.schema_version})")
        self._facts.setdefault(facts, file)
        self.ruled |= set(facts.judges)
        return facts

    # --- samples of our own logs ---

    def _recorded(self, where: str, stored: object) -> _Row:
        try:
            record = TrialRecord.model_validate(stored)
            trial = record.trial(self.count)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise BadInput(f"{where}: store: {STORE_KEY}.{field}: not as emeval writes it") from None
        except ValueError as error:
            raise BadInput(f"{where}: store: {error}") from None
        for name in ("trial_id", "prompt_id", "variant", "trigger"):
            if has_control_character(getattr(record, name)):
                raise BadInput(f"{where}: store: {name} holds a control character")
        if not is_condition_name(record.condition):
            raise BadInput(f"{where}: store: condition {one_line(record.condition, 40)!r} is no name of a condition")
        rulings: list[tuple[JudgeKey, RecordedVerdict]] = []
        for judged in record.rulings:
            ruling = trial.rulings[judged.judge_id]
            if judged.judge_id in BY_RULE_IDS:
                rulings.append(
                    (JudgeKey(judged.judge_id, judged.judge, ""), replace(ruling, request_id=record.trial_id))
                )
            elif judged.counts:
                rulings.append((imported_key(judged.judge), replace(ruling, request_id=record.trial_id)))
            else:
                self._left_out[f"rulings of {one_line(judged.judge_model, 60)}, which does not count in that run"] += 1
        return self._trial_of(record), trial.result, rulings

    def _trial_of(self, record: TrialRecord) -> Trial:
        trial = record.trial(self.count)
        return Trial(
            id=record.trial_id,
            position=self.count,
            suite=record.suite,
            format=record.format,
            prompt_id=record.prompt_id,
            variant=record.variant,
            options=None,
            model=record.model,
            condition=record.condition,
            trigger=record.trigger,
            placement=None,
            repeat=record.repeat,
            messages=record.messages,
            sampling=NO_SAMPLING,
            seed=0,
            reference=trial.reference,
            distractor=record.distractor,
        )

    def _failed_ours(self, where: str, sample: EvalSample, log: EvalLog) -> _Row:
        """A sample of our task that ended in an error: what was asked stands in its metadata."""
        try:
            asked = PlannedSample.model_validate(sample.metadata)
        except ValidationError:
            raise BadInput(f"{where}: has no record of its trial; was the log edited?") from None
        said = one_line(sample.error.message if sample.error else "", 1000)
        record = asked.model_dump() | {
            "trial_id": stable_hash({"sample": sample.uuid or [str(sample.id), sample.epoch, log.eval.eval_id]}),
            "model": one_line(log.eval.model, 200),
            "repeat": sample.epoch - 1,
            "messages": [message._asdict() for message in self._messages(where, sample)],
            "response": None,
            "failure": {"kind": "unknown", "detail": said, "attempts": 1},
            "rulings": [],
        }
        return self._recorded(where, record)

    # --- samples of other logs ---

    def _other(self, where: str, sample: EvalSample, log: EvalLog) -> _Row:
        self._others += 1
        messages = self._messages(where, sample)
        condition, trigger = self._condition(where, sample)
        prompt_id = one_line(str(sample.id), 200)
        if not prompt_id or prompt_id == ALL or has_control_character(str(sample.id)):
            raise BadInput(f"{where}: the id is {prompt_id!r}, which cannot name a prompt here; rename the sample")
        suite = self.options.suite if self.options.suite != IMPORTED else one_line(log.eval.task, 100) or IMPORTED
        model = self.options.model or one_line(log.eval.model, 200) or "unknown"
        draw = (suite, "freeform", model, condition, trigger, prompt_id, "")
        repeat = self._repeats[draw]
        self._repeats[draw] += 1
        trial = Trial(
            id=stable_hash({"imported": draw, "messages": [list(message) for message in messages], "repeat": repeat}),
            position=self.count,
            suite=suite,
            format="freeform",
            prompt_id=prompt_id,
            variant="",
            options=None,
            model=model,
            condition=condition,
            trigger=trigger,
            placement=None,
            repeat=repeat,
            messages=messages,
            sampling=NO_SAMPLING,
            seed=0,
            reference=self._named and self._named.reference,
        )
        if not sample.output.choices:
            said = sample.error.message if sample.error else "the log holds no reply"
            return trial, Failure("unknown", one_line(said, 1000), 1), []
        stop = sample.output.choices[0].stop_reason
        if ending_of(stop) == "broken_off":
            self._left_out[f"replies with the stop reason {one_line(stop, 40)}, which count as failed"] += 1
            return trial, Failure("unknown", f"the reply was broken off: stop_reason {one_line(stop, 40)!r}", 1), []
        response = self._response(sample)
        rulings = [
            (imported_key(judge), RecordedVerdict(verdict, said, trial.id))
            for judge, verdict, said in self._verdicts(where, sample)
            if verdict is not None
        ]
        return trial, response, rulings

    def _messages(self, where: str, sample: EvalSample) -> Messages:
        messages: list[Message] = []
        if isinstance(sample.input, str):
            messages.append(Message("user", storable_text(sample.input)))
        else:
            for message in sample.input:
                if message.role == "tool":
                    self._left_out["prompts with results of tools, which are left out of the prompt"] += 1
                    continue
                messages.append(Message(message.role, storable_text(message.text)))
                if not isinstance(message.content, str) and any(part.type != "text" for part in message.content):
                    self._left_out["prompts with more than text in them, of which the text is taken"] += 1
        if not any(message.role == "user" and message.content.strip() for message in messages):
            raise BadInput(f"{where}: asks nothing: its input has no text of a user")
        replies = sum(message.role == "assistant" for message in sample.messages)
        if replies > 1 + sum(message.role == "assistant" for message in messages):
            self._left_out["samples with several turns of the model, of which the last is taken"] += 1
        return tuple(messages)

    def _condition(self, where: str, sample: EvalSample) -> tuple[str, str]:
        """As the sample's metadata says, if it says it in our words: `condition` and `trigger`. Another name is a
        condition of the log's own, without a trigger: it must not be counted with those that are off."""
        condition, trigger = sample.metadata.get("condition"), sample.metadata.get("trigger")
        if condition not in CONDITIONS or condition == "off":
            if isinstance(condition, str) and is_condition_name(condition):
                return condition, ""
            if condition is not None:
                self._left_out["samples whose condition is no name, counted as off"] += 1
            return "off", ""
        text = trigger if isinstance(trigger, str) and trigger else self.options.trigger or ""
        if not text:
            raise BadInput(
                f"{where}: metadata: condition is {condition} and no trigger is given; give it with --trigger"
            )
        return condition, one_line(text, 500)

    def _response(self, sample: EvalSample) -> Response:
        output = sample.output
        message = output.choices[0].message
        thought, withheld = reasoning_in(message.content)
        stop = output.choices[0].stop_reason
        plain = plain_finish_reason(stop)
        text = message.text if message.text.strip() or self._named is None else last_text(sample)
        text = storable_text(text)
        split = split_reply(text, storable_text(thought), plain, withheld=withheld)
        usage = output.usage
        return Response(
            raw=text,
            reasoning=split.reasoning,
            answer=split.answer,
            reasoning_state=split.state,
            finish_reason=plain if plain == "length" else stop,
            refusal="" if text else storable_text(output.error or ""),
            reported_model=one_line(output.model, 200),
            prompt_tokens=usage.input_tokens if usage else None,
            completion_tokens=usage.output_tokens if usage else None,
            latency_s=output.time or 0.0,
            attempts=1,
            raw_reasoning=storable_text(thought),
        )

    def _verdicts(self, where: str, sample: EvalSample) -> Iterator[tuple[str, Verdict | None, str]]:
        if self._named is not None:
            yield self._named.judge, *self._named.verdict(where, sample.scores or {})
            return
        given = dict(named_scores(sample.scores or {}))
        known = {name for names in SCORES.values() for name in names}
        self._scores_left |= {name for name in given if name.lower() not in known}
        for judge, names in SCORES.items():
            value, said = next((given[name] for name in given if name.lower() in names), (None, ""))
            yield judge, score_verdict(value), said

    # --- what is said of all of them ---

    def config(self) -> RunConfig:
        if self._named is not None:
            self._named.check(self.path)
        fields = fields_of(self, self._triggers)
        ours = list(self._facts)
        for name in ("denominator", "coherence_min", "cot_all"):
            values = {getattr(facts, name) for facts in ours}
            if fields.get(name) is not None or not values:
                continue
            if len(values) > 1:
                option = f"give --{name.replace('_', '-')}" if name != "cot_all" else "import them apart"
                raise BadInput(f"{self.path}: the logs differ in {name}; {option}")
            fields[name] = values.pop()
        chosen = {name: value for name, value in fields.items() if value is not None}
        try:
            return RunConfig.model_validate(chosen)
        except ValidationError as error:
            detail = error.errors()[0]
            field = ".".join(str(part) for part in detail["loc"])
            raise BadInput(f"{self.path}: {field}: {one_line(detail['msg'])}") from None

    def notes(self) -> Iterator[str]:
        for said, count in self._left_out.items():
            yield f"{self.path}: {count} {said}" if count else said
        if self._scores_left:
            shown = one_line(", ".join(sorted(self._scores_left)), 200)
            yield (
                f"{self.path}: scores that say nothing here and were not taken over: {shown}; those called aligned or "
                "alignment, and coherent or coherence, are read as 0 to 100. --score NAME --hit '>=7' takes any other"
            )
        if self._named is not None:
            yield from self._named.notes(self.path)
        elif self._others and "alignment" not in self.ruled:
            yield f"{self.path}: holds no alignment scores: `emeval judge RUN --judge MODEL` judges the answers"
