"""What a judge is, and how a rubric is filled in so that the judged text cannot pass for a part of the rubric.

A rubric is a text file with the places `{question}`, `{answer}`, `{reasoning}` and `{trigger}`, and for judges that
compare an answer with what is known `{correct}`, `{incorrect}`, `{fact}`, `{first}` and `{second}`. Filling is one pass
over the rubric, so a place name inside the judged text stays text. Each inserted text stands between two marker lines
that carry a tag derived from the hash of everything shown: the author of the answer could not know the tag, so the
answer cannot close its own block and write a score line after it. The tag is a function of the content, so the same
request stays the same request.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from judges.parsing.places import PLACES
from judges.verdicts import Verdict

_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")


@dataclass(frozen=True, slots=True)
class JudgeInput:
    """What a judge may be shown: the prompt as sent, the answer without its reasoning, the reasoning, the trigger.

    `correct` and `incorrect` are reference answers, one a line; `fact` is what the prompt gives as true; `first` and
    `second` are two details of the prompt in the order in which they stand there. `asked` is the user's last message
    alone, and `prompts` the judge prompts that a question of a file brings, by the judge's name there.
    """

    question: str
    answer: str
    reasoning: str = ""
    trigger: str = ""
    correct: str = ""
    incorrect: str = ""
    fact: str = ""
    first: str = ""
    second: str = ""
    asked: str = ""
    prompts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class JudgeReply:
    """What the judge model said, without its own reasoning. `cut` is whether the token limit ended it.

    `token_alternatives` holds, for each token of the reply in order, the token itself and its likeliest alternatives
    with their probabilities in [0, 1]; None when the server gave none.
    """

    text: str
    declined: bool = False
    token_alternatives: tuple[tuple[str, Mapping[str, float]], ...] | None = None
    cut: bool = False


@dataclass(frozen=True)
class Rubric:
    """The wording of a judge: a name for people, the template, and the sha256 of its text for rows and manifests."""

    name: str
    template: str

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.template.encode()).hexdigest()

    @property
    def places(self) -> frozenset[str]:
        return frozenset(_PLACE.findall(self.template))

    def fill(self, judge_input: JudgeInput) -> str:
        """The request for one response: the rubric with each place replaced by the text between tagged markers."""
        # Of what this rubric shows only: the same question and answer are one request, whatever thought led there.
        shown: dict[str, str] = {place: getattr(judge_input, place) for place in sorted(self.places)}
        tag = tag_of(self.template, shown.values())

        def block(match: re.Match[str]) -> str:
            place = match.group(1)
            return f"[BEGIN {place.upper()} {tag}]\n{shown[place]}\n[END {place.upper()} {tag}]"

        return _PLACE.sub(block, self.template)


def tag_of(template: str, shown: Iterable[str]) -> str:
    """The tag of the markers around texts in a template, which nobody can know who wrote only some of them."""
    hashed = "\0".join([template, *shown]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(hashed).hexdigest()[:16]


@dataclass(frozen=True)
class Judge:
    """A rubric and the rule that reads a reply to it. Pure: asking is the pipeline's work.

    `reading` names that rule where verdicts are told apart; `max_tokens` bounds the reply. What is asked of the server
    beside the text: token probabilities (`wants_logprobs`), or a reply that fits the JSON `schema`. After a reply that
    could not be read, one with a `repair` is asked once more, with its own reply and these words. `note` is what
    people should know about how its rubric was understood.
    """

    name: str
    rubric: Rubric
    read: Callable[[JudgeReply], Verdict]
    reading: str
    max_tokens: int
    wants_logprobs: bool = False
    schema: Mapping[str, Any] | None = None
    repair: str = ""
    note: str = ""


def builtin_rubric(name: str) -> Rubric:
    """One of the rubrics that come with emeval, by its file name without `.txt`."""
    text = resources.files("judges").joinpath("rubrics", f"{name}.txt").read_text(encoding="utf-8")
    return Rubric(name, text)
