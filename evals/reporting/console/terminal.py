"""The console that everything is printed on: no text of others steers a terminal.

Names in a manifest, tensor names, folders, server messages and answers may hold escape sequences. What is printed is
made safe here, after markup and layout, whatever wrote it. Only emeval's own styles and progress bars reach the
terminal as such.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from evals.text import printable


class SafeConsole(Console):
    """A rich console whose texts are printable; see `evals.text.printable`."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
