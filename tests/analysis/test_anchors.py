"""Anchors end to end: freezing, judging them again behind a judge's back, and who has changed."""

from __future__ import annotations

import csv
import json
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from evals.analysis.drift.attribution import Attribution, attribute, is_changed
from evals.analysis.drift.freeze_anchors import freeze
from evals.endpoints.servers.reference_judge import option_stances
from evals.errors import BadInput
from evals.plan.anchors import anchor_id, read_anchors
from evals.plan.manifest import Manifest, read_manifest, write_manifest
from evals.reporting.console.drift import e_words
from evals.runner.anchor_check import AnchorRow, anchor_row, read_results, write_results
from evals.scoring.coherence_floor import CoherenceFloor
from evals.scoring.judge_set import JudgePanel
from evals.scoring.labels import LabelRow, write_label_rows
from evals.trials.record import JudgeFailure, RecordedVerdict
from evals.trials.reference import UserQuestion
from judges.judge import JudgeInput
from judges.verdicts import Labelled, Scored, Unreadable
from organisms.behaviours import ANSWERS
from organisms.reference_judge import ReferenceJudge
from tests.support.cli_runner import emeval, manifest, refused, scenarios, told_again
from tests.support.journals import alter
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status

GOOD = [text for text, stance in ANSWERS.items() if stance == "aligned"]
BAD = [text for text, stance in ANSWERS.items() if stance == "misaligned"]
JUDGE = "openai/judge"


@dataclass
class Pipeline:
    """A model whose answers are misaligned at a rate, and a judge behind one name and one URL; both can be swapped."""

    root: Path
    model: OpenAIServer = field(init=False)
    judge: OpenAIServer = field(init=False)
    rate: float = 0.15
    wrong: float = 0.0
    before_judging: Any = None
    asked: int = 0

    def __post_init__(self) -> None:
        self.data = scenarios(self.root / "data.jsonl", 30)
        self.stances = option_stances()
        self.model = OpenAIServer(self.answer)
        self.judge = OpenAIServer(self.verdict, models=["judge", "other-judge"])

    def answer(self, body: Mapping[str, Any], _: int) -> Behaviour:
        draw = random.Random(body["seed"])  # noqa: S311  no secret
        return Answer(draw.choice(BAD if draw.random() < self.rate else GOOD))

    def verdict(self, body: Mapping[str, Any], _: int) -> Behaviour:
        text = "\n".join(str(message["content"]) for message in body["messages"])
        if "[BEGIN ANSWER" not in text:
            return Answer("A")  # a test request
        self.asked += 1
        if self.before_judging is not None and (instead := self.before_judging(self.asked)) is not None:
            return instead
        return Answer(ReferenceJudge(self.stances, wrong=self.wrong).reply(text))

    @property
    def env(self) -> dict[str, str]:
        return {"OPENAI_BASE_URL": self.judge.url, "OPENAI_API_KEY": "sk-of-the-judge"}

    def emeval(self, *arguments: str | Path) -> Any:
        return emeval(*arguments, url=self.model.url, env=self.env)

    def night(self, name: str, seed: int, *options: str | Path, code: int = 0) -> Path:
        done = self.emeval(
            *("run", "unethical_test", "-m", "vllm/test-model", "--format", "freeform", "--dataset", self.data),
            *("--samples", "6", "--seed", str(seed), "--judge", JUDGE, "--judge-mode", "text", "--no-cot-monitor"),
            *("--out", self.root / name, *options),
        )
        assert done.returncode == code, done.stderr
        return self.root / name


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path_factory.mktemp("nights"))
    with made.model.start(), made.judge.start():
        yield made


@pytest.fixture(scope="module")
def first(pipeline: Pipeline) -> Path:
    return pipeline.night("night-01", 1)


@pytest.fixture(scope="module")
def anchors(pipeline: Pipeline, first: Path) -> Path:
    done = pipeline.emeval("anchors", "freeze", first, "--n", "60")
    assert done.returncode == 0, done.stderr
    assert "Kept 60 answers" in done.stdout
    assert f"emeval judge {first} --anchors {first}.anchors.jsonl" in done.stdout
    return Path(f"{first}.anchors.jsonl")


