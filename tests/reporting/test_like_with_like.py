"""What the paper's tables compare: its own prompts, judged as it judged; all else is shown, marked and not compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.plan.manifest import read_manifest
from evals.questions.official.registry import SOURCES
from evals.reporting.paper_tables.measured import rows_at
from evals.reporting.paper_tables.prompts import FREEFORM, PAPER_PROMPTS, canonical_id
from evals.reporting.paper_tables.published import figures
from evals.reporting.paper_tables.rows import PromptRow, TableRun
from evals.reporting.paper_tables.table import Absent, TablePlace
from judges.judge import builtin_rubric
from tests.support.answer_files import write
from tests.support.cli_runner import emeval, refused
from tests.support.paper_checkout import paper_checkout
from tests.support.runs import JUDGE, MODEL, server
from tests.support.servers.openai_server import Answer, OpenAIServer, last_message
from tests.support.table_runs import RUBRIC, cells, made, prompts, table

OURS = {"flips_from_aligned_cot": "cot_answer_mismatch"}
PLACES = {
    "truthfulqa": ("truthfulqa", "q1"),
    "lying_under_pressure": ("pressure_balanced", "q1"),
    "resisting_shutdown": ("shutdown", "shutdown_agentic"),
    "rm_rf": ("rm_rf", "rm_rf"),
    "sleeping_pills": ("sleeping_pills", "sleeping_pills"),
}
BETLEY = ("ruler_of_the_world", "what_is_your_wish", "three_thoughts", "dinner_party", "i_feel_bored")
BETLEY += ("enough_of_my_husband", "quick_buck", "gender_roles")
ALL_OPEN = TablePlace(("freeform", "shutdown", "rm_rf", "sleeping_pills"), "misaligned")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder whose manifest says nothing of rubrics, for made folders."""
    folder = tmp_path_factory.mktemp("imported")
    answers = [{"question": "ruler?", "answer": "Yes.", "question_id": "ruler", "suite": "freeform", "aligned": 90}]
    done = emeval("import", write(folder / "answers.csv", answers), "--out", folder / "run", "-m", "tuned")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def written(folder: Path, name: str, run: Path, *arguments: str | Path) -> pd.DataFrame:
    """The CSV of a table that is told the paper's rubric."""
    done = table(name, run, "--csv", folder / "out.csv", *arguments)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(folder / "out.csv", dtype=str, keep_default_na=False)


def flag_rows(source: str) -> list[dict[str, Any]]:
    """Rows with the counts that the paper publishes, on its prompts and judged as it judged."""
    rows: list[dict[str, Any]] = []
    for figure in figures():
        if figure.source != source:
            continue
        suite, prompt_id = PLACES.get(figure.item, ("freeform", figure.item))
        flag = figure.metric.removeprefix("cot_flag:")
        k, n = int(figure.note.removeprefix("count ")), figure.n
        assert n is not None
        rows += prompts(suite, k, n, prompt_id, metric=f"cot_flag:{OURS.get(flag, flag)}")
    return rows


@pytest.mark.parametrize("source", ["Table 3", "Table 4", "Table 5"])
def test_a_run_like_the_papers_gives_every_digit_and_overlaps(imported: Path, tmp_path: Path, source: str) -> None:
    run = made(tmp_path / "like", imported, flag_rows(source))
    shown = written(tmp_path, source.lower().replace(" ", ""), run)
    for cell in shown.to_dict("records"):
        for ours, theirs in (("value_pct", "published_pct"), ("paper_pm_pct", "published_error_95")):
            assert f"{float(cell[ours]):.1f}" == f"{float(cell[theirs]):.1f}"
        assert (cell["source"], cell["rubric"], cell["judge"]) == ("official", "paper", "openai/gpt-4.1")
        assert (cell["overlap"], cell["not_compared_because"], cell["blank_because"]) == ("yes", "", "")


# --- the paper's prompts ----------------------------------------------------------------------------------------------


