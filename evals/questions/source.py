"""Find the questions of a suite: a user's file, the fetched official file, or emeval's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.questions import dataset as datasets
from evals.questions.dataset import Source
from evals.questions.official.cached import official_file
from evals.questions.suite import Suite


class Questions(NamedTuple):
    """A question file and its source."""

    path: Path
    source: Source


def questions_of(suite: Suite, given: Path | None = None, required: Source | None = None) -> Questions:
    """The questions of `suite`: the file `given`, else those of `required`, else the official ones if fetched.
    A suite of another package has that package's.

    Raises BadInput if the official file is required and missing, and for a source that a package's suite has not.
    """
    own = datasets.data_folder()
    if given is not None:
        return Questions(given, "emeval" if given.resolve().parent == own.resolve() else "user")
    if not suite.dataset:
        raise BadInput(f"--dataset is missing: {suite.name} asks what is in your file")
    if Path(suite.dataset).is_absolute():
        if required in ("official", "emeval"):
            raise BadInput(f"--source: {suite.name} has only the questions of its package; leave it out")
        return Questions(Path(suite.dataset), "package")
    official = official_path(suite) if required != "emeval" else None
    if official is not None:
        return Questions(official, "official")
    if required == "official":
        how = f"run `emeval datasets fetch {suite.official.source}`" if suite.official else "it has no official file"
        raise BadInput(
            f"{suite.name}: its official questions are not here: {how}, or ask emeval's own with --source emeval"
        )
    return Questions(own / suite.dataset, "emeval")


def official_path(suite: Suite) -> Path | None:
    """The official file of a suite, None if it has none or none is fetched. Raises BadInput if it was changed."""
    return official_file(*suite.official) if suite.official else None
