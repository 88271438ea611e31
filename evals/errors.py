"""The errors a person sees, each with the exit code that it ends the program with.

EmevalError
├── BadInput         2  a file, an option, a key or a server is not what it must be; nothing was sent or written
├── Interrupted    130  by a person or a scheduler; as resumable as RunStopped
├── FetchStopped     3  a download broke off; what is complete is kept, and the same command downloads the rest
└── RunStopped       3  the run cannot go on now; what was recorded is safe and the run can be resumed
    ├── EndpointDown    a server stopped answering, or refuses the account as a whole
    └── JournalFull     the disk took no more

A trial that fails on its own is not an error but a recorded outcome (`evals.trials.response.Failure`).
"""

from __future__ import annotations

from typing import cast


class EmevalError(Exception):
    """One line for people: what is wrong, where, and what to do. Holds no key and no request."""

    exit_code = 2


class BadInput(EmevalError):
    pass


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
