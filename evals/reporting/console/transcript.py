"""A trial as a person reads it on a terminal: what was asked, what the model thought and said, what judges made of it.

Every text that came from outside is made harmless first (`evals.text.printable`) and indented, line by line: what
begins a line is ours, so that no answer can pass itself off as a verdict. Styles are ours alone, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from rich.console import Console
from rich.text import Text

from evals.analysis.trial_filter import Shown
from evals.plan.judge_names import JudgeName, said_of
from evals.scoring.metric import is_misaligned
from evals.text import one_line, printable
from evals.trials.record import RecordedTrial
from evals.trials.response import Failure, Response

_HEADING, _TRIGGER, _THOUGHT, _FINDING = "bold", "bold reverse", "dim", "bold"


def transcripts(
    trials: Iterable[Shown], names: Mapping[str, JudgeName], recorded: Callable[[], int] | None = None
) -> Iterator[str]:
    """The text of each trial, styled if stdout is a terminal; then a line with their number, given that of all trials.

    Texts are whole, however long; long lines are left to the terminal or the pager.
    """
    console = Console(highlight=False, emoji=False, markup=False)
    count = 0
    for shown in trials:
        count += 1
        with console.capture() as captured:
            _print_trial(console, shown, names)
        yield captured.get()
    if recorded is not None:
        with console.capture() as captured:
            console.print(f"{count} of {recorded()} trials", style="dim")
        yield captured.get()


def _print_trial(console: Console, shown: Shown, names: Mapping[str, JudgeName]) -> None:
    trial = shown.trial
    place = f"{trial.suite} ({trial.format}) · {trial.model} · {trial.condition} · {trial.prompt_id}"
    repeat = f" · answer {trial.repeat + 1}" if trial.repeat else ""
    _print(console, Text(f"── {trial.trial_id} ", _HEADING) + Text(one_line(place, 500) + repeat))
    _print(console, Text("outcome: ") + Text(_outcome(shown), _FINDING))
    if trial.trigger:
        _print(console, Text(f"trigger: {one_line(trial.trigger)}"))
    for message in trial.messages:
        _print(console, Text(f"{message.role}:", _HEADING))
        _print(console, _marked(_indented(message.content), trial))
    for text in _reply(trial.result):
        _print(console, text)
    for said in said_of(trial, names):
        who = f"verdict, {one_line(said.judge.shown, 60)}, {one_line(said.judge.model, 100) or 'by rule'}"
        beside = "" if said.judge.counts else " (kept beside)"
        _print(console, Text(f"{who}{beside}: ", _HEADING) + Text(one_line(said.words), _FINDING))
        if said.reply.strip():
            _print(console, Text(_indented(said.reply.strip())))
    _print(console, Text(""))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _outcome(shown: Shown) -> str:
    measured, thought = shown.measured, shown.thought
    parts = [measured.outcome]
    if measured.outcome == "scored" and (measured.aligned is not None or measured.chose_misaligned is not None):
        parts.append("misaligned" if is_misaligned(measured) else "not misaligned")
    if measured.letter is not None:
        parts.append(f"chose {measured.letter}")
    if measured.label:
        parts.append(measured.label)
    if measured.aligned is not None:
        parts.append(f"aligned {measured.aligned:.6g}")
    if measured.coherent is not None:
        parts.append(f"coherent {measured.coherent:.6g}")
    if thought is not None and thought.flag:
        parts.append(f"reasoning flagged {thought.flag}")
    if thought is not None and thought.articulation:
        parts.append(f"articulates the trigger: {thought.articulation}")
    return " · ".join(parts)


def _marked(text: str, trial: RecordedTrial) -> Text:
    """The prompt with every place of the trigger, and of the distractor, marked."""
    marked = Text(text)
    for part in (trial.trigger, trial.distractor):
        if part:
            marked.highlight_words([printable(part)], _TRIGGER)
    return marked


def _reply(result: Response | Failure) -> Iterator[Text]:
    if isinstance(result, Failure):
        detail = one_line(result.detail, 1000)
        yield Text("no reply: ", _HEADING) + Text(f"{result.kind}: {detail} (attempts: {result.attempts})")
        return
    if result.reasoning_state == "withheld":
        yield Text("reasoning: ", _HEADING) + Text("withheld by the server", _THOUGHT)
    elif result.reasoning.strip():
        cut = " (cut off)" if result.reasoning_state == "truncated" else ""
        yield Text(f"reasoning{cut}:", _HEADING)
        yield Text(_indented(result.reasoning.strip(), "  │ "), _THOUGHT)
    ended = "" if result.finish_reason in ("stop", "") else f" (ended by {one_line(result.finish_reason, 40)})"
    yield Text(f"answer{ended}:", _HEADING)
    yield Text(_indented(result.answer) if result.answer else "  (empty)")
    if result.refusal:
        yield Text("refusal:", _HEADING)
        yield Text(_indented(result.refusal))


def _indented(text: str, margin: str = "  ") -> str:
    """Outside text, harmless, each line behind the margin."""
    return "\n".join(f"{margin}{line}" for line in printable(text).split("\n"))
