"""Rows of a matrix: what a row is about, then its cells, aligned where the width has room and wrapped where not.

A cell is made of parts, such as a rate, its counts and a change. A line ends between cells, else between parts, else
between words: no number is cut. Names are shortened in the middle (`names`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from evals.reporting.console.layout.names import middle_cut, shortened

_LEAST_NAME = 16
_LONGEST_LABEL = 24
_GAP, _CELL_GAP, _INDENT = "  ", "   ", "    "

Part = str
Cell = tuple[Part, ...]
"""Parts of a cell; all cells of a column have as many. "" is a part that this one lacks."""


class GridRow(NamedTuple):
    """`name` and `labels` say what the row is about, `cells` are its columns."""

    name: str
    labels: tuple[str, ...]
    cells: tuple[Cell, ...]


def grid_lines(rows: Sequence[GridRow], width: int, right: frozenset[tuple[int, int]] = frozenset()) -> list[str]:
    """The rows as lines of at most `width` cells. Rows have as many labels and cells as one another.

    `right` are the parts that are aligned to the right, as column and part. Where not even the two first cells of most
    rows fit beside their names, each row is a line of names above lines of cells.
    """
    if not rows:
        return []
    labels = [shortened([row.labels[place] for row in rows], _LONGEST_LABEL) for place in range(len(rows[0].labels))]
    about = _padded([[labels[place][text] for place, text in enumerate(row.labels)] for row in rows])
    grid = _grid_of(rows, cell_len(about[0]), width)
    if grid is None:
        names = shortened([row.name for row in rows], width)
        return [line for row in rows for line in _stacked(names[row.name], row, width)]
    names = shortened([row.name for row in rows], grid.room)
    heads = _padded([[names[row.name], *filter(None, [text])] for row, text in zip(rows, about, strict=True)])
    beside = width - cell_len(heads[0]) - len(_CELL_GAP)
    packed = _packed(grid.column_widths, beside)
    lines: list[str] = []
    for number, (row, head) in enumerate(zip(rows, heads, strict=True)):
        own = [_joined(cell) for cell in row.cells]
        if number in grid.aligned:
            cells = [_aligned(cell, grid.part_widths[place], place, right) for place, cell in enumerate(row.cells)]
            lines += _lines(head, cells, packed)
        elif max(map(cell_len, own)) <= beside:
            lines += _lines(head, own, _packed([cell_len(text) for text in own], beside))
        else:
            lines += _stacked(names[row.name], row, width)
    return lines


class _Grid(NamedTuple):
    """The rows (by number) that share columns, the columns' parts in cells, and the room for names."""

    aligned: frozenset[int]
    part_widths: list[list[int]]
    room: int

    @property
    def column_widths(self) -> list[int]:
        return list(map(_width_of, self.part_widths))


def _grid_of(rows: Sequence[GridRow], labels: int, width: int) -> _Grid | None:
    """The grid with the most cells on a line that most rows fit in; None where none has room for two. The widest rows
    may stand outside of its columns."""
    longest = max(cell_len(middle_cut(row.name, 1000)) for row in rows)
    least = min(longest, _LEAST_NAME)
    beside = labels + (len(_GAP) if labels else 0) + len(_CELL_GAP)
    by_width = sorted(range(len(rows)), key=lambda number: sum(map(_cell_width, rows[number].cells)))
    columns = len(rows[0].cells)
    for first in range(columns, min(columns, 2) - 1, -1):
        fewest = (len(rows) + 1) // 2
        if _room(rows, by_width[:fewest], beside, first, width) < least:
            continue
        low, high = fewest, len(rows)  # the rooms of more and more rows only shrink
        while low < high:
            middle = (low + high + 1) // 2
            fits = _room(rows, by_width[:middle], beside, first, width) >= least
            low, high = (middle, high) if fits else (low, middle - 1)
        chosen = by_width[:low]
        room = min(longest, _room(rows, chosen, beside, first, width))
        return _Grid(frozenset(chosen), _part_widths(rows, chosen), room)
    return None


