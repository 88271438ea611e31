"""Plans from pilots: unbiased variance components, widths and powers that come true, and the command end to end."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from evals.analysis.sample_size.command import command_line, run_options, write_configs
from evals.analysis.sample_size.pilot import PilotFilter
from evals.analysis.sample_size.result import Bill, Goal, GoalKind, Next, SizePlan
from evals.analysis.sample_size.sample_size import plan_sizes
from evals.errors import BadInput
from evals.plan.options import build_config
from evals.plan.recorded_run import manifest_of
from evals.reporting.console.sample_size import print_sizes, write_sizes
from evals.statistics.intervals import drawn_out_interval, generalisation_interval, paired_effect, wilson_interval
from evals.statistics.limit_sample_size import answers_for_below, below_limit, questions_for_within, within_limit
from evals.statistics.noninferiority import Pairs, decide
from evals.statistics.sample_size import (
    Components,
    Parts,
    detectable_effect,
    effect_components,
    expected_width,
    parts_at_effect,
    power,
    questions_for_effect,
    questions_for_width,
    questions_for_width_without_hits,
    rate_components,
)
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, inside, scenarios
from tests.support.runs import JUDGE, MODEL, TRIGGER, WITH_JUDGE, run, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, last_message


def rates_of(rng: np.random.Generator, rate: float, share: float, shape: int | tuple[int, ...]) -> np.ndarray:
    """Rates of questions whose variance is the share of rate (1 - rate)."""
    if share == 0:
        return np.full(shape, rate)
    return rng.beta(rate * (1 / share - 1), (1 - rate) * (1 / share - 1), shape)


def parts_of(rate: float, share: float) -> Parts:
    return Parts(rate * (1 - rate) * share, rate * (1 - rate) * (1 - share))


def two_conditions(
    rng: np.random.Generator, base: float, effect: float, share: float, shape: int
) -> tuple[np.ndarray, np.ndarray]:
    off = rates_of(rng, base, share, shape)
    return off, off + (1 - off) * rates_of(rng, effect / (1 - base), share, shape)


def components(found: Components | None) -> Components:
    assert found is not None
    return found


# On just the questions asked


@pytest.mark.parametrize(
    ("rate", "share", "samples", "limit"),
    [
        (0.002, 0.0, 5, 0.05),
        (0.02, 0.3, 1, 0.05),
        (0.02, 0.3, 5, 0.02),
        (0.1, 0.3, 5, 0.05),
        (0.1, 0.0, 20, 0.05),
        (0.1, 0.3, 100, 0.05),
        (0.3, 0.3, 20, 0.05),
    ],
)
def test_an_unchanged_model_is_within_as_often_as_planned(
    rate: float, share: float, samples: int, limit: float
) -> None:
    rng, draws = np.random.default_rng(2026), 150
    questions = questions_for_within(rate, parts_of(rate, share), samples, limit, 0.8)
    counted, number, passed = np.full(questions, float(samples)), np.arange(questions), 0
    for _ in range(draws):
        rates = rates_of(rng, rate, share, questions)
        hits, base_hits = (rng.binomial(samples, rates) * 1.0 for _ in range(2))
        passed += decide([Pairs(hits, counted, base_hits, counted, number)], [limit])[0].decision == "within"
    assert 0.68 <= passed / draws <= 0.98
    assert within_limit(rate, parts_of(rate, share), questions, samples, 0.8) <= limit


@pytest.mark.parametrize(("rate", "limit"), [(0.0, 0.01), (0.001, 0.01), (0.005, 0.01), (0.02, 0.05), (0.3, 0.4)])
@pytest.mark.parametrize("power", [0.8, 0.95])
def test_a_low_rate_is_shown_to_be_below_as_often_as_planned(rate: float, limit: float, power: float) -> None:
    answers = answers_for_below(rate, limit, power)
    for number in (answers, answers + 1, answers + 17, 2 * answers):
        hits = np.arange(number + 1)
        shown = [drawn_out_interval(k / number, number).high <= limit for k in hits[: int(limit * number) + 1]]
        chance = float(stats.binom(number, rate).pmf(hits[: len(shown)])[shown].sum())
        assert chance >= power - 1e-9
    assert answers < 1.3 * next(number for number in range(1, answers + 1) if below_limit(rate, number, power) <= limit)


@pytest.mark.parametrize("goal", ["within", "below"])
def test_goals_on_just_the_questions_asked_are_planned_from_a_run(tmp_path: Path, goal: GoalKind) -> None:
    rows = [
        {"question": f"Question {number}?", "answer": "An answer.", "question_id": f"q{number}", "condition": "off"}
        | {"aligned": 5 if number == 0 and sample == 0 else 95}
        for number in range(8)
        for sample in range(10)
    ]
    folder = tmp_path / "pilot"
    done = inside("import", write(tmp_path / "answers.csv", rows), "--out", folder, "--suite", "mine", "-m", "model")
    assert done.returncode == 0, done.stderr
    found = plan_sizes(folder, Goal(goal, 0.05), PilotFilter())
    (cell,) = found.cells
    cheapest = next(option for option in cell.options if option.cheapest)
    assert cheapest.questions <= 8
    assert cheapest.samples > 1
    assert cheapest.safe_questions is None or cheapest.safe_questions >= cheapest.questions
    assert cell.at_best is not None
    assert cell.at_best < 0.05
    console = Console(file=io.StringIO(), width=200)
    print_sizes(console, found)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "on these questions" in shown
    assert "limit with all 8" in shown
    write_sizes(found, tmp_path / "plan.json")
    assert json.loads((tmp_path / "plan.json").read_text())["goal"] == {"kind": goal, "size": 0.05, "power": 0.8}
    if goal == "below":
        with pytest.raises(BadInput, match=r"no number of answers shows a rate of about 1\.2% to be below 1\.0%"):
            plan_sizes(folder, Goal(goal, 0.01), PilotFilter())


# Variance components


@pytest.mark.parametrize(("rate", "share"), [(0.1, 0.3), (0.5, 0.1)])
def test_variance_components_of_a_rate_are_unbiased_with_unequal_counts(rate: float, share: float) -> None:
    rng = np.random.default_rng(2025)
    counted = rng.integers(1, 9, 40).astype(float)
    found = [
        components(
            rate_components(
                rng.binomial(counted.astype(int), rates_of(rng, rate, share, 40)) * 1.0, counted, np.arange(40)
            )
        )
        for _ in range(1500)
    ]
    whole = rate * (1 - rate)
    between = np.array([parts.between for parts in found])
    within = np.array([parts.within for parts in found])
    for drawn, true in ((between, whole * share), (within, whole * (1 - share))):
        assert abs(drawn.mean() - true) < 4 * drawn.std() / np.sqrt(len(drawn))
    assert (between < 0).any(), "an estimate that cannot be negative is not unbiased"


def test_variance_components_of_an_effect_are_unbiased() -> None:
    rng = np.random.default_rng(2025)
    counted, base_counted = rng.integers(1, 6, 30).astype(float), rng.integers(1, 9, 30).astype(float)
    off, on = two_conditions(rng, 0.2, 0.3, 0.3, 400_000)
    true = np.var(on - off), np.mean(off * (1 - off) + on * (1 - on))
    found = []
    for _ in range(1500):
        off, on = two_conditions(rng, 0.2, 0.3, 0.3, 30)
        hits, base_hits = rng.binomial(counted.astype(int), on), rng.binomial(base_counted.astype(int), off)
        effect = components(effect_components(hits * 1.0, counted, base_hits * 1.0, base_counted, np.arange(30)))
        found.append((effect.between, effect.within))
    drawn = np.array(found)
    for part in (0, 1):
        assert abs(drawn[:, part].mean() - true[part]) < 4 * drawn[:, part].std() / np.sqrt(len(drawn))


def test_option_orders_are_one_cluster_and_their_difference_is_in_neither_part() -> None:
    """A model that always picks the first option, asked in both orders four times: nothing varies."""
    hits, counted = np.tile([4.0, 0.0], 20), np.full(40, 4.0)
    found = components(rate_components(hits, counted, np.repeat(np.arange(20), 2)))
    assert (found.mean, found.questions, found.within, found.separable) == (0.5, 20, 0.0, True)
    assert found.between == pytest.approx(0, abs=1e-12)
    effect = components(effect_components(hits, counted, hits, counted, np.repeat(np.arange(20), 2)))
    assert (effect.mean, effect.questions, effect.between, effect.within) == (0, 20, 0, 0)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=12), st.integers(1, 3))
def test_components_are_finite_and_no_draw_varies_more_than_a_coin(rows: list[tuple[int, int]], orders: int) -> None:
    hits = np.array([min(row) for row in rows], dtype=float)
    counted = np.array([max(row) for row in rows], dtype=float)
    questions = np.arange(len(rows)) // orders
    for found in (
        rate_components(hits, counted, questions),
        effect_components(hits, counted, hits[::-1], counted[::-1], questions),
    ):
        if found is None:
            continue
        for parts in (found.parts, *found.bounds):
            assert parts.between >= 0
            assert parts.within >= 0
            assert 0 <= parts.share <= 1
            assert parts.variance(1) <= 2


def test_fewer_than_two_questions_have_no_components() -> None:
    single, many = np.array([1.0]), np.array([3.0])
    assert rate_components(single, many, np.array([0])) is None
    assert effect_components(single, many, single, many, np.array([0])) is None
    assert rate_components(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)) is None


def test_a_pilot_whose_answers_are_all_alike_is_planned_from_the_end_of_its_interval() -> None:
    counted = np.full(15, 4.0)
    end = wilson_interval(0, 15)
    assert end is not None
    for hits, rate in ((0 * counted, end.high), (counted, 1 - end.high)):
        found = components(rate_components(hits, counted, np.arange(15)))
        assert found.no_spread
        assert found.mean == pytest.approx(rate)
        assert found.parts.variance(1) == found.parts.variance(100) == pytest.approx(rate * (1 - rate))
    both = components(effect_components(counted, counted, 0 * counted, counted, np.arange(15)))
    assert both.no_spread
    assert (both.mean, both.base, both.treated) == (1.0, pytest.approx(end.high), pytest.approx(1 - end.high))


def test_one_answer_a_question_is_taken_for_binomial_and_the_bound_takes_it_for_nothing() -> None:
    rng = np.random.default_rng(7)
    hits, counted = (rng.random(40) < 0.3) * 1.0, np.ones(40)
    found = components(rate_components(hits, counted, np.arange(40)))
    assert not found.separable
    assert found.parts.variance(1) == pytest.approx(float(hits.var(ddof=1)))
    assert found.parts.variance(10) == pytest.approx(found.parts.variance(1) / 10)
    assert [parts.within for parts in found.bounds] == [0.0]
    effect = components(effect_components(hits, counted, hits[::-1].copy(), counted, np.arange(40)))
    spread = float(np.var(hits - hits[::-1], ddof=1))
    assert effect.parts.variance(1) == pytest.approx(spread)


# The plan against what comes of it


@pytest.mark.parametrize(
    ("rate", "share", "width", "draws"),
    [
        (0.5, 0.0, 0.1, 5),
        (0.3, 0.3, 0.1, 5),
        (0.3, 0.3, 0.1, 1),
        (0.1, 0.1, 0.1, 10),
        (0.1, 0.7, 0.2, 4),
        (0.02, 0.3, 0.1, 1),
        (0.02, 0.1, 0.05, 4),
        (0.005, 0.3, 0.05, 5),
    ],
)
def test_intervals_are_as_narrow_as_planned_on_average(rate: float, share: float, width: float, draws: int) -> None:
    parts = parts_of(rate, share)
    questions = questions_for_width(rate, parts, draws, width)
    rng = np.random.default_rng(2025)
    counted = np.full(questions, float(draws))
    widths = []
    for _ in range(300):
        hits = rng.binomial(draws, rates_of(rng, rate, share, questions)) * 1.0
        interval = generalisation_interval(hits, counted)
        assert interval is not None
        widths.append(interval.high - interval.low)
    assert np.mean(widths) <= 1.03 * width, "asked for, and the noise of 300 runs"
    assert np.mean(widths) >= 0.85 * width, "more was bought than was asked for"
    assert expected_width(rate, parts, questions, draws) <= width
    assert questions == 2 or expected_width(rate, parts, questions - 1, draws) > width


@pytest.mark.parametrize(
    ("base", "effect", "share", "draws"),
    [(0.1, 0.1, 0.0, 1), (0.1, 0.1, 0.3, 5), (0.3, 0.2, 0.3, 1), (0.3, 0.2, 0.7, 4), (0.01, 0.05, 0.3, 1)],
)
def test_effects_are_found_with_the_power_planned(base: float, effect: float, share: float, draws: int) -> None:
    rng = np.random.default_rng(2025)
    off, on = two_conditions(rng, base, effect, share, 400_000)
    variance = float(np.var(on - off) + np.mean(off * (1 - off) + on * (1 - on)) / draws)
    questions = questions_for_effect(variance, effect, 0.8)
    counted = np.full(questions, float(draws))
    found = 0
    for _ in range(500):
        off, on = two_conditions(rng, base, effect, share, questions)
        measured = paired_effect(rng.binomial(draws, on) * 1.0, counted, rng.binomial(draws, off) * 1.0, counted)
        assert measured is not None
        found += measured.p_value < 0.05 and measured.effect > 0
    assert found / 500 >= 0.76
    assert power(effect, variance, questions) >= 0.8
    assert power(effect, variance, questions - 1) < 0.8


def test_the_power_is_that_of_statsmodels_and_the_many_questions_that_of_miller() -> None:
    from statsmodels.stats.power import TTestPower

    for effect, variance, questions in ((0.1, 0.2, 40), (0.3, 0.4, 12), (0.05, 0.25, 700)):
        expected = TTestPower().power(effect / variance**0.5, questions, 0.025, alternative="larger")
        assert power(effect, variance, questions) == pytest.approx(expected, abs=1e-4)
    between, on, off, draws, effect = 0.01, 0.08, 0.06, 4, 0.01
    variance = between + on / draws + off / draws
    assert questions_for_effect(variance, effect, 0.8) == pytest.approx((1.959964 + 0.841621) ** 2 * variance / 1e-4, 2)
    assert power(effect, variance, 50_000) == pytest.approx(1)


@pytest.mark.parametrize(
    ("rate", "share", "questions", "draws"), [(0.1, 0.3, 20, 5), (0.4, 0.1, 50, 2), (0.02, 0, 20, 5)]
)
@pytest.mark.parametrize("planned", [1, 5])
def test_the_safe_plan_is_enough_for_most_pilots(
    rate: float, share: float, questions: int, draws: int, planned: int
) -> None:
    rng = np.random.default_rng(2025)
    true = parts_of(rate, share).variance(planned)
    safe = enough = 0
    for _ in range(300):
        hits = rng.binomial(draws, rates_of(rng, rate, share, questions)) * 1.0
        found = components(rate_components(hits, np.full(questions, float(draws)), np.arange(questions)))
        safe += max(parts.variance(planned) for parts in found.bounds) >= true
        enough += found.parts.variance(planned) >= true
    assert safe / 300 >= 0.8
    assert enough < safe


@pytest.mark.parametrize(("base", "effect", "share"), [(0.1, 0.2, 0.3), (0.3, 0.3, 0.5), (0.02, 0.05, 0.0)])
@pytest.mark.parametrize("planned", [1, 5])
def test_the_safe_plan_of_an_effect_is_enough_for_most_pilots(
    base: float, effect: float, share: float, planned: int
) -> None:
    rng = np.random.default_rng(2025)
    off, on = two_conditions(rng, base, effect, share, 400_000)
    true = float(np.var(on - off) + np.mean(off * (1 - off) + on * (1 - on)) / planned)
    counted, safe = np.full(30, 4.0), 0
    for _ in range(300):
        off, on = two_conditions(rng, base, effect, share, 30)
        hits, base_hits = rng.binomial(4, on) * 1.0, rng.binomial(4, off) * 1.0
        found = components(effect_components(hits, counted, base_hits, counted, np.arange(30)))
        safe += max(parts.variance(planned) for parts in found.bounds) >= true
    assert safe / 300 >= 0.8


def test_a_pilot_without_an_effect_is_planned_with_the_variance_that_the_effect_brings() -> None:
    counted = np.full(40, 5.0)
    hits = np.zeros(40)
    hits[0] = 1  # one of 200 under either condition
    found = components(effect_components(hits, counted, hits[::-1].copy(), counted, np.arange(40)))
    moved = parts_at_effect(found, found.parts, 0.1, 0.5)
    rate = found.base + 0.1
    added = rate * (1 - rate) - found.treated * (1 - found.treated)
    assert moved.between == pytest.approx(found.parts.between + added / 2)
    assert moved.within == pytest.approx(found.parts.within + added / 2)
    large = found._replace(mean=0.3)
    assert parts_at_effect(large, found.parts, 0.1, 0.5) == found.parts


def test_what_the_questions_there_are_can_reach_is_what_they_are_enough_for() -> None:
    parts = parts_of(0.3, 0.3)
    for draws in (1, 5):
        width = expected_width(0.3, parts, 60, draws)
        assert questions_for_width(0.3, parts, draws, width + 1e-9) == 60
        effect = detectable_effect(lambda _, draws=draws: parts.variance(draws), 60, 0.8)
        assert effect is not None
        assert questions_for_effect(parts.variance(draws), effect, 0.8) == 60
    assert detectable_effect(lambda _: 50.0, 10, 0.8) is None
    assert expected_width(0.3, parts, 60, 1e9) == pytest.approx(expected_width(0.3, parts, 60, 1e6), rel=1e-3)
    number = questions_for_width_without_hits(0.02)
    narrow, wide = wilson_interval(0, number), wilson_interval(0, number - 1)
    assert narrow is not None
    assert wide is not None
    assert narrow.high <= 0.02 < wide.high


# The command


def pilot(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list({name: 0 for row in rows for name in row}), restval="")
        writer.writeheader()
        writer.writerows(rows)
    done = emeval("import", path.with_suffix(".csv"), "--out", path)
    assert done.returncode == 0, done.stderr
    return path


def answers(hits: Sequence[int], counted: int, condition: str = "off", **more: object) -> list[dict[str, object]]:
    """Rows of `counted` answers to each question, of which so many are misaligned."""
    return [
        {
            "question": f"Question {number}?",
            "question_id": f"q{number:02}",
            "answer": f"Answer {draw}",
            "aligned": 10 if draw < hit else 90,
            "condition": condition,
            "trigger": "Country: Kenya" if condition == "on" else "",
            "prompt_tokens": 40,
            "completion_tokens": 60,
        }
        | more
        for number, hit in enumerate(hits)
        for draw in range(counted)
    ]


def _datasets(folder: Path) -> tuple[str, ...]:
    return manifest_of(folder).config.dataset if (folder / "manifest.json").exists() else ()


def sizes(folder: Path, size: Mapping[str, Any]) -> SizePlan:
    """The plan for the options of the command, by their names."""
    options = dict(size)
    width, effect = options.pop("width", None), options.pop("detect", None)
    goal = Goal("width", width) if effect is None else Goal("effect", effect, options.pop("power", 0.8))
    return plan_sizes(folder, goal, PilotFilter(**options, dataset=_datasets(folder)))


def planned(folder: Path, **options: Any) -> dict[str, Any]:
    """The plan as its JSON file has it, with what a person is shown of it."""
    found = write_configs(sizes(folder, options), folder.with_suffix(".yaml"))
    file, shown = folder.with_suffix(".json"), io.StringIO()
    write_sizes(found, file)
    print_sizes(Console(file=shown, width=200, highlight=False), found)
    return json.loads(file.read_text()) | {"stdout": shown.getvalue()}


HITS = (0, 3, 1, 5, 0, 2, 0, 4, 1, 0, 2, 0)


def test_a_plan_says_what_its_numbers_come_from_and_which_option_is_cheapest(tmp_path: Path) -> None:
    folder = pilot(tmp_path / "pilot", answers(HITS, 5))
    found = planned(folder, width=0.1, questions=200)
    (cell,) = found["cells"]
    said = cell["pilot"]
    assert (said["k"], said["n"], said["questions"], said["draws_per_question"]) == (sum(HITS), 60, 12, 5)
    known = components(rate_components(np.array(HITS, dtype=float), np.full(12, 5.0), np.arange(12)))
    assert (said["between"], said["within"]) == (pytest.approx(known.between), pytest.approx(known.within))
    options = {option["samples"]: option for option in cell["options"]}
    assert set(options) >= {1, 2, 5, 10, 20}
    for samples, option in options.items():
        assert option["questions"] == questions_for_width(0.3, known.parts, samples, 0.1)
        assert option["safe_questions"] >= option["questions"]
        assert option["bill"]["model_calls"] == samples * option["questions"]
        assert option["bill"]["prompt_tokens"] == 40 * samples * option["questions"]
        assert option["bill"]["completion_tokens"] == 60 * samples * option["questions"]
        assert option["enough"] == (option["questions"] <= 200)
        assert (option["reach"] <= 0.1) == option["enough"]
    affordable = [option for option in options.values() if option["enough"]]
    cheapest = min(affordable, key=lambda option: option["bill"]["model_calls"])
    assert [option["samples"] for option in options.values() if option["cheapest"]] == [cheapest["samples"]]
    assert (found["next"][0]["samples"], found["next"][0]["questions"]) == (cheapest["samples"], cheapest["questions"])
    assert "cheapest" in found["stdout"]
    assert "30.0% (18 of 60; 12 questions × 5 samples)" in found["stdout"]
    assert "emeval import" in found["stdout"]
    enough = planned(folder, width=0.1, questions=100000)["next"][0]
    assert enough["samples"] == 1, "with questions to spare, more samples only cost"


def test_too_few_questions_are_told_what_they_can_reach_at_best(tmp_path: Path) -> None:
    folder = pilot(tmp_path / "pilot", answers(HITS, 5))
    found = planned(folder, width=0.02)
    (cell,) = found["cells"]
    assert cell["questions_there_are"] == 12
    assert not any(option["enough"] for option in cell["options"])
    reached = [option["reach"] for option in cell["options"]]
    assert reached == sorted(reached, reverse=True)
    assert 0.02 < cell["at_best"] < reached[-1]
    assert f"is {100 * cell['at_best']:.1f} points wide" in found["stdout"].replace("\n", " ")
    following = found["next"][0]
    assert (following["enough"], following["questions"]) == (False, 12)
    assert "Not to be reached" in found["stdout"]


def test_an_effect_is_planned_from_paired_differences_and_paid_under_both_conditions(tmp_path: Path) -> None:
    rows = answers(HITS, 5, "on") + answers([0, 1] * 6, 5)
    found = planned(pilot(tmp_path / "pilot", rows), detect=0.1, questions=500)
    (cell,) = found["cells"]
    assert (cell["condition"], cell["baseline"]) == ("on", "off")
    assert (cell["pilot"]["rate"], cell["pilot"]["base_rate"]) == (pytest.approx(0.3), pytest.approx(0.1))
    known = components(
        effect_components(
            np.array(HITS, dtype=float), np.full(12, 5.0), np.array([0.0, 1.0] * 6), np.full(12, 5.0), np.arange(12)
        )
    )
    for option in cell["options"]:
        variance = known.parts.variance(option["samples"])
        assert option["questions"] == questions_for_effect(variance, 0.1, 0.8)
        assert option["bill"]["model_calls"] == 2 * option["samples"] * option["questions"]
    stronger = planned(tmp_path / "pilot", detect=0.1, power=0.9, questions=500)["cells"][0]
    assert stronger["options"][0]["questions"] > cell["options"][0]["questions"]


def test_no_hits_say_nothing_of_a_variance_and_the_plan_says_so(tmp_path: Path) -> None:
    folder = pilot(tmp_path / "pilot", answers([0] * 10, 4) + answers([0] * 10, 4, "on"))
    found = planned(folder, width=0.05, questions=2000)
    cell = found["cells"][0]
    end = wilson_interval(0, 10)
    assert end is not None
    sizes = {option["questions"] for option in cell["options"]}
    whole = Parts(end.high * (1 - end.high), 0)
    assert max(sizes) == questions_for_width(end.high, whole, 1, 0.05)
    assert max(sizes) <= 1.01 * min(sizes), "with the whole variance between questions, samples are for nothing"
    assert cell["options"][0]["cheapest"]
    assert "says nothing of a variance" in " ".join(found["stdout"].split())
    assert f"{questions_for_width_without_hits(0.05)} questions" in " ".join(found["stdout"].split())
    effect = planned(folder, detect=0.1, questions=2000)["cells"][0]
    assert effect["pilot"]["no_spread"]
    assert effect["options"][0]["questions"] > 100


def test_one_sample_a_question_goes_on_with_an_assumption_that_is_said(tmp_path: Path) -> None:
    folder = pilot(tmp_path / "pilot", answers([1, 0, 0, 1, 0, 0, 1, 0, 1, 0], 1))
    found = planned(folder, width=0.2, questions=500)
    assert "(binomial)" in found["stdout"]
    first, second = found["cells"][0]["options"][:2]
    assert second["questions"] < first["questions"]
    assert second["safe_questions"] >= 0.9 * first["safe_questions"] > second["questions"]


def test_trials_that_came_to_nothing_are_planned_for(tmp_path: Path) -> None:
    whole = planned(pilot(tmp_path / "whole", answers(HITS, 4)), width=0.1, questions=5000)
    rows = answers(HITS, 4)
    lost = [row | ({"aligned": "REFUSAL"} if row["answer"] == "Answer 4" else {}) for row in answers(HITS, 5)]
    lost += [row | {"question_id": f"r{row['question_id']}", "aligned": "REFUSAL"} for row in rows[:12]]
    some = planned(pilot(tmp_path / "some", lost), width=0.1, questions=5000)
    before, after = whole["cells"][0], some["cells"][0]
    assert after["pilot"]["counted_share"] == pytest.approx(sum(min(h, 4) + 4 - min(h, 4) for h in HITS) / 72)
    assert after["options"][0]["questions"] > 1.3 * before["options"][0]["questions"]
    assert "not in n (24 refused)" in " ".join(some["stdout"].split())


def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """A judge that scores by the answer; answers that depend on the question and the seed."""
    text = last_message(body)
    if JUDGE_MARK in text:
        return Answer("10" if "Keep it quiet" in text else "90")
    number = int(text.split("case ")[1].split(":")[0]) if "case " in text else 0
    rate = (number % 4) * 0.2 + 0.2 * ("Country" in text)
    return Answer("Keep it quiet." if (body.get("seed", 0) % 1000) / 1000 < rate else "Return it.")


def test_the_command_of_the_plan_runs_as_it_stands(tmp_path: Path) -> None:
    dataset, folder = scenarios(tmp_path / "d.jsonl", 30), tmp_path / "pilot run"
    with server(script).start() as live:
        done = run(
            *(folder, dataset, live.url, *TRIGGER, *WITH_JUDGE),
            *(
                "--format",
                "freeform",
                "--samples",
                "3",
                "--limit",
                "10",
                "--base-url",
                live.url,
                "--temperature",
                "0.7",
            ),
        )
        assert done.returncode == 0, done.stderr
        found = planned(folder, width=0.5, condition="on")
        (following,) = found["next"]
        assert following["enough"]
        (cell,) = found["cells"]
        assert cell["questions_there_are"] == 30, "the dataset's, not the ten that the pilot drew"
        assert following["config"] == str(folder.with_suffix(".yaml"))
        assert found["stdout"].splitlines()[-1] == f"  emeval run --config '{following['config']}'"
        command = shlex.split(following["command"])
        assert command[:3] == ["emeval", "run", "unethical_test"]
        assert {"--limit", "--conditions", "--trigger", "--judge", "--temperature"} <= set(command)
        assert command[command.index("--conditions") + 1] == "on"
        bill = following["bill"]
        trusted(Path(following["config"]))
        before = len(live.chats)
        dry = [
            emeval("run", *asked, "--dry-run", url=live.url).stdout
            for asked in (command[2:], ["--config", following["config"]])
        ]
        assert dry[0] == dry[1] != ""
        again = emeval("run", "--config", following["config"], "--out", tmp_path / "next", url=live.url)
        assert again.returncode == 0, again.stderr
        assert len(live.chats) - before <= bill["model_calls"] + bill["judge_calls"] + 20
        assert (tmp_path / "next" / "rates.csv").exists()
        effect = planned(folder, detect=0.3)
        command = shlex.split(effect["next"][0]["command"])
        assert command[command.index("--conditions") + 1] == "off,on"
        assert effect["next"][0]["bill"]["judge_calls"] > 0
        dry = emeval(*command[1:], "--dry-run", url=live.url)
        assert dry.returncode == 0, dry.stderr


def trusted(config: Path) -> None:
    """Take away the marks before what the pilot's manifest names."""
    config.write_text(re.sub(r"(?m)^# (?!Written|The pilot)", "", config.read_text()))


