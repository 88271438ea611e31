"""The location of emeval itself on disk."""

from __future__ import annotations

from pathlib import Path


def package_folder() -> Path:
    """The folder of the package `evals`."""
    return Path(__file__).parents[1]


def checkout_folder() -> Path:
    """The folder that contains `evals`: the checkout, or site-packages if emeval is installed."""
    return package_folder().parent
