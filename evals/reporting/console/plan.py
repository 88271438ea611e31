"""The output of `emeval run --dry-run`: requests, tokens and cost per model."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.plan.cost import Cost, plan_usd
from evals.plan.plan import Plan
from evals.plan.settings.protocols import protocol_lines
from evals.plan.spend import usd_words
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import LONG, plain


def print_plan(console: Console, plan: Plan, costs: Sequence[Cost]) -> None:
    """Print a row for each model under test and each judge, and the total of known prices."""
    table = FittedTable("who is asked", "requests", "prompt tokens, about", "reply tokens, at most", "cost, at most")
    for line in costs:
        most = line.at_most or plan.config.until is not None
        requests = f"at most {line.requests:,}" if most else f"{line.requests:,}"
        usd = plan_usd(plan, [line])
        here = plan.tariffs().get(line.model) == "served here"
        cost = usd_words(usd) if usd is not None else "served by emeval" if here else "price unknown"
        table.add_row(plain(line.who), requests, f"{line.prompt_tokens:,}", f"{line.reply_tokens:,}", cost)
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
    total, by_batch = plan_usd(plan, costs), any(line.by_batch for line in costs)
    unknown = dict.fromkeys(line.model for line in costs if plan.tariffs().get(line.model, "unknown") == "unknown")
    if total is not None:
        beside = f", and what {plain(', '.join(unknown), LONG)} costs" if unknown else ""
        console.print(
            f"Cost: at most {usd_words(total)}{beside}. Prompts are counted at four characters a token, replies at "
            f"their limit, all at list prices{', half of them for what goes by batch' if by_batch else ''}.",
            soft_wrap=True,
        )
    if unknown:
        console.print(
            f"Price unknown: {plain(', '.join(unknown), LONG)}. Give it with --prices FILE.csv.", soft_wrap=True
        )
