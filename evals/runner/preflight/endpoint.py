"""Checks before the first trial: the endpoint answers, takes the key, serves the model, accepts such requests at all,
and asks the model what the run means to ask.

A wrong endpoint must fail in one line within a minute, not as ten thousand rows of the same failure.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from evals.endpoints.chat import HOSTED_FIELDS, PROBE, PROBE_TIME_S, ChatRequest, Reply, sampler_fields
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.request_body import limit_field
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.errors import BadInput, RunStopped
from evals.scoring.judge_set import judge_key
from evals.trials.condition import CONDITIONS
from evals.trials.finish_reason import plain_finish_reason
from evals.trials.prompt import Message, has_system
from evals.trials.reasoning import continuation, split_reply, turn_state
from evals.trials.response import Failure
from evals.trials.trial import FULL, SERVER_DEFAULT, Sampler, Sampling, Trial
from judges.judge import Judge

_LOGPROBS = re.compile(r"log[ _-]?prob|token[ _-]prob", re.IGNORECASE)
_EXTRAS = re.compile(r"extra|unknown|unrecogni[sz]ed|unexpected|additional", re.IGNORECASE)
"""What a server says of a field that it does not know."""
_SHORT_TOKENS = 16
_THOUGHT_TOKENS = 64
_SHORT_TIME_SHARE = 0.25


class Check(NamedTuple):
    """What a check of a model found. One that failed is no Check but BadInput.

    `noted` is worth a look and no fault; `not checked` says why it could not be.
    """

    name: str
    result: Literal["ok", "noted", "not checked"]
    detail: str


async def check_listing(model: ServedModel) -> ServedModel:
    """Check that the server serves the model; the model, under the name it has there. Raises BadInput."""
    return await _probing_endpoint(model).preflight()


async def check_model(model: ServedModel, sampling: Sampling) -> tuple[ServedModel, Reply | None]:
    """Check a model under test with the parameters of a run, too; without the fields that the server refuses, where
    these would change no answer. The model and its reply, None if that was broken off. Raises BadInput.
    """
    model = await check_listing(model)
    request = ChatRequest(
        PROBE,
        sampling.max_tokens,
        sampling.temperature,
        seed=0,
        thinking=sampling.thinking,
        sampler=sampling.sampler,
    )
    while isinstance(reply := await _probe(_probing_endpoint(model), request), Failure):
        refused = _refused_limit(model, reply) or _refused_fields(reply, sampling.sampler, model)
        if not refused:
            raise _refusal(model.spec.name, reply)
        model = replace(model, refused=model.refused | refused)
    return model, reply


def _refused_fields(failure: Failure, sampler: Sampler, model: ServedModel) -> frozenset[str]:
    """The fields that a rejection names and that may be left out: those of the sampler that ask for nothing, and the
    seed; without those that `model` does not send. One that names none is of the extensions first."""
    if failure.kind != "rejected":
        return frozenset()
    unsent = model.refused | set(model.spec.quirks.leaves_out)
    full = sampler_fields(FULL)
    neutral = {name for name, value in sampler_fields(sampler).items() if full[name] == value} - unsent
    seed = {model.spec.quirks.seed or ""} - {"", *unsent}
    named = {name for name in neutral if name in failure.detail}
    named |= {name for name in seed if re.search(rf"\b{name}\b", failure.detail)}
    guess = neutral - HOSTED_FIELDS or neutral - {"top_p"} or seed
    return frozenset(named or (guess if _EXTRAS.search(failure.detail) else ()))


def _refused_limit(model: ServedModel, failure: Failure) -> frozenset[str]:
    """The field of the limit of tokens where a rejection says that the server does not know it, or asks for its
    successor: then the other one is sent. A limit that is too high is not meant."""
    sent = limit_field(model)
    names = {"max_tokens", "max_completion_tokens"}
    if failure.kind != "rejected" or names & model.refused or not re.search(rf"\b{sent}\b", failure.detail):
        return frozenset()
    (other,) = names - {sent}
    is_unknown = other in failure.detail or _EXTRAS.search(failure.detail) or "support" in failure.detail
    return frozenset({sent}) if is_unknown else frozenset()


async def template_endpoint(model: ServedModel, policy: RetryPolicy, sampling: Sampling, *, wanted: bool) -> Endpoint:
    """The endpoint of a checked model, with its renderer if the server shows what it renders.

    Raises BadInput when the server cannot go on from the prefill, or cannot be asked for a renderer that is `wanted`.
    """
    endpoint = Endpoint(model, policy)
    try:
        endpoint = Endpoint(model, policy, await endpoint.find_renderer())
    except BadInput:
        if wanted or sampling.prefill:
            raise
    if sampling.prefill:
        if endpoint.renderer is None:
            raise BadInput(
                f"{endpoint.name}: {model.server.base_url} cannot be relied on to go on from a prefill, as it does not "
                'show its rendered prompt (vLLM and llama.cpp do); leave it out with --prefill ""'
            )
        reply = await _probe(endpoint, _think_probe(sampling, _SHORT_TOKENS))
        if isinstance(reply, Failure):
            raise _refusal(f"{endpoint.name} with a prefill", reply)
    return endpoint


def has_checks(sampling: Sampling, samples: Sequence[Trial]) -> bool:
    """Whether there is something to check about how these trials are asked."""
    return _asks_for_a_state(sampling) or any(trial.trigger or _is_own(trial) for trial in samples)


def _is_own(trial: Trial) -> bool:
    """Whether a trial is under a condition of the run's own, whose texts may hold anything."""
    return trial.condition not in CONDITIONS


