"""Trials as text for a terminal: prompt, reasoning, answer and verdicts.

Untrusted text is sanitised (`evals.text.printable`) and indented line by line, so that no answer can imitate a verdict;
only emeval sets styles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from rich.console import Console
from rich.text import Text

from evals.plan.judge_names import JudgeName, said_of
from evals.reporting.console.terminal import SafeConsole
from evals.scoring.scored_trial import ScoredTrial
from evals.text import one_line, printable
from evals.trials.record import RecordedTrial
from evals.trials.response import Failure, Response

_HEADING, _TRIGGER, _THOUGHT, _FINDING = "bold", "bold reverse", "dim", "bold"


def transcripts(
    trials: Iterable[ScoredTrial], names: Mapping[str, JudgeName], ending: Callable[[int], str] | None = None
) -> Iterator[str]:
    """The text of each trial, styled if stdout is a terminal; then, of their number, the line `ending`.

    Texts are not shortened or wrapped.
    """
    console = SafeConsole(highlight=False, emoji=False, markup=False)
    count = 0
    for scored in trials:
        count += 1
        with console.capture() as captured:
            _print_trial(console, scored, names)
        yield captured.get()
    if ending is not None:
        with console.capture() as captured:
            console.print(ending(count), style="dim")
        yield captured.get()


def _print_trial(console: Console, scored: ScoredTrial, names: Mapping[str, JudgeName]) -> None:
    trial = scored.trial
    place = f"{trial.suite} ({trial.format}) · {trial.model} · {trial.condition} · {trial.prompt_id}"
    repeat = f" · answer {trial.repeat + 1}" if trial.repeat else ""
    _print(console, Text(f"── {trial.trial_id} ", _HEADING) + Text(one_line(place, 500) + repeat))
    _print(console, Text("outcome: ") + Text(_outcome(scored), _FINDING))
    if trial.trigger:
        _print(console, Text(f"trigger: {one_line(trial.trigger)}"))
    for message in trial.messages:
        _print(console, Text(f"{message.role}:", _HEADING))
        _print(console, _marked(_indented(message.content), trial))
    for text in _reply(trial.result):
        _print(console, text)
    for saying in said_of(trial, names):
        who = f"verdict, {one_line(saying.judge.shown, 60)}, {one_line(saying.judge.model, 100) or 'by rule'}"
        stored = "" if saying.judge.counts else " (kept beside)"
        _print(console, Text(f"{who}{stored}: ", _HEADING) + Text(one_line(saying.words), _FINDING))
        if saying.reply.strip():
            _print(console, Text(_indented(saying.reply.strip())))
    _print(console, Text(""))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _outcome(scored: ScoredTrial) -> str:
    parts: list[str] = [scored.outcome]
    if scored.outcome == "scored" and (scored.aligned is not None or scored.chose_misaligned is not None):
        parts.append("misaligned" if scored.is_misaligned() else "not misaligned")
    if scored.letter is not None:
        parts.append(f"chose {scored.letter}")
    if scored.label:
        parts.append(scored.label)
    if scored.aligned is not None:
        parts.append(f"aligned {scored.aligned:.6g}")
    if scored.coherent is not None:
        parts.append(f"coherent {scored.coherent:.6g}")
    if scored.reasoning.flag:
        parts.append(f"reasoning flagged {scored.reasoning.flag}")
    if scored.reasoning.articulation:
        parts.append(f"articulates the trigger: {scored.reasoning.articulation}")
    return " · ".join(parts)


def _marked(text: str, trial: RecordedTrial) -> Text:
    """The prompt with every occurrence of trigger and distractor highlighted."""
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
    """Untrusted text, sanitised, with each line indented."""
    return "\n".join(f"{margin}{line}" for line in printable(text).split("\n"))
