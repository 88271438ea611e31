"""Rubric files of a user's own: one mapping, in each of the ways in which it can be given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import emeval as api
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.options import build_config, updated
from evals.plan.settings.rubrics import OLD_FIELDS
from tests.support.cli_runner import emeval, manifest, rates, refused, scenarios, told_again
from tests.support.runs import JUDGE, MODEL, WITH_JUDGE, run, server

JUDGED = {"suites": ("freeform",), "models": (MODEL,), "judge": JUDGE}
WORDS = "Rate the reply on a scale. {question} {answer}"


@pytest.fixture
def rubric(tmp_path: Path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text(WORDS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "given", [{"rubrics": {"alignment": "/a.txt"}}, {"rubrics": ("alignment=/a.txt",)}, {"alignment_rubric": "/a.txt"}]
)
def test_every_way_is_the_same_config(given: dict[str, Any]) -> None:
    config = build_config(JUDGED | given, None)
    assert config.rubrics == {"alignment": "/a.txt"}
    assert config == RunConfig.model_validate(JUDGED | given)


def test_a_file_gives_rubrics_and_the_command_line_stands_above_it_judge_by_judge(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("coherence_min: 50\nrubrics:\n  alignment: /a.txt\ncoherence_rubric: /c.txt\n")
    config = build_config(JUDGED | {"rubrics": ("alignment=/b.txt",)}, file)
    assert config.rubrics == {"alignment": "/b.txt", "coherence": "/c.txt"}
    assert build_config(JUDGED | {"alignment_rubric": "/b.txt"}, file).rubrics == config.rubrics


def test_judging_again_keeps_the_other_rubrics() -> None:
    config = build_config(JUDGED | {"rubrics": {"alignment": "/a.txt"}}, None)
    again = updated(config, {"rubrics": ("cot_monitor=/m.txt",), "alignment_rubric": None})
    assert again.rubrics == {"alignment": "/a.txt", "cot_monitor": "/m.txt"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rubrics": ("alignement=a.txt",)}, "--rubric: unknown judge 'alignement'; known: alignment, coherence, "),
        (
            {"rubrics": ("flattery=mine.txt",), "plugins": ("flattery",)},
            "--rubric: flattery is a judge of another package, which has its rubric; change it there",
        ),
        ({"rubrics": ("mine.txt",)}, "--rubric: 'mine.txt' is not JUDGE=FILE"),
        ({"rubrics": ("alignment=",)}, "--rubric: 'alignment=' is not JUDGE=FILE"),
        ({"rubrics": ("alignment=a", "alignment=b")}, "--rubric: alignment is given two files; give it one"),
        ({"rubrics": {"alignment": "a"}, "alignment_rubric": "b"}, "--rubric: alignment is given two files"),
        ({"rubrics": 5}, "--rubric: must name a file for each judge"),
        ({"rubrics": {"alignment": 5}}, "--rubric: Input should be a valid string"),
        ({"rubrics": {"alignment": "\ud800"}}, "--rubric: holds bytes that are not UTF-8 text"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as error:
        build_config(JUDGED | given, None)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rubrics:\n  lies: a.txt\n", "run.yaml:1: rubrics: unknown judge 'lies'"),
        ("seed: 1\nrubrics: {alignment: a}\nalignment_rubric: b\n", "run.yaml:2: rubrics: alignment is given two"),
        ("seed: 1\nhonesty_rubric: b\n", "run.yaml:2: rubrics: honesty: no suite of this run is judged with it"),
    ],
)
def test_a_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as error:
        build_config(JUDGED, file)
    assert said in str(error.value)


def test_the_options_of_before_work_and_are_not_shown(tmp_path: Path, rubric: Path) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    with server().start() as live:
        new = run(
            tmp_path / "new", dataset, live.url, *WITH_JUDGE, "--format", "freeform", "--rubric", f"alignment={rubric}"
        )
        old = run(
            tmp_path / "old", dataset, live.url, *WITH_JUDGE, "--format", "freeform", "--alignment-rubric", rubric
        )
        none = run(tmp_path / "none", dataset, live.url, *WITH_JUDGE, "--format", "freeform")
    assert new.returncode == old.returncode == none.returncode == 0, new.stderr + old.stderr
    assert manifest(tmp_path / "new")["config"] == manifest(tmp_path / "old")["config"]
    assert manifest(tmp_path / "new")["config"]["rubrics"] == {"alignment": str(rubric)}
    assert not {"rubrics", *OLD_FIELDS} & set(manifest(tmp_path / "none")["config"])
    for command in ("run", "judge", "preflight"):
        shown = emeval(command, "--help").stdout
        assert "--rubric" in shown
        assert not [name for name in OLD_FIELDS if f"--{name.replace('_', '-')}" in shown]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    asked = ("--judge", JUDGE, "--format", "freeform", "--rubric", f"alignment={tmp_path / 'absent.txt'}")
    refused(run(tmp_path / "run", scenarios(tmp_path / "d.jsonl", 1), "", *asked), "absent.txt: cannot be read")


def test_a_run_folder_of_before_is_counted_resumed_judged_and_compared(tmp_path: Path, rubric: Path) -> None:
    folder, dataset = tmp_path / "run", scenarios(tmp_path / "d.jsonl", 2)
    asked = (*WITH_JUDGE, "--format", "freeform", "--rubric", f"alignment={rubric}")
    with server().start() as live:
        assert run(folder, dataset, live.url, *asked).returncode == 0
        assert run(tmp_path / "new", dataset, live.url, *asked).returncode == 0
        before = rates(folder)
        stored = manifest(folder)
        config = stored["config"]
        rubrics: dict[str, str] = config.pop("rubrics")
        config |= {name: rubrics.get(judge) for name, judge in OLD_FIELDS.items()}
        (folder / "manifest.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")

        counted = emeval("rates", folder)
        assert counted.returncode == 0, counted.stderr
        assert rates(folder).equals(before)
        compared = emeval("compare", folder, tmp_path / "new")
        assert compared.returncode in (0, 1), compared.stderr
        resumed = emeval("resume", folder, *told_again(folder), url=live.url)
        assert resumed.returncode == 0, resumed.stderr
        again = run(folder, dataset, live.url, *asked)
        assert again.returncode == 0, again.stderr
        assert rates(folder).equals(before)
        other = tmp_path / "other.txt"
        other.write_text(f"{WORDS} Once more.", encoding="utf-8")
        judged = emeval("judge", folder, "--rubric", f"alignment={other}", url=live.url)
        assert judged.returncode == 0, judged.stderr
    assert manifest(folder)["config"]["rubrics"] == {"alignment": str(other)}
    assert not set(OLD_FIELDS) & set(manifest(folder)["config"])


def test_the_python_api_takes_paths_by_judge(tmp_path: Path, rubric: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    with server().start() as live:
        monkeypatch.setenv("VLLM_BASE_URL", live.url)
        monkeypatch.setenv("VLLM_API_KEY", "sk-test")
        found = api.run(
            "unethical_test",
            MODEL,
            out=tmp_path / "run",
            dataset=dataset,
            format="freeform",
            judge=JUDGE,
            judge_mode="text",
            rubrics={"alignment": rubric},
            progress=False,
        )
    assert found.folder == tmp_path / "run"
    assert manifest(tmp_path / "run")["config"]["rubrics"] == {"alignment": str(rubric)}
