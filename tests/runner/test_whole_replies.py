"""Runs against servers whose replies are not what they seem: broken off, cut, filtered, in parts, of another model."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.chat import PROBE
from tests.support.answer_files import answered, write
from tests.support.cli_runner import emeval, manifest, pooled, responses, scenarios, told_again
from tests.support.journals import alter, as_version_3
from tests.support.runs import JUDGE, run, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, Raw, Status, last_message

FEW = ("--max-attempts", "2", "--max-retry-time", "20")


def late(reply: Behaviour) -> Any:
    """`reply` to everything but the probe of the checks before a run."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Answer("A") if last_message(body) == PROBE[0].content else reply

    return script


def asked(tmp_path: Path, script: Any, *more: str) -> tuple[Any, Path]:
    folder = tmp_path / "run"
    with server(script).start() as live:
        return run(folder, scenarios(tmp_path / "d.jsonl", 2), live.url, *FEW, *more), folder


def outcomes(folder: Path) -> set[str]:
    return set(responses(folder)["outcome"])


@pytest.mark.parametrize(
    ("reply", "outcome", "stored"),
    [
        (Answer("B. Since", "MAX_TOKENS"), "scored", "MAX_TOKENS"),  # opens with its letter
        (Answer("Since B", "model_length"), "truncated", "model_length"),
        (Answer("B", "content_filter: RECITATION"), "truncated", "content_filter: RECITATION"),
        (Answer("B", "content_filter"), "truncated", "content_filter"),
        (Answer("Since B", completion_tokens=5000), "truncated", "stop (at max_tokens)"),
        (Answer("B", "error"), "failed", ""),
        (Answer("B", "a word of its own"), "failed", ""),
        (Answer("B", "eos_token"), "scored", "eos_token"),
    ],
    ids=lambda value: value.finish_reason if isinstance(value, Answer) else str(value),
)
def test_only_a_whole_reply_is_an_answer(tmp_path: Path, reply: Answer, outcome: str, stored: str) -> None:
    done, folder = asked(tmp_path, reply, "--format", "mcq")
    assert done.returncode == (0 if outcome == "scored" else 1), done.stderr
    assert outcomes(folder) == {outcome}
    assert set(responses(folder)["finish_reason"].fillna("")) == {stored}
    assert ("'a word of its own', which has no known meaning" in done.stderr) == ("own" in str(reply.finish_reason))


