"""Commands that hold one run against another."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import EXIT_GATE, app
from evals.cli.options import Conditions, Detail, Formats, Metrics, Quiet, Suites, run_argument
from evals.cli.session import Output, print_json
from evals.errors import BadInput

if TYPE_CHECKING:
    from evals.analysis.comparison.result import Gate


@app.command()
def compare(
    base: Annotated[
        Path,
        run_argument("BASE", "The run folder to compare with; or latest."),
    ],
    candidate: Annotated[
        Path | None,
        run_argument("CANDIDATE", "The run folder in question; or latest."),
    ] = None,
    max_increase: Annotated[
        float, typer.Option(min=0, max=1, help="Largest allowed change for the worse, as a fraction: 0.05 is 5 points.")
    ] = 0.05,
    metric: Metrics = None,
    condition: Conditions = None,
    suite: Suites = None,
    format: Formats = None,
    base_model: Annotated[str | None, typer.Option(help="Model of BASE, if it has several.")] = None,
    candidate_model: Annotated[str | None, typer.Option(help="Model of CANDIDATE, if it has several.")] = None,
    worse: Annotated[
        str | None, typer.Option(help="increase or decrease: which is worse. The metric's own direction by default.")
    ] = None,
    max_unscored: Annotated[
        float, typer.Option(min=0, max=1, help="Refuse runs in which a larger share of the answers is not scored.")
    ] = 0.05,
    did: Annotated[
        bool,
        typer.Option(
            "--did",
            help="Of one run: is the effect of a trigger larger in its models than in their base? Needs no CANDIDATE.",
        ),
    ] = False,
    base_of_run: Annotated[
        str | None,
        typer.Option("--base", metavar="NAME", help="With --did: the base model; default: the run's, its first."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Also exit 1 if the result is unclear.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the result as JUnit XML.")] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Also write the result as JSON; - prints it instead of the tables."
        ),
    ] = None,
    detail: Detail = False,
    quiet: Quiet = False,
) -> None:
    """Test whether CANDIDATE is worse than BASE. Paired by question, with an interval; exit 1 on a regression."""
    for option, share in (("--max-increase", max_increase), ("--max-unscored", max_unscored)):
        if isnan(share):
            raise BadInput(f"{option}: is not a number")
    if worse not in (None, "increase", "decrease"):
        raise BadInput(f"--worse: {worse!r} is neither increase nor decrease")
    from evals.analysis.comparison.compare import compare_runs
    from evals.analysis.comparison.result import Gate
    from evals.io.atomic import write_whole
    from evals.reporting.console.comparison import print_comparison

    if candidate is None and not did:
        raise BadInput("CANDIDATE is missing: compare takes two run folders, or one with --did")
    gate = Gate(
        max_increase=max_increase,
        metrics=tuple(metric or ()),
        conditions=tuple(condition or ()),
        suites=tuple(suite or ()),
        formats=tuple(format or ()),
        worse=worse,
        max_unscored=max_unscored,
        base_model=base_model,
        candidate_model=candidate_model,
    )
    output = Output(quiet, json_file == Path("-"), detail)
    if did or candidate is None:
        for option, value in {
            "CANDIDATE": candidate,
            "--base-model": base_model,
            "--candidate-model": candidate_model,
            "--worse": worse,
            "--strict": strict or None,
            "--junit": junit,
        }.items():
            if value is not None:
                raise BadInput(f"{option}: --did compares the models of one run with their base; leave it out")
        _compare_effects(base, base_of_run, gate, json_file, output)
        return
    if base_of_run is not None:
        raise BadInput("--base: is for --did; name a model of BASE with --base-model")
    view = output.view()
    with view.busy("counting the answers of both runs ..."):
        compared = compare_runs(base, candidate, gate)
    if junit is not None:
        from evals.analysis.comparison.junit import comparison_xml

        write_whole(junit, comparison_xml(compared, strict=strict))
    if json_file is not None:
        from evals.analysis.comparison.json_file import comparison_json

        text = comparison_json(compared)
        if output.json:
            print_json(json.loads(text))
        else:
            write_whole(json_file, text)
    print_comparison(view.out, compared, detail=output.detail)
    failed = compared.decision == "regression" or (strict and compared.decision != "within")
    raise typer.Exit(EXIT_GATE if failed else 0)


def _compare_effects(run: Path, base: str | None, chosen: Gate, json_file: Path | None, output: Output) -> None:
    """Print what `--did` asks for, and write it as JSON."""
    from evals.analysis.comparison.differences import effect_differences
    from evals.io.atomic import write_whole
    from evals.reporting.console.experiments.differences import print_differences

    view = output.view()
    with view.busy("counting the answers ..."):
        rows = effect_differences(run, base, chosen)
    if output.json:
        print_json(rows)
    elif json_file is not None:
        write_whole(json_file, json.dumps(rows, indent=2) + "\n")
    print_differences(view.out, rows)
