"""The output of `emeval run --dry-run`: requests, tokens and cost per model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.plan.cost.lengths import Lengths
from evals.plan.cost.planned import Cost, plan_usd
from evals.plan.plan import Plan
from evals.plan.settings.protocols import protocol_lines
from evals.plan.spend import usd_words
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import LONG, plain
from evals.text import shown_path


def print_plan(console: Console, plan: Plan, costs: Sequence[Cost], lengths: Lengths) -> None:
    """Print a row for each model under test and each judge, and the total of known prices: likely and at most."""
    table = FittedTable(
        *("who is asked", "requests", "prompt tokens, about"),
        *("reply tokens, likely", "reply tokens, at most", "cost, likely", "cost, at most"),
    )
    for line in costs:
        most = line.at_most or plan.config.until is not None
        requests = f"at most {line.requests:,}" if most else f"{line.requests:,}"
        here = plan.tariffs().get(line.model) == "served here"
        likely, usd = plan_usd(plan, [line], likely=True), plan_usd(plan, [line])
        unpriced = "served by emeval" if here else "price unknown"
        table.add_row(
            *(plain(line.who), requests, f"{line.prompt_tokens:,}"),
            *(f"{line.likely_reply_tokens:,}", f"{line.reply_tokens:,}"),
            *(unpriced if likely is None else usd_words(likely), unpriced if usd is None else usd_words(usd)),
        )
    console.print(table)
    for line in protocol_lines(plan.config):
        console.print(f"{line[:1].upper()}{line[1:]}.", markup=False, soft_wrap=True)
    if plan.config.until is not None:
        console.print(f"At most: --until {plan.config.until} ends the sampling of a cell as soon as it is decided.")
    if any(line.at_most for line in costs):
        answers = "every answer has" if plan.config.cot_all else "every answer is misaligned and has"
        console.print(
            f"At most: if {answers} reasoning to read. "
            "A judge of reasoning whose reply cannot be read is asked once more."
        )
    for judge in plan.judging.judges:
        if judge.note:
            console.print(plain(f"{judge.name} {judge.note}.", LONG), soft_wrap=True)
    _print_total(console, plan, costs, lengths)


def _print_total(console: Console, plan: Plan, costs: Sequence[Cost], lengths: Lengths) -> None:
    total, likely = plan_usd(plan, costs), plan_usd(plan, costs, likely=True)
    by_batch = any(line.by_batch for line in costs)
    unknown = dict.fromkeys(line.model for line in costs if plan.tariffs().get(line.model, "unknown") == "unknown")
    if total is not None and likely is not None:
        beside = f", and what {plain(', '.join(unknown), LONG)} costs" if unknown else ""
        console.print(f"Cost: likely {usd_words(likely)}, at most {usd_words(total)}{beside}.", soft_wrap=True)
    halved = ", half of them for what goes by batch" if by_batch else ""
    console.print(
        f"Likely: {plain(likely_words(lengths, costs))}. At most: every reply at its limit. Prompts are counted at "
        f"four characters a token, all at list prices{halved}.",
        soft_wrap=True,
    )
    limit = plan.config.max_cost
    if limit is not None and total is not None and likely is not None and limit < total:
        stops = "likely stops" if limit < likely else "would stop"
        console.print(f"--max-cost {usd_words(limit)} {stops} the run before its end, to be resumed.")
    if unknown:
        console.print(
            f"Price unknown: {plain(', '.join(unknown), LONG)}. Give it with --prices FILE.csv.", soft_wrap=True
        )


def likely_words(lengths: Lengths, costs: Sequence[Cost]) -> str:
    """Where the likely lengths come from, in one line."""
    recorded = lengths.recorded
    prior = "docs/command-line.md has the table"
    if recorded is None or not any("recorded" in line.likely_from for line in costs):
        return f"reply lengths from a prior by suite and thinking, nothing measured ({prior}; --pilot RUN measures)"
    answers = "1 answer" if recorded.read == 1 else f"{recorded.read:,} answers"
    part = f" ({recorded.recorded:,} of its {recorded.planned:,} are recorded)"
    words = f"reply lengths from {answers} in {shown_path(recorded.folder)}"
    words += part if recorded.recorded < recorded.planned else ""
    words += "; models that it did not ask, as its others" if any("other" in line.likely_from for line in costs) else ""
    lacking = any("prior" in line.likely_from for line in costs)
    return f"{words}; what it lacks, from a prior ({prior})" if lacking else words
