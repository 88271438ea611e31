"""Runs that sample with `vllm run-batch`: they end as the same runs online, and lose nothing on the way."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.cli_runner import emeval, manifest, own_process, recorded, start, stop_when
from tests.support.runs import by_hash
from tests.support.runs_by_batch import table
from tests.support.servers.batch_server import BatchServer
from tests.support.servers.openai_server import JUDGE_MARK, Behaviour, Status, last_message
from tests.support.vllm_batches import MODELS, Place, server


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The responses of the same run online."""
    with server().start() as live:
        place = Place(tmp_path_factory.mktemp("online"), live)
        done = emeval(*place.words(), env=place.env(online=True))
    assert done.returncode == 0, done.stderr
    return table(place.run)


@pytest.fixture
def live() -> Iterator[BatchServer]:
    with server().start() as live:
        yield live


@pytest.fixture
def place(tmp_path: Path, live: BatchServer) -> Place:
    return Place(tmp_path, live)


def test_a_run_by_vllm_batch_judged_by_the_batch_api_ends_as_the_run_online(place: Place, online: pd.DataFrame) -> None:
    done = emeval(*place.by_vllm("--judge-via", "openai-batch"), env=place.env())
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(place.run), online)
    first, second = place.starts
    assert first[:2] == second[:2] == ["run-batch", "--model"]
    assert {"--enable-lora", "--lora-modules", "--generation-config"} <= set(first)
    assert len(place.live.batches) == 1, "that of the judge"
    assert not place.shards.exists()
    facts = manifest(place.run)["models"]
    assert {facts[name]["by_file"] for name in MODELS} == {True}
    assert len({facts[name]["file_sha256"] for name in MODELS}) == 2
    assert manifest(place.run)["status"] == "complete"
    again = emeval(*place.by_vllm(), env=place.env())
    assert again.returncode == 0, again.stderr
    assert len(place.starts) == 2, "a finished run asks nothing"


@pytest.mark.parametrize(("more", "starts"), [((), 1), (("--vllm-args", "--max-loras 1"), 2)])
def test_a_base_shares_a_file_with_its_adapters_only_where_vllm_keeps_them_apart(
    place: Place, online: pd.DataFrame, more: tuple[str, ...], starts: int
) -> None:
    done = emeval(*place.by_vllm(*more, shard=100), env=place.env())
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(place.run), online)
    assert len(place.starts) == starts


@pytest.mark.parametrize(
    ("mode", "kept", "starts"),
    [("batch-killed:2", 24 + 12, 3), ("crash:2", 72, 3), ("engine:2", 24 + 12, 3), ("die", 0, 3)],
)
def test_what_vllm_fails_on_is_asked_again_and_no_more(
    place: Place, online: pd.DataFrame, mode: str, kept: int, starts: int
) -> None:
    done = emeval(*place.by_vllm(shard=24), env=place.env(mode))
    if mode.startswith("crash"):
        assert done.returncode == 0, done.stderr
        assert "its results are complete" in done.stderr
    else:
        assert done.returncode == 3, done.stderr
        assert recorded(place.run) == kept
        said = {"batch-killed:2": "was ended by SIGKILL", "engine:2": "its engine died", "die": "No available memory"}
        assert said[mode] in done.stderr
        done = place.resume()
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(place.run), online)
    assert len(place.starts) == starts + (mode != "crash:2")
    assert not place.shards.exists()


def test_a_result_that_vllm_leaves_out_is_asked_for_again(place: Place, online: pd.DataFrame) -> None:
    done = emeval(*place.by_vllm(shard=40), env=place.env("short:1"))
    assert done.returncode == 0, done.stderr
    assert "1 to be asked again" in done.stderr
    pd.testing.assert_frame_equal(table(place.run), online)
    assert len(place.starts) == 3


def test_results_that_were_written_as_emeval_was_killed_are_recorded_and_not_sampled_again(
    place: Place, online: pd.DataFrame
) -> None:
    done = own_process(*place.by_vllm(), env=place.env("orphaned:2"))
    assert done.returncode == -signal.SIGKILL
    assert recorded(place.run) == 36
    assert len(list(place.shards.glob("*.part.jsonl"))) == 1
    done = place.resume("--via", "online", mode="die")
    assert done.returncode == 0, done.stderr
    assert len(place.starts) == 2
    pd.testing.assert_frame_equal(table(place.run), online)
    assert not place.shards.exists()


