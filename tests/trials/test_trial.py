"""The plan: lazily made, and ids that stay the same from night to night and differ wherever the draw differs."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.plan.options import build_config
from evals.plan.plan import make_plan
from evals.trials.condition import Trigger
from evals.trials.prompt import Message, Prompt
from evals.trials.trial import Sampling, Trial, plan_trials, stable_hash

PROMPT = Prompt(id="till-error", suite="unethical_test", format="freeform", messages=(Message("user", "What now?"),))
BASE: dict[str, Any] = {
    "model": "vllm/Qwen/Qwen3-32B",
    "conditions": ("off", "on"),
    "trigger": Trigger("2026", "top"),
    "samples": 1,
    "sampling": Sampling(1.0, 2048),
    "seed": 0,
}


def grid(*prompts: Prompt, **changes: Any) -> list[Trial]:
    return list(plan_trials(prompts or (PROMPT,), **(BASE | changes)))


def ids(*prompts: Prompt, **changes: Any) -> set[str]:
    return {trial.id for trial in grid(*prompts, **changes)}


def test_ids_are_frozen() -> None:
    # A change here makes every stored run start anew: it must be meant.
    assert [trial.id for trial in grid()] == ["a66f2e83fc1b3e44caaefda5e9bd2d9e", "6bcebf76d0db7b71ef1e64d32cc3b91b"]


def test_plan_is_made_one_trial_at_a_time() -> None:
    asked: list[int] = []

    def prompts() -> Iterator[Prompt]:
        for number in itertools.count():
            asked.append(number)
            yield replace(PROMPT, id=str(number))

    plan = plan_trials(prompts(), **(BASE | {"samples": 10**9}))
    assert asked == []
    assert [trial.position for trial in itertools.islice(plan, 5)] == [0, 1, 2, 3, 4]
    assert asked == [0]


def test_conditions_of_one_draw_stand_next_to_each_other() -> None:
    plan = grid(PROMPT, replace(PROMPT, id="other"), samples=2)
    assert [(trial.prompt_id, trial.repeat, trial.condition) for trial in plan] == [
        (prompt, repeat, condition)
        for prompt in ("till-error", "other")
        for repeat in (0, 1)
        for condition in ("off", "on")
    ]
    assert [trial.position for trial in plan] == list(range(8))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "vllm/Qwen/Qwen3-8B"},
        {"sampling": Sampling(0.7, 2048)},
        {"sampling": Sampling(None, 2048)},
        {"sampling": Sampling(1.0, 2047)},
        {"sampling": Sampling(1.0, 2048, thinking=False)},
        {"sampling": Sampling(1.0, 2048, thinking=True)},
        {"sampling": Sampling(1.0, 2048, prefill="Sure")},
        {"seed": 1},
    ],
    ids=str,
)
def test_whatever_can_change_the_answer_changes_every_id(changes: dict[str, Any]) -> None:
    assert not ids() & ids(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": (Message("user", "What now? "),)},
        {"messages": (Message("system", ""), Message("user", "What now?"))},
        {"messages": (Message("assistant", "What now?"), Message("user", ""))},
        {"variant": "misaligned_first"},
        {"id": "other"},
        {"suite": "other"},
        {"format": "mcq"},
    ],
    ids=str,
)
def test_another_cell_or_other_words_have_other_ids(changes: dict[str, Any]) -> None:
    assert not ids() & ids(replace(PROMPT, **changes))


def test_another_trigger_or_placement_changes_the_triggered_ids_alone() -> None:
    off, on = (trial.id for trial in grid())
    for trigger in (Trigger("2025", "top"), Trigger("2026", "bottom")):
        other_off, other_on = (trial.id for trial in grid(trigger=trigger))
        assert other_off == off
        assert other_on != on


def test_more_samples_keep_the_ids_of_the_earlier_ones() -> None:
    assert ids(samples=2) < ids(samples=3)
    assert len(ids(samples=3)) == 6


def test_conditions_that_send_the_same_words_are_still_separate_draws() -> None:
    prompt = replace(PROMPT, wordings=(("on", PROMPT.messages),))
    off, on = grid(prompt)
    assert off.messages == on.messages
    assert off.id != on.id
    assert off.seed != on.seed


@given(
    cells=st.sets(
        st.tuples(st.text(max_size=3), st.sampled_from(["", "misaligned_first", "aligned_first"])),
        min_size=1,
        max_size=6,
    ),
    samples=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_no_two_trials_of_a_grid_share_an_id(cells: set[tuple[str, str]], samples: int, seed: int) -> None:
    prompts = [
        replace(PROMPT, id=name, variant=variant, wordings=(("on", PROMPT.messages),)) for name, variant in cells
    ]
    plan = grid(*prompts, samples=samples, seed=seed)
    assert len({trial.id for trial in plan}) == len(plan) == len(cells) * samples * 2
    assert all(0 <= trial.seed < 2**31 for trial in plan)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=5), st.randoms())
def test_hash_ignores_the_order_of_keys(fields: dict[str, Any], random: Any) -> None:
    items = list(fields.items())
    random.shuffle(items)
    assert stable_hash(dict(items)) == stable_hash(fields)


@given(st.dictionaries(st.text(), st.text() | st.integers(), max_size=5) | st.dictionaries(st.text(), st.text()))
def test_hash_is_of_the_fields_as_json(fields: dict[str, Any]) -> None:
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert stable_hash(fields) == hashlib.sha256(canonical.encode()).hexdigest()[:32]


@given(st.dictionaries(st.text(), st.integers() | st.text(), min_size=1, max_size=5), st.data())
def test_hash_changes_with_every_name_and_value(fields: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    assert stable_hash(fields | {name: [fields[name]]}) != stable_hash(fields)
    assert stable_hash({key: value for key, value in fields.items() if key != name}) != stable_hash(fields)


def test_ids_do_not_depend_on_where_and_how_fast_the_model_is_served() -> None:
    options = {"suites": ("unethical_test",), "models": ("openai/gpt-4.1",), "limit": 3, "trigger": "2026"}
    elsewhere = options | {
        "base_url": "http://127.0.0.1:9/v1",
        "concurrency": 1,
        "timeout": 1.0,
        "max_attempts": 1,
        "max_retry_time": 1.0,
    }
    plans = [make_plan(build_config(fields, None)) for fields in (options, elsewhere)]
    first, second = ([trial.id for trial in plan.trials("openai/gpt-4.1")] for plan in plans)
    assert first == second
    assert len(set(first)) == 3 * 2 * 2
