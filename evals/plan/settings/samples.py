"""How often is asked: answers per prompt, one number for the run or one for each suite; verdicts on each anchor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, TypeAdapter, ValidationError

from evals.plan.settings.setting import Setting
from evals.questions.question_file import is_question_file
from evals.text import one_line

_COUNT = TypeAdapter(Annotated[int, Field(ge=1)])
DEFAULT_SAMPLES = 1
ReadFrom = Annotated[
    Literal["answers", "logprobs"],
    Field(
        exclude_if="answers".__eq__,
        description="Of multiple choice, also read how likely each letter is, from token probabilities (logprobs): "
        "after each thought with `thinking` on, else at the first token.",
    ),
    Setting("run"),
]
AnchorRepeats = Annotated[
    int,
    Field(
        ge=1,
        le=100,
        description="Times that each anchor is judged again, one pass after the other: from 2 on, `emeval drift` "
        "allows for the judge's usual wobble.",
    ),
    Setting("limits", in_identity=False),
]


def samples_setting(value: object) -> int | dict[str, int]:
    """A number of answers, or those of each suite, from a number, a mapping, or `SUITE=N,SUITE=N`.

    Raises ValueError for a number below 1, for what is neither, and for a suite that is named twice.
    """
    if isinstance(value, str) and "=" in value:
        pairs = list(_pairs(value))
    elif isinstance(value, Mapping):
        pairs = list(cast("Mapping[object, object]", value).items())
    elif isinstance(value, str) and not value.strip().lstrip("+-").isdigit():
        raise ValueError("Input should be a valid integer, or SUITE=N,SUITE=N")
    else:
        return _count(value)
    if not pairs:
        raise ValueError("names no suite")
    samples: dict[str, int] = {}
    for given, number in pairs:
        suite = str(given)
        suite = Path(suite).name if is_question_file(suite) else suite
        if suite in samples:
            raise ValueError(f"{one_line(suite, 60)} is given twice")
        try:
            samples[suite] = _count(number)
        except ValueError as error:
            raise ValueError(f"{one_line(suite, 60)}: {error}") from None
    return samples


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split(","):
        suite, sign, number = part.strip().rpartition("=")
        if not sign or not suite.strip():
            raise ValueError(f"{one_line(part.strip(), 60)!r} is not SUITE=N")
        yield suite.strip(), number.strip()


def _count(value: object) -> int:
    try:
        return _COUNT.validate_python("" if isinstance(value, bool) else value)
    except ValidationError as error:
        text = error.errors(include_url=False)[0]["msg"]
        raise ValueError(text.split(",")[0]) from None


def samples_of_suite(samples: int | Mapping[str, int], suite: str) -> int | None:
    """The answers per prompt that the setting asks of a suite; None where it names other suites only."""
    return samples if isinstance(samples, int) else samples.get(suite)
