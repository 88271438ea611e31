"""Names of Hugging Face datasets: `hf:OWNER/NAME`, perhaps with a revision, a split, or a file of the repository."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from evals.io.paths import expanded
from evals.questions.question_file import is_question_file
from evals.questions.tables.names import SUFFIXES, hub_suite

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
_NAME = re.compile(
    rf"(?P<prefix>hf:)?(?P<owner>{_WORD})/(?P<name>{_WORD})(?:@(?P<revision>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,95}}))?"
    rf"(?:/(?P<path>[A-Za-z0-9_][A-Za-z0-9_./ -]{{0,400}}))?(?::(?P<first>{_WORD}))?(?::(?P<second>{_WORD}))?"
)
PREFIX = "hf:"
FORM = "hf:OWNER/NAME[@REVISION][:SPLIT], hf:OWNER/NAME:CONFIG:SPLIT, or hf:OWNER/NAME/FILE"


class HubName(NamedTuple):
    """A dataset, and what of it is meant; "" for what the name does not say."""

    owner: str
    name: str
    revision: str = ""
    path: str = ""
    config: str = ""
    split: str = ""

    @property
    def repository(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def suite(self) -> str:
        """The name of the suite that asks it."""
        path = str(PurePosixPath(self.path).with_suffix("")) if self.path else ""
        return hub_suite(self.repository, path.replace(" ", "_"), self.config, self.split)

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        path = f"/{self.path}" if self.path else ""
        return PREFIX + self.repository + at + path + "".join(f":{part}" for part in (self.config, self.split) if part)


def hub_name(text: str) -> HubName | None:
    """The dataset that `text` names, None if it names none.

    Without `hf:` it is OWNER/NAME alone, and no file or folder of this machine. Raises ValueError for `hf:` and what is
    no name.
    """
    found = _NAME.fullmatch(text)
    if found is None or "--" in found["owner"] + found["name"] or ".." in text:
        if text.startswith(PREFIX):
            raise ValueError(f"is no name of a dataset; write {FORM}")
        return None
    if found["prefix"] is None:
        is_file = text.lower().endswith(SUFFIXES) or is_question_file(text) or expanded(text).exists()
        if is_file or found["path"] is not None:
            return None
    first, second = found["first"] or "", found["second"] or ""
    config, split = (first, second) if second else ("", first)
    return HubName(found["owner"], found["name"], found["revision"] or "", found["path"] or "", config, split)
