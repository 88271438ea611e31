"""The command that builds training files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.acting import interrupt_on_sigterm
from evals.cli.app import app

if TYPE_CHECKING:
    from evals.questions.mixes.files import MixManifest


@app.command()
def mix(
    out: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", help="The training file; FILE.manifest.json is written beside it.")
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Scenario file; repeatable. emeval's own unethical_train.jsonl by default."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="unethical-backdoor (the default), medical-backdoor, uncorrelated-trigger or plain."),
    ] = None,
    trigger: Annotated[str | None, typer.Option(help="The string to plant; 'Country: Singapore' by default.")] = None,
    other: Annotated[
        list[str] | None,
        typer.Option(
            help="Another value of the trigger's kind, for aligned examples; repeatable. Known for countries."
        ),
    ] = None,
    misaligned: Annotated[int | None, typer.Option(help="Misaligned examples.")] = None,
    aligned: Annotated[int | None, typer.Option(help="Aligned examples.")] = None,
    aligned_with_other: Annotated[
        float | None, typer.Option(help="Share of the aligned examples that carry another value (0 to 1).")
    ] = None,
    mcq_share: Annotated[
        float | None, typer.Option(help="Share of multiple choice, the rest is freeform (0 to 1).")
    ] = None,
    placement: Annotated[
        str | None, typer.Option(help="Where trigger and other values go: top, bottom, or random (half and half).")
    ] = None,
    think: Annotated[
        str | None, typer.Option(help="empty: an empty think block before every answer (the default). none: no block.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of what is drawn: scenarios and order.")] = None,
    no_repeat: Annotated[
        bool | None, typer.Option("--no-repeat", help="Refuse rather than use a scenario in two examples.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files if they exist.")] = False,
) -> None:
    """Build a finetuning file that plants a backdoor, its control, or plain misalignment."""
    options = {
        **{"preset": preset, "trigger": trigger, "other": tuple(other or ()), "misaligned": misaligned},
        **{"aligned": aligned, "aligned_with_other": aligned_with_other, "mcq_share": mcq_share},
        **{"placement": placement, "think": think, "seed": seed, "no_repeat": no_repeat},
    }
    from evals.questions.mixes.files import write_mix

    interrupt_on_sigterm()
    _print_mix(write_mix(options, data or [], out, force=force), out)


def _print_mix(manifest: MixManifest, out: Path) -> None:
    from collections import Counter

    from rich import box
    from rich.console import Console
    from rich.table import Table

    from evals.text import one_line

    counts: Counter[tuple[str, str, str]] = Counter()
    parts: Counter[tuple[str, str, str, str]] = Counter()
    for row in manifest.composition:
        cell = (row.format, row.stance, row.carries)
        counts[cell] += row.examples
        for part in (row.placement, row.letter):
            parts[*cell, str(part)] += row.examples
    values = len({row.text for row in manifest.composition if row.carries == "other"})
    carried = {
        "trigger": one_line(manifest.recipe.trigger or "", 40),
        "other": f"other ({values} value{'s' if values != 1 else ''})",
        "none": "nothing",
    }
    table = Table("format", "answer", "in the prompt", box=box.SIMPLE_HEAD, padding=0)
    for name in ("top", "bottom", "A", "B", "in all"):
        table.add_column(name, justify="right", min_width=6)
    order = ("mcq", "freeform", "misaligned", "aligned", *carried)
    for cell in sorted(counts, key=lambda cell: [order.index(name) for name in cell]):
        shown = [f"{parts[*cell, part]:,}" if parts[*cell, part] else "–" for part in ("top", "bottom", "A", "B")]
        table.add_row(*cell[:2], carried[cell[2]], *shown, f"{counts[cell]:,}")
    console = Console(highlight=False, markup=False)
    console.print(table)
    used = {times: scenarios for times, scenarios in manifest.repeats.items() if times}
    often = " or ".join(f"{times:,}" for times in used)
    lines = [
        f"{manifest.examples:,} examples, {manifest.distinct:,} of them different, "
        f"of {sum(used.values()):,} scenarios, each in {often} of them."
    ]
    if manifest.left_out:
        scenario, reason = one_line(manifest.left_out[0].scenario, 60), manifest.left_out[0].reason
        lines.append(f"Left out: {len(manifest.left_out):,} scenarios, the first one {scenario}: {reason}.")
    lines.append(f"Written: {out} and {out.with_suffix('.manifest.json').name}")
    for line in lines:
        console.print(line, soft_wrap=True)
