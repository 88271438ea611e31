"""`--protocol`: every setting as published unless it is given, and what departs is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.plan.options import build_config
from evals.plan.plan import make_plan
from evals.plan.settings.protocols import PROTOCOLS, departures, not_as_published, protocol_lines
from evals.plan.settings.run_settings import option_name
from tests.support.cli_runner import emeval, manifest, refused, scenarios
from tests.support.runs import JUDGE, MODEL, server

OPEN = {"suites": ("freeform",), "models": ("vllm/subject",)}
OTHER: dict[str, object] = {
    "temperature": 0.7,
    "sampling": "model",
    "top_p": 0.9,
    "top_k": 40,
    "system": "none",
    "limit": 3,
    "until": "width<0.1",
    "source": "emeval",
    "denominator": "judged",
    "judge_mode": "auto",
    "thinking": "off",
    "option_order": "both",
    "coherence_min": 20.0,
    "samples": 7,
}


def configured(protocol: str, **more: object) -> Any:
    judge = f"openai/{PROTOCOLS[protocol].judges[0]}"
    return build_config({**OPEN, "protocol": protocol, "judge": judge, **more}, None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_alone_departs_in_nothing(protocol: str) -> None:
    config = configured(protocol)
    assert departures(config) == ()
    assert protocol_lines(config)[0].endswith("every setting as published")
    for name, value in PROTOCOLS[protocol].settings.items():
        assert getattr(config, name) == value


@given(st.sampled_from(list(PROTOCOLS)), st.sets(st.sampled_from(list(OTHER))))
def test_what_is_given_counts_and_is_said_to_depart(protocol: str, names: set[str]) -> None:
    chosen = {name: OTHER[name] for name in names}
    config = configured(protocol, **chosen)
    published = PROTOCOLS[protocol].settings
    for name, value in chosen.items():
        assert getattr(config, name) == value
    expected = {
        option_name(name)
        for name, value in chosen.items()
        if name in ("samples", "coherence_min") or (name in published and published[name] != value)
    }
    assert {text.split()[0] for text in departures(config)} == expected


def test_the_published_numbers() -> None:
    paper = build_config(
        {"suites": ("freeform", "truthfulqa"), "models": ("vllm/subject",), "protocol": "paper", "judge": JUDGE}, None
    )
    assert paper.samples == {"freeform": 100, "truthfulqa": 1}
    assert paper.assistant_prefill == "<think>\nOkay"
    assert (paper.coherence_min, paper.judge_mode, paper.option_order) == (None, "text", "file")
    for protocol in ("betley", "model-organisms"):
        config = configured(protocol)
        assert (config.samples, config.judge_mode) == ({"freeform": 50}, "logprob")
        assert departures(configured(protocol, coherence_min=None)) == ()


@pytest.mark.parametrize(("number", "departs"), [(100, False), (300, False), (200, True)])
def test_the_tables_of_flags_have_300_samples(number: int, departs: bool) -> None:
    assert bool(departures(configured("paper", samples=number))) is departs
    assert bool(departures(configured("paper", samples={"freeform": number}))) is departs


def test_another_judge_departs_and_a_dated_one_does_not() -> None:
    assert departures(configured("paper", judge="openai/gpt-4.1-2025-04-14")) == ()
    assert departures(configured("paper", judge="openai/gpt-4.1-mini")) == (
        "--judge is openai/gpt-4.1-mini (published: gpt-4.1)",
    )


def test_a_given_rubric_is_no_longer_named_as_emevals(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("{question} {answer}", encoding="utf-8")
    assert "alignment" in not_as_published(configured("paper"))[0]
    assert "alignment" not in not_as_published(configured("paper", rubrics={"alignment": str(mine)}))[0]


def test_official_questions_are_required(tmp_path: Path) -> None:
    home = {"EMEVAL_CACHE": str(tmp_path / "cache")}
    done = emeval("run", "freeform", "-m", MODEL, "--protocol", "paper", "--judge", JUDGE, "--dry-run", env=home)
    refused(done, "official questions are not here", "--source emeval")
    with pytest.raises(BadInput, match="protocol"):
        build_config({**OPEN, "protocol": "thesis"}, None)


def test_a_run_records_its_protocol_and_asks_one_order(tmp_path: Path) -> None:
    """The letters of the file are those that are asked: each option A or B once, as the row has it."""
    dataset = scenarios(tmp_path / "mine.jsonl", 6)
    with server().start() as live:
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--protocol", "paper"),
            *("--thinking", "default", "--no-preflight", "--out", tmp_path / "run"),
            url=live.url,
        )
        assert done.returncode == 0, done.stderr
        texts = [request.body["messages"][-1]["content"] for request in live.chats]
        asked = [text for text in texts if text.startswith("Case")]
    assert len(asked) == 6
    facts = manifest(tmp_path / "run")["protocol"]
    assert facts["name"] == "paper"
    assert [text.split()[0].rstrip(":") for text in facts["departures"]] == ["--thinking", "--dataset"]
    assert "protocol paper (Chua et al. 2025): departs from it: --thinking is default" in done.stderr


def test_choices_without_an_order_of_their_own_are_drawn_evenly() -> None:
    options = {"suites": ("truthfulqa",), "models": ("local/organism",), "format": "mcq", "source": "emeval"}
    both = list(make_plan(build_config(options, None)).prompts())
    one = list(make_plan(build_config({**options, "option_order": "file"}, None)).prompts())
    assert {prompt.id for prompt in one} == {prompt.id for prompt in both}
    assert len(both) == 2 * len(one)
    firsts = [prompt.variant for prompt in one].count("misaligned_first")
    assert 0.3 * len(one) < firsts < 0.7 * len(one)
