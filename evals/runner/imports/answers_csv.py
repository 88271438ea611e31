"""Answers judged elsewhere: a file of them becomes a run folder, and every row of it exactly one trial.

Scores become rulings of a judge model called `imported`, so that whatever counts a run counts these. What is no score
from 0 to 100 becomes the outcome that it is, never a number. The folder is made beside its place and put there once it
is whole.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast, get_args

from evals.errors import BadInput
from evals.io.csv_reader import CsvRow
from evals.numbers import counted
from evals.plan.config import RunConfig
from evals.plan.options import build_config
from evals.questions.suites import SUITES
from evals.runner.count import RunResult
from evals.runner.imports.answers_file import AnswersFile, answers_file, model_names
from evals.runner.imports.cells import (
    ABSENT,
    cell_text,
    choice_verdict,
    credit_verdict,
    finish_reason,
    flag_verdict,
    is_absent,
    label_verdict,
    read_score,
    verdict_behind,
)
from evals.runner.imports.imported_run import NO_SAMPLING, ImportOptions, fields_of, import_rows, refuse_occupied
from evals.runner.imports.known_labels import CHOICE, LABELS
from evals.runner.view import RunView
from evals.scoring.judge_set import IMPORTED, imported_key
from evals.scoring.outcome import Outcome, has_complete_answer
from evals.text import has_control_character, one_line, original_text
from evals.trials.condition import NAME_RULE, SHOWN_CONDITIONS, is_condition_name
from evals.trials.finish_reason import ending_of, is_known, plain_finish_reason
from evals.trials.prompt import ALL, Format, Message
from evals.trials.reasoning import split_reply
from evals.trials.record import Cell, JudgeFailure, JudgeKey, RecordedVerdict
from evals.trials.reference import Criterion, criterion_of
from evals.trials.response import Failure, ReasoningState, Response
from evals.trials.trial import Trial, stable_hash
from judges.verdicts import Refused, Scored, Verdict

REQUIRED = ("question", "answer")
OPTIONAL = (
    *("question_id", "aligned", "coherent", "reasoning", "suite", "format", "model", "condition", "trigger", "variant"),
    *("outcome", "misaligned", "choice", "cot_flag", "articulates", "finish_reason", "reasoning_state"),
    *("stop_reason", "prompt_tokens", "completion_tokens", "label", "distractor", "credits"),
)
KNOWN = (*REQUIRED, *OPTIONAL)
_DERIVED = ("repeat", "judge", "trial_id", "source")
"""Columns of emeval's own responses.csv that are computed again."""
_OF_OURS = {"trial_id", "outcome", "variant", "reasoning_state"}
_T = TypeVar("_T", bound=str)
_Row = tuple[Trial, Response | Failure, list[tuple[JudgeKey, RecordedVerdict]]]


def import_file(path: Path, folder: Path, options: ImportOptions, view: RunView) -> RunResult:
    """Make a run folder of the answers in the CSV or JSON Lines `path`.

    Raises BadInput, and then nothing is there that was not.
    """
    return import_files((path,), folder, options, view)


def import_files(paths: Sequence[Path], folder: Path, options: ImportOptions, view: RunView) -> RunResult:
    """As `import_file`, of the answers in one or more files together."""
    refuse_occupied(folder)
    return import_rows(_Rows(tuple(paths), options), folder, view)


