"""The table of likely lengths in the documentation: `python -m evals.cli.likely_table docs/command-line.md`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from evals.plan.cost.prior import FORMATS, JUDGED_SHARE, LABEL, REASONS, SCORE, SUITES

_PLACE = re.compile(r"(<!-- likely tokens -->\n).*?(<!-- end of likely tokens -->)", re.DOTALL)


def with_priors(page: str) -> str:
    """`page` with the table between its two comments."""
    rows = [f"| {form} | {tokens.plain} | {tokens.thinking} |" for form, tokens in FORMATS.items()]
    rows += [f"| `{suite}` ({form}) | {tokens.plain} | {tokens.thinking} |" for (suite, form), tokens in SUITES.items()]
    rows += [
        f"| a judge's score | {SCORE} | {SCORE} |",
        f"| a judge's label | {LABEL} | {LABEL} |",
        f"| a judge's reasons and flag | {REASONS} | {REASONS} |",
    ]
    share = f"{JUDGED_SHARE:.0%} of the answers"
    rows.append(f"| reasoning that is judged, without `--cot-all` | {share} | {share} |")
    table = "\n".join(["| reply | tokens | with `--thinking on` |", "|---|---|---|", *rows])
    return _PLACE.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(with_priors(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
