"""Where emeval itself lies on the disk."""

from __future__ import annotations

from pathlib import Path


def package_folder() -> Path:
    """The folder of the package `evals`."""
    return Path(__file__).parents[1]


def checkout_folder() -> Path:
    """The folder that `evals` lies in: the checkout, or site-packages where emeval is installed."""
    return package_folder().parent
