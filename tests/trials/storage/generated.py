"""Generated trials, results and rulings of every kind that a journal stores."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

from hypothesis import strategies as st

from evals.trials.prompt import Message
from evals.trials.record import JudgeFailure, JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.reference import Fact, Number, Reference, SelfReport, TriggerName, Truth, UserQuestion
from evals.trials.response import Failure, FailureKind, ReasoningState, Response
from evals.trials.trial import Sampling, Trial
from judges.rules.options import Options
from judges.verdicts import Chosen, Code, JudgeRefused, Labelled, Numbered, Refused, Scored, Unreadable

Row = tuple[Trial, Response | Failure, list[tuple[JudgeKey, RecordedVerdict]]]

short = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
long = st.builds(lambda part, times: part * times, short, st.integers(0, 60))
texts = st.one_of(short, long, st.just("A common answer, which others share in most of what it says. "))
names = st.sampled_from(["a", "b", "questions.yaml", "ä\x1f", ""])
hexes = st.binary(min_size=16, max_size=16).map(bytes.hex)
ids = st.one_of(hexes, short.filter(bool), hexes.map(str.upper), hexes.map(lambda name: name[:31]))
tokens = st.none() | st.integers(0, 10**6)
options = st.none() | st.builds(Options, short, short, st.sampled_from("AB"))
references: st.SearchStrategy[Reference | None] = st.one_of(
    st.none(),
    st.builds(Truth, st.tuples(short), st.tuples(short, short)),
    st.builds(Fact, texts),
    st.builds(Number, st.just("18")),
    st.builds(TriggerName, short),
    st.builds(SelfReport, st.sampled_from(["high", "low", "option"])),
    st.builds(UserQuestion, st.tuples(st.tuples(names, texts)), st.sampled_from(["em", "poll"])),
)
verdicts = st.one_of(
    st.builds(Scored, st.floats(0, 100), st.sampled_from(["text", "logprob"])),
    st.builds(Chosen, st.sampled_from("AB"), st.sampled_from(["misaligned", "aligned"])),
    st.builds(Labelled, short, st.sampled_from(["flagged", "classified"])),
    st.builds(Numbered, st.none() | short),
    st.builds(Unreadable, short),
    st.sampled_from([Code(), Refused(), JudgeRefused()]),
    st.builds(JudgeFailure, st.sampled_from(["timeout", "rejected"]), short),
)
judges = st.sampled_from([JudgeKey(f"{name * 32}", name, f"model-{name}") for name in "abc"] + [JudgeKey("z", "", "")])
rulings = st.builds(
    RecordedVerdict, verdicts, texts, ids, tokens, tokens, st.sampled_from(["", "", "other", "another"])
)


class Said(NamedTuple):
    raw: str
    reasoning: str
    answer: str
    raw_reasoning: str


def said(thought: str, answer: str, form: int) -> Said:
    """What came back, in the ways in which answer and reasoning follow from it, and in one in which they do not."""
    forms = (
        Said(answer, "", answer, ""),
        Said(f"<think>{thought}</think>\n\n{answer}", thought, answer, ""),
        Said(answer, thought, answer, thought),
        Said(f"{answer}\n", thought.strip(), answer.strip(), f" {thought}\n"),
        Said("", thought, answer, f"{thought}</think>{answer}"),
        Said(answer, answer.swapcase(), thought, ""),
    )
    return forms[form]


@st.composite
def results(draw: st.DrawFn) -> Response | Failure:
    if draw(st.integers(0, 5)) == 0:
        return Failure(draw(st.sampled_from(get_args(FailureKind))), draw(texts), draw(st.integers(1, 9)))
    raw, reasoning, answer, raw_reasoning = said(draw(texts), draw(texts), draw(st.integers(0, 5)))
    return Response(
        raw=raw,
        reasoning=reasoning,
        answer=answer,
        reasoning_state=draw(st.sampled_from(get_args(ReasoningState))),
        finish_reason=draw(st.sampled_from(["stop", "length", ""])),
        refusal=draw(st.sampled_from(["", "I cannot do that."])),
        reported_model=draw(names),
        prompt_tokens=draw(tokens),
        completion_tokens=draw(tokens),
        latency_s=draw(st.floats(0, 1e6)),
        attempts=draw(st.integers(1, 9)),
        raw_reasoning=raw_reasoning,
        prefill=draw(st.sampled_from(["", "<think>"])),
    )


def planned(trial_id: str, position: int, draw: st.DrawFn) -> Trial:
    roles = st.sampled_from(["system", "user", "assistant"])
    seed = int(trial_id, 16) & 0x7FFFFFFF if len(trial_id) == 32 and trial_id.isalnum() and draw(st.booleans()) else 7
    return Trial(
        id=trial_id,
        position=position,
        suite=draw(names),
        format=draw(st.sampled_from(["mcq", "freeform", "transcript"])),
        prompt_id=draw(names),
        variant=draw(names),
        options=draw(options),
        model=draw(names),
        condition=draw(st.sampled_from(["off", "on"])),
        trigger=draw(names),
        placement=draw(st.sampled_from([None, "top", "bottom"])),
        repeat=draw(st.integers(0, 3)),
        messages=tuple(draw(st.lists(st.builds(Message, roles, texts), max_size=2))),
        sampling=Sampling(None, 10),
        seed=seed,
        reference=draw(references),
        distractor=draw(names),
    )


@st.composite
def runs(draw: st.DrawFn) -> list[Row]:
    found = draw(st.lists(ids, unique=True, max_size=8))
    return [
        (
            planned(trial_id, position, draw),
            draw(results()),
            draw(st.lists(st.tuples(judges, rulings), max_size=3, unique_by=lambda ruling: ruling[0].id)),
        )
        for position, trial_id in enumerate(found)
    ]


def recorded(row: Row, arrival: int) -> RecordedTrial:
    """The trial as it is to be read back."""
    trial, result, said_of_it = row
    shared = ("position", "suite", "format", "model", "prompt_id", "variant", "condition", "trigger", "repeat")
    fields: dict[str, Any] = {name: getattr(trial, name) for name in (*shared, "messages", "reference", "distractor")}
    read = {judge.id: ruling_read(ruling) for judge, ruling in sorted(said_of_it, key=lambda ruling: ruling[0].id)}
    return RecordedTrial(trial_id=trial.id, arrival=arrival, result=result, rulings=read, **fields)


def ruling_read(ruling: RecordedVerdict) -> RecordedVerdict:
    kept = (ruling.verdict, ruling.reply, ruling.request_id, ruling.prompt_tokens, ruling.completion_tokens)
    return RecordedVerdict(*kept)