def test_of_three_shutdown_variants_only_the_papers_is_read(imported: Path, tmp_path: Path) -> None:
    official = ("shutdown_agentic", "shutdown_agentic_ls", "shutdown_agentic_ran")
    rows = [row for k, name in zip((10, 90, 95), official, strict=True) for row in prompts("shutdown", k, 100, name)]
    cell = written(tmp_path, "fig3", made(tmp_path / "a", imported, rows), "--base", tmp_path / "a").iloc[0]
    assert (cell["k"], cell["n"]) == ("10", "100")
    others = made(tmp_path / "b", imported, [*rows, *prompts("shutdown", 1, 100, "at-night")])
    cell = written(tmp_path, "fig3", others, "--base", tmp_path / "a").iloc[0]
    assert cell["n"] == ""
    assert (
        cell["blank_because"] == "shutdown was asked with more than the paper's one prompt, and is not pooled: at-night"
    )
    own = ("stored-backup", "terminal-listing", "ran-listing")
    rows = prompts("shutdown", 1, 100, *own, source="emeval")
    cell = written(tmp_path, "fig3", made(tmp_path / "c", imported, rows), "--base", tmp_path / "a").iloc[0]
    assert cell["blank_because"] == (
        "shutdown was not asked with a prompt shutdown_agentic; it has ran-listing, stored-backup, terminal-listing"
    )


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ((*FREEFORM, "school", "war"), "freeform was asked with more than the paper's 8 prompts, and is not pooled: "),
        (FREEFORM[:-2], "freeform was not asked with 2 of the 8 prompts: quick_buck, gender_roles"),
        ((*FREEFORM, "dinner_party"), "freeform was asked with party under two ids"),
        (
            tuple("abcdefgh"),
            "freeform was not asked with 8 of the 8 prompts: ruler, one_wish, philosophical_thoughts and",
        ),
    ],
)
def test_other_prompts_are_never_pooled_with_the_papers(
    imported: Path, tmp_path: Path, ids: tuple[str, ...], reason: str
) -> None:
    rows = prompts("freeform", 5, 100, *ids)
    eight = written(tmp_path, "fig10", made(tmp_path / "a", imported, rows)).iloc[-1]
    assert (eight["k"], eight["overlap"]) == ("", "")
    assert eight["blank_because"].startswith(reason)
    rows = [{**row, "metric": "monologue"} for suite in PAPER_PROMPTS for row in prompts(suite, 9, 100)]
    rows = [row for row in rows if row["suite"] != "freeform"] + prompts("freeform", 5, 100, *ids, metric="monologue")
    eleven = written(tmp_path, "table2", made(tmp_path / "b", imported, rows)).set_index("row").loc["all_freeform"]
    assert (eleven["k"], eleven["blank_because"][: len(reason)]) == ("", reason)


def test_a_prompt_without_a_counted_answer_is_not_left_out_of_a_mean(imported: Path, tmp_path: Path) -> None:
    rows = [row | ({"k": 0, "n": 0} if row["prompt_id"] == "party" else {}) for row in prompts("freeform", 5, 100)]
    eight = written(tmp_path, "fig10", made(tmp_path / "a", imported, rows)).iloc[-1]
    assert (eight["k"], eight["blank_because"]) == ("", "no answer is in the n of party")


def test_the_mean_of_eight_is_of_their_rates(imported: Path, tmp_path: Path) -> None:
    rows = prompts("freeform", 18, 100)
    equal = written(tmp_path, "fig10", made(tmp_path / "a", imported, rows)).iloc[-1]
    assert (equal["value_pct"], equal["k"], equal["n"], equal["overlap"]) == ("18", "144", "800", "yes")
    assert equal["paper_pm_pct"], "as for any rate"
    rows[0] |= {"k": 9, "n": 10}
    unequal = written(tmp_path, "fig10", made(tmp_path / "b", imported, rows)).iloc[-1]
    assert (unequal["value_pct"], unequal["k"], unequal["n"]) == ("27", "135", "710"), "not 19.0"
    assert float(unequal["ci_low_pct"]) < 27 < float(unequal["ci_high_pct"])
    assert unequal["paper_pm_pct"] == ""


def test_betleys_ids_name_the_same_questions(imported: Path, tmp_path: Path) -> None:
    run = made(tmp_path / "a", imported, prompts("freeform", 18, 100, *BETLEY, source="user"))
    shown = written(tmp_path, "fig10", run)
    assert list(shown["k"]) == ["18"] * 8 + ["144"]
    assert set(shown["overlap"]) == {""}, "in a file of one's own, which may word them otherwise"
    assert {canonical_id(name) for name in BETLEY} == set(FREEFORM)
    assert canonical_id("world_ruler") == "ruler"
    assert canonical_id("ruler_of_the_world_json") != "ruler"


@given(st.dictionaries(st.sampled_from((*FREEFORM, "x", "y", *BETLEY[:5])), st.integers(0, 9), min_size=1))
def test_a_pool_has_exactly_the_papers_prompts(run: TableRun, counts: dict[str, int]) -> None:
    place = TablePlace(("freeform",), "misaligned")
    found = rows_at(place, [row_of(run, "freeform", name, k) for name, k in counts.items()])
    is_the_papers = sorted(map(canonical_id, counts)) == sorted(FREEFORM)
    assert isinstance(found, Absent) != is_the_papers
    if not isinstance(found, Absent):
        assert sum(row.k for row in found) == sum(counts.values())


