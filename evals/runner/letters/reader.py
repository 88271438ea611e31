"""The letters of the choices of a run, read as its answers are sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evals.endpoints.chat import ChatRequest, Reply
from evals.runner.asking.trials import request_of
from evals.runner.letters.protocol import Rulings, Source, Told
from evals.runner.letters.reading import AfterThought, after_thought, read_reply, thinks, thought_request
from evals.scoring.choices.ruling import letters_ruling
from evals.trials.record import JudgeKey, RecordedVerdict
from evals.trials.response import Failure, Response
from evals.trials.trial import Trial
from judges.rules.letter_probability import LetterProbability


class LetterReader:
    """Reads the letters of each trial, as `evals.runner.letters.protocol.Letters` says."""

    def request(self, trial: Trial) -> ChatRequest:
        """What samples the answer of a trial: with its token probabilities, unless they are read after its thought."""
        return thought_request(trial) if thinks(trial) else replace(request_of(trial), logprobs=True)

    async def read(
        self,
        trial: Trial,
        reply: Reply,
        result: Response,
        rulings: Sequence[tuple[JudgeKey, RecordedVerdict]],
        source: Source,
        progress: Told,
    ) -> tuple[Response | Failure, Rulings]:
        assert trial.options is not None  # noqa: S101  as the plan has checked
        if not thinks(trial):
            return result, [*rulings, _ruling(trial, read_reply(trial.options, reply), reply)]
        after = after_thought(trial, result)
        if not isinstance(after, AfterThought):
            return result, [*rulings, _ruling(trial, after, None)]
        again = await _ask(trial, after.request, source, progress)
        if isinstance(again, Failure):
            return again, []
        ruling = _ruling(trial, read_reply(trial.options, again), again)
        return _with_tokens(result, again), [*rulings, ruling]


async def _ask(trial: Trial, request: ChatRequest, source: Source, progress: Told) -> Reply | Failure:
    draw = f"{trial.id} letters"
    found = await source.cache.find(request, draw) if source.cache is not None else None
    if found is not None:
        return found
    reply = await source.endpoint.send(request, lambda: progress.retried("sampling"))
    if isinstance(reply, Reply):
        progress.replied("sampling", trial.model, reply.prompt_tokens, reply.completion_tokens)
        if source.cache is not None:
            await source.cache.keep(request, draw, reply)
    return reply


def _ruling(trial: Trial, read: LetterProbability | str, reply: Reply | None) -> tuple[JudgeKey, RecordedVerdict]:
    listed: Mapping[str, float] = {}
    if reply is not None and reply.token_alternatives:
        listed = reply.token_alternatives[0][1]
    misaligned = trial.options.misaligned_letter if trial.options else ""
    return letters_ruling(trial.id, misaligned, read, listed, after_thought=thinks(trial) and reply is not None)


def _with_tokens(result: Response, reply: Reply) -> Response:
    """The response with the tokens of the second request: they were spent on the same trial."""

    def both(first: int | None, second: int | None) -> int | None:
        return None if first is None or second is None else first + second

    return replace(
        result,
        prompt_tokens=both(result.prompt_tokens, reply.prompt_tokens),
        completion_tokens=both(result.completion_tokens, reply.completion_tokens),
    )
