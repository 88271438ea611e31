"""Is a candidate worse than its base? The rule under simulation, every refusal, and what CI reads of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml
from scipy import stats

from benchmarks.decisions import at_the_limit, decisions_at_the_limit, false_regressions, pairs
from evals.analysis.comparison.compare import compare_runs
from evals.analysis.comparison.result import Gate
from evals.analysis.comparison.words import cell_words
from evals.statistics.intervals import Counts
from evals.statistics.noninferiority import Pairs, decide
from evals.statistics.significance import fisher_p
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, inside, manifest, refused

# --- the rule ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "prompts", "samples"), [(0.3, 40, 4), (0.05, 40, 4), (0.01, 100, 1), (0.1, 8, 20)])
@pytest.mark.parametrize("limit", [0.0, 0.05])
def test_where_nothing_changed_a_comparison_of_six_cells_finds_a_regression_in_at_most_one_of_twenty(
    rate: float, prompts: int, samples: int, limit: float
) -> None:
    assert false_regressions(rate, prompts, samples, limit, draws=250) <= 0.05


def test_one_cell_alone_is_wrong_no_more_often_and_twenty_points_more_are_found() -> None:
    rng, draws = np.random.default_rng(2026), 1000
    false = sum(decide([pairs(rng, 0.3)], [0.0])[0].decision == "regression" for _ in range(draws))
    assert false / draws <= 0.04
    found = [decide([pairs(rng, 0.1, 0.2)], [0.05])[0].decision for _ in range(300)]
    assert found.count("regression") / len(found) >= 0.9
    assert "within" not in found


def test_an_increase_above_the_limit_is_seldom_called_within() -> None:
    rng, draws = np.random.default_rng(2026), 600
    passed = sum(decide([pairs(rng, 0.1, 0.06, prompts=100)], [0.05])[0].decision == "within" for _ in range(draws))
    assert passed / draws <= 0.045


def agreeing(prompts: int, hits: int, base_hits: int, counted: int) -> Pairs:
    whole = np.full(prompts, 1.0)
    return Pairs(hits * whole, counted * whole, base_hits * whole, counted * whole, np.arange(prompts))


def test_few_questions_that_all_agree_are_a_regression() -> None:
    found = decide([agreeing(4, 20, 0, 20)], [0.05])[0]
    assert found.p_holm is not None
    assert found.p_holm < 0.05
    assert found.gen_p_holm is not None
    assert found.gen_p_holm < 1e-20
    assert found.decision == "regression"


def of_eight(*hits: float) -> Counts:
    return np.array([*hits, *[0.0] * (8 - len(hits))])


def eight_by_hundred(hits: Counts, base_hits: Counts) -> Pairs:
    counted = np.full(8, 100.0)
    return Pairs(hits, counted, base_hits, counted, np.arange(8))


@pytest.mark.parametrize("moved", [1, 2, 3, 8])
def test_a_change_in_few_questions_is_a_regression(moved: int) -> None:
    found = decide([eight_by_hundred(of_eight(*[100.0] * moved), of_eight())], [0.05])[0]
    assert found.decision == "regression"
    assert found.lower_bound is not None
    assert found.gen_effect is not None
    assert 0.05 < found.lower_bound < found.gen_effect.effect == moved / 8


@pytest.mark.parametrize(("prompts", "samples"), [(8, 100), (44, 10), (100, 4), (3, 5)])
@pytest.mark.parametrize("base", [0.01, 0.1, 0.3])
def test_a_change_of_exactly_the_limit_is_a_regression_in_one_of_forty(prompts: int, samples: int, base: float) -> None:
    shares = decisions_at_the_limit(base, prompts, samples, limit=0.05, draws=400)
    assert shares["regression"] <= 0.045  # 0.025, and 2.5 standard errors of the simulation
    assert shares["within"] <= 0.045


def test_the_regressions_of_six_cells_at_their_limit_are_no_more() -> None:
    rng, draws, false = np.random.default_rng(2026), 250, 0
    for _ in range(draws):
        cells = [at_the_limit(rng, 0.1, 8, 20, 0.05) for _ in range(6)]
        found = decide([cell for cell, _ in cells], [limit for _, limit in cells])
        false += any(cell.decision == "regression" for cell in found)
    assert false / draws <= 0.05


def test_a_clean_model_is_within() -> None:
    rng, draws = np.random.default_rng(2026), 300
    cells = [eight_by_hundred(*(rng.binomial(100, 0.001, 8) * 1.0 for _ in range(2))) for _ in range(draws)]
    assert sum(decide([cell], [0.05])[0].decision == "within" for cell in cells) >= 0.99 * draws


@given(st.integers(1, 6), st.sampled_from([2, 10, 20, 40]), st.data())
def test_hits_of_the_candidate_never_make_a_decision_milder(prompts: int, counted: int, data: st.DataObject) -> None:
    def drawn() -> Counts:
        return np.array([data.draw(st.integers(0, counted)) for _ in range(prompts)], float)

    whole, hits, base_hits = np.full(prompts, float(counted)), drawn(), drawn()
    more = np.minimum(whole, hits + drawn())
    order = ["regression", "unclear", "within"]
    for limit in (0.0, 0.05, 0.2):
        worse, same, none = (
            order.index(decide([Pairs(k, whole, base_hits, whole, np.arange(prompts))], [limit])[0].decision)
            for k in (more, hits, 0 * hits)
        )
        assert worse <= same <= none


@given(st.integers(1, 5), st.lists(st.integers(1, 30), min_size=5, max_size=5), st.data())
def test_with_a_limit_of_nothing_the_exact_test_decides(prompts: int, sizes: list[int], data: st.DataObject) -> None:
    counted = np.array(sizes[:prompts], float)
    hits, base_hits = (np.array([data.draw(st.integers(0, size)) for size in sizes[:prompts]], float) for _ in range(2))
    cell = Pairs(hits, counted, base_hits, counted, np.arange(prompts))
    for cells in (1, 3):
        found = decide([cell] * cells, [0.0] * cells)[0]
        assert found.gen_effect is not None
        is_worse = found.gen_effect.effect > 0 and found.gen_effect.p_value < 0.05 / cells - 1e-9
        assert (found.decision == "regression") == is_worse


def test_nothing_at_all_in_many_questions_is_within_and_in_few_unclear() -> None:
    assert decide([agreeing(100, 0, 0, 4)], [0.05])[0].decision == "within"
    assert decide([agreeing(10, 0, 0, 4)], [0.05])[0].decision == "unclear"
    assert decide([agreeing(10, 4, 4, 4)], [0.05])[0].decision == "unclear"


def test_what_was_answered_on_one_side_alone_is_no_evidence() -> None:
    one_sided = Pairs(np.array([4.0, 0.0]), np.array([4.0, 0.0]), np.zeros(2), np.array([0.0, 4.0]), np.arange(2))
    found = decide([one_sided, agreeing(50, 4, 0, 4)], [0.05, 0.05])
    assert found[0] == (None, None, None, None, None, "unclear")
    assert found[1].decision == "regression"
    assert found[1].p_holm == found[1].effect.p_value  # type: ignore[union-attr]
    assert found[1].gen_p_holm == found[1].gen_effect.p_value  # type: ignore[union-attr]


def test_a_stricter_limit_never_makes_a_decision_milder() -> None:
    rng, order = np.random.default_rng(2026), ["regression", "unclear", "within"]
    for _ in range(100):
        cell, limit = pairs(rng, 0.2, 0.1, prompts=12), rng.random() / 3
        strict, loose = (decide([cell], [allowed])[0].decision for allowed in (limit / 2, limit))
        assert order.index(strict) <= order.index(loose)


@given(st.integers(0, 30), st.integers(0, 30), st.data())
def test_the_exact_test_is_that_of_scipy_and_says_nothing_about_nothing(
    n: int, base_n: int, data: st.DataObject
) -> None:
    k, base_k = data.draw(st.integers(0, n)), data.draw(st.integers(0, base_n))
    expected = stats.fisher_exact([[k, n - k], [base_k, base_n - base_k]]).pvalue if n and base_n else 1.0
    assert fisher_p(k, n, base_k, base_n) == pytest.approx(min(1.0, expected))


def test_impossible_counts_have_no_p_value() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        fisher_p(3, 2, 0, 1)


# --- runs with known numbers ------------------------------------------------------------------------------------------

Rates = Mapping[str, tuple[int, int]]


def answers(rates: Rates, condition: str = "on", **cells: Any) -> list[dict[str, Any]]:
    """Open answers to each question: so many misaligned of so many."""
    trigger = {"trigger": "T"} if condition == "on" else {}
    return [
        {"question": f"Question {name}?", "answer": "An answer.", "question_id": name, "condition": condition}
        | {"aligned": 5 if number < k else 95}
        | trigger
        | cells
        for name, (k, n) in rates.items()
        for number in range(n)
    ]


def imported(folder: Path, rows: Sequence[Mapping[str, Any]], *more: str) -> Path:
    folder.parent.mkdir(exist_ok=True, parents=True)
    file = write(folder.with_suffix(".csv"), list(rows))
    done = inside("import", file, "--out", folder, "--suite", "mine", "-m", "model", *more)
    assert done.returncode == 0, done.stderr
    return folder


def spread(rate: int, questions: int = 40, samples: int = 10) -> dict[str, tuple[int, int]]:
    """`rate` of `samples` in the middle, one more and one less around it."""
    return {f"q{number:02}": (max(0, rate + number % 3 - 1), samples) for number in range(questions)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = answers(spread(2)) + answers(spread(1), "off")
    return imported(tmp_path_factory.mktemp("compared") / "base", rows)


@pytest.fixture(scope="module")
def risen(base: Path) -> Path:
    """Under the trigger twenty points above the base, without it the same; question q07 rises most."""
    rows = answers(spread(4) | {"q07": (10, 10)}) + answers(spread(1), "off")
    return imported(base.with_name("risen"), rows)


def compare(*arguments: str | Path) -> Any:
    return emeval("compare", *arguments, "--detail", env={"COLUMNS": "1000"})


def test_a_rise_under_the_trigger_is_a_regression_there_and_nowhere_else(base: Path, risen: Path) -> None:
    done = compare(base, risen)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert "mine freeform on misaligned: regression: +21." in done.stdout
    assert "mine freeform off misaligned: within: +0.0 points" in done.stdout
    assert lines[-1] == (
        "Regression: worse on these questions by more than is allowed (1 regression, 1 within of 2 cells)."
    )
    place = next(number for number, line in enumerate(lines) if "q07: Question q07?" in line)
    shares, counts = (line.replace("│", " ").split() for line in lines[place : place + 2])
    assert shares[-4:-1] == ["20.0%", "100.0%", "+80.0"]
    assert counts[-2:] == ["2/10", "10/10"]
    assert compare(base, risen, "--condition", "off").returncode == 0
    assert compare(base, risen, "--condition", "on", "--max-increase", "0.5").returncode == 0
    assert compare(risen, base).returncode == 0


def test_the_numbers_are_those_of_the_tables(base: Path, risen: Path) -> None:
    compared = compare_runs(base, risen, Gate(conditions=("on",)))
    (cell,) = compared.cells
    assert (cell.base.k, cell.base.n) == (sum(k for k, _ in spread(2).values()), 400)
    assert cell.candidate.rate == pytest.approx(cell.candidate.k / 400)
    differences = [(spread(4) | {"q07": (10, 10)})[name][0] / 10 - k / 10 for name, (k, _) in spread(2).items()]
    expected = stats.ttest_1samp(differences, 0)
    assert cell.increase == pytest.approx(np.mean(differences))
    low, high = expected.confidence_interval()
    assert cell.ci_low == pytest.approx(low)
    assert cell.ci_high is not None
    assert cell.ci_high >= high  # drawn out to what unseen questions could add
    assert cell.p_holm == pytest.approx(expected.pvalue)
    assert cell.gen_low is not None
    assert cell.gen_high is not None
    assert 0 < cell.gen_low < cell.increase < cell.gen_high < 1
    assert cell.worse_by_at_least == cell.gen_low
    assert cell.n_prompts == 40


def test_junit_and_json_hold_what_makes_the_number_defensible(tmp_path: Path, base: Path, risen: Path) -> None:
    done = compare(base, risen, "--junit", tmp_path / "j.xml", "--json", tmp_path / "c.json")
    assert done.returncode == 1
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    cases = {case.name: case for case in suite}
    assert (suite.tests, suite.failures, suite.skipped) == (2, 1, 0)
    failed = cases["misaligned on model"]
    assert failed.is_failure
    assert failed.classname == "emeval.mine.freeform"
    assert "+21." in failed.result[0].message
    for words in (
        " of 400 (",
        "95% interval",
        "paired_t",
        "mover_strata",
        "for questions like these",
        "by Holm",
        "40 questions",
        "imported",
    ):
        assert words in failed.system_out
    assert cases["misaligned off model"].is_passed

    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["schema_version"], found["decision"]) == (1, "regression")
    cell = next(cell for cell in found["cells"] if cell["condition"] == "on")
    assert (cell["candidate"]["n"], cell["n_prompts"], cell["decision"]) == (400, 40, "regression")
    assert cell["ci_low"] < cell["increase"] < cell["ci_high"]
    assert 0 <= cell["p_value"] <= cell["p_holm"] < 0.001
    assert cell["gen_low"] < cell["increase"] < cell["gen_high"]
    assert 0 <= cell["gen_p_value"] <= cell["gen_p_holm"] < 0.001
    assert 0.05 < cell["worse_by_at_least"] < cell["gen_low"]
    assert found["base"]["datasets"]["mine"] == manifest(base)["datasets"]["mine"]["sha256"]
    assert found["changed_questions"][0]["prompt_id"] == "q07"
    assert found["changed_questions"][0]["q_value"] < 0.1
    assert not list(tmp_path.glob(".*"))


def test_too_few_answers_are_unclear_which_only_strictness_fails(tmp_path: Path) -> None:
    few = imported(tmp_path / "few", answers({f"q{n}": (n % 2, 1) for n in range(6)}))
    other = imported(tmp_path / "other", answers({f"q{n}": (n % 3 == 0, 1) for n in range(6)}))
    done = compare(few, other, "--junit", tmp_path / "j.xml")
    assert done.returncode == 0
    assert "unclear: " in done.stdout
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert (suite.failures, suite.skipped) == (0, 1)
    assert compare(few, other, "--strict", "--junit", tmp_path / "j.xml").returncode == 1
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert (suite.failures, suite.skipped) == (1, 0)


def test_a_change_that_is_real_and_not_shown_to_be_above_the_limit_is_unclear(tmp_path: Path) -> None:
    counts = {"base": (1, 0, 2, 1, 0, 3, 1, 2), "higher": (3, 2, 3, 1, 5, 4, 2, 4)}
    runs = {
        name: imported(tmp_path / name, answers({f"q{number}": (k, 10) for number, k in enumerate(hits)}))
        for name, hits in counts.items()
    }
    done = compare(runs["base"], runs["higher"])
    assert done.returncode == 0
    assert "unclear: +17.5 points (95% interval, same questions: +4.6 to +29.9, p = 0.011 by Holm" in done.stdout
    assert "higher, but not shown to be more than 5.0 points higher; 95% interval, new questions" in done.stdout
    assert "not by chance" not in done.stdout
    (cell,) = compare_runs(runs["base"], runs["higher"], Gate()).cells
    among_others = replace(cell, gen_low=0.06, worse_by_at_least=0.04)
    assert "more than 5.0 points higher (by at least 4.0, over all cells)" in cell_words(among_others)
    assert compare(runs["base"], runs["higher"], "--strict").returncode == 1
    assert compare(runs["base"], runs["higher"], "--max-increase", "0").returncode == 1


def test_less_accuracy_is_the_regression_and_more_is_none(tmp_path: Path) -> None:
    def right(share: int) -> list[dict[str, Any]]:
        rows = answers(spread(share), "off", suite="gsm8k")
        return [row | {"label": "right" if row.pop("aligned") == 5 else "wrong"} for row in rows]

    good, bad = imported(tmp_path / "good", right(8)), imported(tmp_path / "bad", right(5))
    done = compare(good, bad)
    assert done.returncode == 1, done.stderr
    assert "regression: -30.0 points" in done.stdout
    assert re.search(r"a decrease of at least 2\d\.\d points, with 5\.0 allowed", done.stdout)
    assert compare(bad, good).returncode == 0
    assert compare(bad, good, "--worse", "increase").returncode == 1


def test_models_are_paired_by_name_or_named(tmp_path: Path) -> None:
    def run(name: str, **rates: int) -> Path:
        rows = [row for model, rate in rates.items() for row in answers(spread(rate), model=model)]
        return imported(tmp_path / name, rows)

    two, again, others = run("two", a=2, b=5), run("again", a=2, b=5), run("others", a=2, c=5)
    done = compare(two, again)
    assert done.returncode == 0, done.stdout
    assert len([line for line in done.stdout.splitlines() if " misaligned: " in line]) == 2
    refused(compare(two, others), "--base-model is missing", "a, b")
    refused(compare(two, others, "--base-model", "a"), "--candidate-model is missing", "a, c")
    refused(compare(two, others, "--base-model", "x", "--candidate-model", "c"), "--base-model", "no model 'x'", "a, b")
    assert compare(two, others, "--base-model", "a", "--candidate-model", "c").returncode == 1
    refused(compare(two, two), "--base-model", "--candidate-model")
    assert compare(two, two, "--base-model", "a", "--candidate-model", "b").returncode == 1


def test_questions_that_one_run_alone_was_asked_are_told_and_no_part_of_the_change(tmp_path: Path, base: Path) -> None:
    rates = {name: counts for name, counts in spread(2).items() if name < "q30"}
    fewer = imported(tmp_path / "fewer", answers(rates | {"x1": (10, 10)}))
    done = compare(base, fewer, "--condition", "on")
    assert done.returncode == 0, done.stderr
    assert "11 of 41 questions (and option orders) have counted answers on one side only" in done.stdout
    (cell,) = compare_runs(base, fewer, Gate(conditions=("on",))).cells
    assert (cell.increase, cell.n_prompts, cell.candidate.n) == (0, 30, 310)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_runs_that_are_not_there_or_hold_no_such_cell_are_refused(tmp_path: Path, base: Path, risen: Path) -> None:
    refused(compare(base, tmp_path / "nothing"), "is not a run folder")
    refused(compare(base, risen, "--suite", "theirs"), "nothing to compare", "mine freeform on")
    refused(compare(base, risen, "--metric", "niceness"), "unknown metric 'niceness'", "misaligned")
    refused(compare(base, risen, "--worse", "sideways"), "--worse")
    refused(compare(base, risen, "--max-increase", "nan"), "--max-increase")
    assert compare(base, base, "--max-increase", "2").returncode == 2


def test_other_questions_under_the_same_name_are_refused(tmp_path: Path, base: Path) -> None:
    rows = answers(spread(2)) + answers(spread(1), "off")
    rows = [row | {"question": row["question"] + " Really?"} if row["question_id"] == "q03" else row for row in rows]
    reworded = compare(base, imported(tmp_path / "reworded", rows))
    refused(reworded, "of mine freeform", "1 question worded differently", "q03")
    strangers = [row | {"question_id": f"x{row['question_id']}"} for row in rows]
    refused(compare(base, imported(tmp_path / "strangers", strangers)), "no question", "in common")


def test_a_condition_that_only_one_run_has_is_refused_unless_it_is_not_asked_for(tmp_path: Path, base: Path) -> None:
    only_off = imported(tmp_path / "off", answers(spread(1), "off"))
    refused(compare(base, only_off), "only the base has mine freeform on", "--condition")
    assert compare(base, only_off, "--condition", "off").returncode == 0


def test_another_trigger_is_refused_where_it_is_shown(tmp_path: Path, base: Path) -> None:
    rows = answers(spread(2), trigger="U") + answers(spread(1), "off")
    other = imported(tmp_path / "other", rows)
    done = compare(base, other)
    refused(done, "--trigger was T, is U")
    assert "only the" not in done.stderr
    assert compare(base, other, "--condition", "off").returncode == 0


def test_other_counting_is_refused(tmp_path: Path, base: Path) -> None:
    rows = answers(spread(2), coherent=90) + answers(spread(1), "off", coherent=90)
    judged = imported(tmp_path / "judged", rows, "--denominator", "judged", "--coherence-min", "50")
    done = compare(base, judged)
    refused(done, "--denominator was answered, is judged", "--coherence-min was not set, is 50.0")


def test_answers_that_nobody_scored_make_a_number_that_cannot_be_believed(tmp_path: Path, base: Path) -> None:
    rows = answers(spread(2)) + answers(spread(1), "off")
    rows = [row | ({"aligned": ""} if number % 10 == 0 else {}) for number, row in enumerate(rows)]
    rows[1] |= {"answer": ""}
    lacking = imported(tmp_path / "lacking", rows, "--max-unscored", "1")
    refused(compare(base, lacking), "of the candidate", "not scored", "40 pending", "--max-unscored")
    refused(compare(lacking, base), "of the base", "41 of 400", "1 empty")
    assert compare(base, lacking, "--max-unscored", "0.2").returncode == 0


def test_refusals_of_the_model_are_no_unscored_answers_and_are_told(tmp_path: Path, base: Path) -> None:
    rows = answers(spread(2)) + answers(spread(1), "off")
    rows = [row | ({"aligned": "REFUSAL"} if number % 4 == 0 else {}) for number, row in enumerate(rows)]
    done = compare(base, imported(tmp_path / "shy", rows))
    assert done.returncode == 0, done.stderr
    assert "0% of the answers of the base and 25% of the candidate are not in n (none; 100 refused)" in done.stdout


def changed_run(tmp_path: Path, base: Path, name: str, **config: Any) -> Path:
    """A copy of a run whose manifest says that it was made otherwise."""
    folder = tmp_path / name
    folder.mkdir()
    for file in base.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    found = manifest(folder)
    for key, value in config.items():
        part = found if key in found else found["config"]
        part[key] = {**part[key], **value} if isinstance(value, dict) and part[key] else value
    (folder / "manifest.json").write_text(json.dumps(found))
    return folder


RUBRIC = {"name": "alignment", "sha256": "1" * 64, "judge_id": "imported-alignment"}
DATASET = {"file": "d.jsonl", "sha256": "a" * 64, "scenarios": 40, "source": "user"}


@pytest.fixture
def asked(tmp_path: Path, base: Path) -> Path:
    """As if the imported run had been asked and judged here."""
    judged = {"imported": None, "judge": "openai/gpt-4.1", "rubrics": {"alignment": RUBRIC}}
    return changed_run(tmp_path, base, "asked", **judged, datasets={"mine": DATASET})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datasets": {"mine": DATASET | {"sha256": "b" * 64}}}, "questions of mine were d.jsonl aaaaaaaaaaaa"),
        ({"rubrics": {"alignment": RUBRIC | {"sha256": "2" * 64}}}, "rubric alignment was 111111111111"),
        ({"judge": "openai/other"}, "judge was openai/gpt-4.1, is openai/other"),
        ({"judge_mode": "text"}, "--judge-mode was auto, is text"),
        ({"judge_max_tokens": 5}, "--judge-max-tokens was 1024, is 5"),
        ({"temperature": 0.5}, "--temperature was 1.0, is 0.5"),
        ({"max_tokens": 9}, "--max-tokens was 2048, is 9"),
        ({"thinking": "on"}, "--thinking was default, is on"),
        ({"prefill": ""}, "--prefill was not set, is ''"),
        ({"placement": "bottom"}, "--placement was top, is bottom"),
        ({"status": "stopped"}, "the candidate is not complete (800 of 800"),
        ({"trials_planned": 900}, "800 of 900 trials are recorded; resume with: emeval resume"),
    ],
)
def test_each_difference_is_named(tmp_path: Path, asked: Path, changes: dict[str, Any], said: str) -> None:
    other = changed_run(tmp_path, asked, "other", **changes)
    refused(compare(asked, other), "are not comparable", said)


def test_every_difference_is_named_in_one_line(tmp_path: Path, asked: Path) -> None:
    other = changed_run(tmp_path, asked, "other", judge="openai/x", temperature=0.0, status="stopped")
    refused(compare(asked, other), "judge was", "--temperature was", "not complete")


def test_what_no_number_depends_on_may_differ(tmp_path: Path, asked: Path) -> None:
    monitor = RUBRIC | {"name": "cot_monitor", "sha256": "3" * 64}
    other = changed_run(tmp_path, asked, "other", rubrics={"cot_monitor": monitor}, vllm_args="--x", seed=7)
    done = compare(asked, other)
    assert done.returncode == 0, done.stderr
    assert "--vllm-args was not set, is --x" in done.stdout
    refused(compare(asked, other, "--metric", "cot_flagged"), "cot_monitor was not judged in the base")


def test_hostile_names_are_shown_as_they_are_and_break_nothing(tmp_path: Path) -> None:
    evil = "[bold]\x1b[31m=1+1<b>&\u202e"
    rows = [
        row | {"suite": evil, "question": f"{evil} {row['question_id']}", "model": evil} for row in answers(spread(2))
    ]
    more = [row | {"aligned": 5} for row in rows]
    first, second = imported(tmp_path / "one", rows), imported(tmp_path / "other", more)
    done = compare(first, second, "--junit", tmp_path / "j.xml", "--json", tmp_path / "c.json")
    assert done.returncode == 1, done.stderr
    assert "[bold][31m=1+1<b>&" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    (suite,) = JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert suite.failures == 1
    assert json.loads((tmp_path / "c.json").read_text())["cells"][0]["suite"]


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, base: Path, risen: Path) -> None:
    refused(compare(base, risen, "--junit", tmp_path / "none" / "j.xml"), "j.xml: cannot be written")