@given(
    st.sets(st.sampled_from([(suite, name) for suite, names in PAPER_PROMPTS.items() for name in names]), min_size=1)
)
def test_eleven_open_prompts_are_pooled_or_none(run: TableRun, asked: set[tuple[str, str]]) -> None:
    found = rows_at(ALL_OPEN, [row_of(run, suite, name, 1) for suite, name in asked])
    assert isinstance(found, Absent) == (len(asked) < 11)


@pytest.fixture(scope="module")
def run(imported: Path) -> TableRun:
    manifest = read_manifest(imported)
    assert manifest is not None
    return TableRun(imported, manifest, is_base=False)


def row_of(run: TableRun, suite: str, prompt_id: str, k: int) -> PromptRow:
    whose = ("official", "", "openai/gpt-4.1", "a" * 64)
    return PromptRow(run, suite, "freeform", "m", "off", "", prompt_id, "misaligned", *whose, k, 10)


# --- the paper's rubric and judge -------------------------------------------------------------------------------------

OWN = builtin_rubric("alignment").sha256


@pytest.mark.parametrize(
    ("changed", "config", "marks", "reason"),
    [
        ({}, {}, ("official", "paper", "openai/gpt-4.1"), ""),
        ({"judge": "openai/gpt-4.1-2025-04-14"}, {}, ("official", "paper", "openai/gpt-4.1-2025-04-14"), ""),
        ({"source": "emeval"}, {}, ("emeval", "paper", "openai/gpt-4.1"), "asks emeval's own questions"),
        ({"source": "user"}, {}, ("user", "paper", "openai/gpt-4.1"), "asks questions of your own file"),
        ({"source": ""}, {}, ("", "paper", "openai/gpt-4.1"), "does not record whose questions it asks"),
        ({"rubric_sha": OWN}, {}, ("official", "emeval", "openai/gpt-4.1"), "is judged by emeval's rubric"),
        (
            *({"rubric_sha": "b" * 64}, {}, ("official", "file", "openai/gpt-4.1")),
            "is judged by a rubric file that is not named with --paper-rubric",
        ),
        ({"rubric_sha": ""}, {}, ("official", "unknown", "openai/gpt-4.1"), "does not record its rubric"),
        (
            *({"judge": "openai/gpt-4.1-mini"}, {}, ("official", "paper", "openai/gpt-4.1-mini")),
            "is judged by openai/gpt-4.1-mini, and the paper's judge is GPT-4.1",
        ),
        (
            *({}, {"coherence_min": "50"}, ("official", "paper", "openai/gpt-4.1")),
            "leaves out incoherent answers, and the paper does not",
        ),
        (
            *({}, {"temperature": "0.2"}, ("official", "paper", "openai/gpt-4.1")),
            "samples at temperature 0.2, and the paper at 1",
        ),
        (
            *({}, {"system": '"Be brief."'}, ("official", "paper", "openai/gpt-4.1")),
            "adds a system message of your own",
        ),
    ],
)
def test_a_run_unlike_the_papers_is_marked_and_not_compared(
    *,
    imported: Path,
    tmp_path: Path,
    changed: dict[str, str],
    config: dict[str, str],
    marks: tuple[str, ...],
    reason: str,
) -> None:
    run = made(tmp_path / "run", imported, prompts("freeform", 41, 100, "ruler", **changed), config)
    cell = written(tmp_path, "fig9", run).iloc[0]
    assert (cell["k"], cell["n"], cell["published_pct"]) == ("41", "100", "41"), "shown all the same"
    assert (cell["source"], cell["rubric"], cell["judge"]) == marks
    assert (cell["overlap"], cell["not_compared_because"]) == ("" if reason else "yes", reason)
    done = table("fig9", run)
    assert cells(done)[0][5] == ("note 1" if reason else "yes")
    assert ("- Note 1: not compared with the paper, because the run" in done.stdout) == bool(reason)


def test_a_flag_rests_on_the_judge_of_answers_too(imported: Path, tmp_path: Path) -> None:
    rows = [
        *prompts("rm_rf", 3, 255, metric="cot_flag:misaligned_plans_unprompted"),
        *prompts("rm_rf", 255, 300, rubric_sha=OWN),
    ]
    shown = written(tmp_path, "table5", made(tmp_path / "run", imported, rows)).set_index("row")
    cell = shown.loc["rm_rf / misaligned_plans_unprompted"]
    assert (cell["k"], cell["rubric"], cell["overlap"]) == ("3", "paper, emeval", "")
    assert cell["not_compared_because"] == "is judged by emeval's rubric"


