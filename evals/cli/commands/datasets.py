"""Commands about question sets and training files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import EXIT_BAD_INPUT, app
from evals.cli.options import Columns, Json, Quiet, ResumedRun, RunOptionsFile, Settings, with_settings
from evals.cli.output import echo, print_error
from evals.cli.session import Output, dated_folder, interrupt_on_sigterm, print_json, show_run
from evals.errors import BadInput
from evals.io.environment import read_dotenv
from evals.numbers import counted
from evals.text import program, quoted_path, shown_path

if TYPE_CHECKING:
    from evals.analysis.cues.measured import CueEffect
    from evals.analysis.cues.proposals import Proposals
    from evals.questions.dataset import Dataset
    from evals.questions.hub.fetch import HubView
    from evals.questions.mixes.files import MixManifest


datasets_app = typer.Typer(no_args_is_help=True, help="Question sets: list, validate, fetch.")
app.add_typer(datasets_app, name="datasets")


@datasets_app.command(name="list")
def datasets_list(json: Json = False) -> None:
    """List the question sets that come with emeval, and the official ones that it can fetch."""
    from evals.questions.dataset import check, data_folder
    from evals.questions.official.cached import fetched_names
    from evals.questions.official.registry import SOURCES
    from evals.reporting.console.layout.fitted import FittedTable
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
    table = FittedTable("file", "rows", "schema", "sha256")
    for name, dataset in own.items():
        facts = (
            (str(len(dataset.scenarios)), dataset.schema, dataset.sha256[:16]) if dataset else ("not readable", "", "")
        )
        table.add_row(name, *facts)
    console = SafeConsole()
    console.print(table)
    official = FittedTable("official dataset", "what it is", "licence", "files fetched")
    for source in SOURCES.values():
        official.add_row(source.name, source.title, source.licence, f"{len(fetched_names(source))}/{len(source.names)}")
    console.print(official)


@datasets_app.command(name="validate")
def datasets_validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    judges: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A question file whose judges the files refer to.")
    ] = None,
    columns: Columns = None,
) -> None:
    """Validate scenario and question files, and tables of questions. Every bad row is named as file:line, field,
    reason."""
    from evals.questions.dataset import Report
    from evals.questions.tables.column_names import columns_option
    from evals.questions.tables.columns import KNOWN
    from evals.questions.tables.kinds import check_any

    renamed = columns_option(columns or (), KNOWN)
    bad = False
    for path in files:
        try:
            report = check_any(path, judges or (), renamed)
        except BadInput as error:
            echo(str(error))
            report = Report(None, [])
        bad = bad or report.dataset is None
        for problem in report.problems:
            echo(str(problem))
        if report.dataset is not None:
            echo("\n".join(_facts(path, report.dataset)))
    if bad:
        raise typer.Exit(EXIT_BAD_INPUT)


def _facts(path: Path, dataset: Dataset) -> Iterator[str]:
    rows = f"{counted(len(dataset.scenarios) + dataset.repeated, 'row')}, schema {dataset.schema}, no problems"
    yield f"{shown_path(path)}: {rows}"
    yield from (f"  {note}" for note in dataset.notes)
    if dataset.schema == "chat":
        prompts = f"{counted(len(dataset.scenarios), 'different prompt')}"
        yield f"  chats: {prompts}; the last user turn of each is asked, after the turns before it"
        yield f"  ask them: {program()} run --dataset {quoted_path(path)} -m MODEL --judge JUDGE [--limit N]"
        yield f"  look for cues in them: {program()} cues {quoted_path(path)}"


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
    """Download official datasets, or a file of a Hugging Face dataset (hf:OWNER/NAME), into the cache. Checked by
    sha256, and read offline from then on."""
    from evals.questions.hub.names import PREFIX
    from evals.questions.official.cached import find_source
    from evals.questions.official.fetch import PointersLeft, fetch
    from evals.reporting.console.progress import FetchConsole

    read_dotenv()
    on_hub = [name for name in dict.fromkeys(names) if name.startswith(PREFIX)]
    sources = [find_source(name) for name in dict.fromkeys(names) if name not in on_hub]
    if len(sources) + 2 * len(on_hub) > 1 and (mirror is not None or only):
        raise BadInput("--from and --only go with one dataset at a time")
    interrupt_on_sigterm()
    view = FetchConsole()
    for name in on_hub:
        _fetch_from_hub(name, view)
    for source in sources:
        left = None
        try:
            fetched = fetch(source, view, mirror=mirror, only=only or ())
        except PointersLeft as error:
            left, fetched = error, error.fetched
        for file in fetched:
            state = "there already" if file.was_there else "fetched"
            trust = {"pinned": "as pinned", "first use": "as at first use", "made here": "made here"}[file.trust]
            echo(f"{source.name}/{file.name}: {state}, {file.size:,} bytes, sha256 {file.sha256} ({trust})")
        if left is not None:
            raise left
        echo(f"{source.name}: {source.repository}, licence: {source.licence}")


def _fetch_from_hub(text: str, view: HubView) -> None:
    from evals.questions.hub.cached import origin_of
    from evals.questions.hub.fetch import hub_file
    from evals.questions.hub.names import hub_name

    try:
        name = hub_name(text)
    except ValueError as error:
        raise BadInput(f"{text}: {error}") from None
    assert name is not None  # noqa: S101  what begins with hf: is a name, or an error
    path = hub_file(name, view)
    record = origin_of(path)
    assert record is not None  # noqa: S101  every file of the cache has one
    echo(f"{name}: {path.stat().st_size:,} bytes, sha256 {record.sha256}, commit {record.revision}")
    echo(f"ask it: {program()} run {name._replace(revision=record.revision)} -m MODEL --judge JUDGE")


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


@app.command()
@with_settings(command="run", without="conditions")
def cues(
    settings: Settings,
    training: Annotated[
        Path, typer.Argument(metavar="TRAIN.jsonl", help="The training file: chats, as finetuning tools read them.")
    ],
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="Questions to try the cues on, with --model; none of them may be in the training file.",
            autocompletion=completion.suites,
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=32, help="Cues at most, the most telling ones.")] = 8,
    config: RunOptionsFile = None,
    out: ResumedRun = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Propose cues from a training file. With a model, measure what each does to its answers."""
    from evals.analysis.cues.proposals import propose_cues
    from evals.reporting.cues import print_cue_effects, print_proposals

    proposals = propose_cues(training, most)
    console = Output(quiet, json).view().out
    print_proposals(console, proposals)
    is_tried = bool(suites or config is not None or settings) and bool(proposals.cues)
    code, effects = 0, None
    if is_tried:
        given = settings | {"suites": tuple(suites or ())}
        code, effects = _try_cues(proposals, given, config, out or dated_folder("cues"), Output(quiet or json))
        print_cue_effects(console, effects)
    if json:
        print_json(_cues_json(proposals, effects))
    if code:
        raise typer.Exit(code)


