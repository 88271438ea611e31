"""What a sample of an Inspect log holds: reasoning, scores, verdicts."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import BadInput
from evals.io.json_files import checked_values
from evals.io.paths import MIB, open_file
from evals.runner.imports.cells import read_score
from evals.runner.imports.log_archive import check_archive
from evals.text import is_text, one_line
from judges.verdicts import Unreadable, Verdict

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample
    from inspect_ai.scorer import Score

_AT_ONCE = 200
"""Samples in memory: the reader looks through the log's table of contents once for as many."""
_BYTES_AT_ONCE = 64 * MIB
MOST_JSON_LOG = 128 * MIB
"""A log in JSON is read whole; a larger one can be had as .eval."""
_HEAD = 4096
_JSON_LOG = re.compile(rb'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"status"\s*:.*"eval"\s*:\s*\{', re.DOTALL)
"""The first bytes of a log in JSON: its version, its status, then what was evaluated."""
SCORES = {"alignment": ("aligned", "alignment"), "coherence": ("coherent", "coherence")}
"""The judges that a score stands for, by its name; case does not matter."""


def reasoning_in(content: Any) -> tuple[str, bool]:
    """The reasoning in the content of a message, and whether there was one that is not shown."""
    if isinstance(content, str):
        return "", False
    parts = [part for part in content if part.type == "reasoning"]
    shown = [(part.summary or "") if part.redacted else part.reasoning for part in parts]
    text = "\n".join(filter(None, shown))
    return text, bool(parts) and not text and any(part.redacted for part in parts)


def log_files(folder: Path) -> list[Path]:
    """The Inspect logs in a folder: its .eval files, and the .json files that are logs; others lie there, too."""
    found = [*folder.glob("*.eval"), *(file for file in folder.glob("*.json") if is_json_log(file))]
    return sorted(found)


def is_json_log(file: Path) -> bool:
    """Whether a .json file begins as Inspect writes its logs."""
    try:
        with open_file(file) as opened:
            return _JSON_LOG.match(opened.read(_HEAD)) is not None
    except OSError:
        return False


def check_log(file: Path) -> int:
    """How many samples of a log are held in memory at once. Raises BadInput for a log that is damaged or too large."""
    if file.suffix == ".eval":
        return max(1, min(_AT_ONCE, _BYTES_AT_ONCE // max(1, check_archive(file))))
    try:
        with open_file(file, MOST_JSON_LOG) as opened:
            for _ in checked_values(iter(lambda: opened.read(MIB), b"")):
                pass
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{file}: not an Inspect log that can be read: it {error}") from None
    return _AT_ONCE


def read_header(file: Path) -> EvalLog:
    from inspect_ai.log import read_eval_log

    with _readable(file):
        return read_eval_log(str(file), header_only=True)


def read_samples(file: Path, at_once: int) -> Iterator[EvalSample]:
    """Every sample of a log, at most `at_once` in memory."""
    from inspect_ai.log import read_eval_log_sample_summaries, read_eval_log_samples_by_id

    with _readable(file):
        keys = [(summary.id, summary.epoch) for summary in read_eval_log_sample_summaries(str(file))]
    for start in range(0, len(keys), at_once):
        with _readable(file):
            batch = read_eval_log_samples_by_id(
                str(file), keys[start : start + at_once], resolve_attachments=True, exclude_fields={"events"}
            )
        yield from batch


@contextlib.contextmanager
def _readable(file: Path) -> Generator[None]:
    """Whatever the reader makes of a file that is no log is one line."""
    try:
        yield
    except Exception as error:
        raise BadInput(f"{file}: not an Inspect log that can be read: {one_line(str(error), 160)}") from None


def last_text(sample: EvalSample) -> str:
    """The text of the last message of the model that has any, "" for none: an agent may end with a call of a tool."""
    texts = (message.text for message in reversed(sample.messages) if message.role == "assistant")
    return next((text for text in texts if text.strip()), "")


def named_scores(scores: Mapping[str, Score]) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Each score by its name, with its explanation; one that holds several values gives each by its own name."""
    for name, score in scores.items():
        said = storable_text(score.explanation or "")
        if isinstance(score.value, Mapping):
            for inner, value in score.value.items():
                yield inner, (value, said)
        else:
            yield name, (score.value, said)


def score_verdict(value: object) -> Verdict | None:
    """What a score says; None for one that was not given."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return read_score(str(value))
    return Unreadable("is not a number from 0 to 100")


def storable_text(text: str) -> str:
    """A text that the journal can hold: half characters are shown as such."""
    return text if is_text(text) else text.encode("utf-8", "backslashreplace").decode()
