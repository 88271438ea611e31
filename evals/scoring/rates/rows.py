"""What a row of a table is, and the words of corrected.csv."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
"""A row of a table by the names of its columns; None is a blank cell."""

ROGAN_GLADEN, PPI = "rogan_gladen", "ppi"
"""The two methods of corrected.csv."""
BETWEEN_NOTES = "; "
"""What stands between two notes in a cell of corrected.csv."""
