"""The options of the commands that take settings of a run, made from the settings' declarations; shared arguments.

Reading the declarations takes longer than all the rest of `emeval --help`, so it waits until a command needs them.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

import typer

from evals.cli import completion

if TYPE_CHECKING:
    from evals.plan.settings.description import Description

Settings = dict[str, Any]
"""Settings by the field's name, as far as they were given."""


def run_folder(given: Path | list[Path] | None) -> Path | list[Path] | None:
    """The folders that RUN means: that of the run which was begun last for `latest`; None if none is given. Raises
    BadInput."""
    if given is None:
        return None
    if isinstance(given, list):
        return [cast("Path", run_folder(path)) for path in given]
    if str(given) != "latest" or given.exists():
        return given
    from evals.plan.recorded.listing import latest_run

    return latest_run()


def run_argument(metavar: str, text: str) -> Any:
    """An argument of a command that takes run folders, `latest` among them."""
    return typer.Argument(metavar=metavar, help=text, callback=run_folder, autocompletion=completion.runs)


RunFolder = Annotated[Path, run_argument("RUN", "A run folder, such as results/demo; or latest.")]
RunFolders = Annotated[list[Path], run_argument("RUN...", "One run folder or several; or latest.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no tables, only errors.")]
Detail = Annotated[bool, typer.Option("--detail", help="Also print every table, with intervals, reasoning and notes.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")]
CsvFile = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the numbers as CSV.")]
RunOptionsFile = Annotated[Path | None, typer.Option(help="A YAML file with options of `emeval run`.")]
ResumedRun = Annotated[Path | None, typer.Option(help="Run folder; an existing run is resumed.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Ask again, too, what is recorded as failed.")]
Shard = Annotated[int, typer.Option("--shard", min=1, help="Requests in a file, at most.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        help="A metric of rates.csv; repeatable. Default: each suite's primary metric.",
        autocompletion=completion.metrics,
    ),
]
Conditions = Annotated[list[str] | None, typer.Option(help="off, on, decoy, ...; repeatable.")]
Suites = Annotated[list[str] | None, typer.Option(help="Only this suite; repeatable.")]
Formats = Annotated[list[str] | None, typer.Option(help="mcq, freeform, transcript; repeatable.")]
RowsSuite = Annotated[str, typer.Option(help="Suite of rows without one, such as freeform.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=COLUMN",
        help="The file's column for one of emeval's, such as answer=reply; repeatable, or with commas between.",
    ),
]
Blank = Annotated[
    Literal["refused", "unjudged"] | None,
    typer.Option(help="What a blank score means: refused (or code; Betley et al. 2025), or unjudged, the default."),
]
_COMPLETIONS: dict[str, Callable[[str], list[str]]] = {
    "models": completion.models,
    "judge": completion.models,
    "plugins": completion.plugins,
}
_WAITING: list[Callable[[], None]] = []
"""What gives the imported commands their options, as soon as those are needed."""


class _Command(Protocol):
    """A command whose first argument is its settings."""

    def __call__(self, settings: Settings, /, *args: Any, **kwargs: Any) -> None: ...


def with_settings(
    *names: str, command: str = "", without: str = "", over_run: bool = False
) -> Callable[[_Command], Callable[..., None]]:
    """Give a command the options of settings: of those named, or of all that `command` takes (SCOPES) but `without`.

    The decorated function gets the settings that were given as a dictionary, before the arguments of its own.
    `over_run`: they override those of a recorded run.
    """

    def decorate(function: _Command) -> Callable[..., None]:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        own = {parameter.name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters}

        @functools.wraps(function)
        def wrapper(**arguments: Any) -> None:
            given = {name: value for name, value in arguments.items() if name not in own}
            function(_given(given), **{name: arguments[name] for name in own})

        def add_options() -> None:
            from evals.plan.settings.description import describe, described

            chosen = described(command) if command else map(describe, names)
            shown = [option for option in chosen if option.setting.is_option and option.name != without]
            if over_run:
                shown = [option._replace(default=option.default and "the run's") for option in shown]
            hidden = _old_rubrics() if any(option.name == "rubrics" for option in shown) else []
            show([*map(_parameter, shown), *hidden, *own.values()])

        def show(parameters: list[inspect.Parameter]) -> None:
            # What typer reads in place of the function's own signature.
            setattr(wrapper, "__signature__", inspect.Signature(parameters))  # noqa: B010

        wrapper.__annotations__ = {}
        show(list(own.values()))
        _WAITING.append(add_options)
        return wrapper

    return decorate


def add_options() -> None:
    """Give every command that is imported by now the options of its settings."""
    while _WAITING:
        _WAITING.pop()()


def _given(arguments: dict[str, Any]) -> Settings:
    given = {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else value for name, value in arguments.items()
    }
    return {name: value for name, value in given.items() if value not in (None, ())}


def _parameter(option: Description) -> inspect.Parameter:
    from evals.plan.settings.run_settings import option_name

    flag = option_name(option.name)
    if option.kind is bool:
        flag = f"{flag}/--no-{flag.removeprefix('--')}"
    kind = list[option.kind] if option.setting.repeats else option.kind  # pyright: ignore[reportInvalidTypeForm]
    metavar = option.setting.value or (f"[{'|'.join(option.choices)}]" if option.choices else None)
    complete = _COMPLETIONS.get(option.name) or (_completing(option.choices) if option.choices else None)
    info = typer.Option(
        *([flag, option.setting.short] if option.setting.short else [flag]),
        metavar=metavar,
        help=" ".join(filter(None, [_with_flags(option.text), option.notes])),
        autocompletion=complete,
    )
    return _keyword(option.name, kind, info)


def _old_rubrics() -> list[inspect.Parameter]:
    """The hidden names that --rubric had for single judges, until the next release."""
    from evals.plan.settings.rubrics import OLD_FIELDS

    return [_keyword(name, str, typer.Option(hidden=True)) for name in OLD_FIELDS]


def _keyword(name: str, kind: Any, info: Any) -> inspect.Parameter:
    annotation = cast("Any", Annotated)[kind | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _completing(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    return lambda incomplete: [choice for choice in choices if choice.startswith(incomplete)]


def _with_flags(text: str) -> str:
    """`text` with the settings in it as the command line writes them."""
    from evals.plan.settings.run_settings import SETTINGS, option_name

    return re.sub(r"`(\w+)`", lambda word: option_name(word[1]) if word[1] in SETTINGS else word[0], text)