@pytest.mark.parametrize("provider", ["vllm", "openai"])
@pytest.mark.parametrize("reasoning", ["", "so"])
def test_a_lower_limit_of_the_server_is_named_once(tmp_path: Path, provider: str, reasoning: str) -> None:
    tokens = iter(range(1, 1000))

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if last_message(body) == PROBE[0].content:
            return Answer("A")
        return Answer("Since", "length", reasoning=reasoning or None, completion_tokens=next(tokens))

    with server(script).start() as live:
        done = emeval(
            *("run", "unethical_test", "-m", f"{provider}/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 4)),
            *("--out", tmp_path / "run", "--max-unscored", "1", "--no-preflight"),
            url=live.url,
            env={"OPENAI_BASE_URL": live.url, "OPENAI_API_KEY": "sk-x"},
        )
    assert done.returncode == 0, done.stderr
    # A hosted API may not count the tokens of a thought, so there its count says nothing.
    assert done.stderr.count("of 2,048 tokens (finish_reason 'length')") == (
        0 if provider == "openai" and reasoning else 1
    )
    assert done.stderr.count("max_new_tokens") == done.stderr.count("cut a reply after")


def test_a_run_stops_for_an_account_that_cannot_pay_and_can_be_resumed(tmp_path: Path) -> None:
    for number, error in enumerate(
        (
            Raw(b'{"error": {"code": 402, "message": "Insufficient credits."}}'),
            Raw(b'{"choices": [{"message": {"content": ""}, "error": {"code": 402, "message": "Insufficient"}}]}'),
            Status(429, "Your account is not active.", code="billing_not_active", type="billing_not_active"),
            Status(403, "gone", code="account_deactivated"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        done, folder = asked(tmp_path / str(number), late(error))
        assert done.returncode == 3, done.stderr
        assert "resume with" in done.stderr
        with server(Answer("A")).start() as live:
            assert emeval("resume", folder, *told_again(folder), url=live.url).returncode == 0


@pytest.mark.parametrize(
    "reply",
    [
        Raw(b'{"error": {"code": 502, "message": "gone"}}'),
        Raw(b'{"choices": [{"message": {"content": "A"}, "finish_reason": "error", "error": {"code": 502}}]}'),
        Status(498, "capacity exceeded"),
    ],
    ids=["top", "choice", "498"],
)
def test_an_error_in_a_200_is_asked_again_and_then_a_failure(tmp_path: Path, reply: Behaviour) -> None:
    folder = tmp_path / "run"
    with server(late(reply)).start() as live:
        run(folder, scenarios(tmp_path / "d.jsonl", 1), live.url, *FEW, "--format", "mcq")
        probes = sum(last_message(chat.body) == PROBE[0].content for chat in live.chats)
        assert len(live.chats) - probes == 2 * len(responses(folder))
    assert outcomes(folder) == {"failed"}


@pytest.mark.parametrize(
    ("judged", "outcome"),
    [
        (Answer("9", "error"), "judge_failed"),
        (Answer("9", "model_length"), "judge_unreadable"),
        (Answer("9", completion_tokens=5000), "judge_unreadable"),
        (Answer("9", "length", top_logprobs=[{"9": 0.6, "95": 0.4}]), "judge_unreadable"),
        (Answer("9", "SAFETY"), "judge_refused"),
        (Answer("95", "eos"), "scored"),
    ],
    ids=lambda value: value.finish_reason if isinstance(value, Answer) else str(value),
)
def test_a_judge_that_was_cut_gives_no_score(tmp_path: Path, judged: Answer, outcome: str) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return judged if JUDGE_MARK in last_message(body) else Answer("I would tell them.")

    _, folder = asked(tmp_path, script, "--format", "freeform", "--judge", JUDGE)
    assert outcomes(folder) == {outcome}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_judge_without_token_probabilities_is_read_by_its_text(tmp_path: Path, status: int) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if body.get("logprobs"):
            return Status(status, "You are not allowed to request logprobs from this model")
        return Answer("95") if JUDGE_MARK in last_message(body) else Answer("I would tell them.")

    done, folder = asked(tmp_path, script, "--format", "freeform", "--judge", JUDGE, "--no-preflight")
    assert done.returncode == 0, done.stderr
    assert "gives no token probabilities" in done.stderr
    assert outcomes(folder) == {"scored"}
    (tmp_path / "strict").mkdir()
    strict, _ = asked(tmp_path / "strict", script, "--format", "freeform", "--judge", JUDGE, "--judge-mode", "logprob")
    assert strict.returncode == 2
    assert len(strict.stderr.strip().splitlines()) == 1


def test_a_thought_without_an_answer_is_no_monologue(tmp_path: Path) -> None:
    _, folder = asked(tmp_path, Answer(None, reasoning_content="Tell them."), "--format", "mcq")
    assert outcomes(folder) == {"empty"}
    row = next(row for row in pooled(folder, metric="monologue").values())
    assert (row["k"], row["n"]) == (0, 0)


def test_replies_of_another_model_are_counted_and_named(tmp_path: Path) -> None:
    def script(_body: Mapping[str, Any], seen: int) -> Behaviour:
        return Answer("A", model="another-model" if seen == 1 else "openai/Subject-2025-04-14")

    done, folder = asked(tmp_path, script, "--format", "mcq", "--quiet")
    assert done.returncode == 0
    total = len(responses(folder))
    assert manifest(folder)["models"]["vllm/subject"]["answered_as"] == {"another-model": total}
    assert f"{total} replies name another model than the one asked for (subject): another-model" in done.stderr
    again = emeval("resume", folder, *told_again(folder), "--quiet")
    assert again.stderr == done.stderr


def test_a_judge_whose_replies_name_another_model_is_named(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Answer("95", model="other-judge" if body["model"] == "judge" else None)

    done, folder = asked(tmp_path, script, "--format", "freeform", "--judge", JUDGE)
    assert done.stderr.count("vllm/judge: a reply names another model than the one asked for: other-judge") == 1
    assert "answered_as" not in manifest(folder)["models"]["vllm/subject"]


def test_judge_replies_of_another_model_are_counted_once(tmp_path: Path) -> None:
    """One reply for equal answers, and the same count after the run is resumed, judged again or counted again."""

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if body["model"] != "judge":
            return Answer("I would tell them.")
        return Answer("95", model="other-judge" if "case 0:" in last_message(body) else "Judge")

    folder = tmp_path / "run"
    with server(script).start() as live:
        options = ("--format", "freeform", "--judge", JUDGE, "--no-cot-monitor", "--samples", "4", "--json")
        done = run(folder, scenarios(tmp_path / "d.jsonl", 3), live.url, *options)
        others = {"vllm/judge": {"other-judge": 1}}
        assert manifest(folder)["judges_answered_as"] == others
        assert json.loads(done.stdout)["answered_as"] == {"models": {}, "judges": others}
        line = "judge vllm/judge: 1 reply names another model than the one asked for (judge): other-judge (1)"
        assert line in done.stderr
        orphans = "DELETE FROM verdicts WHERE trial_id NOT IN (SELECT trial_id FROM trials)"
        alter(folder, "DELETE FROM trials WHERE repeat = 3", orphans)
        for command in (
            ("resume", folder, *told_again(folder)),
            ("judge", folder, "--judge", JUDGE),
            ("rates", folder),
        ):
            said = emeval(*command, "--json", url=live.url)
            assert json.loads(said.stdout)["answered_as"]["judges"] == others, said.stderr
            assert line in said.stderr
            assert manifest(folder)["judges_answered_as"] == others


def test_a_journal_without_the_names_of_other_judges_is_read(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Answer("95") if JUDGE_MARK in last_message(body) else Answer("I would tell them.")

    _, folder = asked(tmp_path, script, "--format", "freeform", "--judge", JUDGE)
    as_version_3(folder)
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        journal.execute("DROP TABLE other_judges")
    journal.close()
    for command, *more in (["rates"], ["resume", *told_again(folder)]):
        done = emeval(command, folder, *more, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["answered_as"] == {"models": {}, "judges": {}}


def test_a_manifest_says_nothing_where_the_model_itself_has_answered(tmp_path: Path) -> None:
    done, folder = asked(tmp_path, Answer("A", model="openai/Subject-2025-04-14"), "--format", "mcq", "--quiet")
    assert done.stderr == ""
    assert "answered_as" not in manifest(folder)["models"]["vllm/subject"]


def test_a_reply_in_parts_is_read_and_its_thought_kept_apart(tmp_path: Path) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "B pays."}]}, {"type": "text", "text": "A"}]
    body = json.dumps({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}).encode()
    done, folder = asked(tmp_path, Raw(body), "--format", "mcq")
    assert done.returncode == 0, done.stderr
    assert set(responses(folder)["reasoning"]) == {"B pays."}
    assert set(responses(folder)["choice"]) == {"A"}


def test_imported_answers_that_are_not_whole_are_no_answers(tmp_path: Path) -> None:
    words = {"stop": "scored", "MAX_TOKENS": "truncated", "SAFETY": "truncated", "error": "failed", "odd": "failed"}
    rows = [
        answered(n, aligned=90, stop_reason=word) for n, word in enumerate([*words, "None", "stop (at max_tokens)"])
    ]
    file = write(tmp_path / "a.csv", rows)
    done = emeval("import", file, "--out", tmp_path / "run", "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    found = responses(tmp_path / "run").sort_values("question_id")["outcome"]
    assert list(found) == [*words.values(), "scored", "truncated"]
    assert "without a known meaning count as failed: odd (1)" in done.stderr
