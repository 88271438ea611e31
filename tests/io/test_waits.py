"""A long wait says what is going on, a short one nothing."""

from __future__ import annotations

import threading

from evals.io.waits import said_if_long


def test_what_takes_long_is_said_once() -> None:
    said: list[str] = []
    told = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        told.set()

    with said_if_long(say, "counting", after_s=0.0):
        assert told.wait(60)
    assert said == ["counting"]


def test_what_does_not_says_nothing() -> None:
    said: list[str] = []
    with said_if_long(said.append, "counting", after_s=3600):
        pass
    assert said == []
