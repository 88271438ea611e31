"""What the journal holds of a trial and of a judge's ruling: as values, and as what its store writes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

from evals.trials.prompt import wire_messages
from evals.trials.record import JudgeFailure, JudgeKey, RecordedVerdict
from evals.trials.reference import criterion_of, reference_row
from evals.trials.response import Failure, Response
from evals.trials.storage.queries import CACHED
from evals.trials.storage.store import Asked, Draw, Ruling, Store
from evals.trials.trial import Trial
from judges.rules.options import Options
from judges.verdicts import (
    Chosen,
    Code,
    JudgeRefused,
    Labelled,
    Numbered,
    Refused,
    Scored,
    Unreadable,
    Verdict,
)

Rulings = Sequence[tuple[JudgeKey, RecordedVerdict]]


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def store_trial(store: Store, trial: Trial, result: Response | Failure, recorded_at: int) -> None:
    shared = (trial.suite, trial.format, trial.model, trial.prompt_id, trial.variant, trial.condition, trial.trigger)
    key = (*shared, trial.distractor, trial.placement, trial.reference, trial.messages, trial.options)
    asked = store.asked(key, lambda: _asked(trial))
    begun = (trial.id, trial.position, trial.repeat, trial.seed, recorded_at, result.attempts)
    match result:
        case Failure(kind, detail):
            store.draw(Draw(*begun, detail, *(None,) * 8), asked, store.ending((kind, None, None, None, None)))
        case Response():
            said = (result.raw, result.raw_reasoning, result.reasoning, result.answer)
            tokens = (result.prompt_tokens, result.completion_tokens)
            end = (result.prefill, result.reasoning_state, result.finish_reason, result.reported_model)
            draw = Draw(*begun, None, result.refusal, *said, *tokens, result.latency_s)
            store.draw(draw, asked, store.ending((None, *end)))


def _asked(trial: Trial) -> Asked:
    reference, options = trial.reference, trial.options
    return (
        trial.suite,
        trial.format,
        trial.model,
        trial.prompt_id,
        trial.variant,
        trial.condition,
        trial.trigger,
        trial.distractor,
        trial.placement,
        criterion_of(reference),
        None if reference is None else json.dumps(reference_row(reference), ensure_ascii=False),
        json.dumps(wire_messages(trial.messages), ensure_ascii=False),
        None if options is None else json.dumps(_options_row(options), ensure_ascii=False),
    )


def _options_row(options: Options) -> dict[str, str]:
    return {"A": options.a, "B": options.b, "misaligned": options.misaligned_letter}


def store_rulings(store: Store, trial_id: str, rulings: Iterable[tuple[JudgeKey, RecordedVerdict]], at: int) -> None:
    for judge, ruling in rulings:
        kind, score, letter, option, mode, detail = verdict_fields(ruling.verdict)
        tokens = (ruling.prompt_tokens, ruling.completion_tokens)
        detail = CACHED if ruling.cached else detail
        store.ruling(
            Ruling(trial_id, judge.id, ruling.request_id, score, option, detail, ruling.reply, at, *tokens),
            (judge.judge, judge.model, kind, letter, mode, ruling.answered_as),
        )


def verdict_fields(
    verdict: Verdict | JudgeFailure,
) -> tuple[str, float | None, str | None, str | None, str | None, str | None]:
    """A verdict as values of the view `verdicts`: kind, score, letter, option, mode and detail."""
    match verdict:
        case Scored(score, mode):
            return ("scored", score, None, None, mode, None)
        case Chosen(letter, option):
            return ("chosen", None, letter, option, None, None)
        case Labelled(label, kind):
            return (kind, None, None, label, None, None)
        case Numbered(number):
            return ("numbered", None, None, number, None, None)
        case Code():
            return ("code", None, None, None, None, None)
        case Refused():
            return ("refused", None, None, None, None, None)
        case JudgeRefused():
            return ("judge_refused", None, None, None, None, None)
        case Unreadable(reason):
            return ("unreadable", None, None, None, None, reason)
        case JudgeFailure(kind, detail):
            return ("failed", None, None, None, None, f"{kind}: {detail}")


def verdict_from(
    kind: str, score: float | None, letter: str | None, option: str | None, mode: str | None, detail: str | None
) -> Verdict | JudgeFailure:
    """The verdict that `verdict_fields` has the values of."""
    match kind:
        case "scored":
            return Scored(cast("Any", score), cast("Any", mode))
        case "chosen":
            return Chosen(cast("Any", letter), cast("Any", option))
        case "flagged" | "labelled" | "credited" | "classified":
            return Labelled(cast("Any", option), kind)
        case "numbered":
            return Numbered(option)
        case "code":
            return Code()
        case "refused":
            return Refused()
        case "judge_refused":
            return JudgeRefused()
        case "unreadable":
            return Unreadable(cast("Any", detail))
        case _:
            failure, _, said = str(detail).partition(": ")
            return JudgeFailure(failure, said)
