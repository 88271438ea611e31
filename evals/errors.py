"""The errors a person sees, each with the exit code that it ends the program with.

EmevalError
├── BadInput         2  a file, an option, a key or a server is not what it must be; nothing was sent or written
│   └── BadSetting      a setting of a run, in a file or on the command line
├── Interrupted    130  by a person or a scheduler; as resumable as RunStopped
├── FetchStopped     3  a download broke off; what is complete is kept, and the same command downloads the rest
└── RunStopped       3  the run cannot go on now; what was recorded is safe and the run can be resumed
    ├── EndpointDown    a server stopped answering, or refuses the account as a whole
    └── JournalFull     the disk took no more

A trial that fails on its own is not an error but a recorded outcome (`evals.trials.response.Failure`).
"""

from __future__ import annotations

from pathlib import Path
from typing import cast


class EmevalError(Exception):
    """One line for people: what is wrong, where, and what to do. Holds no key and no request."""

    exit_code = 2


class BadInput(EmevalError):
    pass


class BadSetting(BadInput):
    """`problem` says what is wrong with which field; `file` holds it, None where it came from the command line."""

    def __init__(self, message: str, problem: FieldError, file: Path | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.file = file


class FieldError(ValueError):
    """A broken rule about one field or several: `field` is the one to name to the user, `text` what is wrong.

    Args:
        field: The field that the message is about.
        text: What is wrong and what to do, without the field's name.
        cause: The field that would have to go for the rule to hold, if it is another one.
        key: The entry of that field, if only one entry is at fault.
    """

    def __init__(self, field: str, text: str, *, cause: str = "", key: str = "") -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text
        self.cause = cause or field
        self.key = key


class Interrupted(EmevalError):
    exit_code = 130


class FetchStopped(EmevalError):
    exit_code = 3


class RunStopped(EmevalError):
    exit_code = 3


class EndpointDown(RunStopped):
    pass


class JournalFull(RunStopped):
    pass


def first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to show of a group whose members all have the same cause."""
    error: object = failures.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return first_of(cast("BaseExceptionGroup[BaseException]", error))
    return failures.exceptions[0]