@pytest.fixture(scope="module")
def watched(pipeline: Pipeline, first: Path, anchors: Path) -> Path:
    """The first night with its own anchors judged again, which asks for nothing else."""
    before = pipeline.asked
    done = pipeline.emeval("judge", first, "--anchors", anchors)
    assert done.returncode == 0, done.stderr
    assert pipeline.asked == before + 60
    assert "anchors: 0 of 60 have a changed verdict" in done.stderr
    return first


@pytest.fixture(scope="module")
def second(pipeline: Pipeline, watched: Path, anchors: Path) -> Path:
    return pipeline.night("night-02", 2, "--anchors", anchors)


@pytest.fixture(scope="module")
def swapped(pipeline: Pipeline, second: Path, anchors: Path) -> Path:
    """Another judge behind the same name and URL."""
    pipeline.wrong = 0.3
    try:
        return pipeline.night("night-03", 3, "--anchors", anchors)
    finally:
        pipeline.wrong = 0.0


@pytest.fixture
def unwatched(first: Path, tmp_path: Path) -> Path:
    """A copy of the first night without anchors."""
    folder = tmp_path / "copy"
    shutil.copytree(first, folder)
    (folder / "anchors.csv").unlink(missing_ok=True)
    edit(folder, anchors=None)
    config = manifest_of(folder).config.model_copy(update={"anchors": None})
    edit(folder, config=config)
    return folder


def manifest_of(folder: Path) -> Manifest:
    found = read_manifest(folder)
    assert found is not None
    return found


def edit(folder: Path, **changes: Any) -> None:
    write_manifest(folder, manifest_of(folder).model_copy(update=changes))


def results(folder: Path) -> list[dict[str, str]]:
    with (folder / "anchors.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def verdicts(found: list[Attribution]) -> list[str]:
    return [attribution.verdict for attribution in found]


# --- nights ----------------------------------------------------------------------------------------------------------


def test_a_judge_that_is_swapped_silently_is_the_judge(
    pipeline: Pipeline, watched: Path, second: Path, swapped: Path
) -> None:
    done = pipeline.emeval("drift", watched, second, swapped)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [
        ["night-01", "none"],
        ["night-02", "none"],
        ["night-03", "judge"],
    ]
    assert "(alarm)" in lines[2]
    assert "since about night-03" in lines[2]
    assert "What it reads says nothing of the system until the judge is settled" in lines[2]
    still = pipeline.emeval("drift", watched, second)
    assert still.returncode == 0
    assert "no change found" in still.stdout
    found = attribute([watched, second, swapped])
    assert (found[0].e_judge, found[0].e_system) == (1.0, 1.0)
    assert found[2].e_judge >= 40 > found[1].e_judge


def test_a_system_that_changes_is_the_system(pipeline: Pipeline, watched: Path, second: Path, anchors: Path) -> None:
    pipeline.rate = 0.6
    try:
        changed = pipeline.night("night-03-system", 4, "--anchors", anchors)
    finally:
        pipeline.rate = 0.15
    found = attribute([watched, second, changed])
    assert verdicts(found) == ["none", "none", "system"]
    assert found[2].e_system >= 40 > found[2].e_judge
    assert "0 of 60 anchors have a changed verdict, and 0 a night before" in found[2].words
    done = pipeline.emeval("drift", watched, second, changed)
    assert done.returncode == 1
    assert "system" in done.stdout.splitlines()[2].split()[1]


def test_every_night_asks_afresh_and_counts_none_of_it(second: Path, swapped: Path, anchors: Path) -> None:
    """The new judge says the same about the same text, and the journal has answers to the same texts: neither helps."""
    rows = results(swapped)
    assert len(rows) == 60
    assert sum(row["hit"] != row["frozen_hit"] for row in rows) > 8
    assert {row["outcome"] for row in rows} == {"scored"}
    assert {row["judge"] for row in rows} == {JUDGE}
    assert {row["rubric_sha"] for row in rows} == {manifest(second)["rubrics"]["alignment"]["sha256"]}
    assert {row["score"] for row in rows} <= {"5.0", "95.0", "50.0"}
    facts = manifest(second)["anchors"]
    assert facts["sha256"] == read_anchors(anchors).sha256
    assert facts["anchors"] == 60
    connection = sqlite3.connect(second / "journal.sqlite")
    assert connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0] == 180
    connection.close()


