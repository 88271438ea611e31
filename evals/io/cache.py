"""The user's cache folder for downloads: models and official datasets."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder of downloaded models and data: EMEVAL_DATA, else the platform's user cache."""
    return Path(os.environ.get("EMEVAL_DATA") or platformdirs.user_cache_path("emeval"))


def answers_folder() -> Path:
    """The answer cache of `--cache on`."""
    return cache_folder() / "answers"
