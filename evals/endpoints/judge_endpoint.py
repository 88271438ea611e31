"""A judge model behind a server: ask it about an answer and read its reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evals.endpoints.chat import ChatRequest, EarlierReplies, Reply
from evals.trials.finish_reason import ending_of, plain_finish_reason
from evals.trials.prompt import Message, Messages
from evals.trials.reasoning import split_reply
from evals.trials.record import JudgeFailure, JudgeKey, RecordedVerdict
from evals.trials.response import Failure
from evals.trials.trial import SERVER_DEFAULT, Sampler, stable_hash
from judges.judge import Judge, JudgeReply
from judges.parsing.structured import is_json
from judges.verdicts import JudgeRefused, Unreadable, Verdict

if TYPE_CHECKING:  # reading what judges said must not wait for the client of their servers
    from evals.endpoints.endpoint import Endpoint
    from evals.endpoints.replicas import Replicas

_FIRST_MARKER = "[BEGIN "
"""Where what is judged begins, and what requests of one judge have in common ends: the marker's tag is of all of it."""


@dataclass(frozen=True)
class JudgeEndpoint:
    """A judge ready to be asked, with what its model takes; the temperature is None where that takes none. `opened` is
    the mark with which its chat template opens a thought that goes on in the content of the replies. `sampler` turns
    off what a model's folder may set: a penalty of repetition changes numbers that stand in the prompt. `cache` has
    replies to earlier runs, None where each is to be a new one."""

    judge: Judge
    endpoint: Endpoint | Replicas
    key: JudgeKey
    temperature: float | None = 0.0
    opened: str = ""
    sampler: Sampler = SERVER_DEFAULT
    cache: EarlierReplies | None = None


async def ask_judge(
    judge: JudgeEndpoint, text: str, request_id: str, retried: Callable[[], None] | None = None
) -> RecordedVerdict:
    """One judge on one filled rubric, asked again where its reply could not be read; `retried` is called for each
    request that is sent again after a failure. Raises EndpointDown."""
    request, cache = judge_request(judge, text), judge.cache
    found = await cache.find(request, request_id) if cache is not None else None
    if found is not None and is_usual(ruling := ruling_of(judge, found, request_id)):
        return replace(ruling, prompt_tokens=None, completion_tokens=None, cached=True)  # its tokens were paid for
    first = await judge.endpoint.send(request, retried)
    if cache is not None and isinstance(first, Reply) and is_usual(ruling_of(judge, first, request_id)):
        await cache.keep(request, request_id, first)
    return await settled_ruling(judge, text, request_id, first, retried)


def is_usual(ruling: RecordedVerdict) -> bool:
    """Whether a judge's first reply says what it was asked for."""
    return not isinstance(ruling.verdict, Unreadable | JudgeRefused | JudgeFailure)


async def settled_ruling(
    judge: JudgeEndpoint, text: str, request_id: str, first: Reply | Failure, retried: Callable[[], None] | None = None
) -> RecordedVerdict:
    """The ruling on a filled rubric after the first reply, asked again where that could not be read. Raises
    EndpointDown."""
    ruling = ruling_of(judge, first, request_id)
    if isinstance(first, Failure) or not judge.judge.repair or not isinstance(ruling.verdict, Unreadable):
        return ruling
    verdict, words = ruling.verdict, ruling.reply
    repairing = _repairing((Message("user", text),), first, judge.judge.repair)
    second = await judge.endpoint.send(_request(judge, repairing), retried)
    if isinstance(second, Failure):
        # Turned down for what it says (it may not fit any more), the first reply is all there is to have.
        failed = verdict if second.kind == "rejected" else JudgeFailure(second.kind, second.detail)
        return _recorded(failed, words, request_id, first)
    return RecordedVerdict(
        _read(judge, second),
        f"{words}\n\n[asked again]\n\n{second.content or second.refusal}",
        request_id,
        _sum(first.prompt_tokens, second.prompt_tokens),
        _sum(first.completion_tokens, second.completion_tokens),
        second.answered_as,
    )


def judge_request_id(judge: JudgeKey, text: str) -> str:
    """What tells one request to a judge from all others: the judge and the filled rubric."""
    return stable_hash({"judge": judge.id, "text": text})


def judge_request(judge: JudgeEndpoint, text: str) -> ChatRequest:
    """What a judge is asked first about a filled rubric."""
    return _request(judge, (Message("user", text),))


def ruling_of(judge: JudgeEndpoint, reply: Reply | Failure, request_id: str) -> RecordedVerdict:
    """What a judge's first reply says."""
    if isinstance(reply, Failure):
        return RecordedVerdict(JudgeFailure(reply.kind, reply.detail), "", request_id)
    return _recorded(_read(judge, reply), reply.content or reply.refusal, request_id, reply)


def _recorded(verdict: Verdict | JudgeFailure, words: str, request_id: str, reply: Reply) -> RecordedVerdict:
    tokens = (reply.prompt_tokens, reply.completion_tokens)
    return RecordedVerdict(verdict, words, request_id, *tokens, reply.answered_as)


def _request(judge: JudgeEndpoint, messages: Messages) -> ChatRequest:
    return ChatRequest(
        messages,
        judge.judge.max_tokens,
        judge.temperature,
        logprobs=judge.judge.wants_logprobs,
        reply_schema=judge.judge.schema,
        sampler=judge.sampler,
        rubric=messages[0].content.partition(_FIRST_MARKER)[0],
    )


def _repairing(messages: Messages, reply: Reply, repair: str) -> Messages:
    """The request that follows a reply which could not be read. Servers refuse an assistant turn without words."""
    if not reply.content.strip():
        return (Message("user", f"{messages[0].content}\n\n{repair}"),)
    return (*messages, Message("assistant", reply.content), Message("user", repair))


def _read(asked: JudgeEndpoint, reply: Reply) -> Verdict:
    # A judge that thinks first is read by its answer alone, and a thought that never ends has none.
    judge, ending = asked.judge, ending_of(reply.finish_reason)
    opened = "" if reply.reasoning or reply.reasoning_withheld else asked.opened
    split = split_reply(reply.content, reply.reasoning, plain_finish_reason(reply.finish_reason), prefill=opened)
    # A reply that begins with an object has no thought before it: marks inside are quoted from the answer. Within an
    # opened thought it has none only where the server was held to the object.
    held = not opened or judge.schema is not None
    quoted = held and is_json(judge.reading) and reply.content.lstrip().startswith("{")
    declined = bool(reply.refusal) or ending == "filtered"
    alternatives = reply.token_alternatives if split.state == "absent" else None
    cut = ending == "cut"
    verdict = judge.read(JudgeReply(reply.content if quoted else split.answer, declined, alternatives, cut))
    if cut and not isinstance(verdict, Unreadable | JudgeRefused):
        return Unreadable("the reply was cut off, and with it maybe the verdict")
    return verdict


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
