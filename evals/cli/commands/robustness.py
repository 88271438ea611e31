"""The command that asks how much of a result hangs on its judge and cut-offs, and whether the judge can be turned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolder, Settings, with_settings
from evals.cli.session import interrupt_on_sigterm
from evals.errors import BadInput, Interrupted
from evals.io.environment import read_dotenv
from evals.text import shown_path

if TYPE_CHECKING:
    from evals.analysis.robustness.attacks import AttackOptions
    from evals.reporting.console.progress import ConsoleView


@app.command()
@with_settings(
    *("judge_base_url", "judge_max_tokens", "concurrency", "timeout_s", "rubrics", "vllm_bin", "vllm_args"),
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
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")] = None,
) -> None:
    """Show how a result depends on its judge and cut-offs. Sends no request, unless with --attack."""
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
    found = assess(folder)
    print_robustness(view.out, found)
    rows = None
    if attack:
        from evals.analysis.robustness.attacks import AttackOptions

        rows = _attack(folder, AttackOptions(number or 20, judges, seed or 0, tuple(settings.items())), view)
    if json is not None:
        write_robustness_json(found, json, rows)
    files = ["robustness.csv", "agreement.csv", *(["attacks.csv"] if attack else [])]
    view.out.print(f"Written: {shown_path(folder)}/ ({', '.join(files)})", style="dim", markup=False, soft_wrap=True)


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
