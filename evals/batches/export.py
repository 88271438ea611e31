"""What a run still lacks, written as batch files: one folder for each model under test, or for each judge model."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from evals.batches.exported import Exported, ExportedIds, words_about
from evals.batches.pending import failed_trials, pending_answers, pending_judgements
from evals.batches.requests import Layout, request_line, same_sampler, shown_sampler
from evals.batches.shard import DEFAULT_SHARD, FILE_NAME, LIMITS, Batch, BatchFile, Shard, Stage, Target
from evals.batches.unserved import UnservedModel, unserved_judges, unserved_model
from evals.endpoints.chat import ChatRequest
from evals.endpoints.judge_endpoint import judge_request
from evals.errors import BadInput, JournalFull
from evals.io.atomic import write_json
from evals.io.folders.leftovers import new_folder, partial_path, remove_left_folders
from evals.io.folders.strange_files import refuse_linked_folder
from evals.numbers import counted
from evals.plan.manifest import Manifest, judge_set
from evals.plan.plan import Plan
from evals.plan.provenance import now
from evals.runner.asking.trials import request_of
from evals.runner.by_batch.records import read_records
from evals.runner.session import RunSession
from evals.trials.trial import stable_hash

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 80


class ExportOptions(NamedTuple):
    """Who is to answer, what is asked, and how many requests a file has at most. With `retry_failed` what is recorded
    as failed is missing, too, and is dropped from the journal."""

    target: Target
    stage: Stage = "answers"
    shard: int = DEFAULT_SHARD
    retry_failed: bool = False


class _Asked(NamedTuple):
    """One model with what it is asked: the custom ids and the requests."""

    model: UnservedModel
    requests: Iterator[tuple[str, ChatRequest]]


def export_stage(session: RunSession, plan: Plan, options: ExportOptions, out: Path) -> list[Shard]:
    """Write what is still missing of a stage into new folders in `out`; the files, [] where nothing is missing.

    Says what cannot go by file, and what was exported before. A folder is there whole or not at all, and none where
    anything is wrong with the requests. The journal of the session is open for writing. Raises BadInput.
    """
    most = LIMITS[options.target]
    if not 1 <= options.shard <= most.requests:
        raise BadInput(f"--shard: a file for {options.target} holds 1 to {most.requests:,} requests")
    refuse_linked_folder(out)
    before, again = Exported(session.journal, options.stage), Counter[str]()
    made: dict[Path, Batch] = {}
    is_new = not out.exists()
    try:
        with ExitStack() as stack:
            parts: dict[Path, Path] = {}
            ids: dict[Path, ExportedIds] = {}
            for asked in _asked(session, plan, options):
                folder = _free_folder(out, f"{options.stage}-{asked.model.spec.name}", made)
                part = stack.enter_context(_part_of(folder))
                found = ExportedIds()
                watched = _Asked(asked.model, _watched(asked.requests, found, before, again))
                batch = _write_batch(part, watched, options, session.manifest)
                if batch.files:
                    parts[folder], made[folder], ids[folder] = part, batch, found
            if options.retry_failed:
                _forget_failed(session, plan, options.stage)
            for folder, part in parts.items():
                ids[folder].note(session.journal, options.stage, folder)
                part.rename(folder)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written: {error.strerror}") from None
    except JournalFull as error:
        raise BadInput(str(error).partition(";")[0]) from None
    finally:
        if is_new:
            with suppress(OSError):  # only an empty folder is removed
                out.rmdir()
    for line in words_about(again, retried=options.retry_failed):
        session.view.say(line)
    at_work = sum(it.requests for it in read_records(session.journal) if it.is_open and it.stage == options.stage)
    if made and at_work:
        session.view.say(
            f"Batches at work hold {counted(at_work, 'request')} of this run (`emeval batch status`); some of these "
            "are among them, and would be paid twice"
        )
    if made and options.stage == "judge" and any(judge_set(session.manifest).later_judges):
        session.view.say(
            "judges of reasoning and monitors are due after the verdict of another judge: export the judge stage "
            "again once these are imported"
        )
    return [shard for folder, batch in made.items() for shard in batch.shards(folder)]


def _watched(
    requests: Iterator[tuple[str, ChatRequest]], found: ExportedIds, before: Exported, again: Counter[str]
) -> Iterator[tuple[str, ChatRequest]]:
    """The requests, whose ids go to `found`; `again` counts those that were exported before."""
    for custom_id, request in requests:
        found.add(custom_id)
        if (folder := before.of(custom_id)) is not None:
            again[folder] += 1
        yield custom_id, request


def _forget_failed(session: RunSession, plan: Plan, stage: Stage) -> None:
    """Drop the failures, as `emeval resume --retry-failed` does: their results would be taken for known else."""
    if stage == "answers":
        session.journal.forget_failed_trials()
    else:
        facts = (facts for judging in plan.judgings for facts in judging.rubric_facts().values())
        session.journal.forget_failed_rulings([found.judge_id for found in facts])


def identity_of(manifest: Manifest) -> str:
    """A hash of what a resumed run must have in common with this one."""
    return stable_hash(manifest.identity())


def _asked(session: RunSession, plan: Plan, options: ExportOptions) -> Iterator[_Asked]:
    say = session.view.say
    if options.stage == "judge":
        yield from _asked_judges(session, plan, options)
        return
    failed = failed_trials(session.journal) if options.retry_failed else frozenset[str]()
    for name, spec in plan.specs.items():
        if spec.provider == "local":
            lacking = sum(not session.journal.has_trial(trial.id) for trial in plan.trials(name))
            if lacking:
                say(f"{name}: {counted(lacking, 'answer')} to be asked online: emeval serves this model itself")
            continue
        known = session.manifest.models.get(name)
        model = unserved_model(spec, say, max_reply_mb=plan.config.max_reply_mb, known=known)
        online = Counter[str]()
        trials = pending_answers(plan, session.journal, model, options.target, online, failed)
        yield _Asked(model, ((trial.id, request_of(trial)) for trial in trials))
        for reason, count in online.items():
            say(f"{name}: {counted(count, 'answer')} to be asked online (`emeval resume`): {reason}")


def _asked_judges(session: RunSession, plan: Plan, options: ExportOptions) -> Iterator[_Asked]:
    """The judge models, with the judges that are due by now."""
    for judging in plan.judgings:
        if judging.judge_spec is not None and judging.judges and judging.judge_spec.provider == "local":
            session.view.say(f"judge {judging.judge_spec.name}: stays online, as emeval serves it itself")
            continue
        judges = unserved_judges(judging, session.view.say, options.target)
        if judges is None:
            continue
        requests = pending_judgements(session.journal, judges, failed_too=options.retry_failed)
        yield _Asked(judges.model, ((due.request_id, judge_request(due.judge, due.text)) for due in requests))


def _free_folder(out: Path, name: str, taken: dict[Path, Batch]) -> Path:
    """A folder of about that name which is not there yet: an earlier batch stays as it was sent."""
    base = _NOT_IN_NAMES.sub("-", name).strip("-.")[:_LONGEST_NAME]
    number, folder = 1, out / base
    while folder in taken or os.path.lexists(folder):
        number += 1
        folder = out / f"{base}-{number}"
    return folder


@contextmanager
def _part_of(folder: Path) -> Generator[Path]:
    """A folder in the making, of which nothing is left unless it has been renamed by then. Raises OSError."""
    remove_left_folders(folder)
    part = partial_path(folder)
    try:
        with new_folder(part):
            yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write_batch(part: Path, asked: _Asked, options: ExportOptions, manifest: Manifest) -> Batch:
    """Write the requests of a model into the folder `part`, in files of the wanted size, with what they are."""
    model = asked.model
    files: list[BatchFile] = []
    sampler: dict[str, Any] | None = None
    current: _File | None = None
    with ExitStack() as stack:
        for custom_id, request in asked.requests:
            line = request_line(options.target, custom_id, model.served, request)
            sampler = same_sampler(sampler, shown_sampler(request))
            if current is None or not current.has_room(line, options):
                if current is not None:
                    files.append(current.finish())
                name = f"requests-{len(files) + 1:04}"
                layout = Layout(options.target)
                file = stack.enter_context((part / f"{name}{layout.ending}").open("xb"))
                current = _File(file, layout, f"{name}{layout.ending}")
            current.add(line)
        if current is not None:
            files.append(current.finish())
    batch = Batch(
        target=options.target,
        stage=options.stage,
        run_id=manifest.run_id,
        identity=identity_of(manifest),
        model=model.spec.name,
        served_name=model.spec.served_name,
        base_url=model.base_url,
        base=model.base,
        adapter=model.adapter,
        sampler=sampler or {},
        created_at=now(),
        files=tuple(files),
    )
    write_json(part / FILE_NAME, batch.model_dump(mode="json", by_alias=True))
    return batch


class _File:
    """A batch file that is being written."""

    def __init__(self, file: BinaryIO, layout: Layout, name: str) -> None:
        self._file, self._layout, self._name = file, layout, name
        self._digest = hashlib.sha256()
        self._size = layout.around
        self._count = 0

    def has_room(self, line: bytes, options: ExportOptions) -> bool:
        size = self._size + len(self._layout.between) + len(line)
        return self._count < options.shard and size <= LIMITS[options.target].size

    def add(self, line: bytes) -> None:
        self._write(self._layout.between if self._count else self._layout.opening)
        self._write(line)
        self._size += len(self._layout.between) + len(line)
        self._count += 1

    def finish(self) -> BatchFile:
        """End the file, which is on the disk then."""
        self._write(self._layout.closing)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return BatchFile(name=self._name, sha256=self._digest.hexdigest(), requests=self._count)

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
