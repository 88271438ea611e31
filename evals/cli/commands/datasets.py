"""Commands about question sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import EXIT_BAD_INPUT, app
from evals.cli.options import Json
from evals.cli.output import echo
from evals.cli.session import interrupt_on_sigterm, print_json
from evals.errors import BadInput
from evals.io.environment import read_dotenv
from evals.text import shown_path

if TYPE_CHECKING:
    from evals.questions.mixes.files import MixManifest


datasets_app = typer.Typer(no_args_is_help=True, help="Question sets: list, validate, fetch.")
app.add_typer(datasets_app, name="datasets")


@datasets_app.command(name="list")
def datasets_list(json: Json = False) -> None:
    """List the question sets that come with emeval, and the official ones that it can fetch."""
    from rich.table import Table

    from evals.questions.dataset import check, data_folder
    from evals.questions.official.cached import fetched_names
    from evals.questions.official.registry import SOURCES
    from evals.reporting.console.terminal import SafeConsole

    own = {path.name: check(path).dataset for path in sorted(data_folder().glob("*.jsonl"))}
    if json:
        files = [
            {
                "file": name,
                "rows": len(dataset.scenarios) if dataset else None,
                "schema": dataset.schema if dataset else None,
                "sha256": dataset.sha256 if dataset else None,
            }
            for name, dataset in own.items()
        ]
        official = [
            {
                "name": source.name,
                "title": source.title,
                "licence": source.licence,
                "files": list(source.names),
                "fetched": fetched_names(source),
            }
            for source in SOURCES.values()
        ]
        print_json({"files": files, "official": official})
        return
    table = Table("file", "rows", "schema", "sha256")
    for name, dataset in own.items():
        facts = (
            (str(len(dataset.scenarios)), dataset.schema, dataset.sha256[:16]) if dataset else ("not readable", "", "")
        )
        table.add_row(name, *facts)
    console = SafeConsole()
    console.print(table)
    official = Table("official dataset", "what it is", "licence", "files fetched")
    for source in SOURCES.values():
        official.add_row(source.name, source.title, source.licence, f"{len(fetched_names(source))}/{len(source.names)}")
    console.print(official)


@datasets_app.command(name="validate")
def datasets_validate(files: Annotated[list[Path], typer.Argument(metavar="FILE...")]) -> None:
    """Validate scenario files. Every bad row is named as file:line, field, reason."""
    from evals.questions.dataset import check

    bad = False
    for path in files:
        report = check(path)
        bad = bad or report.dataset is None
        for problem in report.problems:
            echo(str(problem))
        if report.dataset is not None:
            echo(
                f"{shown_path(path)}: {len(report.dataset.scenarios)} rows, schema {report.dataset.schema}, no problems"
            )
    if bad:
        raise typer.Exit(EXIT_BAD_INPUT)


@datasets_app.command(name="fetch")
def datasets_fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Official datasets; `emeval datasets list` shows them.")
    ],
    mirror: Annotated[
        str | None, typer.Option("--from", help="A folder or URL with the files laid out as in the original.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this file and its sources; repeatable.")] = None,
) -> None:
    """Download official datasets into the cache. Checked by sha256, and read offline from then on."""
    from evals.questions.official.cached import find_source
    from evals.questions.official.fetch import fetch
    from evals.reporting.console.progress import FetchConsole

    read_dotenv()
    sources = [find_source(name) for name in dict.fromkeys(names)]
    if len(sources) > 1 and (mirror is not None or only):
        raise BadInput("--from and --only go with one dataset at a time")
    interrupt_on_sigterm()
    view = FetchConsole()
    for source in sources:
        for file in fetch(source, view, mirror=mirror, only=only or ()):
            state = "there already" if file.was_there else "fetched"
            trust = {"pinned": "as pinned", "first use": "as at first use", "made here": "made here"}[file.trust]
            echo(f"{source.name}/{file.name}: {state}, {file.size:,} bytes, sha256 {file.sha256} ({trust})")
        echo(f"{source.name}: {source.repository}, licence: {source.licence}")


@app.command()
def mix(
    out: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", help="The training file; FILE.manifest.json is written next to it.")
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
        bool | None, typer.Option("--no-repeat", help="Fail instead of using a scenario in two examples.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files if they exist.")] = False,
) -> None:
    """Build a finetuning dataset. It plants a backdoor, its control, or plain misalignment."""
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
    from rich.table import Table

    from evals.reporting.console.terminal import SafeConsole
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
    console = SafeConsole(highlight=False, markup=False)
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
    lines.append(f"Written: {shown_path(out)} and {shown_path(out.with_suffix('.manifest.json').name)}")
    for line in lines:
        console.print(line, soft_wrap=True)
