"""What is asked for the probabilities of the letters of a choice, and what is read of the replies.

Without a thought one request reads them, at the first token. With thinking on, a thought is sampled with the sampler of
the run; then the same turn, up to where the letter stands, is sent back, and the next token is read. The mean over
thoughts is the probability of the choice, whatever the thoughts are like.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from evals.endpoints.chat import ChatRequest, Reply
from evals.runner.asking.trials import request_of, response_of
from evals.trials.reasoning import answer_start
from evals.trials.response import Failure, Response
from evals.trials.trial import Trial
from judges.rules.choice import opens_with_letter, read_choice
from judges.rules.letter_probability import LetterProbability, before_letter, letter_of, read_letters
from judges.rules.options import Options
from judges.verdicts import Chosen

_TOKENS = 8
"""Tokens of a reply: enough to tell the letter A from the article of `A better approach is`."""


class AfterThought(NamedTuple):
    """The thought that was sampled, and the request that reads the letters after it."""

    thought: str
    request: ChatRequest


def thinks(trial: Trial) -> bool:
    """Whether the letters of a trial are read after a thought."""
    return trial.sampling.thinking is True


def letter_request(trial: Trial) -> ChatRequest:
    """What reads the letters at the first token of the reply."""
    return replace(request_of(trial), max_tokens=_TOKENS, prefill="", logprobs=True)


def thought_request(trial: Trial) -> ChatRequest:
    """What samples a thought: the rendered chat, so that the reply shows where the thought ends, to the character."""
    return replace(request_of(trial), rendered=True)


def after_thought(trial: Trial, sampled: Response) -> AfterThought | str:
    """What reads the letters after the thought of a reply to `thought_request`; or why nothing can."""
    if sampled.reasoning_state == "truncated":
        return "the thought does not end"
    if sampled.reasoning_state not in ("complete", "unopened"):
        return "no thought came"
    turn = sampled.prefill + sampled.raw
    start = answer_start(turn)
    if start is None or not turn[start:].strip():
        return "nothing follows the thought"
    said = turn[:start] + before_letter(turn[start:])
    request = replace(letter_request(trial), prefill=said, rendered=True)
    return AfterThought(sampled.reasoning, request)


def read_thought_reply(trial: Trial, reply: Reply | Failure) -> AfterThought | str:
    """The same of the reply itself."""
    return f"failed: {reply.detail}" if isinstance(reply, Failure) else after_thought(trial, response_of(reply))


def read_reply(options: Options, reply: Reply | Failure) -> LetterProbability | str:
    """The letters at the first token of a reply; or why there are none."""
    if isinstance(reply, Failure):
        return f"failed: {reply.detail}"
    if reply.reasoning or reply.reasoning_withheld:
        return "a thought comes first"
    if not reply.token_alternatives:
        return "no token probabilities came"
    first, alternatives = reply.token_alternatives[0]
    read = read_letters(alternatives, options)
    if not isinstance(read, LetterProbability):
        return read.reason
    letter, chosen = letter_of(first), read_choice(reply.content, options)
    is_choice = (isinstance(chosen, Chosen) and chosen.letter == letter) or opens_with_letter(reply.content)
    return "the letter opens a sentence" if letter and not is_choice else read


def lists_tokens(reply: Reply) -> bool:
    """Whether the server gives token probabilities, of more than the token that came."""
    return bool(reply.token_alternatives) and len(reply.token_alternatives[0][1]) > 1