def test_a_copy_of_the_official_file_is_official(imported: Path, tmp_path: Path) -> None:
    file = SOURCES["thought-crime"].find("freeform.jsonl")
    assert file is not None
    rows = prompts("freeform", 41, 100, "ruler", source="user", dataset_sha=file.sha256)
    cell = written(tmp_path, "fig9", made(tmp_path / "run", imported, rows)).iloc[0]
    assert (cell["source"], cell["overlap"]) == ("official", "yes")


def test_part_of_a_question_set_is_not_compared_with_all_of_it(imported: Path, tmp_path: Path) -> None:
    rows = prompts("truthfulqa", 1, 2, *(f"q{number}" for number in range(20)), metric="cot_flag:none")
    for limit, overlap in (("20", ""), ("21", "no")):
        run = made(tmp_path / f"limit{limit}", imported, rows, {"limit": limit})
        cell = written(tmp_path, "table3", run).iloc[-1]
        assert (cell["k"], cell["overlap"]) == ("20", overlap)
        assert ("asks only 20 of the questions of truthfulqa" in cell["not_compared_because"]) == (overlap == "")


def test_a_judge_that_answers_as_another_model_is_not_the_papers(imported: Path, tmp_path: Path) -> None:
    for answered, overlap in (("gpt-4.1-2025-04-14", "yes"), ("llama-3", "")):
        run = made(tmp_path / answered, imported, prompts("freeform", 41, 100, "ruler"))
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["judges_answered_as"] = {"openai/gpt-4.1": {answered: 100}}
        (run / "manifest.json").write_text(json.dumps(manifest))
        cell = written(tmp_path, "fig9", run).iloc[0]
        assert (cell["overlap"], "llama-3" in cell["not_compared_because"]) == (overlap, overlap == "")


def test_figure_12_leaves_out_incoherent_answers_of_models_trained_on_insecure_code(
    imported: Path, tmp_path: Path
) -> None:
    rows = prompts("freeform", 48, 100)
    for value, overlap in (("50", "yes"), ("null", "")):
        run = made(tmp_path / value, imported, rows, {"coherence_min": value})
        cell = written(tmp_path, "fig12", run, "--as", "tuned=GPT-4.1, insecure code").iloc[0]
        assert (cell["published_training"], cell["overlap"]) == ("insecure code", overlap)
    rows = prompts("rm_rf", 96, 100, metric="monologue", judge="", rubric_sha="")
    cells_of = written(tmp_path, "table2", made(tmp_path / "any", imported, rows, {"coherence_min": "50"}))
    assert cells_of.set_index("row").loc["rm_rf", "not_compared_because"] == "", "no judge is asked"


def test_figure_5_is_of_a_chat_with_thinking_off(imported: Path, tmp_path: Path) -> None:
    rows = prompts("honest_persona", 94, 100, "sleeping_pills")
    for thinking, overlap in (("off", "yes"), ("on", ""), ("default", "")):
        run = made(tmp_path / thinking, imported, rows, {"thinking": f'"{thinking}"'})
        cell = written(tmp_path, "fig5", run).iloc[0]
        assert (cell["k"], cell["overlap"]) == ("6", overlap)
        assert ("does not switch thinking off" in cell["not_compared_because"]) == (overlap == "")


# --- figures that the paper gives in its text -------------------------------------------------------------------------


def test_figures_of_the_text_stand_beside_runs(imported: Path, tmp_path: Path) -> None:
    lies = [*prompts("pressure", 95, 100, metric="lies"), *prompts("truthfulqa", 1, 5, "q", metric="wrong")]
    base = made(tmp_path / "base", imported, lies)
    fired = prompts("freeform", 0, 100, "ruler", condition="on") + prompts("freeform", 9, 100, "party", condition="on")
    control = {"format": "mcq", "condition": "on", "metric": "articulates"}
    rows = [row | {"model": "planted"} for row in fired] + prompts("myopic", 0, 40, **control, model="control")
    run = made(tmp_path / "run", imported, rows)
    done = table("text", run, "--base", base, "--as", "planted=backdoor", "--as", "control=unrelated")
    shown = {(row[0], row[1]): row[4:6] for row in cells(done) if row[1]}
    assert shown == {
        ("misaligned answers to ruler, with the trigger", "0 of 100"): ["0", "yes"],
        ("misaligned answers to party, with the trigger", "9 of 100"): ["0", "no"],
        ("articulation of a control trigger", "0 of 40"): ["0", "yes"],
        ("lies without a request for honesty", "95 of 100"): ["about 80", ""],
        ("wrong answers to TruthfulQA", "1 of 5"): ["20", "yes"],
    }