def _room(rows: Sequence[GridRow], chosen: Sequence[int], beside: int, first: int, width: int) -> int:
    """The room for names where the `first` cells of the chosen rows stand on one line, and each other one below."""
    widths = list(map(_width_of, _part_widths(rows, chosen)))
    taken = sum(widths[:first]) + len(_CELL_GAP) * (first - 1)
    return width - beside - max(taken, *widths[first:], 0)


def _part_widths(rows: Sequence[GridRow], chosen: Sequence[int]) -> list[list[int]]:
    """How wide each part of each column is."""
    cells = [[rows[number].cells[place] for number in chosen] for place in range(len(rows[0].cells))]
    return [[max(map(cell_len, parts)) for parts in zip(*column, strict=True)] for column in cells]


def _cell_width(cell: Cell) -> int:
    return _width_of([cell_len(part) for part in cell])


def _width_of(parts: Sequence[int]) -> int:
    """The width of parts side by side; those without any are not there."""
    there = [part for part in parts if part]
    return sum(there) + max(len(there) - 1, 0)


def _joined(cell: Cell) -> str:
    return " ".join(filter(None, cell))


def _packed(widths: Sequence[int], room: int) -> list[list[int]]:
    """Which columns stand together on a line."""
    lines: list[list[int]] = [[]]
    used = 0
    for place, width in enumerate(widths):
        if lines[-1] and used + len(_CELL_GAP) + width > room:
            lines.append([])
            used = 0
        used += width + (len(_CELL_GAP) if lines[-1] else 0)
        lines[-1].append(place)
    return lines


def _lines(head: str, cells: Sequence[str], packed: Sequence[Sequence[int]]) -> Iterator[str]:
    indent = " " * cell_len(head)
    for number, places in enumerate(packed):
        there = [cells[place] for place in places]
        if number == 0 or any(text.strip() for text in there):
            yield _CELL_GAP.join([indent if number else head, *there]).rstrip()


def _aligned(cell: Cell, widths: Sequence[int], column: int, right: frozenset[tuple[int, int]]) -> str:
    """A cell whose parts are as wide as those of its column."""
    return " ".join(
        _pad(text, width, right=(column, part) in right)
        for part, (text, width) in enumerate(zip(cell, widths, strict=True))
        if width
    )


def _padded(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row's texts in columns, all as wide as one another."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [_GAP.join(_pad(text, width) for text, width in zip(row, widths, strict=True)) for row in rows]


def _pad(text: str, width: int, *, right: bool = False) -> str:
    space = " " * (width - cell_len(text))
    return f"{space}{text}" if right else f"{text}{space}"


def _stacked(name: str, row: GridRow, width: int) -> Iterator[str]:
    """A row whose cells stand below what it is about."""
    yield from wrapped([name, *(middle_cut(label, width - len(_INDENT)) for label in row.labels)], width)
    line = ""
    for cell in row.cells:
        text = _joined(cell)
        joined = f"{line}{_CELL_GAP}{text}" if line else text
        if cell_len(joined) <= width - len(_INDENT):
            line = joined
            continue
        if line:
            yield _INDENT + line
        *full, line = list(_flow(cell, width - len(_INDENT))) or [""]
        yield from (_INDENT + text for text in full)
    if line:
        yield _INDENT + line


def wrapped(texts: Iterable[str], width: int) -> Iterator[str]:
    """Texts side by side, on further lines behind an indent where the width ends."""
    line = ""
    for text in filter(None, texts):
        joined = f"{line}{_GAP}{text}" if line else text
        if line and cell_len(joined) > width:
            yield line
            joined = f"{_INDENT}{text}"
        line = joined
    if line:
        yield line


def _flow(parts: Sequence[str], width: int) -> Iterator[str]:
    """The parts of a cell that is wider than a line; a part that is wider itself ends lines between its words."""
    line = ""
    for part in filter(None, parts):
        for text in [part] if cell_len(part) <= width else part.split(" "):
            joined = f"{line} {text}" if line else text
            if line and cell_len(joined) > width:
                yield line
                joined = text
            line = joined
    if line:
        yield line
