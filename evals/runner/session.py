"""What belongs together while a run is at work in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from evals.endpoints.prices import Tariff
from evals.plan.manifest import Manifest
from evals.plan.plan import Retry
from evals.runner.view import RunView
from evals.trials.journal import Journal


class RunSession(NamedTuple):
    """One run at work: its manifest so far, its folder, the open journal, and where progress is shown.

    `tariffs` are the prices of all models of the run, known once it is clear what it will ask.
    """

    manifest: Manifest
    folder: Path
    journal: Journal
    view: RunView
    retry: Retry
    tariffs: Mapping[str, Tariff] = {}

    def updated(self, facts: Mapping[str, object]) -> RunSession:
        """The session with these fields of its manifest changed."""
        return self._replace(manifest=self.manifest.model_copy(update=dict(facts)))