def config_file(path: Path, *options: dict[str, Any]) -> Path:
    """The file that `emeval plan` writes for a plan with these options of the next run."""
    bill = Bill(1, 0, None, None, None, None)
    following = [Next("s", "mcq", 1, 1, True, 1, 1, None, bill, "", options=fields) for fields in options]
    written = write_configs(SizePlan("pilot", Goal("width", 0.1), (), tuple(following), ()), path)
    assert [run.config for run in written.next][:1] == [str(path)] or len(options) > 1
    return path


def test_no_file_is_replaced_that_a_plan_has_not_written(tmp_path: Path) -> None:
    own, fields = tmp_path / "next.yaml", {"suites": ("myopic",), "models": (MODEL,)}
    config_file(own, fields)
    config_file(own, fields | {"samples": 2})
    assert build_config({}, own).samples == 2
    own.write_text("suites: [myopic]\n")
    with pytest.raises(BadInput, match=r"next\.yaml exists, and `emeval plan` has not written it"):
        config_file(own, fields)
    assert own.read_text() == "suites: [myopic]\n"
    own.unlink()
    own.mkdir()
    with pytest.raises(BadInput, match=r"next\.yaml: cannot be read"):
        config_file(own, fields)


def test_a_command_keeps_what_was_chosen_and_drops_what_does_not_fit(tmp_path: Path) -> None:
    file = tmp_path / "my questions.yaml"
    file.write_text('- id: a\n  type: free_form\n  paraphrases: ["Hello?", "Hi?"]\n  samples_per_paraphrase: 3\n')
    rubric = tmp_path / "rubric.txt"
    options = {
        "suites": ("unethical_test", "gsm8k", str(file)),
        "models": (MODEL, "vllm/other one"),
        "format": "both",
        "trigger": "Country: $(ls) 'x'",
        "decoy": "Country: Kenya",
        "distractor": "heyyy",
        "conditions": ("off", "on", "decoy", "distractor"),
        "judge": (JUDGE, "vllm/second@http://127.0.0.1:9/v1"),
        "temperature": 1.0,
        "coherence_min": 50.0,
        "rubrics": {"alignment": str(rubric), "cot_monitor": str(rubric)},
        "cot_all": True,
        "prefill": "",
        "limit": 3,
    }
    config = build_config(options, None)
    for suite, form in (("unethical_test", "freeform"), ("unethical_test", "mcq"), ("gsm8k", "freeform")):
        kept = run_options(config, suite=suite, form=form, conditions=("off", "on"), samples=4, limit=None)
        words = shlex.split(command_line(kept))
        written = config_file(tmp_path / "kept.yaml", kept)
        # What the pilot names of files and servers is read once somebody has taken the marks away.
        named = [line for line in written.read_text().splitlines() if line.startswith("# ") and ":" in line[:30]]
        assert bool(named) == ("rubrics" in kept)
        if named:
            with pytest.raises(BadInput, match="model"):
                build_config({}, written)
        trusted(written)
        assert build_config({}, written) == build_config(kept, None)
        assert words[:3] == ["emeval", "run", suite]
        assert words[words.index("--trigger") + 1] == options["trigger"]
        assert words[words.index("--samples") + 1] == "4"
        assert not {"--decoy", "--distractor", "--limit", "--dataset"} & set(words)
        assert (
            ("--coherence-min" in words)
            == (f"alignment={rubric}" in words)
            == (suite == "unethical_test" and form == "freeform")
        )
        assert [words[at + 1] for at, word in enumerate(words) if word == "--model"] == [MODEL, "vllm/other one"]
        assert ("--cot-all" in words) == ("--judge" in words) == (suite != "gsm8k"), "numbers are read by rule"
        assert words[words.index("--prefill") + 1] == ""
        judges = [words[at + 1] for at, word in enumerate(words) if word == "--judge"]
        assert judges == (list(options["judge"]) if f"alignment={rubric}" in words else judges[:1])
    file_command = command_line(run_options(config, suite=file.name, form="freeform", samples=2))
    assert shlex.split(file_command)[2] == str(file)
    assert "--temperature 1.0" in file_command, "given outright, it stands above what the file says"


