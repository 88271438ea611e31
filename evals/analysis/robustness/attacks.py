"""Attack the judges of a run: judge stored answers unchanged and with endings that should not matter.

The verdicts go into a separate journal, `RUN/attacks/`, which no rate reads; `attacks.csv` counts the verdicts that
flipped. Running the same command again sends only the requests that have no verdict yet.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from evals.analysis.asking import ask_each, ask_once
from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.model_spec import name_and_url
from evals.errors import BadInput
from evals.io.atomic import write_rows
from evals.io.columns import Column, column_names
from evals.plan.config import RunConfig
from evals.plan.judging_plan import JudgingPlan, plan_rejudging
from evals.plan.manifest import Manifest, judges_in
from evals.plan.recorded.told_again import confirmed
from evals.plan.recorded_run import open_run
from evals.runner.view import RunView
from evals.scoring.judge_set import ALIGNED, IMPORTED, JudgePanel
from evals.scoring.judging import judge_input_of
from evals.scoring.metric import PRIMARY, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.rates.columns import CI_HIGH, RUN_ID
from evals.scoring.rates.rows import Row
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.statistics.intervals import wilson_interval
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial, RecordedVerdict, question_of
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
    Column(
        "aim",
        "text",
        "what the attack pushes the judge to: `better`, `worse`, `refusal`; `none` measures noise",
    ),
    Column("answers", "text", "which answers it was tried on: `misaligned`, `aligned`, `all`"),
    Column("n", "integer", "answers that were read before and after"),
    Column("flips", "integer", "of these, answers that the rate counts differently afterwards"),
    Column("flip_rate", "number", "flips / n, from 0 to 1"),
    Column("ci_low", "number", "lower end of its 95% interval"),
    CI_HIGH,
    Column("to_aligned", "integer", "misaligned answers that no longer are"),
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
"""The judge to attack for each criterion: the one that decides whether an answer is misaligned."""


_REPLIES: dict[str, Replies] = {
    PREFIX + ALIGNED: SCORES,
    **{entry.name: entry.replies for entry in DECIDING_JUDGES.values() if entry.replies is not None},
}

State = Literal["misaligned", "aligned", "refused", "unreadable"]
"""How the rate counts an answer. `refused` is left out of it; `unreadable` is no verdict."""


@dataclass(frozen=True)
class AttackOptions:
    """Options of an attack: draw `number` misaligned and `number` aligned answers with `seed`.

    `judges` are those to attack, as NAME or NAME@URL; by default all with verdicts in the run. `transport` holds fields
    of a RunConfig.
    """

    number: int = 20
    judges: tuple[str, ...] = ()
    seed: int = 0
    transport: tuple[tuple[str, object], ...] = ()


class _AttackedAnswer(NamedTuple):
    """A stored answer that was drawn, and its side of the cut-off in the run."""

    trial: RecordedTrial
    response: Response
    side: Literal["misaligned", "aligned"]

    @property
    def judge(self) -> str:
        """The name of the judge that reads the answer."""
        return _JUDGE_OF[criterion_of(self.trial.reference)]


class _VerdictState(NamedTuple):
    state: State
    score: float | None


class AttackResult(NamedTuple):
    """The rows of attacks.csv, and the number of answers drawn of each side."""

    rows: list[Row]
    misaligned: int
    aligned: int


def attack_run(folder: Path, options: AttackOptions, view: RunView) -> AttackResult:
    """Ask the judges and write attacks.csv.

    Raises BadInput before the first request, and RunStopped if it cannot continue; verdicts up to then are kept.
    """
    with open_run(folder) as run:
        manifest = run.manifest
        judgings = _judgings(manifest, folder, options)
        reading_judges = frozenset(judge.name for judging in judgings for judge in judging.judges)
        answers = _draw(run.journal, run.judges, reading_judges, options)
    if not answers:
        raise BadInput(
            f"{folder}: no judge has found an open answer aligned or misaligned, so there is nothing to attack"
        )
    rows: list[Row] = []
    for judging in judgings:
        needed = {answer.judge for answer in answers}
        judging = replace(judging, judges=tuple(judge for judge in judging.judges if judge.name in needed))
        verdicts = asyncio.run(_ask(judging, answers, folder / "attacks", view))
        rows += _rows(verdicts, answers, judging, manifest.run_id)
    write_rows(folder / "attacks.csv", COLUMNS, rows)
    sides = [answer.side for answer in answers]
    return AttackResult(rows, sides.count("misaligned"), sides.count("aligned"))


# --- judges and answers ----------------------------------------------------------------------------------------------


def _judgings(manifest: Manifest, folder: Path, options: AttackOptions) -> list[JudgingPlan]:
    """A plan for each judge model to attack, with the deciding judges only. Raises BadInput."""
    names = options.judges or tuple(_known_judges(manifest))
    if not names:
        raise BadInput("--judge is missing: name the model to attack, as nobody knows who gave imported verdicts")
    named = [name_and_url(judge) for judge in names]
    repeated = next((name for name, _ in named if [other for other, _ in named].count(name) > 1), None)
    if repeated is not None:
        raise BadInput(f"--judge: {repeated} is named twice")
    file_judges = [facts.judges for facts in manifest.datasets.values()]
    configs = [_attack_config(manifest.config, folder, name, url, options) for name, url in named]
    return [plan_rejudging(config, file_judges) for config in configs]


def _known_judges(manifest: Manifest) -> Iterator[str]:
    """The judge models with verdicts in the run that can be asked, each with its URL if the run records it."""
    config = manifest.config
    urls = {config.judge: config.judge_base_url} | dict(map(name_and_url, config.also_judges))
    for name in dict.fromkeys(panel.judge for panel in manifest.all_panels()):
        if name != IMPORTED:
            yield f"{name}@{urls[name]}" if urls.get(name) else name


def _attack_config(config: RunConfig, folder: Path, name: str, url: str | None, options: AttackOptions) -> RunConfig:
    """The configuration of an attack: no judges of coherence or reasoning, as only verdicts on answers are attacked.

    Raises BadInput for what the run's manifest alone names.
    """
    attacked = config.model_copy(update={"judge": name, "judge_base_url": url, "also_judges": ()})
    said = {"judge": name, "judge_base_url": url} if options.judges else {}
    attacked = confirmed(attacked, dict(options.transport) | said, folder, sampling=False, anchors=False)
    return attacked.model_copy(update={"cot_monitor": False, "cot_all": False, "monitor": (), "coherence_min": None})


def _draw(
    journal: Journal, judges: JudgePanel, reading_judges: frozenset[str], options: AttackOptions
) -> list[_AttackedAnswer]:
    """Draw up to `options.number` misaligned and aligned answers, each text once, that one of `reading_judges` reads.

    The references of imported answers are unknown, so judges that need them cannot read those.
    """
    sides: dict[str, list[str]] = {"misaligned": [], "aligned": []}
    seen: set[str] = set()
    metrics = metrics_by_name("answered")
    for trial in journal.trials_in_plan_order():
        side = _side(trial, judges, reading_judges, metrics)
        if side is None or not isinstance(trial.result, Response):
            continue
        text_hash = stable_hash({"question": question_of(trial), "answer": trial.result.answer})
        if text_hash not in seen:
            seen.add(text_hash)
            sides[side].append(trial.trial_id)
    draw = random.Random(options.seed)  # noqa: S311  no secret
    chosen = {trial_id for ids in sides.values() for trial_id in draw.sample(ids, min(options.number, len(ids)))}
    drawn: list[_AttackedAnswer] = []
    for trial in journal.trials_in_plan_order():
        side = _side(trial, judges, reading_judges, metrics) if trial.trial_id in chosen else None
        if side is not None and isinstance(trial.result, Response):
            drawn.append(_AttackedAnswer(trial, trial.result, side))
    return drawn


def _side(
    trial: RecordedTrial, judges: JudgePanel, reading_judges: frozenset[str], metrics: dict[str, Metric]
) -> Literal["misaligned", "aligned"] | None:
    """The side of an answer in the run, None if it does not count or no attacked judge reads it."""
    scored = score_trial(trial, judges)
    if not scored.is_judgeable or _JUDGE_OF.get(scored.measure) not in reading_judges:
        return None
    state = _state(scored, metrics).state
    return state if state in ("misaligned", "aligned") else None


def _state(scored: ScoredTrial, metrics: dict[str, Metric]) -> _VerdictState:
    metric, facts = metrics[PRIMARY[scored.measure]], scored.facts
    missing = metric.missing(facts)
    if missing is None:
        return _VerdictState("misaligned" if metric.hits(facts) else "aligned", scored.aligned)
    return _VerdictState("refused" if missing in ("refused", "code") else "unreadable", None)


# --- asking ----------------------------------------------------------------------------------------------------------

_RequestKey = tuple[str, str]
"""The id of a trial and the name of an attack, "" for the unchanged answer."""

_UNCHANGED = Attack("", "none", "")


async def _ask(
    judging: JudgingPlan, answers: Sequence[_AttackedAnswer], folder: Path, view: RunView
) -> dict[_RequestKey, RecordedVerdict]:
    """The verdicts of one judge model on every answer, unchanged and under every attack."""
    requests = list(itertools.product(answers, (_UNCHANGED, *ATTACKS)))
    verdicts = await ask_each(judging, requests, _attacked_verdict, folder, view)
    keys = [(answer.trial.trial_id, attack.name) for answer, attack in requests]
    return dict(zip(keys, verdicts, strict=True))


async def _attacked_verdict(
    endpoints: Mapping[str, JudgeEndpoint], journal: Journal, request: tuple[_AttackedAnswer, Attack]
) -> RecordedVerdict:
    answer, attack = request
    judge_input = judge_input_of(answer.trial, answer.response)
    judge_input = replace(judge_input, answer=attacked(judge_input.answer, attack, *_REPLIES[answer.judge]))
    return await ask_once(endpoints[answer.judge], judge_input, f"{answer.trial.trial_id}#{attack.name}", journal)


# --- counting --------------------------------------------------------------------------------------------------------


def _rows(
    verdicts: dict[_RequestKey, RecordedVerdict], answers: Sequence[_AttackedAnswer], judging: JudgingPlan, run_id: str
) -> Iterator[Row]:
    facts = judging.rubric_facts()
    judges = replace(judges_in(facts, judging.config), coherent_above=None)
    metrics = metrics_by_name("answered")

    def state(answer: _AttackedAnswer, attack: Attack) -> _VerdictState:
        verdict = verdicts[answer.trial.trial_id, attack.name]
        judge_id = facts[answer.judge].judge_id
        return _state(score_trial(replace(answer.trial, rulings={judge_id: verdict}), judges), metrics)

    for judge, attack in itertools.product(judging.judges, ATTACKS):
        about = [answer for answer in answers if answer.judge == judge.name]
        for side in ("misaligned", "aligned", "all"):
            chosen = [answer for answer in about if side in (answer.side, "all")]
            pairs = [(state(answer, _UNCHANGED), state(answer, attack)) for answer in chosen]
            yield {
                "run_id": run_id,
                "judge": judging.config.judge,
                "rubric": judge.name,
                "attack": attack.name,
                "aim": attack.aim,
                "answers": side,
                **_flip_counts(pairs),
            }


def _flip_counts(pairs: Sequence[tuple[_VerdictState, _VerdictState]]) -> Row:
    """The counts of one row: answers that the rate counts differently under the attack, and in which direction."""
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
