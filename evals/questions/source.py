"""Whose questions a suite asks: a file of the user's, the official file where it has been fetched, or emeval's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.questions import dataset as datasets
from evals.questions.dataset import Source
from evals.questions.official.cached import official_file
from evals.questions.suite import Suite


class Questions(NamedTuple):
    path: Path
    source: Source


def questions_of(suite: Suite, given: Path | None = None, wanted: Source | None = None) -> Questions:
    """The file that `suite` asks: the one `given`, else of the source `wanted`, else the official one if there is one.

    Raises BadInput where the official file is wanted and not there.
    """
    own = datasets.data_folder()
    if given is not None:
        return Questions(given, "emeval" if given.resolve().parent == own.resolve() else "user")
    official = official_path(suite) if wanted != "emeval" else None
    if official is not None:
        return Questions(official, "official")
    if wanted == "official":
        how = f"run `emeval datasets fetch {suite.official.source}`" if suite.official else "it has no official file"
        raise BadInput(f"{suite.name}: its official questions are not here: {how}, or leave --source out")
    return Questions(own / suite.dataset, "emeval")


def official_path(suite: Suite) -> Path | None:
    """The official file of a suite, None where it has none or it has not been fetched. Raises BadInput where the file
    is not what was fetched."""
    return official_file(*suite.official) if suite.official else None