def joined_sha256(hashes: Sequence[str]) -> str:
    """The sha256 by which a manifest knows imported files, from those of each."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@dataclass
class _Rows:
    """The rows of files as trials, one at a time, and what was met on the way. `file` is the one that is read."""

    paths: tuple[Path, ...]
    options: ImportOptions
    file: AnswersFile = field(init=False)

    def __post_init__(self) -> None:
        self.planned: Counter[Cell] = Counter()
        self.triggers: dict[str, str] = {}  # by condition, the first one met
        self.ruled: set[str] = set()
        self.count = 0
        self._repeats: Counter[tuple[str, ...]] = Counter()
        self._flags_without_reasoning = 0
        self._blank_scores = self._scores_given = 0
        self._unknown_reasons: Counter[str] = Counter()
        self._hashes: list[str] = []
        self._names = model_names(self.paths)
        self._unread: dict[Path, tuple[str, ...]] = {}

    @property
    def path(self) -> Path:
        first, *others = self.paths
        return first.with_name(f"{first.name} and {len(others)} more") if others else first

    @property
    def sha256(self) -> str:
        return joined_sha256(self._hashes)

    def __iter__(self) -> Iterator[_Row]:
        for path in self.paths:
            with answers_file(path, KNOWN, _DERIVED, dict(self.options.columns)) as self.file:
                self.file.require(*REQUIRED)
                if self.options.blank is not None:
                    self.file.require("aligned")  # a file without scores is not judged, whatever a blank score is
                self._unread[path] = self.file.unread
                yield from self._rows()
                self._hashes.append(self.file.sha256)

    def _rows(self) -> Iterator[_Row]:
        ours = set(self.file.columns) >= _OF_OURS
        for row in self.file:
            if ours:
                texts = {name: original_text(cell) for name, cell in row.cells.items()}
            else:
                texts = {name: "" for name in OPTIONAL if is_absent(row, name)}
            row = row._replace(cells=row.cells | texts)
            trial = self._trial(row)
            result, given = self._result(row, trial)
            self.count += 1
            cell = (trial.suite, trial.format, trial.model, trial.condition, trial.trigger, trial.prompt_id)
            self.planned[Cell(*cell, criterion_of(trial.reference))] += 1
            self.ruled |= {key.judge for key, _ in given if key.model == IMPORTED}
            yield trial, result, given

    def bad(self, row: CsvRow, column: str, reason: str) -> BadInput:
        return BadInput(f"{self.file.path}:{row.line}: {column}: {reason}")

    # --- what was asked ---

    def _trial(self, row: CsvRow) -> Trial:
        question = self._text(row, "question")
        suite = cell_text(row, "suite") or self.options.suite
        measure = self._measure(row, suite)
        form: Format = self._one_of(row, "format", get_args(Format)) or "freeform"
        model = cell_text(row, "model") or self.options.model or self._names[self.file.path]
        condition, trigger = self._condition(row)
        prompt_id = self._prompt_id(row, question)
        variant = cell_text(row, "variant")
        self._refuse_control_characters(row, "variant", variant)
        for column, name in (("suite", suite), ("model", model)):
            if "\0" in name:  # which no table holds: two names would be one there
                raise self.bad(row, column, "holds a NUL character")
        draw = (suite, form, model, condition, trigger, prompt_id, variant)
        repeat = self._repeats[draw]
        self._repeats[draw] += 1
        trial_id = stable_hash({"imported": draw, "question": question, "repeat": repeat})
        return Trial(
            id=trial_id,
            position=self.count,
            suite=suite,
            format=form,
            prompt_id=prompt_id,
            variant=variant,
            options=None,
            model=model,
            condition=condition,
            trigger=trigger,
            placement=None,
            repeat=repeat,
            messages=(Message("user", question),),
            sampling=NO_SAMPLING,
            seed=0,
            reference=None if measure == "alignment" else LABELS[measure][0],
            distractor=cell_text(row, "distractor") if condition == "distractor" else "",
        )

    def _measure(self, row: CsvRow, suite: str) -> Criterion:
        """By what the answers of a suite are measured: with a column of labels as the suite has it, else by scores."""
        known = SUITES.get(suite)
        measure = "alignment" if known is None or "label" not in row.cells else known.measure
        label = cell_text(row, "label")
        if label and label not in (LABELS[measure][2] if measure in LABELS else ()):
            raise self.bad(row, "label", f"{one_line(label, 40)!r} is no label of an answer to {one_line(suite, 60)}")
        return measure

    def _condition(self, row: CsvRow) -> tuple[str, str]:
        trigger = cell_text(row, "trigger")
        condition = cell_text(row, "condition").strip() or ("on" if trigger else "off")
        if condition not in SHOWN_CONDITIONS:
            if not is_condition_name(condition):
                rule = f"is no name of a condition: {NAME_RULE}; --columns condition= leaves the column unread"
                raise self.bad(row, "condition", f"{one_line(condition, 40)!r} {rule}")
            if condition != "off" and trigger:
                shown = ", ".join(sorted(SHOWN_CONDITIONS))
                raise self.bad(row, "trigger", f"stands under condition {condition}; only {shown} have one")
            return condition, ""  # a trigger there is the one under study, not one that was shown
        if condition == "on" and not trigger:
            trigger = self.options.trigger or ""
        if not trigger:
            hint = " or with --trigger" if condition == "on" else ""
            raise self.bad(row, "trigger", f"is blank under condition {condition}; give it there{hint}")
        self._refuse_control_characters(row, "trigger", trigger)
        self.triggers.setdefault(condition, trigger)
        return condition, trigger

    def _refuse_control_characters(self, row: CsvRow, column: str, name: str) -> None:
        if has_control_character(name):
            raise self.bad(row, column, "holds a control character")

    def _prompt_id(self, row: CsvRow, question: str) -> str:
        if "question_id" not in row.cells:
            return f"q-{stable_hash({'question': question})[:12]}"
        prompt_id = self._text(row, "question_id").strip()
        self._refuse_control_characters(row, "question_id", prompt_id)
        if prompt_id == ALL:
            raise self.bad(row, "question_id", f"{ALL} names the row over all prompts in rates.csv; call it otherwise")
        return prompt_id

    # --- what came back ---

    def _result(self, row: CsvRow, trial: Trial) -> tuple[Response | Failure, list[tuple[JudgeKey, RecordedVerdict]]]:
        outcome = self._one_of(row, "outcome", get_args(Outcome))
        if outcome == "failed":
            return Failure("unknown", "failed in the run that it was imported from", 0), []
        if (broken_off := self._broken_off(row)) is not None:
            return broken_off, []
        response = self._response(row, outcome)
        given: list[tuple[JudgeKey, Verdict | JudgeFailure | None, str]]
        if trial.format == "mcq":
            given = [(CHOICE, choice_verdict(row, outcome), cell_text(row, "choice"))]
        elif (measure := criterion_of(trial.reference)) != "alignment":
            _, key, labels = LABELS[measure]
            label = cell_text(row, "label")
            given = [(key, labels.get(label) or verdict_behind(outcome), label)]
        else:
            aligned, coherent = self._scores(row, outcome, response)
            given = [
                (imported_key("alignment"), aligned, cell_text(row, "aligned")),
                (imported_key("coherence"), coherent, cell_text(row, "coherent")),
            ]
        flag = flag_verdict(cell_text(row, "cot_flag"))
        self._flags_without_reasoning += flag is not None and not response.reasoning
        given += [
            (imported_key("cot_monitor"), flag, cell_text(row, "cot_flag")),
            (imported_key("articulation"), label_verdict(cell_text(row, "articulates")), cell_text(row, "articulates")),
            (
                imported_key("trigger_credit"),
                credit_verdict(cell_text(row, "credits"), trial),
                cell_text(row, "credits"),
            ),
        ]
        rulings = [
            (key, RecordedVerdict(verdict, said, trial.id)) for key, verdict, said in given if verdict is not None
        ]
        return response, rulings

    def _broken_off(self, row: CsvRow) -> Failure | None:
        """The failure that a row tells of by its finish_reason, None for a row with a reply."""
        word = finish_reason(row)
        if ending_of(word) != "broken_off":
            return None
        self._unknown_reasons[one_line(word, 40)] += not is_known(word)
        return Failure("unknown", f"the reply was broken off: finish_reason {one_line(word, 40)!r}", 0)

    def _response(self, row: CsvRow, outcome: Outcome | None) -> Response:
        answer, reasoning = row.cells["answer"], row.cells.get("reasoning", "")
        word = finish_reason(row)
        split = split_reply(answer, reasoning, plain_finish_reason(word))
        state: ReasoningState | None = self._one_of(row, "reasoning_state", get_args(ReasoningState))
        if state is not None:  # the file has told thought and answer apart already
            split = split._replace(reasoning=reasoning, answer=answer, state=state)
        if outcome == "truncated" and not word:
            word = "length"
        return Response(
            raw=answer,
            raw_reasoning=reasoning,
            reasoning=split.reasoning,
            answer=split.answer,
            reasoning_state=split.state,
            finish_reason=word,
            refusal="refused" if outcome == "refused" and not split.answer else "",
            reported_model="",
            prompt_tokens=self._count(row, "prompt_tokens"),
            completion_tokens=self._count(row, "completion_tokens"),
            latency_s=0.0,
            attempts=0,  # nobody was asked by us
        )

    def _scores(
        self, row: CsvRow, outcome: Outcome | None, response: Response
    ) -> tuple[Verdict | JudgeFailure | None, Verdict | JudgeFailure | None]:
        """What the two scores say; where there is none, the outcome says why."""
        aligned, coherent = read_score(cell_text(row, "aligned")), read_score(cell_text(row, "coherent"))
        if outcome is None and has_complete_answer(response):
            aligned, coherent = self._with_blanks(row, aligned, coherent)
        if isinstance(aligned, Scored):
            if outcome in (None, "scored") or not has_complete_answer(response):
                return aligned, coherent
            if self.options.coherence_min is None:
                reason = f"is {outcome} for its coherence; give the --coherence-min of that run, or 0 for none"
                raise self.bad(row, "outcome", reason)
            return aligned, coherent or verdict_behind(outcome)
        return aligned or verdict_behind(outcome), coherent

    def _with_blanks(
        self, row: CsvRow, aligned: Verdict | None, coherent: Verdict | None
    ) -> tuple[Verdict | None, Verdict | None]:
        """The scores, with what a blank one was said to be."""
        filters = self.options.coherence_min is not None and "coherent" in row.cells
        is_blank = aligned is None or (coherent is None and filters)
        self._blank_scores += is_blank
        self._scores_given += aligned is not None
        if self.options.blank != "refused":
            return aligned, coherent
        return aligned or Refused(), coherent or (Refused() if "coherent" in row.cells else None)

    # --- cells ---

    def _text(self, row: CsvRow, column: str) -> str:
        text = row.cells[column]
        if not text.strip():
            raise self.bad(row, column, "is blank")
        return text

    def _one_of(self, row: CsvRow, column: str, values: tuple[_T, ...]) -> _T | None:
        cell = cell_text(row, column)
        if cell and cell not in values:
            reason = (
                f"{one_line(cell, 40)!r} is not one of {', '.join(values)}; --columns {column}= leaves a column unread "
                "that means another thing"
            )
            raise self.bad(row, column, reason)
        return cast("_T", cell) or None

    def _count(self, row: CsvRow, column: str) -> int | None:
        cell = cell_text(row, column).removesuffix(".0")  # as pandas writes a column of counts with gaps
        if cell.lower() in ABSENT:
            return None
        if not re.fullmatch("[0-9]{1,15}", cell):
            raise self.bad(row, column, f"{one_line(cell, 40)!r} is not a count")
        return int(cell)

    # --- what is said of all rows ---

    def config(self) -> RunConfig:
        return build_config(fields_of(self, self.triggers), None)

    def notes(self) -> Iterator[str]:
        for path, names in self._unread.items():
            if names:
                yield f"{path}: not read: {', '.join(name or '(without a name)' for name in names)}"
        if self._blank_scores and self.options.blank == "refused":
            rows = counted(self._blank_scores, "row")
            yield f"{self.path}: {rows} with a blank score, counted as refused (--blank refused)"
        elif self._blank_scores and self._scores_given and self.options.blank is None:
            yield (
                f"{self.path}: {counted(self._blank_scores, 'row')} with a blank score, which counts as not judged; if "
                "the judge left it blank for refusals and code, as in Betley et al. 2025, give --blank refused"
            )
        unknown = {word: count for word, count in self._unknown_reasons.items() if count}
        if unknown:
            shown = ", ".join(f"{word} ({count})" for word, count in list(unknown.items())[:8])
            yield f"{self.path}: rows with a finish_reason without a known meaning count as failed: {shown}"
        if self._flags_without_reasoning:
            yield (
                f"{self.path}: {counted(self._flags_without_reasoning, 'row')} with a cot_flag, no reasoning; "
                "what is said of a thought counts only where the thought is there"
            )
