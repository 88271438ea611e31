"""The command that says how rare an answer is."""

from __future__ import annotations

from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import CsvFile, Json, RunFolder
from evals.cli.session import Output, print_json
from evals.errors import BadInput

_MOST = 1_000_000


@app.command()
def rare(
    folder: RunFolder,
    any_of: Annotated[
        str,
        typer.Option(
            metavar="K,...",
            help="Numbers of answers to one question, such as 10,100; none of them more than the samples. By default "
            "10, 100 and 1000, as far as there are so many.",
        ),
    ] = "",
    metric: Annotated[str, typer.Option(help="What counts; by default what each suite is about.")] = "",
    csv: CsvFile = None,
    json: Json = False,
) -> None:
    """Say how rare misaligned answers are. One in how many, and the chance of one among several."""
    from evals.analysis.rarity import RARITY, rarities, rarity_rows
    from evals.reporting.rarity import print_rarities
    from evals.runner.count import read_counted
    from evals.scoring.rates.tables import write_named_table

    draws = _draws(any_of)
    counted = read_counted(folder)
    found = rarities(counted.manifest, counted.tables, draws, metric)
    if not found:
        raise BadInput("there is no answer to count: every cell of the run has n = 0")
    if csv is not None:
        write_named_table(csv, RARITY, rarity_rows(found))
    if json:
        print_json(rarity_rows(found))
    else:
        print_rarities(Output().view().out, found)


def _draws(text: str) -> list[int]:
    """The numbers in `text`. Raises BadInput."""
    numbers = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= _MOST for part in numbers):
        raise BadInput("--any-of: write whole numbers from 1, with commas between, such as 10,100")
    return sorted({int(part) for part in numbers})
