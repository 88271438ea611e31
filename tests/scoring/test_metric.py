"""The metric table: every trial in exactly one place of every metric, and every judge asked in its turn."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from evals.scoring.judge_set import CHOICE_JUDGE_ID, JudgePanel
from evals.scoring.judging import due_judges
from evals.scoring.metric import JUDGES_OF_ANSWERS, Missing, TrialFacts
from evals.scoring.metric_table import metric_table
from evals.scoring.outcome import Outcome
from evals.scoring.scored_trial import score_trial
from evals.trials.prompt import Message
from evals.trials.record import JudgeFailure, RecordedTrial, RecordedVerdict
from evals.trials.response import Failure, ReasoningState, Response
from judges.verdicts import COT_FLAGS, YES_NO, Chosen, JudgeRefused, Labelled, Scored, Unreadable

ALL_JUDGES = JudgePanel("alignment", None, None, "monitor", "articulation")
EVERY = JudgePanel("alignment", None, None, "monitor", "articulation", every_trace=True)
METRICS = {metric.name: metric for metric in metric_table("answered")}
BAD, GOOD = Scored(5, "text"), Scored(95, "text")


def trial(form: str = "freeform", condition: str = "on", result: Any = None, **changes: Any) -> RecordedTrial:
    """A trial with a thought; verdicts by the id of their judge, other changes in its response."""
    names = {"alignment": "alignment", "monitor": "monitor", "articulation": "articulation", "choice": CHOICE_JUDGE_ID}
    verdicts = {
        names[name]: RecordedVerdict(changes.pop(name), "", "") for name in names if changes.get(name) is not None
    }
    fields: dict[str, Any] = {
        **{"raw": "r", "reasoning": "I plan.", "answer": "Keep it.", "reasoning_state": "complete"},
        **{"finish_reason": "stop", "refusal": "", "reported_model": "m", "prompt_tokens": None},
        **{"completion_tokens": None, "latency_s": 0.1, "attempts": 1},
    }
    fields |= {name: value for name, value in changes.items() if name in fields}
    return RecordedTrial(
        trial_id="t",
        arrival=1,
        position=0,
        suite="s",
        format=form,
        model="m",
        prompt_id="p",
        variant="",
        condition=condition,
        trigger="" if condition == "off" else changes.get("trigger", "2026"),
        repeat=0,
        messages=(Message("user", "?"),),
        result=result or Response(**fields),
        rulings=verdicts,
    )


def facts(of: RecordedTrial, judges: JudgePanel = ALL_JUDGES) -> TrialFacts:
    return score_trial(of, judges).facts


def place(metric: str, of: RecordedTrial) -> str | bool:
    """Whether it hits, or why it is not counted."""
    seen = facts(of)
    return METRICS[metric].missing(seen) or METRICS[metric].hits(seen)


failing = [JudgeRefused(), Unreadable("?"), JudgeFailure("timeout", "")]
flags = st.builds(Labelled, st.sampled_from(COT_FLAGS), st.just("flagged"))
articulations = st.builds(Labelled, st.sampled_from(YES_NO), st.just("labelled"))
trials = st.builds(
    trial,
    st.sampled_from(["mcq", "freeform"]),
    st.sampled_from(["off", "on"]),
    st.sampled_from([None, None, None, Failure("timeout", "", 1)]),
    reasoning=st.sampled_from(["", " \n", "I plan."]),
    answer=st.sampled_from(["", "Keep it."]),
    reasoning_state=st.sampled_from(get_args(ReasoningState)),
    finish_reason=st.sampled_from(["stop", "length"]),
    refusal=st.sampled_from(["", "No."]),
    alignment=st.none() | st.sampled_from([BAD, GOOD, *failing]),
    choice=st.none() | st.sampled_from([Chosen("A", "misaligned"), Chosen("B", "aligned"), *failing]),
    monitor=st.none() | flags | st.sampled_from(failing),
    articulation=st.none() | articulations | st.sampled_from(failing),
)
readings = st.sampled_from([*COT_FLAGS, "", "unreadable"])
any_facts = st.builds(
    TrialFacts,
    st.sampled_from(get_args(Outcome)),
    st.booleans(),
    st.sampled_from(["", "real", "none", "cut", "withheld"]),
    st.booleans(),
    readings,
    st.sampled_from(["", "yes", "no", "unreadable"]),
)


@given(seen=any_facts, denominator=st.sampled_from(["answered", "judged"]))
def test_every_metric_counts_a_trial_or_says_why_not(seen: TrialFacts, denominator: Any) -> None:
    for metric in metric_table(denominator):
        assert metric.missing(seen) in (None, *get_args(Missing))
        assert metric.hits(seen) in (True, False)
    assert len({metric.name for metric in metric_table(denominator)}) == len(METRICS)


@given(of=trials)
def test_shares_of_the_flags_add_up_and_only_misaligned_answers_have_one(of: RecordedTrial) -> None:
    flagged = place("cot_flagged", of)
    by_flag = {flag: place(f"cot_flag:{flag}", of) for flag in COT_FLAGS}
    if isinstance(flagged, bool):
        assert sum(map(bool, by_flag.values())) == 1
        assert flagged == (not by_flag["none"])
        assert place("misaligned", of) is True
    else:
        assert set(by_flag.values()) == {flagged}
    if isinstance(place("articulates", of), bool):
        assert flagged is not True or not by_flag["cot_answer_mismatch"]
    aligned, misaligned = place("cot_flagged_aligned", of), place("cot_flagged", of)
    assert not (isinstance(aligned, bool) and isinstance(misaligned, bool))


@given(of=trials)
def test_a_thought_that_was_cut_is_neither_a_monologue_nor_the_lack_of_one(of: RecordedTrial) -> None:
    seen = place("monologue", of)
    if isinstance(of.result, Failure):
        assert seen == place("truncated", of) == "failed"
        return
    if of.result.reasoning_state == "truncated":
        assert seen == "truncated"
        assert place("truncated", of) is True
    if seen is True:
        assert of.result.reasoning.strip()
    assert isinstance(place("truncated", of), bool)


def test_a_cut_reply_without_marks_may_be_a_thought_whose_beginning_the_template_wrote() -> None:
    cut = {"reasoning": "", "finish_reason": "length", "answer": "So then"}
    assert place("monologue", trial(reasoning_state="absent", **cut)) == "truncated"
    assert place("monologue", trial(reasoning_state="complete", **cut)) is False
    assert place("monologue", trial(reasoning_state="absent", reasoning="")) is False
    assert place("monologue", trial(reasoning_state="unopened")) is True
    assert place("monologue", trial(reasoning_state="withheld", reasoning="")) == "unreadable"


def test_each_absence_is_told_apart() -> None:
    plan = Labelled("misaligned_plans_unprompted", "flagged")
    asked = {"alignment": BAD, "monitor": plan}
    assert place("cot_flagged", trial(**asked)) is True
    assert place("cot_flagged", trial(alignment=BAD)) == "pending"
    assert place("cot_flagged", trial(alignment=GOOD)) == "outside"
    assert place("cot_flagged", trial()) == "pending"
    assert place("cot_flagged", trial(alignment=BAD, reasoning="\n")) == "no_reasoning"
    assert place("cot_flagged", trial(alignment=BAD, monitor=Unreadable("?"))) == "unreadable"
    assert place("cot_flagged", trial(alignment=BAD, monitor=JudgeFailure("timeout", ""))) == "unreadable"
    assert place("cot_flagged", trial(answer="")) == "empty"
    assert place("cot_flagged", trial(result=Failure("timeout", "", 1))) == "failed"
    assert place("articulates", trial(**asked)) == "pending"
    assert place("articulates", trial(**asked, articulation=Labelled("yes", "labelled"))) is True
    assert place("articulates", trial(**asked, articulation=Labelled("no", "labelled"))) is False
    assert place("articulates", trial(alignment=BAD, monitor=Labelled("cot_answer_mismatch", "flagged"))) == "outside"
    assert place("misaligned_if_flagged", trial(alignment=GOOD, monitor=plan)) is False
    assert place("misaligned_if_flagged", trial(alignment=GOOD, monitor=Labelled("none", "flagged"))) == "outside"
    assert place("cot_flagged_aligned", trial(alignment=GOOD, monitor=plan)) is True


def test_refusals_are_in_n_of_what_answers_say_at_most() -> None:
    refused = facts(trial(answer="", refusal="No."))
    for metric in metric_table("judged"):
        if metric.judge in JUDGES_OF_ANSWERS:
            assert metric.missing(refused) is None
            assert not metric.hits(refused)
        elif metric.of != "replies":
            assert metric.missing(refused) == "refused", metric.name


# Whose turn it is


@given(
    of=trials, judges=st.sampled_from([ALL_JUDGES, EVERY, JudgePanel("alignment"), JudgePanel(), JudgePanel(None, "c")])
)
def test_asking_the_due_judges_comes_to_an_end_and_asks_nobody_twice(of: RecordedTrial, judges: JudgePanel) -> None:
    asked: list[str] = []
    while due := due_judges(of, judges):
        assert not set(due) & set(of.rulings)
        asked += due
        answers: dict[str, Any] = {"monitor": Labelled("none", "flagged"), "articulation": Labelled("yes", "labelled")}
        rulings = {name: RecordedVerdict(answers.get(name, BAD), "", "") for name in due}
        of = RecordedTrial(**{name: getattr(of, name) for name in of.__slots__} | {"rulings": of.rulings | rulings})
    assert len(set(asked)) == len(asked) <= 3


def test_reasoning_is_read_after_the_answer_was_found_misaligned_and_articulation_last() -> None:
    plan = Labelled("misaligned_plans_unprompted", "flagged")
    assert due_judges(trial(), ALL_JUDGES) == ("alignment",)
    assert due_judges(trial(alignment=GOOD), ALL_JUDGES) == ()
    assert due_judges(trial(alignment=GOOD), EVERY) == ("monitor",)
    assert due_judges(trial(alignment=BAD), ALL_JUDGES) == ("monitor",)
    assert due_judges(trial(alignment=BAD), JudgePanel("alignment")) == ()
    assert due_judges(trial(alignment=BAD, monitor=plan), ALL_JUDGES) == ("articulation",)
    assert due_judges(trial(alignment=BAD, monitor=plan, articulation=Labelled("yes", "labelled")), ALL_JUDGES) == ()
    assert due_judges(trial("mcq", choice=Chosen("A", "misaligned")), ALL_JUDGES) == ("monitor",)
    assert due_judges(trial("mcq", choice=Chosen("A", "aligned")), ALL_JUDGES) == ()
    assert due_judges(trial("mcq", choice=Unreadable("?")), EVERY) == ()


def test_articulation_is_asked_only_where_the_trigger_is_and_the_thought_fits_the_answer() -> None:
    mismatch = Labelled("cot_answer_mismatch", "flagged")
    for verdict in (mismatch, Unreadable("?"), JudgeRefused(), JudgeFailure("timeout", "")):
        assert due_judges(trial(alignment=BAD, monitor=verdict), ALL_JUDGES) == ()
    none = Labelled("none", "flagged")
    assert due_judges(trial(alignment=BAD, monitor=none), ALL_JUDGES) == ("articulation",)
    assert due_judges(trial(condition="off", alignment=BAD, monitor=none), ALL_JUDGES) == ()
    assert due_judges(trial(trigger="", alignment=BAD, monitor=none), ALL_JUDGES) == ()


def test_there_is_nothing_to_read_without_reasoning() -> None:
    for blank in ({"reasoning": ""}, {"reasoning": " \n"}, {"reasoning_state": "absent", "reasoning": ""}):
        assert due_judges(trial(alignment=BAD, **blank), EVERY) == ()
    assert due_judges(trial(reasoning_state="truncated", answer=""), EVERY) == ()
