"""`emeval cache`: where the answer cache is, how large it is, and how to make it smaller."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Json
from evals.cli.session import Output, print_json
from evals.errors import BadInput

if TYPE_CHECKING:
    from evals.endpoints.cache.pruning import CacheEntry

cache_app = typer.Typer(no_args_is_help=True, help="The answer cache of --cache: its size, and a way to shrink it.")
app.add_typer(cache_app, name="cache")
Folder = Annotated[
    Path | None, typer.Argument(metavar="DIR", help="A folder given to --cache; without it that of --cache on.")
]


@cache_app.command(name="show")
def cache_show(folder: Folder = None, json: Json = False) -> None:
    """Print where the answer cache is, its entries and its size."""
    from evals.text import shown_path

    place, entries = _entries(folder)
    size = sum(entry.size for entry in entries)
    if json:
        print_json({"folder": str(place), "entries": len(entries), "bytes": size})
        return
    line = f"{shown_path(place)}: {_amount(len(entries), size)}"
    Output().view().out.print(line, markup=False, soft_wrap=True)


@cache_app.command(name="prune")
def cache_prune(
    folder: Folder = None,
    older: Annotated[
        str | None, typer.Option(metavar="AGE", help="Delete what was written longer ago: 12h, 30d, 4w.")
    ] = None,
    most: Annotated[
        str | None, typer.Option("--max", metavar="SIZE", help="Delete the oldest above this size: 500MB, 2GB.")
    ] = None,
) -> None:
    """Delete old entries of the answer cache. A run that would have used one asks its server again."""
    from evals.endpoints.cache.pruning import bytes_of, delete, seconds_of, surplus
    from evals.text import shown_path

    if older is None and most is None:
        raise BadInput("say what to delete: --older 30d, --max 2GB, or both")
    older_s = None if older is None else seconds_of(older)
    most_bytes = None if most is None else bytes_of(most)
    place, entries = _entries(folder)
    deleted = surplus(entries, older_s, most_bytes)
    delete(deleted)
    gone = sum(entry.size for entry in deleted)
    left = _amount(len(entries) - len(deleted), sum(entry.size for entry in entries) - gone)
    line = f"{shown_path(place)}: {_amount(len(deleted), gone)} deleted, {left} left"
    Output().view().out.print(line, markup=False, soft_wrap=True)


def _entries(folder: Path | None) -> tuple[Path, list[CacheEntry]]:
    """The folder and what is in it; nothing where the user's own does not exist yet."""
    from evals.endpoints.cache.pruning import cache_entries
    from evals.io.cache import answers_folder

    place = folder or answers_folder()
    return place, [] if folder is None and not place.exists() else cache_entries(place)


def _amount(entries: int, size: int) -> str:
    from evals.numbers import counted

    return f"{counted(entries, 'entry')} ({size / 1_000_000:,.1f} MB)"
