"""Which requests of a run have been exported already: they may be on their way while they are still missing.

The journal keeps them itself. It names the folders of batches only to be told: a run folder may come from anywhere, and
nothing is opened because it says so.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from evals.batches.shard import Stage
from evals.text import shown_path
from evals.trials.journal import Journal

_KEY = "exported batch {}"
_KEPT = 6
"""Bytes that are kept of an id: what is said is a count, in which one of 10^14 may be wrong."""


class ExportedIds:
    """The ids of the requests of one batch, while it is written."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, custom_id: str) -> None:
        self._kept += _kept(custom_id)

    def note(self, journal: Journal, stage: Stage, folder: Path) -> None:
        """Write down in the journal that these requests are in `folder` now."""
        ids = base64.b64encode(self._kept).decode()
        number = sum(1 for _ in _stored(journal)) + 1
        journal.set_meta(
            _KEY.format(number), json.dumps({"stage": stage, "folder": str(folder.absolute()), "ids": ids})
        )


class Exported:
    """The requests of one stage that are in batches by now. `of` names the folder that a request is in."""

    def __init__(self, journal: Journal, stage: Stage) -> None:
        self._folder_of: dict[bytes, str] = {}
        for batch in _stored(journal):
            if batch.get("stage") == stage:
                self._folder_of |= dict.fromkeys(_ids(batch.get("ids")), shown_path(batch.get("folder")))

    def of(self, custom_id: str) -> str | None:
        return self._folder_of.get(_kept(custom_id))


def words_about(again: Counter[str], *, retried: bool) -> Iterator[str]:
    """What to say of requests that are exported once more, by the folder that they are in already. `retried`: failed
    ones are among them."""
    state = "have failed or are not imported yet" if retried else "are not imported yet"
    for folder, count in again.items():
        yield (
            f"{count:,} of these requests are in {folder} too and {state}; if they are on their way, import their "
            "results first"
        )


def _kept(custom_id: str) -> bytes:
    return bytes.fromhex(custom_id)[:_KEPT]


def _stored(journal: Journal) -> Iterator[dict[str, Any]]:
    """What the journal says of each batch that was made of the run, the oldest first."""
    number = 1
    while (text := journal.meta(_KEY.format(number))) is not None:
        number += 1
        try:
            found: object = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        yield cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _ids(stored: object) -> Iterator[bytes]:
    try:
        kept = base64.b64decode(stored if isinstance(stored, str) else "", validate=True)
    except ValueError:
        return
    for start in range(0, len(kept), _KEPT):
        yield kept[start : start + _KEPT]
