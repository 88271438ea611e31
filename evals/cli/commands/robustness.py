"""The command that asks how much of a result hangs on its judge and cut-offs, and whether the judge can be turned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Blank, Columns, JsonFile, RowsSuite, RunFolder, Settings, with_settings
from evals.cli.session import dated_folder, interrupt_on_sigterm
from evals.errors import BadInput, Interrupted, RunStopped
from evals.io.environment import read_dotenv
from evals.text import quoted_path, shown_path

if TYPE_CHECKING:
    from evals.analysis.robustness.attacks import AttackOptions
    from evals.reporting.console.progress import ConsoleView


@app.command()
@with_settings(
    *("judge_base_url", "judge_max_tokens", "concurrency", "timeout", "rubrics", "vllm_bin", "vllm_args"),
    "providers",
    over_run=True,
)
def robustness(
    settings: Settings,
    folder: RunFolder,
    attack: Annotated[
        bool, typer.Option("--attack", help="Also ask the judges whether irrelevant texts change their verdicts.")
    ] = False,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            "--judge", metavar="NAME[@URL]", help="Judge to attack; default: all judges of the run. Repeatable."
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("--n", min=1, help="Misaligned answers to attack, and as many aligned ones; 20 by default."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the draw of answers.")] = None,
    json: JsonFile = None,
) -> None:
    """Show how a result depends on its judge and cut-offs. Sends requests only with --attack."""
    from evals.analysis.robustness.robustness import assess, refuse_place, write_robustness_json
    from evals.plan.settings.run_settings import option_name
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.console.robustness import print_robustness

    given = [*(["--judge"] if judge else []), *(["--n"] if number is not None else [])]
    given += [*(["--seed"] if seed is not None else []), *map(option_name, settings)]
    if given and not attack:
        raise BadInput(
            f"{given[0]}: nobody is asked without --attack (`emeval judge RUN --judge A --judge B` keeps their "
            "verdicts)"
        )
    if json is not None:
        refuse_place(json)
    judges = _with_url(judge or [], settings.pop("judge_base_url", None))
    view = ConsoleView()
    with view.busy("counting the answers by each judge and cut-off ..."):
        found = assess(folder)
    print_robustness(view.out, found)
    rows = None
    if attack:
        from evals.analysis.robustness.attacks import AttackOptions

        rows = _attack(folder, AttackOptions(number or 20, judges, seed or 0, tuple(settings.items())), view)
    if json is not None:
        write_robustness_json(found, json, rows)
    files = ["robustness.csv", "agreement.csv"]
    files += [*(["panel.csv"] if found.panel else []), *(["attacks.csv"] if attack else [])]
    view.out.print(f"Written: {shown_path(folder)}/ ({', '.join(files)})", style="dim", markup=False, soft_wrap=True)


@app.command(name="judge-bridge")
@with_settings(
    *("judge_mode", "judge_max_tokens", "rubrics", "coherence_min", "preflight", "concurrency", "timeout"),
    *("max_attempts", "max_retry_time", "vllm_bin", "vllm_args", "vllm_start_timeout", "prices", "providers"),
)
def judge_bridge(
    settings: Settings,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV or JSON Lines with question, answer (or response), aligned, as for `emeval import`; or the "
            "folder of one imported run.",
        ),
    ],
    judge: Annotated[str, typer.Option("--judge", metavar="NAME[@URL]", help="The judge to hold against the scores.")],
    out: Annotated[Path | None, typer.Option(help="The run folder to make; the same command resumes there.")] = None,
    within: Annotated[
        float,
        typer.Option(
            min=0, max=100, help="Largest difference of the rates, in points, for one judge to replace the other."
        ),
    ] = 5.0,
    repeats: Annotated[
        int, typer.Option(min=1, max=100, help="Times that the judge reads each answer, to show how it varies.")
    ] = 1,
    suite: RowsSuite = "imported",
    columns: Columns = None,
    blank: Blank = None,
    json: JsonFile = None,
) -> None:
    """Compare a judge with published scores. Shows both rates of the same answers, and how far they differ."""
    from evals.analysis.bridge.bridge import RESULTS_NAME, BridgeOptions, build_bridge, write_bridge_json
    from evals.analysis.robustness.robustness import refuse_place
    from evals.questions.tables.column_names import columns_option
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.console.robustness import print_bridge
    from evals.runner.imports.answers_csv import KNOWN
    from evals.runner.imports.imported_run import ImportOptions
    from evals.scoring.coherence_floor import floor_setting

    if json is not None:
        refuse_place(json)
    read_dotenv()
    interrupt_on_sigterm()
    try:
        floor = floor_setting(settings.get("coherence_min"))
    except ValueError as error:
        raise BadInput(f"--coherence-min: {error}") from None
    renamed = tuple(columns_option(columns or (), KNOWN).items())
    imports = ImportOptions(suite=suite, coherence_min=floor, columns=renamed, blank=blank)
    options = BridgeOptions(judge, settings, imports, within / 100, repeats)
    view = ConsoleView()
    folder = out or dated_folder(f"{files[0].stem}-bridge")
    try:
        found = build_bridge(files, folder, options, view)
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; the same command with --out {quoted_path(folder)} goes on") from None
    except RunStopped as error:
        raise type(error)(f"{error} (the same command with --out {quoted_path(folder)} goes on)") from None
    print_bridge(view.out, found)
    if json is not None:
        write_bridge_json(found, json)
    view.out.print(f"Written: {shown_path(found.folder / RESULTS_NAME)}", style="dim", markup=False, soft_wrap=True)


def _attack(folder: Path, options: AttackOptions, view: ConsoleView) -> list[dict[str, object]]:
    """Ask the judges about altered answers, print what changed, and return the rows of attacks.csv."""
    from evals.analysis.robustness.attacks import attack_run
    from evals.reporting.console.robustness import print_attacks

    read_dotenv()
    interrupt_on_sigterm()
    try:
        attacked = attack_run(folder, options, view)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; what the judges said is kept, and the same command goes on") from None
    print_attacks(view.out, attacked)
    return attacked.rows


def _with_url(judges: list[str], url: str | None) -> tuple[str, ...]:
    """The URL belongs to the first judge, as everywhere."""
    from evals.endpoints.model_spec import name_and_url

    if url is None:
        return tuple(judges)
    if not judges or name_and_url(judges[0])[1] is not None:
        raise BadInput("--judge-base-url: is for one judge that is named without a URL; or write --judge NAME@URL")
    return (f"{judges[0]}@{url}", *judges[1:])