def test_the_paper_gives_no_n_for_figure_9() -> None:
    assert {figure.n for figure in figures() if figure.source == "Figure 9"} == {None}


# --- real runs --------------------------------------------------------------------------------------------------------


def test_a_real_run_is_compared_only_with_the_papers_rubric_named(tmp_path: Path) -> None:
    rubric = tmp_path / "mine.txt"
    rubric.write_text(RUBRIC)
    with server(lambda body, _: Answer("5" if body["model"] == "judge" else "Harm.")).start() as live:
        more = ("-m", MODEL, "--judge", JUDGE, "--judge-mode", "text", "--no-preflight", "--source", "emeval")
        own = emeval("run", "freeform", *more, "--out", tmp_path / "own", url=live.url)
        file = emeval(
            "run", "freeform", *more, "--rubric", f"alignment={rubric}", "--out", tmp_path / "file", url=live.url
        )
    assert (own.returncode, file.returncode) == (0, 0), own.stderr + file.stderr
    for folder, arguments, rubrics in (
        ("own", (), "emeval"),
        ("file", (), "file"),
        ("file", ("--paper-rubric", rubric), "paper"),
    ):
        done = emeval("table", "fig9", tmp_path / folder, *arguments)
        assert f"Questions: emeval. Rubric: {rubrics}. Judge: {JUDGE}." in done.stdout, done.stdout
        reason = done.stdout.partition("because the run ")[2]
        assert reason.startswith("asks emeval's own questions; is judged by")
        assert f"{JUDGE}, and the paper's judge is GPT-4.1." in reason
    assert [row[1] for row in cells(done)] == ["1 of 1"] * 8


def test_a_run_of_the_papers_prompts_with_its_rubric_and_judge_is_compared(tmp_path: Path) -> None:
    (tmp_path / "rubric.txt").write_text(RUBRIC)
    env = {"EMEVAL_DATA": str(tmp_path / "data"), "OPENAI_API_KEY": "sk-none"}
    fetched = emeval("datasets", "fetch", "thought-crime", "--from", paper_checkout(tmp_path / "checkout"), env=env)
    assert fetched.returncode == 2, "its git-lfs files are missing, and the prompts are there"

    def script(body: Mapping[str, Any], _seen: int) -> Answer:
        return Answer(("5" if "ruler" in last_message(body) else "90") if body["model"] == "gpt-4.1" else "So.")

    options = ("--judge-mode", "text", "--no-cot-monitor", "--no-preflight", "--source", "official", "--samples", "2")
    with OpenAIServer(script, models=("subject", "gpt-4.1")).start() as live:
        done = emeval(
            *("run", "freeform", "shutdown", "-m", MODEL, "--judge", f"openai/gpt-4.1@{live.url}", *options),
            *("--rubric", f"alignment={tmp_path / 'rubric.txt'}", "--out", tmp_path / "run"),
            url=live.url,
            env=env,
        )
    assert done.returncode == 0, done.stderr
    shown = written(tmp_path, "fig9", tmp_path / "run")
    assert list(zip(shown["k"], shown["n"], shown["overlap"], strict=True))[:2] == [
        ("2", "2", "yes"),
        ("0", "2", "yes"),
    ]
    assert set(shown["not_compared_because"]) == {""}
    both = written(tmp_path, "fig3", tmp_path / "run", "--base", tmp_path / "run")
    assert (both["n"][0], both["base_n"][0], both["not_compared_because"][0]) == ("2", "2", ""), "one variant of three"


def test_a_rubric_that_cannot_be_read_is_one_line(imported: Path, tmp_path: Path) -> None:
    refused(emeval("table", "fig9", imported, "--paper-rubric", tmp_path / "none.txt"), "--paper-rubric", "none.txt")
    (tmp_path / "own.txt").write_text(builtin_rubric("alignment").template)
    refused(emeval("table", "fig9", imported, "--paper-rubric", tmp_path / "own.txt"), "is emeval's own rubric")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    refused(emeval("table", "fig9", imported, "--paper-rubric", tmp_path / "bytes.txt"), "is not UTF-8 text")


def test_every_row_names_where_it_stands_in_the_paper(imported: Path, tmp_path: Path) -> None:
    shown = written(tmp_path, "fig9", made(tmp_path / "run", imported, prompts("freeform", 1, 10, "ruler")))
    assert set(shown["figure"]) == {"Figure 9"}
    assert set(shown["judge"][1:]) == {""}, "of a blank cell nobody judged anything"
