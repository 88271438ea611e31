"""The batches of a run at servers, as its journal knows them: whatever is needed to go on is written down before it is
needed.

Each batch has an entry of its own in the journal's `meta`, under `batch 1`, `batch 2` and so on, in the order in which
their files of requests were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.errors import BadInput
from evals.trials.journal import Journal
from evals.trials.record import Role, Usage

State: TypeAlias = Literal["written", "uploaded", "created", "collected", "failed", "dropped"]
"""written: the file of requests is on the disk. uploaded: the server has it, under `file_id`. created: the batch `id`
is at work, and is paid for. The others have ended: collected, with its results in the journal; failed, as the server
did not take the file; dropped, before anything was asked."""
Stage: TypeAlias = Literal["answers", "judge"]
OPEN_STATES = frozenset({"written", "uploaded", "created"})
_ROLES: Mapping[Stage, Role] = {"answers": "sampling", "judge": "judging"}


class BatchRecord(BaseModel):
    """One batch.

    `model` is the model under test or the judge model, `base_url` its server. `file` lies in the run's folder of batch
    files. `status` is the server's last word. `unanswered` are the requests that came back without an answer that
    counts, and are to be asked again; the tokens are those of the answers.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    stage: Stage
    model: str
    base_url: str
    file: Annotated[str, Field(pattern=r"^[0-9]{4,9}\.jsonl$")]
    sha256: str
    requests: int
    state: State = "written"
    file_id: str = ""
    id: str = ""
    status: str = ""
    created_at: str = ""
    unanswered: tuple[str, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


class Records:
    """The entries of one journal. `put` has committed when it returns."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known = {record.number: record for record in _stored(journal)}

    def __iter__(self) -> Iterator[BatchRecord]:
        return iter(self._known.values())

    def next_number(self) -> int:
        return len(self._known) + 1

    def put(self, record: BatchRecord) -> BatchRecord:
        """Write an entry, a new one or in the place of the one of its number."""
        self._journal.set_meta(_key(record.number), record.model_dump_json())
        self._known[record.number] = record
        return record

    def update(self, record: BatchRecord, **changes: object) -> BatchRecord:
        return self.put(record.model_copy(update=changes))

    def open_ones(self, stage: Stage, models: Iterable[str]) -> list[BatchRecord]:
        """Those of a stage that have not ended, of these models, the oldest first."""
        named = set(models)
        return [record for record in self if record.is_open and record.stage == stage and record.model in named]

    def attempts(self, stage: Stage) -> dict[str, int]:
        """How often each request has come back unanswered."""
        counts: dict[str, int] = {}
        for record in self:
            if record.stage == stage:
                for custom_id in record.unanswered:
                    counts[custom_id] = counts.get(custom_id, 0) + 1
        return counts

    def forget_attempts(self, stage: Stage) -> None:
        """Begin to count anew, for requests that are asked again although they had failed for good."""
        for record in list(self):
            if record.stage == stage and record.unanswered and not record.is_open:
                self.update(record, unanswered=())


def read_records(journal: Journal) -> list[BatchRecord]:
    """The batches of a run, the oldest first. Raises BadInput for an entry that cannot be read."""
    return list(_stored(journal))


def with_batches(usage: Iterable[Usage], journal: Journal) -> list[Usage]:
    """`usage` with the tokens that were answered by batch, and cost half."""
    tokens: dict[tuple[str, Role], list[int]] = {}
    for record in _stored(journal):
        sums = tokens.setdefault((record.model, _ROLES[record.stage]), [0, 0])
        sums[0] += record.prompt_tokens
        sums[1] += record.completion_tokens
    found: list[Usage] = []
    for one in usage:
        prompt, completion = tokens.get((one.model, one.role), (0, 0))
        # Replies that were read as failures have no tokens in the journal.
        by_batch = {
            "batch_prompt_tokens": min(prompt, one.prompt_tokens),
            "batch_completion_tokens": min(completion, one.completion_tokens),
        }
        found.append(replace(one, **by_batch))
    return found


def _key(number: int) -> str:
    return f"batch {number}"


def _stored(journal: Journal) -> Iterator[BatchRecord]:
    number = 1
    while (text := journal.meta(_key(number))) is not None:
        try:
            record = BatchRecord.model_validate(json.loads(text))
        except (ValueError, ValidationError, RecursionError):
            raise BadInput(f"{journal.path}: batch {number} cannot be read") from None
        if record.number != number:
            raise BadInput(f"{journal.path}: batch {number} is stored as {record.number}")
        yield record
        number += 1
