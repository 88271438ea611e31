"""The plan of a run: a lazily generated grid of trials with ids that stay the same from night to night.

An id hashes what can change the answer (messages, model, sampling, seed, repeat) and which cell the draw belongs to
(suite, prompt, variant, condition): two cells that happen to send the same words are still two independent draws, and
neither may be skipped for the other. URL, timeout and concurrency are not part of it.
"""

from __future__ import annotations

import hashlib
import json
import json.encoder
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from evals.trials.condition import NO_SYSTEM_MESSAGE, TEMPLATE_DEFAULT, Template, Trigger, render
from evals.trials.prompt import Format, Messages, Placement, Prompt, transcript_of, wire_messages
from evals.trials.record import JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.reference import Reference
from evals.trials.response import Failure, Response
from judges.rules.options import Options


@dataclass(frozen=True, slots=True)
class Sampler:
    """How the model's distribution is altered before a token is drawn. None leaves a value to the server.

    A server that is left alone takes them from the model's generation_config.json, which often truncates the
    distribution: a behaviour in its tail then reads as 0% at any number of samples.
    """

    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None

    def fields(self) -> dict[str, float | int]:
        """The values that are not left to the server, by name."""
        names = ("top_p", "top_k", "min_p", "repetition_penalty")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


FULL = Sampler(top_p=1.0, top_k=-1, min_p=0.0, repetition_penalty=1.0)
"""The model's own distribution. A top_k of -1 is off for vLLM, SGLang and llama.cpp alike."""
SERVER_DEFAULT = Sampler()


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters as sent. `temperature` None leaves the server's default, `thinking` None the template's.

    `prefill` is what the assistant's turn begins with, "" for nothing. Without `default_system`, prompts that have no
    system message do not get the chat template's default one.
    """

    temperature: float | None
    max_tokens: int
    thinking: bool | None = None
    prefill: str = ""
    sampler: Sampler = SERVER_DEFAULT
    default_system: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """One planned draw. `position` is its place in the plan of its model, which orders the result files.

    `seed` is sent with the request and is a function of the run's seed and of the trial. `distractor` is the string
    that stands beside the trigger, "" for none.
    """

    id: str
    position: int
    suite: str
    format: Format
    prompt_id: str
    variant: str
    options: Options | None
    model: str
    condition: str
    trigger: str
    placement: Placement | None
    repeat: int
    messages: Messages
    sampling: Sampling
    seed: int
    reference: Reference | None = None
    distractor: str = ""

    @property
    def is_chat(self) -> bool:
        """Whether it is asked as a chat, without a start of the answer: what does not go online is only that."""
        return self.format != "transcript" and not self.sampling.prefill

    def recorded(
        self, result: Response | Failure, rulings: Iterable[tuple[JudgeKey, RecordedVerdict]]
    ) -> RecordedTrial:
        """The trial as the journal has it once it is answered, but for its places there."""
        return RecordedTrial(
            trial_id=self.id,
            arrival=0,
            position=self.position,
            suite=self.suite,
            format=self.format,
            model=self.model,
            prompt_id=self.prompt_id,
            variant=self.variant,
            condition=self.condition,
            trigger=self.trigger,
            repeat=self.repeat,
            messages=self.messages,
            result=result,
            rulings={key.id: ruling for key, ruling in rulings},
            reference=self.reference,
            distractor=self.distractor,
        )


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode
_quoted = json.encoder.encode_basestring_ascii
_SEED_BITS = 31  # servers take a signed 32-bit seed at least


def stable_hash(fields: dict[str, Any]) -> str:
    """32 hex digits that depend on the fields' names and values and not on their order."""
    if all(type(value) is str for value in fields.values()):  # put together here, which takes two thirds of the time
        pairs = ",".join([f"{_quoted(name)}:{_quoted(fields[name])}" for name in sorted(fields)])
        canonical = f"{{{pairs}}}"
    else:
        canonical = _canonical(fields)
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _optional_fields(sampling: Sampling) -> dict[str, Any]:
    """What an id holds of the thinking switch, the prefill, the sampler and the template's system message: nothing
    where they are left alone."""
    system = "" if sampling.default_system else "none"
    fields = {"thinking": sampling.thinking, "prefill": sampling.prefill, "system": system}
    return {name: value for name, value in fields.items() if value not in (None, "")} | sampling.sampler.fields()


