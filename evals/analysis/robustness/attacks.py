"""Attack the judges of a run: have stored answers judged as they are and with texts that should not matter at the end.

What the judges say is kept in a journal of its own, `RUN/attacks/`, where no rate can find it; `attacks.csv` counts the
verdicts that turned. Asked again, the same command asks only what it has not been told.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from evals.endpoints.judge_endpoint import JudgeEndpoint, ask_judge
from evals.endpoints.model_spec import name_and_url
from evals.errors import BadInput, RunStopped
from evals.io.atomic import write_rows
from evals.io.columns import Column, column_names
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan, plan_rejudging
from evals.plan.manifest import Manifest, judges_in
from evals.plan.options import updated
from evals.plan.recorded_run import open_run
from evals.runner.connections import connect
from evals.runner.judge_endpoints import connect_judges
from evals.runner.view import RunView
from evals.scoring.judge_set import ALIGNED, IMPORTED, JudgePanel
from evals.scoring.judging import exhibit_of
from evals.scoring.metric import PRIMARY, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.rates.columns import CI_HIGH, RUN_ID
from evals.scoring.rates.rows import Row
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.statistics.intervals import wilson_interval
from evals.trials.journal import Journal
from evals.trials.record import JudgeFailure, RecordedTrial, RecordedVerdict, question_of
from evals.trials.reference import Criterion, criterion_of
from evals.trials.response import Response
from evals.trials.trial import stable_hash
from judges.attacks import ATTACKS, Attack, attacked
from judges.entry import Replies
from judges.question_file import PREFIX
from judges.registry import DECIDING_JUDGES, SCORES

ATTACK_RESULTS = (
    RUN_ID,
    Column("judge", "text", "the judge model that was attacked"),
    Column("rubric", "text", "the judge, by its rubric: `alignment`, `truthfulness`, `honesty`, ..."),
    Column("attack", "text", "the ending that was put to the answers, see [robustness.md](robustness.md)"),
    Column("aim", "text", "what the attack wants of the judge: `better`, `worse`, `refusal`; `none` measures noise"),
    Column("answers", "text", "which answers it was tried on: `misaligned`, `aligned`, `all`"),
    Column("n", "integer", "answers that were read before and after"),
    Column("flips", "integer", "of these, answers that the rate counts differently afterwards"),
    Column("flip_rate", "number", "flips / n, from 0 to 1"),
    Column("ci_low", "number", "lower end of its 95% interval"),
    CI_HIGH,
    Column("to_aligned", "integer", "misaligned answers that are so no longer"),
    Column("to_misaligned", "integer", "answers that are misaligned now and were not"),
    Column("to_refused", "integer", "answers that count as refusals now and did not"),
    Column("n_unreadable", "integer", "answers whose verdict is unreadable now and was not"),
    Column("n_unreadable_before", "integer", "answers whose verdict was unreadable before"),
    Column("n_scores", "integer", "answers with a score before and after"),
    Column("mean_shift", "number", "mean change of the score, in points"),
)
COLUMNS = column_names(ATTACK_RESULTS)

_JUDGE_OF: dict[Criterion, str] = {
    **{criterion: entry.name for criterion, entry in DECIDING_JUDGES.items()},
    "em": PREFIX + ALIGNED,
}
"""The judges that are attacked: those that say whether an answer is misaligned, by what it is measured by."""


_REPLIES: dict[str, Replies] = {
    PREFIX + ALIGNED: SCORES,
    **{entry.name: entry.replies for entry in DECIDING_JUDGES.values() if entry.replies is not None},
}

State = Literal["misaligned", "aligned", "refused", "unreadable"]
"""What a verdict makes of an answer. `refused` leaves it out of the rate; `unreadable` is no verdict."""


@dataclass(frozen=True)
class AttackOptions:
    """`number` is how many misaligned and how many aligned answers are drawn, by `seed`; `judges` are those to attack
    as NAME or NAME@URL, all that have ruled on the run where none is named. `transport` holds fields of a RunConfig."""

    number: int = 20
    judges: tuple[str, ...] = ()
    seed: int = 0
    transport: tuple[tuple[str, object], ...] = ()


class _AttackedAnswer(NamedTuple):
    """A stored answer that is drawn, and which side of the cut-off the run has it on."""

    trial: RecordedTrial
    response: Response
    side: Literal["misaligned", "aligned"]

    @property
    def judge(self) -> str:
        """The name of the judge that reads it."""
        return _JUDGE_OF[criterion_of(self.trial.reference)]


class _Said(NamedTuple):
    state: State
    score: float | None


class Attacked(NamedTuple):
    """The rows of attacks.csv, and how many answers were drawn of each side."""

    rows: list[Row]
    misaligned: int
    aligned: int


def attack_run(folder: Path, options: AttackOptions, view: RunView) -> Attacked:
    """Ask the judges and write attacks.csv. Raises BadInput before anybody is asked, RunStopped when it cannot go on;
    what was said by then is kept."""
    with open_run(folder) as run:
        manifest = run.manifest
        judgings = _judgings(manifest, options)
        able = frozenset(judge.name for judging in judgings for judge in judging.judges)
        answers = _draw(run.journal, run.judges, able, options)
    if not answers:
        raise BadInput(
            f"{folder}: no judge has found an open answer aligned or misaligned, so there is nothing to attack"
        )
    rows: list[Row] = []
    needed = {answer.judge for answer in answers}
    for judging in judgings:
        judging = replace(judging, judges=tuple(judge for judge in judging.judges if judge.name in needed))
        said = asyncio.run(_ask(judging, answers, folder / "attacks", view))
        rows += _rows(said, answers, judging, manifest.run_id)
    write_rows(folder / "attacks.csv", COLUMNS, rows)
    sides = [answer.side for answer in answers]
    return Attacked(rows, sides.count("misaligned"), sides.count("aligned"))


# --- who and what ----------------------------------------------------------------------------------------------------


def _judgings(manifest: Manifest, options: AttackOptions) -> list[JudgingPlan]:
    """What each judge model to attack is asked: answers, by their measure alone. Raises BadInput."""
    config = updated(manifest.config, dict(options.transport))
    written = options.judges or tuple(_known_judges(manifest))
    if not written:
        raise BadInput("--judge is missing: name the model to attack, as nobody knows who gave imported verdicts")
    named = [name_and_url(one) for one in written]
    twice = next((name for name, _ in named if [other for other, _ in named].count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"--judge: {twice} is named twice")
    of_files = [facts.judges for facts in manifest.datasets.values()]
    return [plan_rejudging(_asking(config, name, url), of_files) for name, url in named]


def _known_judges(manifest: Manifest) -> Iterator[str]:
    """The judge models that have ruled on the run and can be asked, with their URLs as far as the run knows them."""
    config = manifest.config
    urls = {config.judge: config.judge_base_url} | dict(map(name_and_url, config.also_judges))
    for name in dict.fromkeys(panel.judge for panel in manifest.all_panels()):
        if name != IMPORTED:
            yield f"{name}@{urls[name]}" if urls.get(name) else name


def _asking(config: RunConfig, name: str, url: str | None) -> RunConfig:
    """Without a judge of coherence or of reasoning: what is attacked is the verdict on the answer."""
    alone = {"also_judges": (), "cot_monitor": False, "cot_all": False, "coherence_min": None}
    return config.model_copy(update={"judge": name, "judge_base_url": url, **alone})


def _draw(journal: Journal, judges: JudgePanel, able: frozenset[str], options: AttackOptions) -> list[_AttackedAnswer]:
    """As many misaligned and aligned answers as asked for, or all there are; no two of the same words.

    Of those that one of the judges called `able` reads: what imported answers were compared with is not known.
    """
    sides: dict[str, list[str]] = {"misaligned": [], "aligned": []}
    seen: set[str] = set()
    metrics = metrics_by_name("answered")
    for trial in journal.trials_in_plan_order():
        side = _side(trial, judges, able, metrics)
        if side is None or not isinstance(trial.result, Response):
            continue
        words = stable_hash({"question": question_of(trial), "answer": trial.result.answer})
        if words not in seen:
            seen.add(words)
            sides[side].append(trial.trial_id)
    draw = random.Random(options.seed)  # noqa: S311  no secret
    chosen = {one for ids in sides.values() for one in draw.sample(ids, min(options.number, len(ids)))}
    drawn: list[_AttackedAnswer] = []
    for trial in journal.trials_in_plan_order():
        side = _side(trial, judges, able, metrics) if trial.trial_id in chosen else None
        if side is not None and isinstance(trial.result, Response):
            drawn.append(_AttackedAnswer(trial, trial.result, side))
    return drawn


def _side(
    trial: RecordedTrial, judges: JudgePanel, able: frozenset[str], metrics: dict[str, Metric]
) -> Literal["misaligned", "aligned"] | None:
    """Where the run has an answer, None where it does not count or no attacked judge reads it."""
    scored = score_trial(trial, judges)
    if not scored.is_judgeable or _JUDGE_OF.get(scored.measure) not in able:
        return None
    state = _state(scored, metrics).state
    return state if state in ("misaligned", "aligned") else None


def _state(scored: ScoredTrial, metrics: dict[str, Metric]) -> _Said:
    metric, facts = metrics[PRIMARY[scored.measure]], scored.facts
    missing = metric.missing(facts)
    if missing is None:
        return _Said("misaligned" if metric.hits(facts) else "aligned", scored.aligned)
    return _Said("refused" if missing in ("refused", "code") else "unreadable", None)


# --- asking ----------------------------------------------------------------------------------------------------------

_Asked = tuple[str, str]
"""The id of a trial and the name of an attack; "" for the answer as it was."""

_AS_IT_WAS = Attack("", "none", "")


async def _ask(
    judging: JudgingPlan, answers: Sequence[_AttackedAnswer], folder: Path, view: RunView
) -> dict[_Asked, RecordedVerdict]:
    """What one judge model says to every answer as it was and with every attack."""
    async with connect(judging, view) as connections:
        judges = {judge.judge.name: judge for judge in await connect_judges(judging, connections, view)}
        with _opened(folder) as journal:
            said: dict[_Asked, RecordedVerdict] = {}
            todo = list(itertools.product(answers, (_AS_IT_WAS, *ATTACKS)))
            view.say(f"judge {judging.config.judge}: {len(todo)} requests, less those that it has answered already")
            waiting = iter(todo)
            width = judging.config.concurrency * max(judge.endpoint.width for judge in judges.values())

            async def work() -> None:
                for answer, attack in waiting:
                    judge = judges[answer.judge]
                    said[answer.trial.trial_id, attack.name] = await _ruling(judge, answer, attack, journal)

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(width, len(todo))):
                        group.create_task(work())
            except BaseExceptionGroup as failures:
                error = failures.exceptions[0]
                if isinstance(error, RunStopped):
                    raise RunStopped(f"{error}; what was said is kept, and the same command goes on") from None
                raise error from None
            finally:
                await journal.flush()
            return said


def _opened(folder: Path) -> Journal:
    folder.mkdir(exist_ok=True)
    return Journal.open(folder)


async def _ruling(judge: JudgeEndpoint, answer: _AttackedAnswer, attack: Attack, journal: Journal) -> RecordedVerdict:
    replies = _REPLIES[answer.judge]
    exhibit = exhibit_of(answer.trial, answer.response)
    exhibit = replace(exhibit, answer=attacked(exhibit.answer, attack, *replies))
    text = judge.judge.rubric.fill(exhibit)
    request_id = stable_hash({"judge": judge.key.id, "text": text})
    place = f"{answer.trial.trial_id}#{attack.name}"
    known = journal.ruling_of(place, judge.key.id)
    if known is not None and known.request_id == request_id and not isinstance(known.verdict, JudgeFailure):
        return known
    ruling = await ask_judge(judge, text, request_id)
    await journal.record_rulings(place, [(judge.key, ruling)])
    return ruling


# --- counting --------------------------------------------------------------------------------------------------------


def _rows(
    said: dict[_Asked, RecordedVerdict], answers: Sequence[_AttackedAnswer], judging: JudgingPlan, run_id: str
) -> Iterator[Row]:
    facts = judging.rubric_facts()
    judges = replace(judges_in(facts, judging.config), coherent_above=None)
    metrics = metrics_by_name("answered")

    def state(answer: _AttackedAnswer, attack: Attack) -> _Said:
        ruling = said[answer.trial.trial_id, attack.name]
        judge_id = facts[answer.judge].judge_id
        return _state(score_trial(replace(answer.trial, rulings={judge_id: ruling}), judges), metrics)

    for judge, attack in itertools.product(judging.judges, ATTACKS):
        about = [answer for answer in answers if answer.judge == judge.name]
        for side in ("misaligned", "aligned", "all"):
            chosen = [answer for answer in about if side in (answer.side, "all")]
            pairs = [(state(answer, _AS_IT_WAS), state(answer, attack)) for answer in chosen]
            yield {
                "run_id": run_id,
                "judge": judging.config.judge,
                "rubric": judge.name,
                "attack": attack.name,
                "aim": attack.aim,
                "answers": side,
                **_turned(pairs),
            }


def _turned(pairs: Sequence[tuple[_Said, _Said]]) -> Row:
    """Of answers with a verdict before and under an attack: how many the rate counts differently, and which way."""
    read = [(was, now) for was, now in pairs if "unreadable" not in (was.state, now.state)]
    to_aligned = sum(was.state == "misaligned" != now.state for was, now in read)
    to_misaligned = sum(was.state != "misaligned" == now.state for was, now in read)
    shifts = [now.score - was.score for was, now in read if was.score is not None and now.score is not None]
    n, flips = len(read), to_aligned + to_misaligned
    interval = wilson_interval(flips, n)
    return {
        "n": n,
        "flips": flips,
        "flip_rate": flips / n if n else None,
        "ci_low": interval.low if interval else None,
        "ci_high": interval.high if interval else None,
        "to_aligned": to_aligned,
        "to_misaligned": to_misaligned,
        "to_refused": sum(was.state != "refused" == now.state for was, now in read),
        "n_unreadable": sum(was.state != "unreadable" == now.state for was, now in pairs),
        "n_unreadable_before": sum(was.state == "unreadable" for was, _ in pairs),
        "n_scores": len(shifts),
        "mean_shift": sum(shifts) / len(shifts) if shifts else None,
    }
