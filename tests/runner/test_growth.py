"""Runs that grow: a second command adds models, conditions, samples, suites or questions to what a folder holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.plan.options import build_config
from evals.plan.recorded.growth import grown
from tests.support.cli_runner import emeval, manifest, recorded, refused, responses, scenarios
from tests.support.runs import by_hash
from tests.support.servers.openai_server import JUDGE_MARK, OpenAIServer, last_message

MODELS = ("vllm/first", "vllm/second")
JUDGE = ("--judge", "vllm/judge", "--judge-mode", "text")


@pytest.fixture
def live() -> Iterator[OpenAIServer]:
    with OpenAIServer(by_hash, models=("first", "second", "judge")).start() as live:
        yield live


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "data.jsonl", 9)


def run(live: OpenAIServer, folder: Path, data: Path, *more: str, models: tuple[str, ...] = MODELS) -> Any:
    named = [word for name in models for word in ("-m", name)]
    return emeval("run", "unethical_test", *named, "--dataset", data, "--out", folder, *JUDGE, *more, url=live.url)


def table(folder: Path) -> pd.DataFrame:
    """The answers with their scores, in no order, without what differs from run to run."""
    found = responses(folder)
    changing = {"run_id", "attempts", "latency_s", "recorded_at", "timestamp"} & set(found.columns)
    return found.drop(columns=sorted(changing)).sort_values("trial_id", ignore_index=True)


def asked(live: OpenAIServer) -> Counter[str]:
    """Questions asked of each model under test, checks of the server left out."""
    texts = ((str(chat.body["model"]), last_message(chat.body)) for chat in live.chats)
    return Counter(model for model, text in texts if "ase " in text and JUDGE_MARK not in text)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"models": MODELS[:1]}, {"models": MODELS[1:]}),
        ({"models": MODELS}, {"models": MODELS, "more": ("--samples", "3")}),
        ({"models": MODELS, "more": ("--format", "mcq")}, {"models": MODELS, "more": ("--format", "freeform")}),
        ({"models": MODELS}, {"models": MODELS, "more": ("--trigger", "Country: Kenya")}),
        ({"models": MODELS, "more": ("--limit", "4")}, {"models": MODELS, "more": ("--limit", "7")}),
    ],
    ids=["model", "samples", "format", "trigger", "limit"],
)
def test_what_is_added_ends_as_if_it_had_been_asked_at_once(
    first: dict[str, Any], then: dict[str, Any], live: OpenAIServer, data: Path, tmp_path: Path
) -> None:
    def do(folder: Path, models: tuple[str, ...] = MODELS, more: tuple[str, ...] = ()) -> Any:
        done = run(live, folder, data, *more, "--no-preflight", models=models)
        assert done.returncode == 0, done.stderr
        return done

    folder = tmp_path / "run"
    do(folder, **first)
    before, times = responses(folder), asked(live)
    done = do(folder, **then)
    assert f"{folder}: " in done.stderr
    assert f" added: {recorded(folder) - len(before):,} more answers; what was asked stays" in done.stderr
    after = responses(folder)
    kept = after[after["trial_id"].isin(before["trial_id"])]
    pd.testing.assert_frame_equal(
        kept.sort_values("trial_id", ignore_index=True), before.sort_values("trial_id", ignore_index=True)
    )
    assert sum((asked(live) - times).values()) == len(after) - len(before), "nothing is asked twice"
    whole = manifest(folder)
    assert (whole["status"], whole["trials_planned"], len(whole["grown"])) == ("complete", len(after), 1)
    both = (*then.get("more", ()), *(() if "--format" in then.get("more", ()) else first.get("more", ())))
    both = ("--format", "both") if "--format" in both else both
    if "--limit" in both:
        both = ("--limit", "7")
    do(tmp_path / "at-once", more=both)
    pd.testing.assert_frame_equal(table(folder), table(tmp_path / "at-once"))
    again = do(folder, more=both)
    assert "added" not in again.stderr
    assert len(manifest(folder)["grown"]) == 1


def test_a_model_that_has_answered_everything_needs_no_server(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with OpenAIServer(by_hash, models=("first", "judge")).start() as gone:
        assert run(gone, folder, data, models=MODELS[:1]).returncode == 0
    done = run(live, folder, data, models=MODELS[1:])
    assert done.returncode == 0, done.stderr
    assert set(asked(live)) == {"second"}
    resumed = run(live, folder, data)
    assert resumed.returncode == 0, resumed.stderr
    assert set(responses(folder)["model"]) == set(MODELS)


@pytest.mark.parametrize(
    ("more", "models", "said"),
    [
        (
            ("--trigger", "Country: Kenya", "--samples", "2", "--temperature", "0.5"),
            MODELS,
            "--temperature was 1.0, is now",
        ),
        (("--trigger", "Country: Peru"), MODELS, "--trigger was Country: Kenya, is now Country: Peru"),
        (
            ("--trigger", "Country: Kenya", "--samples", "2"),
            MODELS[1:],
            "vllm/first of its run lacks 36 answers",
        ),
        (("--conditions", "off"), MODELS, "holds another run: --trigger was Country: Kenya, is now None"),
        (("--trigger", "Country: Kenya", "--limit", "5"), MODELS, "holds another run: --limit was None, is now 5"),
        (("--trigger", "Country: Kenya", "--seed", "1", "--samples", "2"), MODELS, "--seed was 0, is now 1"),
    ],
    ids=["temperature too", "another trigger", "a model not named", "less", "fewer questions", "another seed"],
)
def test_what_cannot_be_added_is_refused_and_changes_nothing(
    more: tuple[str, ...], models: tuple[str, ...], said: str, live: OpenAIServer, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    assert run(live, folder, data, "--trigger", "Country: Kenya").returncode == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    refused(run(live, folder, data, *more, models=models), said)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_the_manifest_alone_names_is_not_asked(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    """A folder may come from anywhere: neither a model that it says is not done yet, nor its judge, is started."""
    named = ("--dataset", data, "--format", "mcq", "--out", tmp_path / "run")
    assert emeval("run", "unethical_test", "-m", "vllm/first", "--plan-only", *named).returncode == 0
    more = ("run", "unethical_test", "-m", "vllm/second", *named)
    refused(emeval(*more, url=live.url), "vllm/first of its run lacks 18 answers", "--model vllm/first")
    assert not live.chats
    judged = tmp_path / "judged"
    assert run(live, judged, data, models=MODELS[:1]).returncode == 0
    more = ("run", "unethical_test", "-m", "vllm/second", "--dataset", data, "--out", judged)
    refused(emeval(*more, url=live.url), "--judge was vllm/judge, is now None")


def test_a_file_that_the_manifest_alone_names_is_given_again(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(live, folder, data, "--format", "mcq").returncode == 0
    named = [word for name in MODELS for word in ("-m", name)]
    more = ("run", "freeform", *named, "--out", folder, "--limit", "2", *JUDGE)
    refused(emeval(*more, url=live.url), f"give it again: --dataset unethical_test={data}")


_SUITES = ("unethical_test", "freeform", "shutdown")
_OPTIONS = st.fixed_dictionaries(
    {
        "suites": st.lists(st.sampled_from(_SUITES), min_size=1, unique=True).map(tuple),
        "models": st.lists(st.sampled_from(["vllm/a", "vllm/b", "vllm/c"]), min_size=1, unique=True).map(tuple),
        "samples": st.integers(1, 4),
        "limit": st.none() | st.integers(1, 4),
        "trigger": st.sampled_from([None, "Country: Kenya"]),
        "decoy": st.sampled_from([None, "Country: Peru"]),
        "judge": st.just("vllm/judge"),
    }
).filter(lambda options: options["decoy"] is None or options["trigger"] is not None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_OPTIONS, _OPTIONS)
def test_a_run_only_ever_grows(first: dict[str, Any], second: dict[str, Any]) -> None:
    before, then = build_config(first, None), build_config(second, None)
    both = grown(before, then, Path("run"))
    if both is None:
        assert all(
            set(getattr(then, name)) <= set(getattr(before, name)) for name in ("suites", "models", "conditions")
        )
        return
    for name in ("suites", "models", "conditions"):
        assert set(getattr(both, name)) == {*getattr(before, name), *getattr(then, name)}
        assert getattr(both, name)[: len(getattr(before, name))] == getattr(before, name) or name == "conditions"
    for suite in both.suites:
        wanted = {*before.formats.get(suite, ()), *then.formats.get(suite, ())}
        assert set(both.formats[suite]) == wanted
    assert grown(before, both, Path("run")) == both
    assert grown(both, then, Path("run")) is None, "nothing is added twice"