def sampling_under(template: Template | None, sampling: Sampling) -> Sampling:
    """The sampling of a condition: its template may keep the chat template's system message, or leave it out."""
    if template is None or template.system not in (TEMPLATE_DEFAULT, NO_SYSTEM_MESSAGE):
        return sampling
    return replace(sampling, default_system=template.system == TEMPLATE_DEFAULT)


class Recorded(Protocol):
    """The draws of one model that are recorded already."""

    def repeats(self, prompt: Prompt, condition: str, samples: int) -> Collection[int]:
        """Those of a prompt under a condition, of `samples` that are planned."""
        ...

    def has(self, trial_id: str) -> bool: ...


def plan_trials(
    prompts: Iterable[Prompt],
    *,
    model: str,
    conditions: Sequence[str] | Callable[[str], Sequence[str]],
    trigger: Trigger | None,
    samples: int | Callable[[Prompt], int],
    sampling: Sampling | Callable[[Prompt], Sampling],
    seed: int,
    templates: Mapping[str, Template] = {},
    recorded: Recorded | None = None,
) -> Iterator[Trial]:
    """Every trial of one model, one at a time; those that are `recorded` are left out, and cost no time.

    The conditions of one prompt stand next to each other, so that a run cut short is still balanced. They are the same
    for all prompts, or those that `conditions` gives for a prompt's suite. So are `samples` and `sampling`, or they are
    what these give for a prompt.
    """
    position = 0
    for prompt in prompts:
        asked_under = conditions(prompt.suite) if callable(conditions) else conditions
        sent_with = sampling(prompt) if callable(sampling) else sampling
        planned = samples(prompt) if callable(samples) else samples
        draw = partial(_draw, prompt, model, trigger, sent_with, seed, templates)
        done = _recorded_draws(prompt, asked_under, planned, draw, recorded) if recorded else {}
        if done and all(len(repeats) == planned for repeats in done.values()):
            position += planned * len(asked_under)
            continue
        for repeat in range(planned):
            for condition in asked_under:
                if repeat not in done.get(condition, ()):
                    trial = draw(condition, repeat, position)
                    if recorded is None or not recorded.has(trial.id):
                        yield trial
                position += 1


def _draw(
    prompt: Prompt,
    model: str,
    trigger: Trigger | None,
    sampling: Sampling,
    seed: int,
    templates: Mapping[str, Template],
    condition: str,
    repeat: int,
    position: int,
) -> Trial:
    return plan_trial(prompt, condition, model, trigger, sampling, seed, repeat, position, templates)


def _recorded_draws(
    prompt: Prompt,
    conditions: Sequence[str],
    planned: int,
    draw: Callable[[str, int, int], Trial],
    recorded: Recorded,
) -> dict[str, Collection[int]]:
    """The repeats of a prompt that are recorded, by condition. Nothing where the first or last of them is not known by
    the id that the plan gives it: then each is looked up by its own."""
    done = {condition: recorded.repeats(prompt, condition, planned) for condition in conditions}
    ends = {(condition, end(repeats)) for condition, repeats in done.items() if repeats for end in (min, max)}
    return done if all(recorded.has(draw(condition, repeat, 0).id) for condition, repeat in ends) else {}


def plan_trial(
    prompt: Prompt,
    condition: str,
    model: str,
    trigger: Trigger | None,
    sampling: Sampling,
    seed: int,
    repeat: int,
    position: int,
    templates: Mapping[str, Template] = {},
) -> Trial:
    """One draw of a prompt under a condition. Its place in the plan is no part of what it is."""
    rendered = render(prompt, condition, trigger, seed, repeat, templates)
    sampling = sampling_under(templates.get(condition), sampling)
    trial_id = stable_hash(
        {
            "suite": prompt.suite,
            "format": prompt.format,
            "prompt": prompt.id,
            "variant": prompt.variant,
            "condition": condition,
            "model": model,
            "messages": wire_messages(rendered.messages),
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
            "repeat": repeat,
            **_optional_fields(sampling),
            **({"transcript": transcript_of(rendered.messages)} if prompt.format == "transcript" else {}),
        }
    )
    return Trial(
        id=trial_id,
        position=position,
        suite=prompt.suite,
        format=prompt.format,
        prompt_id=prompt.id,
        variant=prompt.variant,
        options=prompt.options,
        model=model,
        condition=condition,
        trigger=rendered.trigger,
        placement=rendered.placement,
        repeat=repeat,
        messages=rendered.messages,
        sampling=sampling,
        seed=int(trial_id, 16) & ((1 << _SEED_BITS) - 1),
        reference=prompt.reference,
        distractor=rendered.distractor,
    )
