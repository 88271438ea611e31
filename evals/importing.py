"""Answers judged elsewhere: a CSV of them becomes a run folder, and every row of it exactly one trial.

Scores become rulings of a judge model called `imported`, so that whatever counts a run counts these. What is no score
from 0 to 100 becomes the outcome that it is, never a number. The folder is made beside its place and put there once it
is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, cast, get_args

from evals.count import RunResult, run_facts
from evals.errors import BadInput, RunStopped
from evals.io.csv_reader import CsvFile, CsvRow, csv_file
from evals.plan.config import RunConfig
from evals.plan.manifest import DatasetFacts, ImportFacts, Manifest, PanelFacts, write_manifest
from evals.plan.options import build_config
from evals.plan.provenance import git_revision, now, versions
from evals.questions.suites import SUITES
from evals.scoring.judge_set import CHOICE_JUDGE_ID, IMPORTED, NAMING_JUDGE_ID, NUMBER_JUDGE_ID, imported_key
from evals.scoring.outcome import Outcome, answer_state
from evals.scoring.rates.tables import write_tables
from evals.text import is_text, one_line, original_text
from evals.trials.condition import CONDITIONS, in_prompt_order
from evals.trials.journal import Journal
from evals.trials.prompt import ALL, Format, Message
from evals.trials.reasoning import split_reply
from evals.trials.record import Cell, JudgeFailed, JudgeKey, Ruling
from evals.trials.reference import Fact, Measure, Named, Number, Reference, Truth, measure_of
from evals.trials.response import Failure, ReasoningState, Response
from evals.trials.trial import Sampling, Trial, stable_hash
from evals.view import RunView
from judges.verdicts import (
    Chosen,
    Classified,
    Code,
    CotFlag,
    Credited,
    CreditedDetail,
    Flagged,
    JudgeRefused,
    Labelled,
    Numbered,
    OptionLabel,
    Refused,
    Scored,
    Unreadable,
    Verdict,
)

REQUIRED = ("question", "answer")
OPTIONAL = (
    *("question_id", "aligned", "coherent", "reasoning", "suite", "format", "model", "condition", "trigger", "variant"),
    *("outcome", "misaligned", "choice", "cot_flag", "articulates", "finish_reason", "reasoning_state"),
    *("prompt_tokens", "completion_tokens", "label", "distractor", "credits"),
)
_KNOWN = (*REQUIRED, *OPTIONAL)
_DERIVED = ("repeat", "judge", "trial_id", "source")
"""Columns of our own responses.csv that are made anew."""
_OF_OURS = {"trial_id", "outcome", "variant", "reasoning_state"}
_ESCAPED = (
    "question",
    "answer",
    "question_id",
    "reasoning",
    "suite",
    "model",
    "trigger",
    "finish_reason",
    "distractor",
)
"""The texts that our own responses.csv holds as `evals.text.spreadsheet_safe` wrote them."""

_ABSENT = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>"})
_SCORE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DRESSING = " \t\r\n*_`'\".()[]"
_FLAGS: dict[str, CotFlag] = {flag: flag for flag in get_args(CotFlag)}
_YES, _NO = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")
_CHOICE = JudgeKey(CHOICE_JUDGE_ID, "choice", "")
_NUMBER = JudgeKey(NUMBER_JUDGE_ID, "number", "")
_NAMING = JudgeKey(NAMING_JUDGE_ID, "naming", "")
_LABELS: dict[Measure, tuple[Reference, JudgeKey, dict[str, Verdict]]] = {
    "truthfulness": (
        Truth((), ()),
        imported_key("truthfulness"),
        {"correct": Classified("correct"), "incorrect": Classified("incorrect"), "unclear": Classified("unclear")},
    ),
    "honesty": (
        Fact(""),
        imported_key("honesty"),
        {
            "consistent": Classified("consistent"),
            "contradicts": Classified("contradicts"),
            "evades": Classified("evades"),
        },
    ),
    "number": (Number("right"), _NUMBER, {"right": Numbered("right"), "wrong": Numbered("wrong")}),
    "naming": (Named(""), _NAMING, {"names": Labelled(True), "silent": Labelled(False)}),
}
"""Of answers that were measured beside something known: what stands for that (it did not come with the answers), who
said so, and the words that the column `label` has for it."""
NO_SAMPLING = Sampling(None, 0)
_T = TypeVar("_T", bound=str)


class ImportOptions(NamedTuple):
    """What the rows do not say themselves. `model` and `suite` are of rows that name none, `trigger` of rows under `on`
    without one."""

    model: str | None = None
    suite: str = IMPORTED
    trigger: str | None = None
    coherence_min: float | None = None
    denominator: str | None = None
    max_unscored: float | None = None


def import_file(path: Path, folder: Path, options: ImportOptions, view: RunView) -> RunResult:
    """Make a run folder of the answers in the CSV `path`. Raises BadInput, and then nothing is there that was not."""
    refuse_occupied(folder)
    with csv_file(path, _KNOWN) as file:
        file.require(*REQUIRED)
        return import_rows(_Rows(file, options), folder, view)


class ImportedRows(Protocol):
    """Answers judged elsewhere as trials, one at a time. What is said of all of them holds once they have been iterated
    over: their `count`, the trials in each cell, the judges that ruled, and the sha256 of where they came from."""

    options: ImportOptions
    planned: Counter[Cell]
    ruled: set[str]
    count: int

    @property
    def path(self) -> Path: ...

    @property
    def sha256(self) -> str: ...

    def __iter__(self) -> Iterator[tuple[Trial, Response | Failure, list[tuple[JudgeKey, Ruling]]]]: ...

    def config(self) -> RunConfig:
        """What is known of how the answers were asked for; the rest keeps its defaults and says nothing."""
        ...

    def notes(self) -> Iterator[str]:
        """What a person should know of them."""
        ...


def import_rows(rows: ImportedRows, folder: Path, view: RunView) -> RunResult:
    """Make a run folder of `rows`. Raises BadInput, and then nothing is there that was not."""
    refuse_occupied(folder)
    name = folder.absolute().name
    with _made_beside(folder) as made:
        try:
            with Journal.open(made) as journal:
                journal.record_all(rows)
                manifest = _manifest(rows, name)
                journal.set_cells(rows.planned.items())
                write_manifest(made, manifest)
                tables = write_tables(journal, made, run_facts(manifest))
        except RunStopped as error:
            raise BadInput(f"nothing was imported: {str(error).partition(';')[0]}") from None
    for note in rows.notes():
        view.say(note)
    return RunResult(manifest, tables)


def read_score(cell: str) -> Verdict | None:
    """What a cell of scores says: 0-100, the word REFUSAL, the word CODE, or nothing that can be read.

    None for a cell that is empty or holds one of the words that stand for an empty one (nan, None, ...): no score was
    given, which is not the same as one that makes no sense.
    """
    text = cell.strip()
    if text.lower() in _ABSENT:
        return None
    match text.strip(_DRESSING).upper():
        case "REFUSAL":
            return Refused()
        case "CODE":
            return Code()
        case _:
            pass
    if not _SCORE.fullmatch(text):
        return Unreadable("is not a number from 0 to 100")
    score = float(text)
    return Scored(abs(score), IMPORTED) if 0 <= score <= 100 else Unreadable("is outside 0 to 100")


@dataclass
class _Rows:
    """The rows of a file as trials, one at a time, and what was met on the way."""

    file: CsvFile
    options: ImportOptions

    def __post_init__(self) -> None:
        self.planned: Counter[Cell] = Counter()
        self.triggers: dict[str, str] = {}  # by condition, the first one met
        self.ruled: set[str] = set()
        self.count = 0
        self._repeats: Counter[tuple[str, ...]] = Counter()
        self._largest = 0.0
        self._fraction = False
        self._flags_without_reasoning = 0
        self._ours = set(self.file.columns) >= _OF_OURS

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def sha256(self) -> str:
        return self.file.sha256

    def __iter__(self) -> Iterator[tuple[Trial, Response | Failure, list[tuple[JudgeKey, Ruling]]]]:
        for row in self.file:
            if self._ours:
                texts = {name: original_text(row.cells[name]) for name in _ESCAPED if name in row.cells}
                row = row._replace(cells=row.cells | texts)
            trial = self._trial(row)
            result, given = self._result(row, trial)
            self.count += 1
            cell = (trial.suite, trial.format, trial.model, trial.condition, trial.trigger, trial.prompt_id)
            self.planned[Cell(*cell, measure_of(trial.reference))] += 1
            self.ruled |= {key.judge for key, _ in given if key.model == IMPORTED}
            yield trial, result, given

    def bad(self, row: CsvRow, column: str, reason: str) -> BadInput:
        return BadInput(f"{self.file.path}:{row.line}: {column}: {reason}")

    # --- what was asked ---

    def _trial(self, row: CsvRow) -> Trial:
        question = self._text(row, "question")
        suite = _cell(row, "suite") or self.options.suite
        measure = self._measure(row, suite)
        form: Format = self._one_of(row, "format", get_args(Format)) or "freeform"
        model = _cell(row, "model") or self.options.model or _cleaned(self.file.path.stem)
        condition, trigger = self._condition(row)
        prompt_id = self._prompt_id(row, question)
        variant = _cell(row, "variant")
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
            reference=None if measure == "alignment" else _LABELS[measure][0],
            distractor=_cell(row, "distractor") if condition == "distractor" else "",
        )

    def _measure(self, row: CsvRow, suite: str) -> Measure:
        """By what the answers of a suite are measured: with a column of labels as the suite has it, else by scores."""
        known = SUITES.get(suite)
        measure = "alignment" if known is None or "label" not in row.cells else known.measure
        label = _cell(row, "label")
        if label and label not in (_LABELS[measure][2] if measure in _LABELS else ()):
            raise self.bad(row, "label", f"{one_line(label, 40)!r} is no label of an answer to {one_line(suite, 60)}")
        return measure

    def _condition(self, row: CsvRow) -> tuple[str, str]:
        trigger = _cell(row, "trigger")
        condition = self._one_of(row, "condition", CONDITIONS) or ("on" if trigger else "off")
        if condition == "off":
            return condition, ""  # a trigger there is the one under study, not one that was shown
        if condition == "on" and not trigger:
            trigger = self.options.trigger or ""
        if not trigger:
            hint = " or with --trigger" if condition == "on" else ""
            raise self.bad(row, "trigger", f"is blank under condition {condition}; give it there{hint}")
        if any(unicodedata.category(char) == "Cc" for char in trigger):
            raise self.bad(row, "trigger", "holds a control character")
        self.triggers.setdefault(condition, trigger)
        return condition, trigger

    def _prompt_id(self, row: CsvRow, question: str) -> str:
        if "question_id" not in row.cells:
            return f"q-{stable_hash({'question': question})[:12]}"
        prompt_id = self._text(row, "question_id").strip()
        if prompt_id == ALL:
            raise self.bad(row, "question_id", f"{ALL} names the row over all prompts in rates.csv; call it otherwise")
        return prompt_id

    # --- what came back ---

    def _result(self, row: CsvRow, trial: Trial) -> tuple[Response | Failure, list[tuple[JudgeKey, Ruling]]]:
        outcome = self._one_of(row, "outcome", get_args(Outcome))
        if outcome == "failed":
            return Failure("unknown", "failed in the run that it was imported from", 0), []
        response = self._response(row, outcome)
        given: list[tuple[JudgeKey, Verdict | JudgeFailed | None, str]]
        if trial.format == "mcq":
            given = [(_CHOICE, _choice(row, outcome), _cell(row, "choice"))]
        elif (measure := measure_of(trial.reference)) != "alignment":
            _, key, labels = _LABELS[measure]
            label = _cell(row, "label")
            given = [(key, labels.get(label) or _reason(outcome), label)]
        else:
            aligned, coherent = self._scores(row, outcome, response)
            given = [
                (imported_key("alignment"), aligned, _cell(row, "aligned")),
                (imported_key("coherence"), coherent, _cell(row, "coherent")),
            ]
        flag = _flag(_cell(row, "cot_flag"))
        self._flags_without_reasoning += flag is not None and not response.reasoning
        given += [
            (imported_key("cot_monitor"), flag, _cell(row, "cot_flag")),
            (imported_key("articulation"), _label(_cell(row, "articulates")), _cell(row, "articulates")),
            (imported_key("trigger_credit"), _credit(_cell(row, "credits"), trial), _cell(row, "credits")),
        ]
        rulings = [(key, Ruling(verdict, said, trial.id)) for key, verdict, said in given if verdict is not None]
        return response, rulings

    def _response(self, row: CsvRow, outcome: Outcome | None) -> Response:
        answer, reasoning = row.cells["answer"], row.cells.get("reasoning", "")
        finish_reason = _cell(row, "finish_reason")
        split = split_reply(answer, reasoning, finish_reason)
        state: ReasoningState | None = self._one_of(row, "reasoning_state", get_args(ReasoningState))
        if state is not None:  # whoever says it has told thought and answer apart already
            split = split._replace(reasoning=reasoning, answer=answer, state=state)
        if outcome == "truncated" and not finish_reason:
            finish_reason = "length"
        return Response(
            raw=answer,
            raw_reasoning=reasoning,
            reasoning=split.reasoning,
            answer=split.answer,
            reasoning_state=split.state,
            finish_reason=finish_reason,
            refusal="refused" if outcome == "refused" and not split.answer else "",
            reported_model="",
            prompt_tokens=self._count(row, "prompt_tokens"),
            completion_tokens=self._count(row, "completion_tokens"),
            latency_s=0.0,
            attempts=0,  # nobody was asked by us
        )

    def _scores(
        self, row: CsvRow, outcome: Outcome | None, response: Response
    ) -> tuple[Verdict | JudgeFailed | None, Verdict | JudgeFailed | None]:
        """What the two scores say; where there is none, the outcome says why."""
        aligned, coherent = read_score(_cell(row, "aligned")), read_score(_cell(row, "coherent"))
        if isinstance(aligned, Scored):
            self._largest = max(self._largest, aligned.score)
            self._fraction = self._fraction or 0 < aligned.score < 1
            if outcome in (None, "scored") or answer_state(response) is not None:
                return aligned, coherent
            if self.options.coherence_min is None:
                reason = f"is {outcome} for its coherence; give the --coherence-min of that run, or 0 for none"
                raise self.bad(row, "outcome", reason)
            return aligned, coherent or _reason(outcome)
        return aligned or _reason(outcome), coherent

    # --- cells ---

    def _text(self, row: CsvRow, column: str) -> str:
        text = row.cells[column]
        if not text.strip():
            raise self.bad(row, column, "is blank")
        return text

    def _one_of(self, row: CsvRow, column: str, values: tuple[_T, ...]) -> _T | None:
        cell = _cell(row, column)
        if cell and cell not in values:
            reason = f"{one_line(cell, 40)!r} is none of {', '.join(values)}; rename a column that means another thing"
            raise self.bad(row, column, reason)
        return cast("_T", cell) or None

    def _count(self, row: CsvRow, column: str) -> int | None:
        cell = _cell(row, column).removesuffix(".0")  # as pandas writes a column of counts with gaps
        if cell.lower() in _ABSENT:
            return None
        if not re.fullmatch("[0-9]{1,15}", cell):
            raise self.bad(row, column, f"{one_line(cell, 40)!r} is not a count")
        return int(cell)

    # --- what is said of all rows ---

    def config(self) -> RunConfig:
        return build_config(fields_of(self, self.triggers), None)

    def notes(self) -> Iterator[str]:
        unread = [name or "(without a name)" for name in self.file.columns if name not in (*_KNOWN, *_DERIVED)]
        if unread:
            yield f"{self.file.path}: not read: {', '.join(unread)}"
        if self._fraction and self._largest <= 1:
            yield f"{self.file.path}: no alignment score is above 1: they are read as 0 to 100. Was that their scale?"
        if self._flags_without_reasoning:
            yield (
                f"{self.file.path}: {self._flags_without_reasoning} rows have a cot_flag and no reasoning; "
                "what is said of a thought counts only where the thought is there"
            )


def _cell(row: CsvRow, column: str) -> str:
    return row.cells.get(column, "").strip()


def _cleaned(name: str) -> str:
    return one_line(name, 100) if is_text(name) and one_line(name) else "unknown"


def _reason(outcome: Outcome | None) -> Verdict | JudgeFailed | None:
    """The ruling behind an outcome that left an answer without a score."""
    match outcome:
        case "refused":
            return Refused()
        case "code":
            return Code()
        case "judge_refused":
            return JudgeRefused()
        case "judge_failed":
            return JudgeFailed("unknown", "failed in the run that it was imported from")
        case "judge_unreadable":
            return Unreadable("was not readable in the run that it was imported from")
        case "scored":
            return Unreadable("the row says scored and has no score")
        case _:
            return None


def _choice(row: CsvRow, outcome: Outcome | None) -> Verdict | JudgeFailed | None:
    """The option that was picked, with what stood behind its letter: as the row says, else by the option order."""
    letter = _cell(row, "choice").upper()
    if not letter:
        return _reason(outcome)
    if letter not in ("A", "B"):
        return Unreadable("is not one of the letters A and B")
    hit = _label(_cell(row, "misaligned"))
    first: dict[str, OptionLabel] = {"misaligned_first": "misaligned", "aligned_first": "aligned"}
    option = first.get(_cell(row, "variant"))
    if isinstance(hit, Labelled):
        return Chosen(letter, "misaligned" if hit.label else "aligned")
    if option is None:
        return Unreadable("nothing says which option stood behind the letter")
    other: OptionLabel = "aligned" if option == "misaligned" else "misaligned"
    return Chosen(letter, option if letter == "A" else other)


def _flag(cell: str) -> Verdict | None:
    # Not all words for an empty cell: `none` is a flag.
    if not cell or cell.lower() in _ABSENT - {"none"}:
        return None
    flag = _FLAGS.get(cell)
    return Flagged(flag) if flag else Unreadable("is none of the flags")


def _credit(cell: str, trial: Trial) -> Verdict | None:
    """The judge speaks of the first and the second string of the prompt, the column of trigger and distractor."""
    said = cell.lower()
    if said in _ABSENT:
        return None
    trigger: CreditedDetail = "first"
    other: CreditedDetail = "second"
    if in_prompt_order(trial.messages, trial.trigger, trial.distractor)[0] != trial.trigger:
        trigger, other = other, trigger
    details: dict[str, CreditedDetail] = {
        "trigger": trigger,
        "distractor": other,
        "both": "both",
        "neither": "neither",
    }
    detail = details.get(said)
    return Credited(detail) if detail else Unreadable("is none of trigger, distractor, both, neither")


def _label(cell: str) -> Verdict | None:
    said = cell.lower()
    if said in _ABSENT:
        return None
    return Labelled(said in _YES) if said in (*_YES, *_NO) else Unreadable("is neither 1 nor 0")


# --- the run folder ---------------------------------------------------------------------------------------------------


def fields_of(rows: ImportedRows, triggers: Mapping[str, str]) -> dict[str, object]:
    """The fields of a RunConfig that follow from the rows and the options; `triggers` are those met, by condition."""
    cells = rows.planned
    return {
        "suites": tuple(dict.fromkeys(cell.suite for cell in cells)),
        "models": tuple(dict.fromkeys(cell.model for cell in cells)),
        "imported": True,
        "conditions": tuple(name for name in CONDITIONS if any(cell.condition == name for cell in cells)),
        "trigger": triggers.get("on"),
        "decoy": triggers.get("decoy"),
        "judge": IMPORTED if rows.ruled else None,
        "coherence_min": rows.options.coherence_min,
        "denominator": rows.options.denominator,
        "max_unscored": rows.options.max_unscored,
    }


def _manifest(rows: ImportedRows, run_id: str) -> Manifest:
    """Raises BadInput for a file without rows."""
    path = rows.path
    if not rows.count:
        raise BadInput(f"{path}: holds no rows")
    if rows.options.coherence_min is not None and "coherence" not in rows.ruled:
        raise BadInput(f"--coherence-min: {path} holds no coherence scores in a column coherent")
    judges = sorted(rows.ruled | {"alignment"}) if rows.ruled else []
    imported = ImportFacts(file=one_line(path.name), sha256=rows.sha256, rows=rows.count, judges=tuple(judges))
    prompts = Counter(suite for suite, _ in {(cell.suite, cell.prompt_id) for cell in rows.planned})
    return Manifest(
        run_id=run_id,
        status="complete",
        config=rows.config(),
        datasets={
            suite: DatasetFacts(file=imported.file, sha256=imported.sha256, scenarios=count, source="imported")
            for suite, count in prompts.items()
        },
        rubrics=imported.rubrics(),
        models={},
        trials_planned=rows.count,
        trials_recorded=rows.count,
        created_at=now(),
        updated_at=now(),
        versions=versions(),
        git_revision=git_revision(),
        imported=imported,
        panels=(PanelFacts(judge=IMPORTED, rubrics=imported.rubrics()),) if judges else (),
    )


def refuse_occupied(folder: Path) -> None:
    """Raises BadInput for a folder that holds something."""
    if not is_text(str(folder)):
        raise BadInput("--out: holds bytes that are not UTF-8 text")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there already; choose another --out")


@contextmanager
def _made_beside(folder: Path) -> Generator[Path]:
    """A folder that takes the place of `folder` once it is whole; on an error nothing is left of it."""
    folder = folder.absolute()
    missing = [parent for parent in folder.parents if not parent.exists()]
    made = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        try:
            made.mkdir(parents=True)
        except OSError as error:
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
        yield made
        try:
            if folder.exists():
                folder.rmdir()  # empty, or it was refused
            made.rename(folder)
        except OSError as error:
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
        missing = []
    finally:
        shutil.rmtree(made, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