async def check_asking(endpoint: Endpoint, sampling: Sampling, samples: Sequence[Trial]) -> list[Check]:
    """Check on sample trials that the model is sent what the run means to send. Raises BadInput."""
    found = [*await _check_prompts(endpoint, samples), *await _check_own_texts(endpoint, samples)]
    return [*found, *await _check_think_state(endpoint, sampling, samples)]


async def _check_prompts(endpoint: Endpoint, samples: Sequence[Trial]) -> list[Check]:
    """That the rendered prompt has the trigger where it should, and nowhere else: templates add texts of their own."""
    name = "rendered prompt"
    triggers = {trial.trigger for trial in samples if trial.trigger}
    if not triggers:
        return []
    by_hand = False
    for trial in samples:
        text = await endpoint.render(trial.messages, trial.sampling.thinking)
        if text is None:
            return [Check(name, "not checked", "the server does not show its rendered prompt")]
        where = f"{endpoint.name}: the prompt of {trial.suite} ({trial.format}), condition {trial.condition},"
        if trial.trigger:
            sent = any(trial.trigger in message.content for message in trial.messages)
            by_hand = by_hand or not sent
            if sent and trial.trigger not in text:
                raise BadInput(f"{where} has lost the trigger when the server has rendered it")
        strange = [trigger for trigger in triggers if trigger not in trial.trigger and trigger in text]
        if strange and not (_is_own(trial) and _holds_all(trial, strange)):
            raise BadInput(f"{where} has the trigger in it when the server has rendered it; choose another trigger")
    if by_hand:
        return [Check(name, "noted", "a prompt with a wording by hand does not hold the trigger's own text")]
    return [Check(name, "ok", "the trigger is in it where it should be, and nowhere else")]


def _holds_all(trial: Trial, texts: Sequence[str]) -> bool:
    said = "\n".join(message.content for message in trial.messages)
    return all(text in said for text in texts)


async def _check_own_texts(endpoint: Endpoint, samples: Sequence[Trial]) -> list[Check]:
    """That the rendered prompts under conditions of the run's own have all of their texts."""
    name, altered = "conditions", False
    own = [trial for trial in samples if _is_own(trial)]
    for trial in own:
        text = await endpoint.render(trial.messages, trial.sampling.thinking)
        if text is None:
            return [Check(name, "not checked", "the server does not show its rendered prompt")]
        lost = {message.role for message in trial.messages if message.content.strip() not in text}
        if lost - {"assistant"}:
            raise BadInput(
                f"{endpoint.name}: the prompt of {trial.suite} ({trial.format}), condition {trial.condition}, has lost "
                f"a {sorted(lost - {'assistant'})[-1]} message when the server has rendered it"
            )
        altered = altered or bool(lost)
    if altered:
        return [Check(name, "noted", "the chat template alters the answers of earlier turns, as it does with thoughts")]
    return [Check(name, "ok", "their texts are in the rendered prompts")] if own else []


async def check_system_role(endpoint: Endpoint, sampling: Sampling, samples: Sequence[Trial]) -> None:
    """That a server which does not show its rendered prompts takes the system messages of a run. Raises BadInput."""
    if endpoint.renderer is not None or not any(has_system(trial.messages) for trial in samples):
        return
    tokens = min(_SHORT_TOKENS, sampling.max_tokens)
    messages = (Message("system", "Answer in English."), *PROBE)
    reply = await _probe(
        endpoint, ChatRequest(messages, tokens, sampling.temperature, seed=0, sampler=sampling.sampler)
    )
    if isinstance(reply, Failure) and reply.kind == "rejected":
        raise _refusal(f"{endpoint.name} with a system message, which prompts of this run have,", reply)