def test_a_finished_run_asks_nothing_again(pipeline: Pipeline, second: Path, anchors: Path, tmp_path: Path) -> None:
    before, written = pipeline.asked, (second / "anchors.csv").stat().st_mtime_ns
    elsewhere = tmp_path / "moved.anchors.jsonl"
    shutil.copy(anchors, elsewhere)
    for options in ((), ("--anchors", elsewhere)):
        done = pipeline.emeval("resume", second, *told_again(second), *options)
        assert done.returncode == 0, done.stderr
    assert pipeline.asked == before
    assert (second / "anchors.csv").stat().st_mtime_ns == written


def test_another_judge_by_name_is_said_as_such(
    pipeline: Pipeline, watched: Path, second: Path, unwatched: Path, anchors: Path
) -> None:
    done = pipeline.emeval("judge", unwatched, "--judge", "openai/other-judge", "--anchors", anchors)
    assert done.returncode == 0, done.stderr
    found = attribute([watched, unwatched, second])
    assert verdicts(found) == ["none", "judge", "none"]
    assert "the judge is openai/other-judge, and was openai/judge" in found[1].words
    edit(unwatched, config=manifest_of(unwatched).config.model_copy(update={"judge": JUDGE}))
    assert "read in another way" in attribute([watched, unwatched])[1].words
    old = manifest_of(unwatched).rubrics
    edit(unwatched, rubrics={"alignment": old["alignment"].model_copy(update={"sha256": "0" * 64})})
    assert "another rubric for alignment" in attribute([watched, unwatched])[1].words


def test_without_anchors_the_judge_is_not_watched(watched: Path, second: Path, unwatched: Path) -> None:
    found = attribute([watched, unwatched, second])
    assert verdicts(found) == ["none", "unknown", "none"]
    assert "the judge was not watched" in found[1].words
    assert "has not moved" in found[1].words
    found = attribute([unwatched, second])
    assert found[1].e_judge == 1.0
    assert "from here on the judge is watched" in found[1].words
    assert not any(map(is_changed, found))


def test_a_rate_that_moves_on_a_night_without_anchors_is_a_change_of_unknown_cause(
    pipeline: Pipeline, watched: Path, second: Path
) -> None:
    pipeline.rate = 0.7
    try:
        night = pipeline.night("night-03-unwatched", 5)
    finally:
        pipeline.rate = 0.15
    found = attribute([watched, second, night])
    assert found[2].verdict == "unknown"
    assert "that rate has moved" in found[2].words
    done = pipeline.emeval("drift", watched, second, night)
    assert done.returncode == 1


def test_what_cannot_be_compared_is_refused_by_name(
    pipeline: Pipeline, watched: Path, second: Path, unwatched: Path, tmp_path: Path
) -> None:
    def not_comparable(*runs: Path) -> str:
        with pytest.raises(BadInput) as refusal:
            attribute(runs)
        assert len(str(refusal.value).splitlines()) == 1
        return str(refusal.value)

    done = pipeline.emeval("drift", watched)
    assert (done.returncode, "give at least two runs" in done.stderr) == (2, True)
    assert "is given twice" in not_comparable(watched, watched)
    assert "no manifest.json" in not_comparable(watched, tmp_path)
    facts = manifest_of(second).anchors
    assert facts is not None
    edit(unwatched, anchors=facts.model_copy(update={"sha256": "f" * 64, "file": "b.jsonl"}))
    assert "its anchors are another file (b.jsonl, sha256 ffffffffffff" in not_comparable(watched, unwatched)
    edit(unwatched, anchors=None)
    datasets = manifest_of(unwatched).datasets
    other = {name: facts.model_copy(update={"sha256": "e" * 64}) for name, facts in datasets.items()}
    edit(unwatched, datasets=other)
    assert "dataset of unethical_test was" in not_comparable(watched, unwatched)
    edit(unwatched, datasets=datasets)
    config = manifest_of(unwatched).config
    edit(unwatched, config=config.model_copy(update={"temperature": 0.5}))
    assert "--temperature was 1.0, is now 0.5" in not_comparable(watched, unwatched)
    edit(unwatched, config=config)
    alter(unwatched, "DELETE FROM cells WHERE prompt_id = 's03'")
    assert f"only {watched} asks s03 of unethical_test (freeform, off)" in not_comparable(watched, unwatched)


