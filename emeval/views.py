"""What a person is told while a run works: as by the command line, or, without progress, through the log `emeval`."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from evals.console import ConsoleView
from evals.view import RunView

_log = logging.getLogger("emeval")


def view_of_run(*, progress: bool) -> RunView:
    """With `progress` what the command line shows on stderr: bars where they can be redrawn, in a notebook as a widget;
    else a line now and then. Without it nothing is shown."""
    return ConsoleView() if progress else _LogView()


class _Unseen:
    """Told of everything, shows nothing."""

    def sampled(self, *, failed: bool) -> None: ...
    def judged(self, *, failed: bool) -> None: ...
    def monitored(self, *, failed: bool) -> None: ...
    def retried(self, stage: str) -> None: ...
    def replied(self, stage: str, model: str, prompt_tokens: int | None, completion_tokens: int | None) -> None: ...


class _LogView:
    def say(self, text: str) -> None:
        _log.info("%s", text)

    @contextmanager
    def progress(self, *, planned: int, recorded: int, **_more: object) -> Generator[_Unseen]:
        _log.info("%d of %d trials are recorded", recorded, planned)
        yield _Unseen()