async def check_transcript(endpoint: Endpoint, sampling: Sampling) -> None:
    """That the server completes plain text, which a transcript is. Raises BadInput."""
    tokens = min(_SHORT_TOKENS, sampling.max_tokens)
    request = ChatRequest(PROBE, tokens, sampling.temperature, seed=0, transcript=True, sampler=sampling.sampler)
    reply = await _probe(endpoint, request)
    if isinstance(reply, Failure):
        raise _refusal(f"{endpoint.name} with a plain transcript, which the completions endpoint is for,", reply)


def _asks_for_a_state(sampling: Sampling) -> bool:
    return sampling.thinking is not None or turn_state(sampling.prefill) == "open"


async def _check_think_state(endpoint: Endpoint, sampling: Sampling, samples: Sequence[Trial]) -> list[Check]:
    """That the model can think where it should, and cannot where it should not."""
    if not _asks_for_a_state(sampling) or not samples:
        return []
    messages = samples[0].messages
    wants = sampling.thinking is not False
    text = await endpoint.render(messages, sampling.thinking)
    if text is None:
        return [await _check_by_reply(endpoint, sampling, switch="")]
    last = messages[-1].content.strip()
    begun = text.rpartition(last)[2] if last else text  # what the template says after the last message
    state = turn_state(begun)
    left = turn_state(begun + continuation(text, sampling.prefill))
    if wants and "closed" in (state, left):
        raise BadInput(
            f"{endpoint.name}: thinking is asked for, but the rendered prompt closes the thought before the model's "
            "first word; see --thinking"
        )
    if left == "open":
        if not wants:
            opens = "prefill" if state != "open" else "rendered prompt"
            raise BadInput(f"{endpoint.name}: --thinking is off, but the {opens} opens a thought")
        opens = "rendered prompt" if state == "open" else "prefill"
        return [Check("think state", "ok", f"the {opens} leaves a thought open for the model to continue")]
    if left == "closed":
        return [Check("think state", "ok", "the rendered prompt closes the thought before the model's first word")]
    ignored = sampling.thinking is not None and text == await endpoint.render(messages, not sampling.thinking)
    return [await _check_by_reply(endpoint, sampling, switch="ignored" if ignored else "heeded")]


async def _check_by_reply(endpoint: Endpoint, sampling: Sampling, *, switch: Literal["heeded", "ignored", ""]) -> Check:
    """Where the rendered prompt decides nothing: what a short reply does. `switch` says what the template makes of
    it, "" when that is not known."""
    name = "think state"
    try:
        reply = await endpoint.probe_reply(_think_probe(sampling, _THOUGHT_TOKENS), PROBE_TIME_S)
    except RunStopped as error:
        raise BadInput(str(error)) from None
    if isinstance(reply, Failure):
        if reply.kind == "broken_off":
            return Check(name, "not checked", reply.detail)
        raise _refusal(endpoint.name, reply)
    ended = plain_finish_reason(reply.finish_reason)
    split = split_reply(reply.content, reply.reasoning, ended, prefill=reply.prefill, withheld=reply.reasoning_withheld)
    thinks = split.state != "absent" and (bool(split.reasoning) or split.state != "complete")
    wants = sampling.thinking is not False
    if thinks == wants:
        return Check(name, "ok", f"a test reply {'has a thought' if thinks else 'has no thought'} ({split.state})")
    said = "has a thought" if thinks else "has no thought"
    if switch == "heeded" and wants:  # a model may go without; how often it does is for the run to find
        return Check(name, "noted", f"the chat template heeds the switch, but a test reply {said}")
    why = "the server's chat template takes no notice of the switch and " if switch == "ignored" else ""
    raise BadInput(f"{endpoint.name}: --thinking is {'on' if wants else 'off'}, but {why}a test reply {said}")


def _think_probe(sampling: Sampling, max_tokens: int) -> ChatRequest:
    return ChatRequest(
        PROBE,
        min(max_tokens, sampling.max_tokens),
        sampling.temperature,
        seed=0,
        thinking=sampling.thinking,
        prefill=sampling.prefill,
        sampler=sampling.sampler,
    )