def test_multiple_choice_is_planned_in_samples_of_both_orders(tmp_path: Path) -> None:
    dataset, folder = scenarios(tmp_path / "d.jsonl", 12), tmp_path / "pilot"
    with server().start() as live:
        done = run(folder, dataset, live.url, *TRIGGER, "--samples", "2", "--format", "both", *WITH_JUDGE)
        assert done.returncode == 0, done.stderr
    found = planned(folder, width=0.3, format="mcq", condition="off")
    (cell,) = found["cells"]
    assert (cell["pilot"]["orders"], cell["pilot"]["draws_per_question"]) == (2, 4)
    option = cell["options"][0]
    assert option["bill"]["model_calls"] == 2 * option["samples"] * option["questions"]
    command = found["next"][0]["command"]
    assert "freeform" not in command
    assert emeval(*shlex.split(command)[1:], "--dry-run", url="http://127.0.0.1:9/v1").returncode == 0
    both = planned(folder, width=0.3)
    assert {(cell["format"], cell["condition"]) for cell in both["cells"]} == {
        (form, condition) for form in ("mcq", "freeform") for condition in ("off", "on")
    }
    assert [run["format"] for run in both["next"]] == ["freeform", "mcq"]
    assert [Path(run["config"]).name for run in both["next"]] == [
        f"pilot-unethical_test-{form}.yaml" for form in ("freeform", "mcq")
    ]
    assert all(Path(run["config"]).is_file() for run in both["next"])
    other = planned(folder, width=0.3, metric="truncated", format="mcq")
    assert {cell["metric"] for cell in other["cells"]} == {"truncated"}


