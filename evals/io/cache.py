"""The one folder of the user's that downloads are kept in: models, and the official datasets."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where downloaded models and data are kept: EMEVAL_DATA, else the platform's user cache."""
    return Path(os.environ.get("EMEVAL_DATA") or platformdirs.user_cache_path("emeval"))
