"""The judges of a plan: emeval's own with their rubrics, and those of question files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.questions.dataset import Dataset
from evals.questions.question_file import FileJudge, QuestionScenario, judges_of
from evals.trials.reference import Measure
from judges import alignment, articulation, coherence, cot_monitor, honesty, trigger_credit, truthfulness
from judges.judge import Judge, Rubric, rubric_from_file
from judges.question_file import Word, digest_of, file_judge


def file_judges(dataset: Dataset) -> dict[str, FileJudge]:
    """The judges that a question file brings; none for any other dataset."""
    return judges_of(one for one in dataset.scenarios if isinstance(one, QuestionScenario))


def make_judges(config: RunConfig, of_files: Sequence[Mapping[str, FileJudge]] = ()) -> tuple[Judge, ...]:
    """The LLM judges that a run may have use for, those of its question files with them; none without --judge.

    Raises BadInput where two files have a judge of one name that replies in different ways.
    """
    judges: list[Judge] = []
    if config.judge is None:
        return ()
    # What answers could be compared with did not come with imported ones.
    measures = frozenset[Measure]({"alignment"}) if config.imported else config.open_measures
    if "alignment" in measures:
        rubric = _rubric(config.alignment_rubric, alignment.REQUIRED_PLACES)
        judges.append(alignment.alignment_judge(rubric, config.judge_mode, config.judge_max_tokens))
        if config.coherence_min is not None:
            rubric = _rubric(config.coherence_rubric, coherence.REQUIRED_PLACES)
            judges.append(coherence.coherence_judge(rubric, config.judge_mode, config.judge_max_tokens))
    if "truthfulness" in measures:
        rubric = _rubric(config.truthfulness_rubric, truthfulness.REQUIRED_PLACES)
        judges.append(truthfulness.truthfulness_judge(rubric, config.judge_max_tokens))
    if "honesty" in measures:
        rubric = _rubric(config.honesty_rubric, honesty.REQUIRED_PLACES)
        judges.append(honesty.honesty_judge(rubric, config.judge_max_tokens))
    judges += _judges_of_files(config, of_files)
    if config.cot_monitor:
        rubric = _rubric(config.cot_monitor_rubric, cot_monitor.REQUIRED_PLACES)
        judges.append(cot_monitor.cot_monitor(rubric, config.judge_max_tokens))
        if config.trigger is not None and "on" in config.conditions:
            rubric = _rubric(config.articulation_rubric, articulation.REQUIRED_PLACES)
            judges.append(articulation.articulation_judge(rubric, config.judge_max_tokens))
        if config.distractor is not None:
            rubric = _rubric(config.trigger_credit_rubric, trigger_credit.REQUIRED_PLACES)
            judges.append(trigger_credit.trigger_credit_judge(rubric, config.judge_max_tokens))
    return tuple(judges)


def _judges_of_files(config: RunConfig, of_files: Sequence[Mapping[str, FileJudge]]) -> Iterator[Judge]:
    found: dict[str, list[FileJudge]] = {}
    for name, judge in (item for judges in of_files for item in judges.items()):
        found.setdefault(name, []).append(judge)
    for name, same in found.items():
        first = same[0]
        words: set[Word] = {word for one in same for word in one.words}
        if any(one.kind != first.kind for one in same):
            raise BadInput(f"judge {name!r} replies in other ways in two of the question files: give them runs apart")
        digests = sorted({one.sha256 for one in same})
        digest = digests[0] if len(digests) == 1 else digest_of(digests)
        mode, max_tokens = config.judge_mode, config.judge_max_tokens
        yield file_judge(name, first.kind, words, first.template, digest, mode, max_tokens)


def _rubric(file: str | None, places: frozenset[str]) -> Rubric | None:
    if file is None:
        return None
    try:
        return rubric_from_file(Path(file), places)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{file}: {error}") from None
