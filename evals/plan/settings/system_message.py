"""The setting `system`: a word for what is meant, or the text of a system message itself, perhaps in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationInfo

from evals.io.paths import MOST_TEXT, expanded, read_file
from evals.trials.condition import NO_SYSTEM_MESSAGE, TEMPLATE_DEFAULT

READ_FILES: Final = {"read_files": True}
"""The validation context in which a path is followed: the settings come from the command line or a config file."""
_WORDS = (TEMPLATE_DEFAULT, NO_SYSTEM_MESSAGE)
_TEXT_FILES = (".txt", ".md")
_FILE = "@"


def system_setting(given: str, info: ValidationInfo) -> str:
    """`default`, `none`, or a text, read from its file if `given` is the path of one.

    What begins with @ is the name of a file. So is a single word with a slash, or with the ending .txt or .md: a
    mistyped file name must not become the system message of a run. A text stays as it is when it is given again. A path
    is followed only in the context of READ_FILES: what a manifest holds is a text already, and opens nothing. Raises
    ValueError.
    """
    if given in _WORDS:
        return given
    if not given.strip():
        raise ValueError("is blank; none asks for no system message")
    if not _is_path(given):
        return given
    if info.context is not READ_FILES:
        raise ValueError("is the name of a file, and no text")
    text = _read(expanded(given.removeprefix(_FILE))).strip()
    if not text or text in _WORDS or _is_path(text):
        raise ValueError(f"{given}: holds no text of a system message")
    return text


def _is_path(given: str) -> bool:
    is_name = len(given.split()) == 1
    return given.startswith(_FILE) or (is_name and ("/" in given or given.lower().endswith(_TEXT_FILES)))


def _read(file: Path) -> str:
    try:
        return read_file(file, MOST_TEXT).decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror}); a text needs more than one word") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: is not UTF-8 text") from None