def test_a_file_that_is_no_result_stops_the_run_and_stays(place: Place) -> None:
    done = emeval(*place.by_vllm(), env=place.env("batch-killed:1"))
    assert done.returncode == 3, done.stderr
    left = place.shards / "0007.results.jsonl"
    place.shards.mkdir(exist_ok=True)
    left.write_text('{"custom_id": "x"}\n' + json.dumps({"a": 1}) + "\n")
    done = place.resume()
    assert done.returncode == 3, done.stderr
    assert f"{left}:1: has neither a response nor a result" in done.stderr
    assert left.exists()
    left.unlink()
    assert place.resume().returncode == 0


def test_a_link_in_the_place_of_the_folder_is_not_followed(place: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert emeval(*place.words("--plan-only"), env=place.env()).returncode == 0
    place.shards.symlink_to(other)
    done = emeval(*place.by_vllm(), env=place.env())
    assert done.returncode == 2, done.stderr
    assert "is a link, not a folder" in done.stderr
    assert not list(other.iterdir())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--base-url", "http://127.0.0.1:9/v1"), "--via: vllm/organism: it is at a URL"),
        (("-m", "openai/gpt-4.1"), "--via: openai/gpt-4.1: it is at a URL"),
        (("-m", "local/organism"), "--via: local/organism: emeval serves it in its own process"),
        (("--until", "width<0.1"), "--via: --until decides after each answer"),
        (("--vllm-args", "-i other.jsonl"), "--vllm-args: -i is emeval's to set"),
    ],
)
def test_what_cannot_go_by_vllm_batch_is_one_line(place: Place, more: tuple[str, ...], said: str) -> None:
    done = emeval(*place.by_vllm(*more), env=place.env())
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"emeval: {said}"), done.stderr
    assert not place.run.exists()
    assert place.starts == []


def test_an_adapter_without_weights_is_refused_before_anything_starts(place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}')
    done = emeval(*place.by_vllm("-m", f"vllm/org/base:{empty}"), env=place.env())
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"emeval: {empty}: has no weights")
    assert place.starts == []
    assert not place.run.exists()


def flaky(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Some requests fail always, some once."""
    text = last_message(body).lower()
    if JUDGE_MARK not in text and "case 3" in text:
        return Status(500, "an error of this prompt")
    if JUDGE_MARK not in text and "case 4" in text and seen == 1:
        return Status(500, "an error that passes")
    return by_hash(body, seen)


def test_failures_that_may_pass_are_asked_again_and_then_recorded_as_online(tmp_path: Path) -> None:
    found: list[pd.DataFrame] = []
    for name in ("online", "batch"):
        with server(flaky).start() as live:
            (tmp_path / name).mkdir()
            place = Place(tmp_path / name, live)
            words = place.words("--max-attempts", "3") if name == "online" else place.by_vllm(shard=50)
            done = emeval(*words, "--max-unscored", "1", "--no-preflight", env=place.env(online=name == "online"))
            assert done.returncode == 0, done.stderr
            found.append(table(place.run))
    pd.testing.assert_frame_equal(found[1], found[0])
    assert list(found[1]["outcome"]).count("failed") == 12
    assert len(place.starts) == 2 + 1 + 1, "two shards, then what failed twice"


def test_a_limit_of_the_start_is_said_to_have_no_effect(place: Place) -> None:
    said = "--vllm-start-timeout limits the start of `vllm serve`"
    done = emeval(*place.by_vllm("--vllm-start-timeout", "60"), env=place.env("batch-killed:1"))
    assert said in done.stderr, done.stderr
    assert said not in place.resume("--vllm-start-timeout", "1800").stderr


def test_what_cannot_go_by_file_is_asked_at_a_server_of_its_own(place: Place) -> None:
    asked = place.by_vllm("--prefill", "Well", "--no-preflight", "--max-unscored", "1")
    done = emeval(*asked, env=place.env())
    assert "36 answers to be asked online: a prefill needs a server" in done.stderr, done.stderr
    assert [words[0] for words in place.starts] == ["serve"]


def test_ctrl_c_ends_vllm_and_the_run_can_be_resumed(place: Place, online: pd.DataFrame) -> None:
    process = start(*place.by_vllm(), env=place.env("hang"))
    code, _, err = stop_when(process, lambda: bool(place.starts), signal.SIGINT)
    assert code == 130, err
    assert "interrupted; resume with:" in err
    done = place.resume()
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(place.run), online)
    assert not place.shards.exists()