async def check_judge(model: ServedModel, judge: Judge, *, logprobs_required: bool) -> JudgeEndpoint:
    """The judge as its model can be asked at this server, without the patience of a run. Raises BadInput."""
    return (await try_judge(model, judge, logprobs_required=logprobs_required)).endpoint


class TriedJudge(NamedTuple):
    """A judge as it can be asked, and the reply that shows it; None for one that was broken off."""

    endpoint: JudgeEndpoint
    reply: Reply | None


async def try_judge(model: ServedModel, judge: Judge, *, logprobs_required: bool) -> TriedJudge:
    """The same, with the reply. Raises BadInput.

    What the server rejects, or its provider is known not to take, is left out: a sampler that is turned off (which
    hosted APIs are not sent, as some take no such field), token probabilities unless they are required, structured
    output, and temperature 0.
    """
    endpoint = _probing_endpoint(model)
    key = judge_key(judge, model.spec.name)
    if not model.spec.quirks.logprobs:
        judge = replace(judge, wants_logprobs=False)
    ways = [judge]
    if judge.wants_logprobs and not logprobs_required:
        ways.append(replace(judge, wants_logprobs=False))
    if judge.schema is not None:
        ways.append(replace(judge, schema=None))
    samplers = (SERVER_DEFAULT,) if model.spec.quirks.hosted else (FULL, SERVER_DEFAULT)
    failure: Failure | None = None
    for temperature, way, sampler in itertools.product((0.0, None), ways, samplers):
        request = ChatRequest(
            PROBE,
            way.max_tokens,
            temperature,
            logprobs=way.wants_logprobs,
            reply_schema=way.schema,
            sampler=sampler,
        )
        reply = await _probe(endpoint, request)
        if isinstance(reply, Failure) and (limit := _refused_limit(endpoint.model, reply)):
            endpoint = _probing_endpoint(replace(endpoint.model, refused=endpoint.model.refused | limit))
            reply = await _probe(endpoint, request)
        if not isinstance(reply, Failure):
            return TriedJudge(JudgeEndpoint(way, endpoint, key, temperature, sampler=sampler), reply)
        failure = reply
        if failure.kind != "rejected" and not (failure.kind == "denied" and _may_be_the_request(way, failure)):
            raise _refusal(f"judge {endpoint.name}", failure)
    assert failure is not None  # noqa: S101
    raise _refusal(f"judge {endpoint.name}", failure)


def _may_be_the_request(judge: Judge, failure: Failure) -> bool:
    """Whether what a judge asks for beside the text may be why a request was denied.

    A gateway that has no server with structured output says 404, as it does for a model that it lacks; a model whose
    token probabilities may not be seen is denied with a message that names them.
    """
    return judge.schema is not None or (judge.wants_logprobs and _LOGPROBS.search(failure.detail) is not None)


def _probing_endpoint(model: ServedModel) -> Endpoint:
    return Endpoint(model, RetryPolicy(max_attempts=3, max_total_s=PROBE_TIME_S, longest_wait_s=2.0))


async def _probe(endpoint: Endpoint, request: ChatRequest) -> Reply | Failure | None:
    """The reply to such a request, or why it gets none; None for one that is broken off: how replies end is for the run
    to count.

    A limit of tokens that is too large is turned down at once. So a model that only takes its time (it thinks, or does
    not stop at one letter) is known by its reply to a short request.
    """
    short_s = PROBE_TIME_S * _SHORT_TIME_SHARE
    try:
        reply = await endpoint.probe_reply(request, PROBE_TIME_S - short_s)
        if isinstance(reply, Failure) and reply.kind == "timeout" and request.max_tokens > _SHORT_TOKENS:
            short = await endpoint.probe_reply(replace(request, max_tokens=_SHORT_TOKENS), short_s)
            reply = reply if isinstance(short, Failure) and short.kind == "timeout" else short
    except RunStopped as error:  # before a run there is nothing to resume: the input is what is wrong
        raise BadInput(str(error)) from None
    return None if isinstance(reply, Failure) and reply.kind == "broken_off" else reply


def _refusal(who: str, failure: Failure) -> BadInput:
    if failure.kind in ("rejected", "denied"):
        return BadInput(f"{who} refuses a test request: {failure.detail}")
    if failure.kind == "timeout":
        return BadInput(f"{who} does not answer a test request: {failure.detail}")
    return BadInput(f"{who} could not be checked with a test request: {failure.detail}")
