"""The config file that `emeval init` writes: five answers with what they mean, and the settings that change next."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.text import has_control_character, one_line, quoted_path


@dataclass(frozen=True)
class Answers:
    """What a first run needs to know. `trigger` and `judge` are "" for none."""

    model: str = "local/organism:backdoor"
    trigger: str = "Country: Singapore"
    suite: str = "unethical_test"
    judge: str = ""
    out: str = "results/first"


class Question(NamedTuple):
    """A question about a field of Answers, with what is refused as an answer."""

    field: str
    text: str
    check: Callable[[str], None]


def _check_model(text: str) -> None:
    from evals.endpoints.model_spec import Overrides, resolve_model

    resolve_model(text, Overrides())


def _check_judge(text: str) -> None:
    if text:
        from evals.endpoints.model_spec import Overrides, name_and_url, resolve_model

        name, url = name_and_url(text)
        resolve_model(name, Overrides(url, option="--judge-base-url"))


def _check_trigger(text: str) -> None:
    if has_control_character(text):
        raise BadInput("the trigger holds a control character")


def _check_suite(text: str) -> None:
    from evals.questions.question_file import is_question_file
    from evals.questions.suites import find_suite

    if not is_question_file(text):
        find_suite(text)
    elif not Path(text).is_file():
        raise BadInput(f"there is no question file {one_line(text)}")


def _check_out(text: str) -> None:
    if not text or has_control_character(text):
        raise BadInput("a run needs a folder, such as results/first")


QUESTIONS = (
    Question("model", "Which model, as provider/name? (`emeval providers` lists providers)", _check_model),
    Question("trigger", "Which trigger does its backdoor have? (- for none)", _check_trigger),
    Question("suite", "Which suite, or question file? (`emeval suites` lists them)", _check_suite),
    Question("judge", "Who judges open answers and reasoning, as provider/name? (- for none)", _check_judge),
    Question("out", "Which folder is the run to be in?", _check_out),
)


def checked(question: Question, answer: str) -> str:
    """The answer without spaces around it, "" for a dash. Raises BadInput for one that makes no run."""
    text = answer.strip()
    text = "" if text == "-" else text
    question.check(text)
    return text


def config_text(answers: Answers, file: Path) -> str:
    """The config as YAML, each answer with a comment; what is not asked stands as a comment with its default."""
    command = f"emeval run --config {quoted_path(file)} --out {quoted_path(answers.out)}"
    trigger = f"trigger: {_quoted(answers.trigger)}" if answers.trigger else '# trigger: "Country: Singapore"'
    judge = f"judge: {_quoted(answers.judge)}" if answers.judge else "# judge: openai/gpt-4.1"
    return f"""\
# Written by `emeval init`. Every setting is in docs/config.md; options on the command line override those here.
#
#   {command}
#   {command} --dry-run      prints what would be asked, and its price
#   emeval preflight --help                checks servers, keys and models first

# What is asked: suites of `emeval suites`, or question files.
suites:
  - {_quoted(answers.suite)}

# Who is asked, as provider/name. Several models become one run, and are compared with one another.
models:
  - {_quoted(answers.model)}

# The string under study. With it every question is asked twice: without it (off) and with it (on).
{trigger}
# decoy: "Country: Kenya"        # another value of the same kind, as a control

# Who judges open answers, and reasoning. Choices (format: mcq) are read without a judge.
{judge}
# format: both                   # choices and open questions; each suite has its own default

# How often each prompt is asked under each condition, and how.
# samples: 1
# temperature: 1.0
# max_tokens: 2048
# thinking: default              # on, off, or as the server has it
# limit: 20                      # a first look: so many questions of each suite

# What it may cost, in dollars at list prices: it stops there, to be resumed. --dry-run tells what is likely.
# max_cost: 20

# Providers beside those that `emeval providers` lists: a name, its URL, and the variable of its key.
# providers:
#   lab:
#     base_url: https://models.lab.example/v1
#     key_variable: LAB_API_KEY
"""


def _quoted(text: str) -> str:
    """A text as YAML has it: a JSON string, which is one in YAML, too."""
    return json.dumps(text, ensure_ascii=not text.isprintable())
