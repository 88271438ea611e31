"""The judges of a plan: emeval's own with their rubrics, and those of question files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.io.paths import MOST_TEXT, read_text
from evals.plan.config import RunConfig
from evals.plan.plugins import judges_of_plugins
from evals.questions.dataset import Dataset
from evals.questions.question_file import FileJudge, QuestionScenario, judges_of
from evals.scoring.judge_set import first_counted
from evals.scoring.label_metrics import PREFIX, STATIC_LABEL_METRICS
from evals.trials.reference import Criterion
from judges.entry import JudgeEntry, Need
from judges.judge import Judge
from judges.judge_spec import JudgeSpec
from judges.parsing.category import AskedLabels
from judges.question_file import Word, category_judge, digest_of, file_judge
from judges.registry import ANSWER_JUDGES, MONITORS, REASONING_JUDGES
from judges.rubric_file import RubricProblem


def file_judges(dataset: Dataset) -> dict[str, FileJudge]:
    """The judges that a question file brings; none for any other dataset."""
    return judges_of(scenario for scenario in dataset.scenarios if isinstance(scenario, QuestionScenario))


def labels_counted(dataset: Dataset) -> tuple[str, ...] | None:
    """The labels that the prompts of a question file name for the judges that count, None where these sort nothing into
    categories."""
    counted = _counted_judges(dataset)
    if not any(judge.kind == "category" for judge in counted):
        return None
    labels: dict[str, None] = {}
    for judge in counted:
        labels |= dict.fromkeys(judge.labels if judge.kind == "category" else _words_of(judge))
    return tuple(labels)


def can_have_label(dataset: Dataset, label: str) -> bool:
    """Whether an answer to a question file can get this label from the judges that count."""
    counted = _counted_judges(dataset)
    if any(judge.kind == "category" and not judge.closed for judge in counted):
        return True
    named = labels_counted(dataset)
    static = {name.removeprefix(PREFIX) for name in STATIC_LABEL_METRICS} if counted else set[str]()
    return label in (static if named is None else named)


def _counted_judges(dataset: Dataset) -> list[FileJudge]:
    """The judges whose labels are counted, of the questions of a file that are counted by labels."""
    questions = [scenario for scenario in dataset.scenarios if isinstance(scenario, QuestionScenario)]
    judges, names = judges_of(questions), dict[str, None]()
    for question in questions:
        if question.measure == "poll":
            filters = {judge.name for judge in question.judges if judge.spec is not None and judge.spec.is_filter}
            names[first_counted([judge.name for judge in question.judges if judge.name not in filters])] = None
    return [judges[name] for name in names]


def _words_of(judge: FileJudge) -> list[str]:
    """The labels that a judge of numbers and of TRUE, FALSE, UNKNOWN can give."""
    return ["above_50", *(word.lower() for word in judge.words if word not in ("CODE", "REFUSAL"))]


def make_judges(config: RunConfig, judges_by_file: Sequence[Mapping[str, FileJudge]] = ()) -> tuple[Judge, ...]:
    """The LLM judges that a run may have use for, those of its question files with them; none without --judge.

    Raises BadInput where two files have a judge of one name that replies in different ways.
    """
    if config.judge is None:
        return ()
    # What answers could be compared with did not come with imported ones.
    measures = frozenset[Criterion]({"alignment"}) if config.imported else config.open_measures
    answer_judges = [entry for entry in ANSWER_JUDGES if entry.criterion in measures]
    reasoning_judges = REASONING_JUDGES if config.cot_monitor else ()
    added = judges_of_plugins(config)
    answer_judges += [entry for entry in added if entry.criterion in measures]
    added_to_reasoning = [entry for entry in added if entry.reads == "reasoning" and config.cot_monitor]
    return (
        *(_judge(entry, config) for entry in answer_judges if _has(entry.needs, config)),
        *_judges_of_files(config, judges_by_file),
        *(_judge(entry, config) for entry in (*reasoning_judges, *added_to_reasoning) if _has(entry.needs, config)),
        *(_judge(entry, config) for view, entry in MONITORS.items() if view in config.monitor),
    )


def _judge(entry: JudgeEntry, config: RunConfig) -> Judge:
    file = config.rubrics.get(entry.name)
    text = None if file is None else _text_of(file)
    try:
        rubric = None if file is None or text is None else entry.rubric(Path(file).stem, text)
        return entry.judge(rubric, config.judge_mode, config.judge_max_tokens)
    except RubricProblem as problem:
        place = file if problem.line is None else f"{file}:{problem.line}"
        raise BadInput(f"{place}: {problem}") from None


def _has(needed: Need, config: RunConfig) -> bool:
    match needed:
        case "":
            return True
        case "coherence_min":
            return config.coherence_min is not None
        case "trigger":
            return config.trigger is not None and "on" in config.conditions
        case "distractor":
            return config.distractor is not None


def _judges_of_files(config: RunConfig, judges_by_file: Sequence[Mapping[str, FileJudge]]) -> Iterator[Judge]:
    found: dict[str, list[FileJudge]] = {}
    for name, judge in (item for judges in judges_by_file for item in judges.items()):
        found.setdefault(name, []).append(judge)
    for name, same in found.items():
        first = same[0]
        if any(judge.spec != first.spec for judge in same):
            raise BadInput(f"judge {name!r} has other hits in two of the question files: give them runs apart")
        if first.kind == "rule":
            continue
        words: set[Word] = {word for judge in same for word in judge.words}
        kinds = {judge.kind for judge in same}
        if "score" in kinds and len(kinds) > 1:
            raise BadInput(f"judge {name!r} replies in other ways in two of the question files: give them runs apart")
        digests = sorted({judge.sha256 for judge in same})
        digest = digests[0] if len(digests) == 1 else digest_of(digests)
        mode, max_tokens, spec = config.judge_mode, config.judge_max_tokens, first.spec or JudgeSpec()
        if "category" in kinds:
            labels = dict.fromkeys(label for judge in same for label in judge.labels)
            closed = all(judge.closed and judge.kind == "category" for judge in same)
            asked = AskedLabels(tuple(labels), closed)
            yield category_judge(name, asked, words, first.template, digest, max_tokens, spec)
            continue
        yield file_judge(name, first.kind, words, first.template, digest, mode, max_tokens, spec)


def _text_of(file: str) -> str:
    try:
        return read_text(Path(file), MOST_TEXT)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: is not UTF-8 text") from None
