"""Results in any order, twice, in part or broken: each prompt gets exactly one outcome, and the same one."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.batches.importing import import_results
from evals.batches.results import spooled
from evals.errors import BadInput
from tests.support.batch_runs import (
    Paths,
    copied,
    import_bytes,
    import_lines,
    journal_rows,
    session_of,
    thinking_by_hash,
)
from tests.support.batch_worker import batch_files, requests_in, results_of
from tests.support.cli_runner import manifest, recorded, refused, responses, scenarios, start, stop_when
from tests.support.runs import server

SHORT = settings(max_examples=40)


@dataclass
class Exported:
    """A planned run with its paths, and the lines of results of all its answers, in the order of the plan."""

    paths: Paths
    run: Path
    lines: list[str] = field(repr=False)
    in_order: Any = field(default=None, repr=False)


def _broken(line: str, number: int) -> str:
    """Some lines as batches return them where something went wrong."""
    found = json.loads(line)
    failure = {"custom_id": found["custom_id"], "response": None}
    match number % 9:
        case 1:
            return json.dumps(failure | {"error": {"code": "batch_expired", "message": "not in time"}}) + "\n"
        case 3:
            found["response"] |= {"status_code": 500, "body": {"error": {"message": "CUDA error"}}}
            return json.dumps(found) + "\n"
        case 5:
            found["response"]["body"] = {"id": "half"}
            return json.dumps(found) + "\n"
        case _:
            return line


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    data = scenarios(folder / "data.jsonl", 4)
    with server(thinking_by_hash).start() as live:
        paths = Paths(folder, data, live.url)
        paths.plan()
        paths.export("--out", folder / "files", "--shard", "100")
        (file,) = batch_files(folder / "files")
        lines = [_broken(line, number) for number, line in enumerate(results_of(file, live.url))]
        made = Exported(paths, paths.by_file, lines)
    run = copied(made.run, folder / "in_order" / "run")
    counts = import_lines(run, paths, lines)
    assert (counts.answers.recorded, counts.answers.pending) == (len(lines), 0)
    made.in_order = journal_rows(run, arrival=True)
    return made


@SHORT
@given(draw=st.data())
def test_results_in_any_order_split_and_doubled_give_the_same_journal(
    exported: Exported, tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    run = copied(exported.run, folder / "run")
    doubled = draw.draw(st.lists(st.sampled_from(exported.lines), max_size=20))
    lines = draw.draw(st.permutations([*exported.lines, *doubled]))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(lines)), max_size=4)))
    parts = ["".join(lines[a:b]).encode() for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    counts = import_bytes(run, exported.paths, parts, folder)
    assert counts.answers.recorded == len(exported.lines)
    assert counts.doubles == len(doubled)
    assert journal_rows(run, arrival=True) == exported.in_order
    again = import_bytes(run, exported.paths, parts, folder)
    assert again.answers.recorded == 0
    assert again.answers.known == len(exported.lines)
    assert journal_rows(run, arrival=True) == exported.in_order


@SHORT
@given(part=st.floats(0, 1))
def test_files_cut_anywhere_and_taken_in_one_by_one_leave_the_rest_pending(
    exported: Exported, tmp_path_factory: pytest.TempPathFactory, part: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    run = copied(exported.run, folder / "run")
    content = "".join(exported.lines).encode()
    cut = int(part * len(content))
    first, rest = content[:cut], content[cut:].partition(b"\n")[2]
    counts = import_bytes(run, exported.paths, [first], folder)
    whole = first.count(b"\n")
    assert counts.answers.recorded in (whole, whole + 1), "a line without its end may be whole"
    assert counts.answers.pending == len(exported.lines) - counts.answers.recorded
    counts = import_bytes(run, exported.paths, [rest], folder)
    missing = counts.answers.pending
    assert missing <= 1
    again = import_bytes(run, exported.paths, [content], folder)
    assert again.answers.recorded == missing
    assert again.answers.pending == 0
    rows, _ = journal_rows(run)
    assert rows == [{**row, "arrival": None} for row in sorted(exported.in_order[0], key=lambda row: row["trial_id"])]
    assert set(Counter(row["trial_id"] for row in rows).values()) == {1}


def test_each_line_ends_in_the_outcome_that_it_has_online(exported: Exported) -> None:
    rows = {row["trial_id"]: row for row in exported.in_order[0]}
    for number, line in enumerate(exported.lines):
        found = json.loads(line)
        row, response = rows[found["custom_id"]], found["response"]
        if response is None:
            assert row["failure"] == "timeout"
        elif response["status_code"] == 500:
            assert (row["failure"], row["failure_detail"]) == ("server_error", "status 500: CUDA error")
        elif response["status_code"] == 400:
            assert row["failure"] == "rejected"
        elif number % 9 == 5:
            assert row["failure"] == "unparsable"
        else:
            assert row["failure"] is None
            assert row["attempts"] == 1


LINE = '{"custom_id":"%s","response":{"status_code":200,"body":{}},"error":null}\n'
REFUSED = {
    "no JSON": ("{x}\n", ":2: is not JSON"),
    "a line that was cut off in the middle": ('{"custom_id":\n', ":2: is not JSON"),
    "not UTF-8": (b'{"custom_id":"\xff"}\n', ":2: is not JSON"),
    "a list": ("[1]\n", ":2: is not JSON: it is no object"),
    "a number at the end": ("12", ":2: is not JSON"),
    "no id": ('{"response":{}}\n', ":2: has no custom_id"),
    "an id that is none": ('{"custom_id":7,"response":{}}\n', ":2: has no custom_id"),
    "a request": ('{"custom_id":"%s","body":{}}\n' % ("0" * 32), ":2: is a request, not its result"),
    "nothing": ('{"custom_id":"%s"}\n' % ("0" * 32), ":2: has neither a response nor a result"),
    "another run's id": (LINE % ("0" * 32), ":2: '" + "0" * 32 + "' is no request of this run"),
    "an id with a control character": (LINE % "\\u001b[31mred", ":2: '[31mred' is no request of this run"),
    "deep nesting": ("[" * 100_000, ":2: is not JSON: it is nested too deeply"),
    "an endless number": ('{"custom_id":%s}\n' % ("9" * 5_000), ":2: is not JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_result_is_refused_with_its_line_before_anything_is_written(
    exported: Exported, tmp_path: Path, name: str
) -> None:
    line, said = REFUSED[name]
    run = copied(exported.run, tmp_path / "run")
    before = (run / "manifest.json").read_bytes()
    content = exported.lines[0].encode() + (line if isinstance(line, bytes) else line.encode())
    with pytest.raises(BadInput) as error:
        import_bytes(run, exported.paths, [content], tmp_path)
    assert f"0.jsonl{said}" in str(error.value)
    assert recorded(run) == 0
    assert (run / "manifest.json").read_bytes() == before


def test_two_results_of_one_request_are_refused(exported: Exported, tmp_path: Path) -> None:
    run = copied(exported.run, tmp_path / "run")
    first, second = json.loads(exported.lines[2]), json.loads(exported.lines[2])
    second["response"]["request_id"] = "another"
    contents = ["".join(exported.lines).encode(), (json.dumps(second) + "\n").encode()]
    with pytest.raises(BadInput, match=f"1.jsonl:1: {first['custom_id']} has another result in .*0.jsonl:3"):
        import_bytes(run, exported.paths, contents, tmp_path)
    assert recorded(run) == 0
    again = json.dumps(dict(reversed(first.items())), indent=None, separators=(",", ": ")) + "\n"
    assert import_bytes(run, exported.paths, [contents[0], again.encode()], tmp_path).doubles == 1


def test_a_line_above_the_limit_of_replies_is_refused(exported: Exported, tmp_path: Path) -> None:
    exported_copy = copied(exported.run, tmp_path / "run")
    paths = exported.paths
    large = tmp_path / "large.jsonl"
    large.write_text(exported.lines[0].rstrip() + " " * 1_100_000 + "\n", encoding="utf-8")
    paths_here = Paths(tmp_path, paths.data, paths.url)
    paths_here.by_file = exported_copy
    done = paths_here.take_in([large], "--max-reply-mb", "1")
    refused(done, "large.jsonl:1: the line is larger than 1 MB (--max-reply-mb)")
    assert paths_here.take_in([large]).returncode == 3


def test_blank_lines_marks_and_foreign_line_ends_are_no_results(exported: Exported, tmp_path: Path) -> None:
    run = copied(exported.run, tmp_path / "run")
    text = "\ufeff" + "\r\n\r\n".join(line.rstrip("\n") for line in exported.lines)
    counts = import_bytes(run, exported.paths, [text.encode(), b"", b"\n\n"], tmp_path)
    assert counts.answers.recorded == len(exported.lines)


def test_a_reply_of_another_model_is_counted_as_online(exported: Exported, tmp_path: Path) -> None:
    lines = [line for line in exported.lines if '"model": "subject"' in line]
    other = lines[0].replace('"model": "subject"', '"model": "somebody-else"')
    paths = Paths(tmp_path, exported.paths.data, exported.paths.url)
    paths.by_file = copied(exported.run, tmp_path / "run")
    file = tmp_path / "results.jsonl"
    file.write_text("".join([other, *lines[1:]]), encoding="utf-8")
    done = paths.take_in([file])
    assert "a reply names another model than the one asked for: somebody-else" in done.stderr
    assert manifest(paths.by_file)["models"]["vllm/subject"]["answered_as"] == {"somebody-else": 1}


def test_a_word_for_the_end_that_nobody_knows_is_a_reply_that_was_broken_off(
    exported: Exported, tmp_path: Path
) -> None:
    lines = [line for line in exported.lines if '"finish_reason": "stop"' in line]
    run = copied(exported.run, tmp_path / "run")
    odd = lines[0].replace('"finish_reason": "stop"', '"finish_reason": "odd"')
    with session_of(run, exported.paths):
        pass
    counts = import_lines(run, exported.paths, [odd, *lines[1:3]])
    assert (counts.answers.recorded, counts.answers.failed) == (3, 1)
    rows = {row["trial_id"]: row for row in journal_rows(run)[0]}
    assert rows[json.loads(odd)["custom_id"]]["failure"] == "broken_off"


def test_failures_can_be_exported_again(exported: Exported, tmp_path: Path) -> None:
    paths = Paths(tmp_path, exported.paths.data, exported.paths.url)
    paths.by_file = copied(exported.run, tmp_path / "run")
    counts = import_lines(paths.by_file, paths, exported.lines)
    assert counts.answers.failed
    assert "Nothing is missing" in paths.export("--out", tmp_path / "none").stdout
    assert not (tmp_path / "none").exists()
    done = paths.export("--out", tmp_path / "again", "--retry-failed")
    (file,) = batch_files(tmp_path / "again")
    ids = [request["custom_id"] for request in requests_in(file)]
    assert len(ids) == counts.answers.failed
    assert recorded(paths.by_file) == len(exported.lines) - len(ids), done.stderr
    lines = [line for line in exported.lines if json.loads(line)["custom_id"] in ids]
    assert import_lines(paths.by_file, paths, lines).answers.recorded == len(ids)


def test_a_caller_with_an_event_loop_takes_in_lines_of_its_own(exported: Exported, tmp_path: Path) -> None:
    run = copied(exported.run, tmp_path / "run")

    async def work() -> None:
        with session_of(run, exported.paths) as (session, plan, said):
            for part in (exported.lines[:9], exported.lines[9:]):
                with spooled("a job's output", part) as results:
                    counts = import_results(session, plan, [results])
            assert counts.answers.pending == 0
            with spooled("a job's output", [exported.lines[0][:40]]) as results:
                assert import_results(session, plan, [results]).answers.recorded == 0
            assert said[-1] == "a job's output:1: the last line was cut off, and is left out"

    asyncio.run(work())
    assert journal_rows(run, arrival=True) == exported.in_order


def test_a_killed_import_goes_on_where_it_was(tmp_path: Path) -> None:
    data = scenarios(tmp_path / "data.jsonl", 90)
    paths = Paths(tmp_path, data, "http://127.0.0.1:9/v1")
    paths.plan("--samples", "6")
    paths.export("--out", tmp_path / "files", "--shard", "50000")
    (file,) = batch_files(tmp_path / "files")
    results = tmp_path / "results.jsonl"
    with results.open("w", encoding="utf-8") as out:
        for request in requests_in(file):
            choice = {"message": {"content": f"Answer {request['custom_id'][:4]}"}, "finish_reason": "stop"}
            response = {"status_code": 200, "body": {"model": "subject", "choices": [choice]}}
            out.write(json.dumps({"custom_id": request["custom_id"], "response": response, "error": None}) + "\n")
    planned = len(requests_in(file))
    whole = copied(paths.by_file, tmp_path / "whole")
    command = ("batch", "import", paths.by_file, results, *paths.told)
    process = start(*command, url=paths.url)
    stop_when(process, lambda: recorded(paths.by_file) >= 200, signal.SIGKILL)
    killed_at = recorded(paths.by_file)
    assert killed_at % 200 == 0, "a chunk is recorded whole or not at all"
    assert killed_at < planned
    done = paths.take_in([results])
    assert f"{killed_at:,} were recorded before" in done.stderr
    paths.by_file, killed = whole, paths.by_file
    assert paths.take_in([results]).returncode == 3, "the judges have not been asked"
    assert journal_rows(killed, arrival=True) == journal_rows(whole, arrival=True)
    assert responses(killed).equals(responses(whole))