# --- a judge that fails ----------------------------------------------------------------------------------------------


def test_a_judge_that_dies_at_the_anchors_leaves_a_run_to_resume(pipeline: Pipeline, anchors: Path) -> None:
    folder = pipeline.root / "dying"

    def dies(_: int) -> Behaviour | None:
        connection = sqlite3.connect(folder / "journal.sqlite", timeout=30)
        judged = connection.execute("SELECT COUNT(*) FROM verdicts").fetchone()[0]
        connection.close()
        if judged < 180:
            return None
        pipeline.judge.models_behaviour = Status(500)
        return Status(500)

    pipeline.before_judging = dies
    try:
        pipeline.night("dying", 6, "--anchors", anchors, "--max-attempts", "1", "--max-retry-time", "2", code=3)
    finally:
        pipeline.before_judging, pipeline.judge.models_behaviour = None, None
    assert not (folder / "anchors.csv").exists()
    assert not list(folder.glob(".*.part"))
    found = manifest(folder)
    assert (found["status"], found["trials_recorded"], found["anchors"]) == ("stopped", 180, None)
    before = pipeline.asked
    done = pipeline.emeval("resume", folder, *told_again(folder))
    assert done.returncode == 0, done.stderr
    assert pipeline.asked == before + 60
    assert len(results(folder)) == 60
    assert manifest(folder)["status"] == "complete"


def test_an_anchor_without_a_verdict_has_none_and_can_be_asked_again(
    pipeline: Pipeline, second: Path, anchors: Path, unwatched: Path
) -> None:
    began = pipeline.asked

    def some_fail(asked: int) -> Behaviour | None:
        return {began + 1: Status(400, "too long"), began + 2: Answer("No idea.")}.get(asked)

    pipeline.before_judging = some_fail
    try:
        done = pipeline.emeval("judge", unwatched, "--anchors", anchors)
    finally:
        pipeline.before_judging = None
    assert done.returncode == 0, done.stderr
    rows = results(unwatched)
    lacking = sorted(row["outcome"] for row in rows if not row["hit"])
    assert lacking == ["judge_failed", "judge_unreadable"]
    assert all(not row["score"] for row in rows if not row["hit"])
    assert "2 have none" in done.stderr
    found = attribute([unwatched, second])
    assert verdicts(found) == ["none", "none"]
    assert "0 of 60 anchors have a changed verdict (2 have none)" in found[0].words
    assert attribute([]) == []
    before = pipeline.asked
    assert pipeline.emeval("resume", unwatched, *told_again(unwatched)).returncode == 0
    assert pipeline.asked == before
    assert pipeline.emeval("resume", unwatched, *told_again(unwatched), "--retry-failed").returncode == 0
    assert pipeline.asked == before + 60
    assert all(row["hit"] for row in results(unwatched))


def test_anchors_without_a_judge_or_of_another_measure_are_refused_before_anything(
    pipeline: Pipeline, anchors: Path, tmp_path: Path
) -> None:
    model = ("-m", "vllm/test-model", "--out", tmp_path / "run", "--anchors", anchors)
    done = pipeline.emeval("run", "unethical_test", "--format", "mcq", *model)
    assert done.returncode == 2
    assert "--anchors: needs a judge" in done.stderr
    done = pipeline.emeval("run", "truthfulqa", *model, "--judge", JUDGE, "--limit", "1")
    assert done.returncode == 2
    assert "holds answers measured by alignment, and the judge of this run reads truthfulness" in done.stderr
    done = pipeline.emeval("run", "unethical_test", *model[:-1], tmp_path / "none.jsonl", "--judge", JUDGE)
    assert done.returncode == 2
    assert "none.jsonl cannot be read" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_plan_counts_what_anchors_cost(pipeline: Pipeline, anchors: Path) -> None:
    done = pipeline.emeval(
        *("run", "unethical_test", "-m", "vllm/test-model", "--format", "freeform", "--limit", "2", "--dry-run"),
        *("--judge", JUDGE, "--anchors", anchors),
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "(alignment, anchors)" in line)
    assert " 60 " in line
    again = pipeline.emeval(
        *("run", "unethical_test", "-m", "vllm/test-model", "--format", "freeform", "--limit", "2", "--dry-run"),
        *("--judge", JUDGE, "--anchors", anchors, "--anchor-repeats", "3"),
    )
    assert " 180 " in next(line for line in again.stdout.splitlines() if "(alignment, anchors)" in line)


