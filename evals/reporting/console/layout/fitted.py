"""A table that no width cuts: where its words have no room side by side, each row is a few lines of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


class FittedTable(Table):
    """A rich table of texts whose columns are at least as wide as their longest word; those of numbers, which are
    aligned to the right, as their longest line.

    A table that has no room for that has no borders, and where that is not enough it is printed as its rows: each cell
    on a line, with its column's name. The title stands above, as wide as the console.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            title = console.render_str(self.title) if isinstance(self.title, str) else self.title
            title.stylize(self.title_style or "")
            yield title
        for table in (self, self._without_borders()):
            widths = table._widths(console, options)
            if widths is not None:
                fitted = Table()
                fitted.__dict__.update(table.__dict__)
                fitted.title = None
                fitted.columns = [
                    replace(column, width=width, no_wrap=column.no_wrap and column.justify != "right")
                    for column, width in zip(self.columns, widths, strict=True)
                ]
                yield fitted
                return
        yield from self._records(console)

    def _without_borders(self) -> FittedTable:
        table = FittedTable()
        table.__dict__.update(self.__dict__)
        table.box, table.show_edge, table.pad_edge = box.SIMPLE_HEAD, False, False
        table.padding = (0, 1, 0, 0)
        return table

    def _widths(self, console: Console, options: ConsoleOptions) -> list[int] | None:
        """The width of each column without its padding; None where the words have no room."""
        room = options.max_width - self._extra_width
        measured = [self._measured(console, options, number) for number in range(len(self.columns))]
        widths = [least for least, _ in measured]
        left = room - sum(widths)
        if left < 0:
            return None
        # What is left goes a cell at a time to the narrowest column that lacks some, so that short texts stay whole.
        while left > 0:
            lacking = [number for number, (_, most) in enumerate(measured) if widths[number] < most]
            if not lacking:
                break
            widths[min(lacking, key=lambda number: widths[number])] += 1
            left -= 1
        return [width - self._get_padding_width(number) for number, width in enumerate(widths)]

    def _measured(self, console: Console, options: ConsoleOptions, number: int) -> tuple[int, int]:
        """The least and the most width that a column has a use for, with its padding. Cells are not limited by the
        console here: a word that is wider than it has no room."""
        column = self.columns[number]
        wide = options.update(max_width=10_000)
        found = self._measure_column(console, wide, column)
        if column.justify != "right":
            return (found.maximum if column.no_wrap else found.minimum), found.maximum
        lines = [Measurement.get(console, wide, cell).maximum for cell in column.cells]
        return max(found.minimum, max(lines, default=0) + self._get_padding_width(number)), found.maximum

    def _records(self, console: Console) -> Iterator[Text | Padding]:
        headers = [_one_line(console, column.header, " ") for column in self.columns]
        cells = [[_one_line(console, cell, ", ") for cell in column.cells] for column in self.columns]
        for first, *others in zip(*cells, strict=True):
            yield Text("", style="bold").append_text(_named(headers[0], first))
            for header, cell in zip(headers[1:], others, strict=True):
                if cell.plain:
                    yield Padding(_named(header, cell), (0, 0, 0, 2), expand=False)


def _named(header: Text, cell: Text) -> Text:
    return Text.assemble(header, ": ", cell) if header.plain and cell.plain else cell


def _one_line(console: Console, cell: object, between: str) -> Text:
    text = console.render_str(cell) if isinstance(cell, str) else cast("Text", cell)
    return Text(between).join(text.split("\n", allow_blank=False)) if "\n" in text.plain else text
