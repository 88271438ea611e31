"""Names shortened in the middle to a width in terminal cells, so that different names stay different."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

from evals.reporting.console.layout.words import server_of_all
from evals.text import one_line

_SHARES_OF_HEAD = (0.5, 0.3, 0.7, 0.15, 0.85, 0.0, 1.0)
"""How much of the room the start of a name gets, in the order in which it is tried; its end gets the rest."""
_LONGEST = 300


def shortened(names: Sequence[str], width: int) -> dict[str, str]:
    """Each name on one line of at most `width` cells; no two are shortened to the same text.

    Where no cut tells all of them apart, those that look alike end in their number in `names`, such as `#2`. `width`
    must have room for that: 6 cells for fewer than 1,000 names.
    """
    distinct = list(dict.fromkeys(names))
    cuts = [{name: middle_cut(name, width, share) for name in distinct} for share in _SHARES_OF_HEAD]
    # The cut that tells most of them apart; the first of several.
    found = max(cuts, key=lambda cut: len(set(cut.values())))
    times = Counter(found.values())
    for number, name in enumerate(distinct, 1):
        if times[found[name]] > 1:
            mark = f"#{number}"
            found = found | {name: middle_cut(name, width - len(mark)) + mark}
    return found


def model_names(models: Sequence[str], width: int) -> dict[str, str]:
    """What to call each model in at most `width` cells: without the server where all have the same, then shortened."""
    server = server_of_all(models)
    short = shortened([model.removeprefix(server) for model in models], width)
    return {model: short[model.removeprefix(server)] for model in models}


def middle_cut(name: str, width: int, share_of_head: float = 0.5) -> str:
    """`name` on one line, with … for its middle where it takes more than `width` cells, at least 1."""
    text = one_line(name, _LONGEST)
    if cell_len(text) <= width:
        return text
    room = width - 1
    head = _start(text, round(room * share_of_head))
    tail = _start(text[::-1], room - cell_len(head))[::-1]
    while tail and cell_len(tail[0]) == 0:  # a mark that belongs to a letter that is cut away
        tail = tail[1:]
    while cell_len(f"{head}…{tail}") > width:  # some characters are wider together than alone
        head, tail = head[:-1], tail if head else tail[1:]
    return f"{head}…{tail}"


def _start(text: str, room: int) -> str:
    """As much of the text as takes up to `room` cells."""
    used, end = 0, 0
    for end, char in enumerate(text):
        used += cell_len(char)
        if used > room:
            return text[:end]
    return text[: end + 1]
