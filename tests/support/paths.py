"""Where the project is, and real files beside it that some tests read where they are there."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
UPSTREAM = Path(os.environ.get("EMEVAL_UPSTREAM") or ROOT.parent / "shared" / "upstream")
PUBLISHED = ROOT.parent / "shared" / "paper" / "published.csv"
