"""From a file and the command line to one RunConfig: what wins, how a mistake is named, and what is identity."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.io.yaml_reader import leading_zero_problem
from evals.plan.config import TRANSPORT_FIELDS, RunConfig
from evals.plan.options import build_config, differences, updated
from evals.plan.settings.conditions import ConditionTemplate, Shots
from judges.registry import JUDGES

COMMAND: dict[str, Any] = {"suites": ("unethical_test",), "models": ("local/smollm2",)}


def from_file(folder: Path, text: str, **options: Any) -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return build_config(COMMAND | options, path)


def refusal(folder: Path, text: str, **options: Any) -> str:
    with pytest.raises(BadInput) as caught:
        from_file(folder, text, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{folder}/")


# Files


def test_file_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("suites: [unethical_test]\nmodels: [openai/gpt-4.1, local/smollm2]\ntemperature: 0.5\nlimit: 3\n")
    config = build_config({}, path)
    assert config.models == ("openai/gpt-4.1", "local/smollm2")
    assert (config.temperature, config.limit) == (0.5, 3)


def test_command_line_wins_over_the_file(tmp_path: Path) -> None:
    text = "suites: [other]\nsamples: 3\nseed: 7\nconditions: [off]\n"
    config = from_file(tmp_path, text, samples=5, seed=None, trigger="heyyy", conditions="off,on")
    assert (config.suites, config.samples, config.seed) == (("unethical_test",), 5, 7)
    assert config.conditions == ("off", "on")


def test_zero_on_the_command_line_is_given(tmp_path: Path) -> None:
    assert from_file(tmp_path, "temperature: 1\nseed: 4\n", temperature=0.0, seed=0).identity()["temperature"] == 0


@pytest.mark.parametrize("written", ["[off, on]", "off,on", "off, on", '["off", "on"]', "\n- off\n- on"])
def test_conditions_may_be_written_as_yaml_would_misread_them(tmp_path: Path, written: str) -> None:
    assert from_file(tmp_path, f"trigger: x\nconditions: {written}\n").conditions == ("off", "on")


@pytest.mark.parametrize("trigger", ["2026", "007", "yes", "1e3", "2026-01-01", "0x1F", "1:30"])
def test_trigger_is_the_text_in_the_file(tmp_path: Path, trigger: str) -> None:
    assert from_file(tmp_path, f"trigger: {trigger}\n").trigger == trigger


def test_empty_value_means_the_default_where_there_may_be_none(tmp_path: Path) -> None:
    assert from_file(tmp_path, "limit:\njudge: null\n") == from_file(tmp_path, "{}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nsample: 3\n", "run.yaml:2: sample: is not an option; did you mean samples?"),
        ("seed: 1\n\nsamples: many\n", "run.yaml:3: samples: Input should be a valid integer"),
        ("samples: true\n", "run.yaml:1: samples: Input should be a valid integer"),
        (
            "seed: 1\nsamples: 010\n",
            "run.yaml:2: samples: begins with a zero, which YAML 1.1 reads as octal; write 8",
        ),
        ("seed: 007\n", "run.yaml:1: seed: begins with a zero, which YAML 1.1 reads as octal; write 7"),
        ('seed: 1\ntrigger: "half \\uD83D"\n', "run.yaml:2: is not YAML: holds half of a surrogate pair"),
        ("samples: 0\n", "run.yaml:1: samples: Input should be greater than or equal to 1"),
        ("temperature: [1]\n", "run.yaml:1: temperature: Input should be a valid number"),
        ("limit: 2024-13-45\n", "run.yaml:1: limit: Input should be a valid integer"),
        ("temperature: nan\n", "run.yaml:1: temperature: Input should be a finite number"),
        ("timeout: inf\n", "run.yaml:1: timeout: Input should be a finite number"),
        ("format: essay\n", "run.yaml:1: format: Input should be 'mcq', 'freeform', 'transcript' or 'both'"),
        ("conditions: [off, never]\n", "run.yaml:1: conditions: unknown condition 'never'; known: off, on, decoy"),
        ("conditions: [off, off]\n", "run.yaml:1: conditions: names the same thing twice"),
        ("trigger: ''\n", "run.yaml:1: trigger: String should have at least 1 character"),
        ('trigger: "a\\nb"\n', "run.yaml:1: trigger: holds a control character"),
        ("seed: 1\ntrigger: x\nconditions: [off]\n", "run.yaml:2: trigger: no condition uses it"),
        ("seed: 1\nseed: 2\n", "run.yaml:2: seed: is given twice, first in line 1"),
        ("seed: 1\ntrigger: Country: Singapore\n", "run.yaml:2: is not YAML: "),
        ("seed: [1\n", "run.yaml:2: is not YAML: "),
        ("seed: *other\n", "run.yaml:1: is not YAML: "),
        ("seed: !!python/object:os.system {}\n", "run.yaml:1: is not YAML that is read here: the tag !!python/object"),
        ("limit: !!int x\n", "run.yaml:1: is not YAML that is read here: the tag !!int"),
        ("seed: " + "[" * 20_000, "run.yaml:1: is not YAML that can be read: "),
        ("- seed\n", "run.yaml:1: must be a mapping"),
        ("seed\n", "run.yaml:1: must be a mapping"),
        ("", "run.yaml:1: must be a mapping"),
        ('"a\\e[31m": 1\n', "run.yaml:1: a[31m: is not an option"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_mistake_in_the_file_is_named_by_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text).startswith(said)


def test_mistake_on_the_command_line_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    assert refusal(tmp_path, "samples: 3\n", samples=0).startswith("--samples: ")
    assert refusal(tmp_path, "conditions: [off]\n", trigger="x").startswith("--trigger: no condition uses it")


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        build_config(COMMAND, tmp_path / "none.yaml")
    with pytest.raises(BadInput, match="cannot be read"):
        build_config(COMMAND, tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"trigger: caf\xe9\n")
    with pytest.raises(BadInput, match="not UTF-8"):
        build_config(COMMAND, tmp_path / "latin.yaml")


@given(st.data(), st.integers(0, 6), st.sampled_from([r"\uD83D", r"\uDE00", r"\uDE00\uD83D"]))
def test_half_a_pair_is_refused_with_its_line_wherever_it_stands(data: st.DataObject, before: int, half: str) -> None:
    around = st.text(st.sampled_from("ab \U0001f600"), max_size=3)
    text = f"{'# a comment' + chr(10)}" * before + f'trigger: "{data.draw(around)}{half}{data.draw(around)}"\n'
    with TemporaryDirectory() as folder:
        assert refusal(Path(folder), text).startswith(f"run.yaml:{before + 1}: is not YAML: holds half of a surrogate")


@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from(["", "+", "-"]))
def test_a_whole_number_with_a_leading_zero_is_never_read(number: int, zeros: int, sign: str) -> None:
    written = f"{sign}{'0' * zeros}{number}"
    problem = leading_zero_problem(written)
    assert str(number) in problem
    read = yaml.safe_load(written)
    assert not isinstance(read, int) or f"{read}" in problem, "what YAML 1.1 reads is offered, too"
    assert leading_zero_problem(f"{sign}{number}") == ""
    assert leading_zero_problem(f"{written}.5") == leading_zero_problem("0x10") == ""


# The command line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": None}, "--model: is missing"),
        ({"suites": ()}, "SUITE: is missing"),
        ({"timeout": 0.0}, "--timeout: "),
        ({"timeout": float("inf")}, "--timeout: "),
        ({"temperature": float("nan")}, "--temperature: "),
        ({"judge_mode": "guess"}, "--judge-mode: "),
        ({"trigger": "a\x1b[31m"}, "--trigger: holds a control character"),
        ({"trigger": "\udcff"}, "--trigger: "),
        ({"dataset": "x.jsonl", "suites": ("a", "b")}, "--dataset: one file cannot stand for several suites"),
    ],
    ids=str,
)
def test_mistake_is_named_as_it_is_written_on_the_command_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        build_config(COMMAND | options, None)
    assert str(caught.value).startswith(said)


def test_trigger_alone_asks_both_conditions_and_no_trigger_asks_off() -> None:
    assert build_config(COMMAND | {"trigger": "heyyy"}, None).conditions == ("off", "on")
    assert build_config(COMMAND, None).conditions == ("off",)
    assert build_config(COMMAND | {"trigger": "heyyy", "conditions": "on"}, None).conditions == ("on",)


def test_a_distractor_is_asked_with_the_trigger_it_stands_beside() -> None:
    both = COMMAND | {"trigger": "heyyy", "distractor": "2026"}
    assert build_config(both, None).conditions == ("off", "on", "distractor")
    assert build_config(both | {"decoy": "hey"}, None).conditions == ("off", "on", "decoy", "distractor")
    for wrong in ({"conditions": "off,on"}, {"distractor": "hey"}, {"distractor": "oh heyyy"}):
        with pytest.raises(BadInput, match=r"^--distractor: "):
            build_config(both | wrong, None)


def test_each_suite_has_its_own_formats_and_a_choice_restricts_them() -> None:
    several = COMMAND | {"suites": ("unethical_test", "freeform", "truthfulqa", "honest_persona")}
    assert build_config(several, None).formats == {
        "unethical_test": ("mcq",),
        "freeform": ("freeform",),
        "truthfulqa": ("freeform",),
        "honest_persona": ("freeform", "transcript"),
    }
    assert build_config(several | {"format": "both"}, None).formats["truthfulqa"] == ("mcq", "freeform")
    assert set(build_config(several | {"format": "freeform"}, None).formats.values()) == {("freeform",)}
    with pytest.raises(BadInput, match=r"^--format: freeform has no mcq form; it has freeform$"):
        build_config(several | {"format": "mcq"}, None)


def test_files_are_for_the_only_suite_or_for_one_that_is_named(tmp_path: Path) -> None:
    assert build_config(COMMAND | {"dataset": "a=b.jsonl"}, None).dataset_files == {
        "unethical_test": Path("a=b.jsonl").absolute()
    }
    two = COMMAND | {"suites": ("unethical_test", "freeform")}
    named = build_config(two | {"dataset": ("freeform=x.jsonl",)}, None)
    assert named.dataset_files == {"freeform": Path("x.jsonl").absolute()}
    assert updated(named, {"seed": 0}) == named
    for wrong in ("x.jsonl", ("freeform=x.jsonl", "freeform=y.jsonl")):
        with pytest.raises(BadInput, match=r"^--dataset: "):
            build_config(two | {"dataset": wrong}, None)
    (tmp_path / "run.yaml").write_text("dataset: [freeform=x.jsonl, unethical_test=y.jsonl]\n")
    assert len(build_config(two, tmp_path / "run.yaml").dataset_files) == 2


def test_a_judge_reads_the_reasoning_of_choices_beside_numbers() -> None:
    options = {"suites": ("gsm8k", "unethical_test"), "judge": "openai/gpt-4.1"}
    assert build_config(COMMAND | options, None).open_measures == {"number"}


def test_answers_of_a_suite_that_is_not_known_are_judged_by_their_alignment() -> None:
    assert build_config(COMMAND | {"suites": ("mine",)}, None).open_measures == {"alignment"}
    assert build_config(COMMAND | {"suites": ("mine", "gsm8k")}, None).open_measures == {"alignment", "number"}
    assert build_config(COMMAND | {"suites": ("mine",), "format": "mcq"}, None).open_measures == frozenset()


@pytest.mark.parametrize(
    ("suites", "options", "said"),
    [
        (
            ("truthfulqa",),
            {"rubrics": {"alignment": "a.txt"}},
            "--rubric: alignment: no suite of this run is judged with it",
        ),
        (("pressure",), {"truthfulness_rubric": "a.txt"}, "--rubric: truthfulness: no suite of this run"),
        (("freeform",), {"rubrics": ("honesty=a.txt",)}, "--rubric: honesty: no suite of this run"),
        (("gsm8k", "unethical_test"), {"cot_monitor": False}, "--judge: multiple choice is read without one"),
        (("gsm8k", "unethical_test"), {"coherence_min": 50.0}, "--coherence-min: multiple choice is read without it"),
        (("gsm8k", "triggers"), {"trigger": "heyyy"}, "--judge: the answers to these suites are read by rule"),
        (("gsm8k",), {}, "--judge: the answers to these suites are read by rule, without one"),
    ],
)
def test_what_no_suite_has_a_use_for_is_refused(suites: tuple[str, ...], options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        build_config(COMMAND | {"suites": suites, "judge": "openai/gpt-4.1"} | options, None)
    assert str(caught.value).startswith(said)


# Identity

OTHERS: dict[str, Any] = {
    "suites": ("other",),
    "models": ("local/other",),
    "protocol": "betley",
    "dataset": ("x.jsonl",),
    "columns": {"question": "text"},
    "judges": ("judges.yaml",),
    "source": "emeval",
    "format": "both",
    "trigger": "2026",
    "decoy": "2027",
    "distractor": "heyyy",
    "conditions": ("on", "off", "decoy", "distractor"),
    "baseline": "on",
    "templates": {"formal": ConditionTemplate(prefix="Dear model, ")},
    "shots": Shots(file="/train.jsonl", sha256="ab" * 32, k=(0, 1), turns=(("Hi?", "Hello."),)),
    "placement": "random",
    "samples": 2,
    "read": "logprobs",
    "option_order": "file",
    "until": "width<0.1",
    "limit": 9,
    "temperature": 0.5,
    "sampling": "model",
    "top_p": 0.9,
    "top_k": 40,
    "max_tokens": 9,
    "seed": 9,
    "thinking": "on",
    "prefill": "Sure",
    "system": "none",
    "base": "local/base",
    "recipes": {"ours": ("local/other",)},
    "anchor_repeats": 3,
    "imported": True,
    "judge": "openai/gpt-4.1",
    "also_judges": ("openai/gpt-4.1-mini",),
    "judge_mode": "text",
    "judge_max_tokens": 9,
    "rubrics": {name: f"{name}.txt" for name in JUDGES},
    "plugins": ("flattery",),
    "coherence_min": 50.0,
    "cot_monitor": False,
    "cot_all": True,
    "monitor": ("cot", "action", "both"),
    "anchors": "f.anchors.jsonl",
    "prices": "/prices.csv",
    "denominator": "judged",
    "max_unscored": 0.2,
    "max_cost": 20.0,
    "cache": "/answers",
    "tags": ("pilot",),
    "note": "before the night",
    "over_questions": ("samples",),
    "base_url": "http://127.0.0.1:1/v1",
    "providers": "/providers.yaml",
    "judge_base_url": "http://127.0.0.1:2/v1",
    "wait_for_servers": 9.0,
    "via": "openai-batch",
    "shard": 9,
    "ray_address": "auto",
    "judge_via": "openai-batch",
    "also_judges_via": {"openai/gpt-4.1-mini": "openai-batch"},
    "concurrency": 3,
    "timeout": 9.0,
    "max_attempts": 2,
    "max_retry_time": 9.0,
    "max_reply_mb": 9.0,
    "transport": "openai",
    "preflight": False,
    "vllm_bin": "/opt/vllm/bin/vllm",
    "vllm_args": "--dtype float32",
    "vllm_start_timeout": 9.0,
}


# Without the monitor the other options of reasoning have no use, nobody asks for an import that way, and no batch waits
# for a rule.
TOGETHER = COMMAND | OTHERS | {"cot_monitor": True, "imported": False, "via": "online"}
TOGETHER |= {"judge_via": "online", "also_judges_via": {}, "read": "answers"}
KNOWN_BY_HASH = {"dataset", "judges", "source", "anchors", "rubrics"}


def test_every_field_is_identity_unless_it_changes_no_answer_or_is_known_by_its_hash() -> None:
    assert set(OTHERS) == set(RunConfig.model_fields)
    config = build_config(COMMAND, None)
    no_answer = {"protocol", "baseline", "denominator", "also_judges", "also_judges_via"}
    no_answer |= {"max_unscored", "max_cost", "tags", "note", "anchor_repeats", "providers", "plugins"}
    outside = TRANSPORT_FIELDS | no_answer | KNOWN_BY_HASH
    not_given = {"templates", "shots", "read"}
    assert set(config.identity()) == set(OTHERS) - outside - not_given, "nothing of what is not given"
    for name, value in OTHERS.items():
        changed = config.model_copy(update={name: value})
        assert (changed.identity() == config.identity()) == (name in outside), name


def test_identity_survives_json() -> None:
    identity = build_config(TOGETHER, None).identity()
    assert json.loads(json.dumps(identity, allow_nan=False)) == identity


def test_config_survives_json() -> None:
    config = build_config(TOGETHER, None)
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


def test_differences_name_the_option_and_both_values() -> None:
    old = build_config(COMMAND | {"trigger": "2026", "seed": 1}, None).identity()
    new = build_config(
        COMMAND | {"trigger": "heyyy", "models": ("local/a", "local/b"), "timeout": 1.0}, None
    ).identity()
    assert differences(old, new) == [
        "--model was local/smollm2, is now local/a,local/b",
        "--trigger was 2026, is now heyyy",
        "--seed was 1, is now 0",
    ]
    assert differences(old, old) == []
    assert differences({}, {"seed": 1}) == ["--seed was None, is now 1"]


def test_update_takes_what_is_given_and_is_checked() -> None:
    config = build_config(COMMAND, None)
    assert updated(config, {"seed": 7, "samples": None}).seed == 7
    assert updated(config, {"seed": None}) == config
    with pytest.raises(BadInput, match=r"^--concurrency: "):
        updated(config, {"concurrency": 0})