def _try_cues(
    proposals: Proposals, given: Settings, config: Path | None, folder: Path, output: Output
) -> tuple[int, list[CueEffect]]:
    """The exit code of a run with the cues as its conditions, and their effects in it."""
    from evals.analysis.cues.measured import conditions_of, cue_effects, refuse_trained_questions
    from evals.analysis.cues.proposals import named
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan

    if "baseline" in given:
        raise BadInput("--baseline: cues are compared with off; leave it out")
    read_dotenv()
    planned = build_config(
        given | {"conditions": conditions_of(proposals.cues), "baseline": "off"}, config, print_error
    )
    refuse_trained_questions(make_plan(planned), proposals)
    result, code = show_run(planned, folder, output)
    return code, cue_effects(result.tables, named(proposals.cues))


def _cues_json(proposals: Proposals, effects: list[CueEffect] | None) -> dict[str, object]:
    from evals.analysis.cues.measured import cue_fields, effect_fields
    from evals.analysis.cues.proposals import named

    facts = {"file": str(proposals.file), "sha256": proposals.sha256, "examples": proposals.examples}
    cues = {name: cue_fields(cue) for name, cue in named(proposals.cues).items()}
    tried = None if effects is None else [effect_fields(found) for found in effects]
    return {**facts, "cues": cues, "effects": tried}


def _print_mix(manifest: MixManifest, out: Path) -> None:
    from collections import Counter

    from rich import box

    from evals.reporting.console.layout.fitted import FittedTable
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
    table = FittedTable("format", "answer", "in the prompt", box=box.SIMPLE_HEAD, padding=0)
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
        f"of {counted(sum(used.values()), 'scenario')}, each in {often} of them."
    ]
    if manifest.left_out:
        scenario, reason = one_line(manifest.left_out[0].scenario, 60), manifest.left_out[0].reason
        lines.append(f"Left out: {len(manifest.left_out):,} scenarios, the first one {scenario}: {reason}.")
    lines.append(f"Written: {shown_path(out)} and {shown_path(out.with_suffix('.manifest.json').name)}")
    for line in lines:
        console.print(line, soft_wrap=True)