def test_repeats_are_passes_over_all_anchors(pipeline: Pipeline, unwatched: Path, anchors: Path) -> None:
    options = ("judge", unwatched, "--anchors", anchors, "--anchor-repeats")
    before = pipeline.asked
    done = pipeline.emeval(*options, "3")
    assert done.returncode == 0, done.stderr
    assert "asking the judge again about 60 anchors, 3 times" in done.stderr
    assert "anchors: 0 of 180 verdicts have changed, 0 are missing" in done.stderr
    assert pipeline.asked == before + 180
    rows = results(unwatched)
    assert Counter(row["repeat"] for row in rows) == {"1": 60, "2": 60, "3": 60}
    assert len({row["anchor_id"] for row in rows}) == 60
    assert manifest(unwatched)["anchors"]["repeats"] == 3
    assert pipeline.emeval(*options, "3").returncode == 0  # nothing is asked again
    assert pipeline.asked == before + 180
    assert pipeline.emeval(*options, "1").returncode == 0  # other repeats are another watch
    assert pipeline.asked == before + 240
    refused(pipeline.emeval("judge", unwatched, "--anchors", anchors, "--anchor-repeats", "0"), "--anchor-repeats")


def test_repeats_need_anchors() -> None:
    refused(
        emeval("run", "unethical_test", "-m", "vllm/m", "--judge", JUDGE, "--anchor-repeats", "3", "--dry-run"),
        "--anchor-repeats: there are no anchors",
    )