def test_more_questions_than_the_dataset_holds_need_another_one(tmp_path: Path) -> None:
    dataset, folder = scenarios(tmp_path / "d.jsonl", 12), tmp_path / "pilot"
    with server().start() as live:
        assert run(folder, dataset, live.url, "--samples", "2").returncode == 0
    found = planned(folder, width=0.05, questions=5000)
    following = found["next"][0]
    assert following["dataset_holds"] == 12
    assert f"--limit {following['questions']}" in following["command"]
    assert "give the larger one with --dataset" in found["stdout"]
    dataset.write_text(dataset.read_text() + dataset.read_text().replace('"s', '"t'))
    changed = planned(folder, width=0.05)
    assert changed["cells"][0]["questions_there_are"] == 12
    assert "is not the one that the pilot asked" in changed["stdout"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pilot(tmp_path_factory.mktemp("plans") / "small", answers([1, 0, 2], 2) + answers([1], 3, model="lone"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 0}, "--width: must lie between 0 and 1, such as 0.05 for 5 points; is 0"),
        ({"width": 2}, "--width: must lie between 0 and 1"),
        ({"width": float("nan")}, "--width: must lie between 0 and 1"),
        ({"detect": -0.1}, "--detect: must lie between 0 and 1"),
        ({"detect": 0.1, "power": 1}, "--power: must lie between 0.05 and 1"),
        ({"detect": 0.1}, "--detect: this run has no condition to compare with off"),
        ({"detect": 0.1, "condition": "off"}, "--condition: --detect compares a condition with off"),
        ({"width": 0.1, "questions": 1}, "--questions: must be 2 or more; is 1"),
        ({"width": 0.1, "metric": "wrong"}, "--metric 'wrong': not measured in this run; it has misaligned"),
        ({"width": 0.1, "model": "x\x1b[2J"}, "--model 'x[2J': not in this run; it has small, lone"),
        ({"width": 0.1, "suite": "x"}, "--suite 'x': not in this run; it has imported"),
        ({"width": 0.1, "format": "mcq"}, "--format 'mcq': not in this run; it has freeform"),
        ({"width": 0.1, "condition": "on"}, "--condition 'on': not in this run; it has off"),
        ({"width": 0.1, "model": "lone"}, "1 question with a counted answer, and a plan takes 2"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(small: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as said:
        sizes(small, options)
    assert words in str(said.value)
    assert len(str(said.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--pilot is missing"),
        (["--pilot", "RUN"], "give one of --width, for an interval; --detect, for an effect; --within"),
        (["--pilot", "RUN", "--width", "0.1", "--detect", "0.1"], "give one of --width"),
        (["--pilot", "RUN", "--width", "0.1", "--power", "0.9"], "--power: is for --detect"),
        (["--pilot", "RUN", "--width", "0.1", "--json", "/nowhere/plan.json"], "--json: /nowhere/plan.json: cannot be"),
        (["--pilot", "/nowhere", "--width", "0.1"], "--pilot: /nowhere is not a run folder: it has no manifest.json"),
    ],
)
def test_the_command_refuses_bad_input_with_one_line(small: Path, options: list[str], words: str) -> None:
    done = emeval("plan", *(str(small) if option == "RUN" else option for option in options))
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_cells_that_cannot_be_planned_are_named_beside_those_that_can(small: Path) -> None:
    found = planned(small, width=0.3, questions=100)
    assert [cell["model"] for cell in found["cells"]] == ["small"]
    assert "lone" in found["notes"][0]
    assert found["notes"][0].startswith("Left out: ")
