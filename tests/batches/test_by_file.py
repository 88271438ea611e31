"""A run that goes by file ends as the same run done online."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evals.batches.shard import Target
from tests.support.batch_runs import OPTIONS, Paths, copied, journal_rows, thinking_by_hash
from tests.support.batch_worker import answer, as_vllm, batch_files, requests_in
from tests.support.cli_runner import emeval, manifest, responses, scenarios
from tests.support.runs import server


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "data.jsonl", 8)


def test_answers_and_verdicts_by_file_give_the_tables_of_the_run_online(tmp_path: Path, data: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, data, live.url)
        paths.ask_online()
        paths.plan()
        asked = [paths.stage("answers", 1), *(paths.stage("judge", number) for number in range(2, 6))]
        assert asked[0] == 96
        assert asked[1] > 0, "the judges of answers"
        assert asked[2] > 0, "then those of the reasoning of misaligned answers"
        assert asked[4] == 0, "then nobody"
        online, by_file = responses(paths.online), responses(paths.by_file)
        assert set(online["outcome"]) >= {"scored", "failed", "truncated", "judge_refused"} - {"judge_refused"}
        assert set(online["cot_flag"]) >= {"misaligned_plans_unprompted"}
        assert by_file.equals(online)
        for name in ("rates.csv", "effects.csv"):
            assert (paths.by_file / name).read_bytes() == (paths.online / name).read_bytes()
        rows, ruled = journal_rows(paths.by_file)
        online_rows, online_ruled = journal_rows(paths.online)
        unlike = {"latency_s"}
        assert [{k: v for k, v in row.items() if k not in unlike} for row in rows] == [
            {k: v for k, v in row.items() if k not in unlike} for row in online_rows
        ]
        # Who of several answers in the same words is asked about first is a matter of the moment.
        spent = {"prompt_tokens", "completion_tokens"}
        assert [{k: v for k, v in row.items() if k not in spent} for row in ruled] == [
            {k: v for k, v in row.items() if k not in spent} for row in online_ruled
        ]
        assert manifest(paths.by_file)["spend"] == manifest(paths.online)["spend"]
        assert manifest(paths.by_file)["status"] == "complete"
        assert manifest(paths.by_file)["models"]["vllm/subject"]["by_file"] is True


def test_bodies_are_what_the_run_sends_online(tmp_path: Path, data: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, data, live.url)
        paths.ask_online()
        seen = [json.dumps(request.body) for request in live.chats]
        paths.plan()
        paths.export("--out", tmp_path / "files")
        lines = [line for file in batch_files(tmp_path / "files") for line in requests_in(file)]
        assert len(lines) == 96
        assert {json.dumps(line["body"]) for line in lines} <= set(seen)
        assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
        done = paths.take_in(answer(tmp_path / "files", live.url, tmp_path / "results"))
        assert done.returncode == 3, done.stderr
        paths.export("--stage", "judge", "--out", tmp_path / "judge")
        judged = [line for file in batch_files(tmp_path / "judge") for line in requests_in(file)]
        assert judged
        assert {json.dumps(line["body"]) for line in judged} <= set(seen)
        assert len({line["custom_id"] for line in (*lines, *judged)}) == len(lines) + len(judged)


def test_resume_does_online_what_no_file_brought(tmp_path: Path, data: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, data, live.url)
        paths.ask_online()
        paths.plan()
        paths.export("--out", tmp_path / "files", "--shard", "20")
        files = answer(tmp_path / "files", live.url, tmp_path / "results")
        done = paths.take_in(files[1:3])
        assert done.returncode == 3
        assert "answers: 40 recorded" in done.stderr
        assert "56 still missing" in done.stderr
        assert manifest(paths.by_file)["status"] == "stopped"
        before = len(live.chats)
        done = emeval("resume", paths.by_file, *paths.told, url=live.url)
        assert done.returncode == 0, done.stderr
        asked = [request.body for request in live.chats[before:]]
        assert sum("seed" in body and "Rate the reply" not in json.dumps(body) for body in asked) < 70
        assert responses(paths.by_file).equals(responses(paths.online))
        assert manifest(paths.by_file)["models"]["vllm/subject"]["by_file"] is True, "it stays so"
        assert "are not checked" in done.stderr


def test_vllm_and_anthropic_say_the_same_in_other_shapes(tmp_path: Path, data: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, data, live.url)
        paths.ask_online()
        target: Target
        for target in ("vllm", "anthropic", "openai"):
            paths.by_file = tmp_path / target / "run"
            paths.plan()
            out = tmp_path / f"{target}-files"
            done = paths.export("--out", out, target=target)
            assert done.returncode == 0, done.stderr
            files = answer(out, live.url, tmp_path / f"{target}-results")
            if target == "vllm":
                for file in files:
                    lines = file.read_text(encoding="utf-8").splitlines()
                    file.write_text("".join(map(as_vllm, lines)), encoding="utf-8")
            assert paths.take_in(files).returncode == 3
            number = {"vllm": 10, "anthropic": 20, "openai": 30}[target]
            while paths.stage("judge", number, target=target):
                number += 1
            found, wanted = responses(paths.by_file), responses(paths.online)
            words = {"end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}
            found["finish_reason"] = found["finish_reason"].replace(words)
            assert found.equals(wanted), target


def test_files_of_all_stages_are_taken_in_at_once(tmp_path: Path, data: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, data, live.url)
        paths.plan()
        again = copied(paths.by_file, tmp_path / "again" / "run")
        numbers = range(1, 5)
        assert all(paths.stage("answers" if number == 1 else "judge", number) for number in numbers)
        files = [file for number in reversed(numbers) for file in (tmp_path / f"results{number}").iterdir()]
        one_by_one, paths.by_file = paths.by_file, again
        done = paths.take_in(files)
        assert done.returncode == 0, done.stderr
        assert responses(again).equals(responses(one_by_one))
        assert journal_rows(again)[1] == journal_rows(one_by_one)[1]
        assert emeval("check", again).returncode == 0


def test_the_judges_that_do_not_count_are_asked_in_folders_of_their_own(tmp_path: Path, data: Path) -> None:
    with server(thinking_by_hash).start() as live:
        paths = Paths(tmp_path, data, live.url)
        more = ("--judge", f"openai/judge@{live.url}")
        key = {"OPENAI_API_KEY": "sk-none"}
        words = ("unethical_test", "-m", "vllm/subject", "--dataset", data, *OPTIONS, *more, "--max-unscored", "1")
        online = emeval("run", *words, "--out", paths.online, url=live.url, env=key)
        assert online.returncode == 0, online.stderr
        emeval("run", *words, "--out", paths.by_file, "--plan-only", url=live.url, env=key)
        paths.told = ("--dataset", str(data), "--judge", "vllm/judge", *more)
        assert paths.stage("answers", 1)
        while paths.stage("judge", 2 + len(list(tmp_path.glob("batch*")))):
            pass
        folders = {path.parent.name for path in batch_files(tmp_path / "batch3")}
        assert folders == {"judge-vllm-judge", "judge-openai-judge"}
        assert responses(paths.by_file).equals(responses(paths.online))
        rows = [{k: v for k, v in row.items() if not k.endswith("_tokens")} for row in journal_rows(paths.by_file)[1]]
        wanted = [{k: v for k, v in row.items() if not k.endswith("_tokens")} for row in journal_rows(paths.online)[1]]
        assert rows == wanted