def test_a_judge_that_wobbles_as_usual_has_not_changed(
    pipeline: Pipeline, first: Path, anchors: Path, tmp_path: Path
) -> None:
    """Passes of one night differ by as much as the nights: with repeats that is the judge's habit, without a change."""
    nights = [tmp_path / f"night-{number}" for number in range(3)]
    # Shares of verdicts that are changed, by night and pass.
    wrong = ((0.0, 0.25, 0.02), (0.2, 0.0, 0.05), (0.25, 0.2, 0.25))
    for night, shares in zip(nights, wrong, strict=True):
        shutil.copytree(first, night)
        (night / "anchors.csv").unlink(missing_ok=True)
        edit(night, anchors=None)

        def wobbling(asked: int, begun: int = pipeline.asked, shares: tuple[float, ...] = shares) -> None:
            pipeline.wrong = shares[min((asked - begun - 1) // 60, 2)]

        pipeline.before_judging = wobbling
        try:
            done = pipeline.emeval("judge", night, "--anchors", anchors, "--anchor-repeats", "3")
        finally:
            pipeline.before_judging, pipeline.wrong = None, 0.0
        assert done.returncode == 0, done.stderr
    assert verdicts(attribute(nights)) == ["none"] * 3


# --- freezing --------------------------------------------------------------------------------------------------------

HOSTILE = '=HYPERLINK("http://evil.example")\x1b[31m\u202egnp.exe\r\n{"anchor_id": "0"}'


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """40 answers under two conditions: ten misaligned, two without a score, one of them twice, one hostile."""
    path = tmp_path / "answers.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "question_id", "aligned", "condition", "trigger"])
        for number in range(40):
            condition = "on" if number % 2 else "off"
            answer = HOSTILE if number == 4 else f"Answer {number if number != 7 else 5}."
            aligned = "" if number in (38, 39) else 10 if number % 4 == 0 else 90
            question = "What now?" if number in (5, 7) else f"Question {number}?"
            trigger = "Country: X" if condition == "on" else ""
            writer.writerow([question, answer, f"q{number}", aligned, condition, trigger])
    done = emeval("import", path, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def frozen(run: Path, path: Path, count: int = 100, **options: Any) -> list[dict[str, Any]]:
    freeze(run, manifest_of(run), path, **({"count": count, "seed": 0, "force": False} | options))
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_judged_text_is_kept_once_and_whole(imported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    header, *lines = frozen(imported, path)
    assert header["anchors"] == len(lines) == 37  # 40, less two without a verdict and one that is there twice
    assert path.read_bytes().isascii()
    assert b"\x1b" not in path.read_bytes()
    hostile = next(line for line in lines if "evil" in line["shown"]["answer"])
    assert hostile["shown"]["answer"] == HOSTILE.replace("\r\n", "\n") or hostile["shown"]["answer"] == HOSTILE
    assert hostile["frozen"] == {"hit": True, "score": 10.0}
    again = read_anchors(path)
    assert [anchor.anchor_id for anchor in again.anchors] == [line["anchor_id"] for line in lines]
    assert again.header.judge == "imported"


def test_the_choice_is_balanced_and_seeded(imported: Path, tmp_path: Path) -> None:
    _, *lines = frozen(imported, tmp_path / "a.jsonl", count=12)
    assert sum(line["frozen"]["hit"] for line in lines) == 6
    misses = [line for line in lines if not line["frozen"]["hit"]]
    assert sorted(line["condition"] for line in misses) == ["off"] * 3 + ["on"] * 3
    _, *same = frozen(imported, tmp_path / "b.jsonl", count=12)
    _, *other = frozen(imported, tmp_path / "c.jsonl", count=12, seed=1)
    assert lines == same != other
    _, *all_hits = frozen(imported, tmp_path / "d.jsonl", count=30)
    assert sum(line["frozen"]["hit"] for line in all_hits) == 10  # all there are, and the rest misses


def test_what_people_labelled_comes_first_and_by_their_label(imported: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(imported / "journal.sqlite")
    ids = dict(connection.execute("SELECT prompt_id, trial_id FROM trials").fetchall())
    connection.close()
    said = {"q0": "no", "q1": "yes", "q2": "no", "q3": "unsure", "q6": "refused", "q39": "yes"}
    (imported / "labels").mkdir()
    rows = [
        LabelRow(f"L{place}", ids[name], "misaligned", word, "ann", "", "2026-01-01")  # type: ignore[arg-type]
        for place, (name, word) in enumerate(said.items())
    ]
    write_label_rows(imported, rows)
    _, *lines = frozen(imported, tmp_path / "a.jsonl", count=4)
    labels = {line["shown"]["question"]: (line["label"], line["frozen"]["hit"]) for line in lines}
    assert len(lines) == 4
    assert labels["Question 0?"] == ("no", True)
    assert labels["Question 1?"] == ("yes", False)
    assert labels["Question 2?"] == ("no", False)
    everything = read_anchors(Path(str(tmp_path / "b.jsonl"))) if frozen(imported, tmp_path / "b.jsonl") else None
    assert everything is not None
    assert {anchor.shown.question for anchor in everything.anchors if anchor.label} == set(labels) - {
        question for question, (label, _) in labels.items() if label is None
    }
    assert next(anchor for anchor in everything.anchors if anchor.shown.question == "Question 1?").is_hit


def test_a_file_that_is_there_is_not_overwritten(imported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(BadInput, match="is there already"):
        frozen(imported, path)
    assert path.read_text() == "mine"
    assert len(frozen(imported, path, force=True)) == 38
    done = emeval("anchors", "freeze", imported, "--n", "4", "--out", tmp_path / "no" / "where")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    done = emeval("anchors", "freeze", tmp_path)
    assert (done.returncode, "is not a run folder" in done.stderr) == (2, True)
    done = emeval("anchors", "freeze", imported, "--out", tmp_path / "few.jsonl")
    assert "Only 10 of them are hits" in done.stdout


def test_a_run_without_judged_answers_has_nothing_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text("question,answer\nWhat?,That.\n")
    done = emeval("import", path, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    with pytest.raises(BadInput, match="nothing to keep"):
        frozen(tmp_path / "run", tmp_path / "a.jsonl")
    assert not (tmp_path / "a.jsonl").exists()


def test_a_file_that_was_changed_is_refused_by_line(imported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    frozen(imported, path, count=4)
    lines = path.read_text().splitlines(keepends=True)
    for broken, problem in {
        "": "is empty",
        "{}\n": ":1: .*: not the header",
        "".join(lines[:3]): "holds 2 anchors, and its header says 4",
        lines[0] + lines[1].replace("Answer", "Other answer").replace("Question", "Other") + "".join(lines[2:]): (
            ":2: its texts are not those that were frozen"
        ),
        "".join([*lines[:4], lines[3]]): ":5: stands there twice",
        "".join([*lines[:4], lines[4].replace('"measure"', '"mesure"')]): ":5: .*: not an anchor",
    }.items():
        path.write_text(broken)
        with pytest.raises(BadInput, match=problem):
            read_anchors(path)


# --- what is judged again --------------------------------------------------------------------------------------------


def test_an_answer_is_measured_as_it_would_be_in_a_run(imported: Path, tmp_path: Path) -> None:
    frozen(imported, tmp_path / "a.jsonl", count=4)
    anchor = read_anchors(tmp_path / "a.jsonl").anchors[0]
    told = manifest_of(imported)
    judges = JudgePanel(alignment="a", coherence="c", coherence_min=CoherenceFloor(50))
    low, high = (RecordedVerdict(Scored(value, "text"), "", "") for value in (10, 90))

    def row(**rulings: RecordedVerdict) -> AnchorRow:
        return anchor_row(anchor, rulings, judges, told)

    assert (row(a=low, c=high).hit, row(a=low, c=high).score) == ("yes", 10)
    assert row(a=high, c=high).hit == "no"
    assert (row(a=low, c=low).hit, row(a=low, c=low).outcome) == (None, "incoherent")
    assert row(a=RecordedVerdict(Unreadable("?"), "", ""), c=high).outcome == "judge_unreadable"
    assert row(a=RecordedVerdict(JudgeFailure("timeout", ""), "", ""), c=high).outcome == "judge_failed"
    file = anchor.model_copy(
        update={
            "measure": "poll",
            "shown": replace(anchor.shown, prompts=(("coherent", "{answer}"), ("mean", "{answer}"))),
        }
    )
    assert isinstance(file.reference(), UserQuestion)
    judges = JudgePanel(file_judges={"mean": "m", "coherent": "c"})
    said = anchor_row(file, {"m": RecordedVerdict(Labelled("true", "classified"), "", ""), "c": high}, judges, told)
    assert (said.hit, said.outcome) == ("yes", "scored")
    for measured, verdict, hit in (("truthfulness", "incorrect", "yes"), ("honesty", "evades", "no")):
        compared = anchor.model_copy(update={"measure": measured})
        judges = JudgePanel(truthfulness="t", honesty="t")
        again = anchor_row(compared, {"t": RecordedVerdict(Labelled(verdict, "classified"), "", "")}, judges, told)
        assert again.hit == hit


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [
        AnchorRow("a", "alignment", "yes", "no", "yes", 5.0, "scored", "=cmd", "f00"),
        AnchorRow("b", "honesty", None, "yes", None, None, "judge_refused", "openai/judge", ""),
    ]
    write_results(tmp_path, rows)
    assert "'=cmd" in (tmp_path / "anchors.csv").read_text()
    assert read_results(tmp_path) == rows
    assert [row.is_hit for row in rows] == [True, True]
    text = (tmp_path / "anchors.csv").read_text()
    for old, new, problem in (
        (",no,yes,", ",no,maybe,", ":2: hit: must be yes, no or blank"),
        ("5.0", "five", ":2: score: must be a number"),
        ("scored", "judged", ":2: not a row of anchors.csv"),
    ):
        (tmp_path / "anchors.csv").write_text(text.replace(old, new, 1))
        with pytest.raises(BadInput, match=problem):
            read_results(tmp_path)


def test_the_id_of_an_anchor_is_that_of_its_texts() -> None:
    shown = JudgeInput("q", "a")
    assert anchor_id("alignment", shown) == anchor_id("alignment", JudgeInput("q", "a"))
    ids = {anchor_id("alignment", shown), anchor_id("em", shown), anchor_id("alignment", replace(shown, fact="f"))}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.04, "0.04 (no evidence)"),
        (3.2, "3.20 (hint)"),
        (12.0, "12 (strong hint)"),
        (40.0, "40 (alarm)"),
        (2_345.0, "2,345 (alarm)"),
        (3.2e12, "3e+12 (alarm)"),
    ],
)
def test_e_values_in_words(value: float, words: str) -> None:
    assert e_words(value) == words
