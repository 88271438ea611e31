"""Bad input is one clear line and exit 2, and leaves nothing behind; the small commands say what they should."""

from __future__ import annotations

import itertools
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evals import __version__
from tests.support.cli_runner import COMMAND, KEY, emeval, environment, own_process, refused, scenarios
from tests.support.runs import MODEL, server
from tests.support.servers.openai_server import Answer, OpenAIServer, Status


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "d.jsonl", 3)


def run(tmp_path: Path, dataset: Path, *more: str, url: str = "http://127.0.0.1:9/v1", model: str = MODEL):
    arguments = ("run", "unethical_test", "-m", model, "--dataset", dataset, "--out", tmp_path / "out")
    return emeval(*arguments, *more, url=url, cwd=tmp_path)


def test_a_dead_port_is_one_line(tmp_path: Path, dataset: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        refused(run(tmp_path, dataset, url=url), url, "cannot be reached")
    assert not (tmp_path / "out").exists()


def test_a_wrong_key_is_one_line(tmp_path: Path, dataset: Path) -> None:
    with server(key="sk-another").start() as live:
        done = run(tmp_path, dataset, url=live.url)
        refused(done, "does not accept the key (401)")
    assert KEY not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_answered_with_the_known_ones(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        refused(run(tmp_path, dataset, url=live.url, model="vllm/sbject"), "'sbject'", "it serves subject, judge")
    assert not (tmp_path / "out").exists()


def test_an_unknown_judge_is_found_before_anything_is_asked(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        done = run(tmp_path, dataset, "--judge", "vllm/nobody", "--format", "freeform", url=live.url)
        refused(done, "'nobody'")
        assert not [chat for chat in live.chats if "ase " in str(chat.body)]
    assert not (tmp_path / "out").exists()


def test_a_server_that_takes_no_such_request_is_found_before_the_first_trial(tmp_path: Path, dataset: Path) -> None:
    with server(Status(400, "temperature must be 1")).start() as live:
        refused(run(tmp_path, dataset, url=live.url), "refuses a test request", "temperature must be 1")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-m", "gpt-4.1"], "write provider/name, such as local/smollm2"),
        (["-m", "organism:backdoor"], "write provider/name, as in local/organism:backdoor"),
        (["-m", "acme/gpt"], "unknown provider 'acme'"),
        (["-m", "local/nothing"], "know only smollm2, organism, reference-judge (a judge), or a path"),
        (["-m", "local/missing.gguf"], "there is no file missing.gguf"),
        (["--samples", "0"], "--samples: "),
        (["--samples", "many"], "--samples"),
        (["--temperature", "3"], "--temperature: "),
        (["--conditions", "off,maybe"], "unknown condition 'maybe'; known: off, on"),
        (["--conditions", "off,on"], "--trigger is missing"),
        (["--trigger", "x", "--conditions", "off"], "no condition uses it"),
        (["--trigger", "a\nb"], "control character"),
        (["--format", "essay"], "--format: "),
        (["--placement", "middle"], "--placement: "),
        (["--concurrency", "0"], "--concurrency: "),
        (["--no-such-option"], "--no-such-option"),
        (["--config", "missing.yaml"], "missing.yaml: cannot be read"),
        (["--base-url", "ftp://x"], "is not an http(s) URL"),
        (["--base-url", "http://user:secret@x/v1"], "holds a user name or password"),
        (["--judge", "openai/gpt-4.1"], "OPENAI_API_KEY is not set"),
        (["--format", "mcq", "--judge", "vllm/judge", "--no-cot-monitor"], "multiple choice is read without one"),
        (["--format", "mcq", "--judge", "vllm/judge", "--coherence-min", "5"], "multiple choice is read without it"),
        (["--cot-all"], "--cot-all: needs a judge"),
        (["--judge", "vllm/judge", "--no-cot-monitor", "--cot-all"], "nothing uses it with --no-cot-monitor"),
        (["--coherence-min", "50"], "needs a judge"),
        (["--judge", "local/smollm2", "--judge-base-url", "http://x/v1"], "--judge-base-url does not apply"),
        (["--judge", "vllm/judge", "--rubric", "alignment=missing.txt"], "missing.txt: cannot be read"),
    ],
)
def test_a_bad_option_is_one_line(tmp_path: Path, dataset: Path, options: list[str], said: str) -> None:
    with server(Answer("A")).start() as live:
        model = [] if options[0] == "-m" else ["-m", MODEL]
        more = ["--format", "freeform"] if options[0] == "--judge" else []
        done = emeval(
            *("run", "unethical_test", *model, "--dataset", dataset, "--out", tmp_path / "out", *options, *more),
            url=live.url,
            cwd=tmp_path,
        )
        refused(done, said)
    assert "secret" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_exit_codes_are_those_of_the_process(tmp_path: Path, dataset: Path) -> None:
    fixed = ("run", "unethical_test", "-m", MODEL, "--dataset", dataset)
    assert own_process("--version").returncode == 0
    with server(Answer("Neither of them, I think.")).start() as live:
        assert own_process(*fixed, "--out", tmp_path / "gate", url=live.url).returncode == 1
        assert own_process(*fixed, "--samples", "0", url=live.url).returncode == 2
    asked = itertools.count()
    with server(lambda _body, _seen: Answer("A") if next(asked) < 4 else Status(402, "used up")).start() as live:
        assert own_process(*fixed, "--out", tmp_path / "stopped", url=live.url).returncode == 3
    (tmp_path / "gate" / "manifest.json").write_bytes(b"\xff")
    assert own_process("resume", tmp_path / "gate").returncode == 2


def test_no_suite_and_an_unknown_suite_are_one_line(tmp_path: Path) -> None:
    refused(emeval("run", "-m", MODEL, url="http://x/v1"), "SUITE: is missing")
    refused(emeval("run", "ethics", "-m", MODEL, url="http://x/v1"), "unknown suite 'ethics'; known: unethical_test")
    refused(emeval("run", "unethical_test"), "--model: is missing")
    refused(emeval("run", "unethical_test", "-m", MODEL), "set VLLM_BASE_URL")
    assert not (tmp_path / "results").exists()


def test_a_config_error_names_file_line_and_key(tmp_path: Path) -> None:
    config = tmp_path / "night.yaml"
    config.write_text("suites: [unethical_test]\nmodels: [vllm/subject]\nsamples: 1\ntemprature: 0\n")
    refused(emeval("run", "--config", config, url="http://x/v1"), f"{config}:4: temprature: is not an option")


def test_a_bad_dataset_row_is_named_and_nothing_is_sent(tmp_path: Path, dataset: Path) -> None:
    rows = [json.loads(line) for line in dataset.read_text().splitlines()]
    rows[1]["aligned_mcq_answer"] = "Return it"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with server().start() as live:
        refused(run(tmp_path, dataset, url=live.url), f"{dataset}:2: aligned_mcq_answer: ", "'A - ' or 'B - '")
        assert not live.requests
    validated = emeval("datasets", "validate", dataset)
    assert validated.returncode == 2
    assert validated.stdout.strip() == f"{dataset}:2: aligned_mcq_answer: does not open with 'A - ' or 'B - '"


def test_commands_on_something_that_is_no_run_say_so(tmp_path: Path) -> None:
    for command in (["resume"], ["rates"], ["judge", "--judge", "vllm/judge"]):
        refused(emeval(command[0], tmp_path / "nowhere", *command[1:]), "is not a run folder")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text('{"status": "comp')
    refused(emeval("rates", broken), "manifest.json: ", "not a manifest")


def test_a_journal_that_is_no_database_is_one_line(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        assert run(tmp_path, dataset, url=live.url).returncode == 0
    (tmp_path / "out" / "journal.sqlite").write_bytes(b"not a database" * 100)
    refused(emeval("rates", tmp_path / "out"), "journal.sqlite: ", "not a journal")


def test_judging_without_a_judge_says_what_is_missing(tmp_path: Path, dataset: Path) -> None:
    with server().start() as live:
        assert run(tmp_path, dataset, url=live.url).returncode == 0
    refused(emeval("judge", tmp_path / "out"), "--judge is missing")


def test_options_may_come_from_a_file_and_keys_from_dotenv(tmp_path: Path, dataset: Path) -> None:
    with server(key="sk-from-dotenv").start() as live:
        (tmp_path / ".env").write_text(f"VLLM_API_KEY=sk-from-dotenv\nVLLM_BASE_URL={live.url}\n")
        (tmp_path / "night.yaml").write_text(
            f"suites: [unethical_test]\nmodels: [{MODEL}]\ndataset: {dataset}\ntrigger: '2026'\nsamples: 2\n"
        )
        env = environment()
        del env["VLLM_API_KEY"], env["VLLM_BASE_URL"]
        done = subprocess.run(
            [*COMMAND, "run", "--config", "night.yaml", "--out", "out", "--samples", "1"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=env,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["trials_planned"] == 3 * 2 * 2


def test_preflight_says_what_is_served_where() -> None:
    with server().start() as live:
        done = emeval("preflight", "-m", MODEL, "--judge", "vllm/judge", url=live.url)
        assert done.returncode == 0, done.stderr
        assert f"{MODEL}: served at {live.url} as subject" in done.stdout
        assert "judge vllm/judge: served at" in done.stdout
        refused(emeval("preflight", "-m", "vllm/nobody", url=live.url), "does not serve 'nobody'")


def test_the_small_commands_answer() -> None:
    assert emeval("--version").stdout.strip() == f"emeval {__version__}"
    for package in ("emeval", "evals"):
        as_module = [sys.executable, "-m", package, "--version"]
        done = subprocess.run(as_module, env=environment(), capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == f"emeval {__version__}"
    assert "unethical_test" in emeval("suites").stdout
    listed = emeval("datasets", "list").stdout
    assert "unethical_test.jsonl" in listed
    assert "unethical_train.jsonl" in listed
    help_text = emeval("run", "--help").stdout
    for option in ("--model", "--judge", "--trigger", "--placement", "--samples", "--dry-run", "--coherence-min"):
        assert option in help_text


def test_a_reader_that_stops_early_is_no_error(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} datasets list | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_a_server_without_a_model_list_is_still_used(tmp_path: Path, dataset: Path) -> None:
    with OpenAIServer(Answer("A"), models=None).start() as live:
        done = run(tmp_path, dataset, url=live.url)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("locale", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_poor_locale_still_prints_the_rates(tmp_path: Path, dataset: Path, locale: dict[str, str]) -> None:
    with server(Answer("A")).start() as live:
        arguments = ("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--out", tmp_path / "out")
        done = emeval(*arguments, url=live.url, env=locale | {"PYTHONCOERCECLOCALE": "0"})
    assert done.returncode == 0, done.stderr
    assert "50% (3/6)" in done.stdout


def test_a_closed_standard_output_is_no_error(tmp_path: Path, dataset: Path) -> None:
    with server(Answer("A")).start() as live:
        words = f"run unethical_test -m {MODEL} --dataset {dataset} --out {tmp_path / 'out'}"
        done = subprocess.run(
            ["bash", "-c", f"{' '.join(COMMAND)} {words} >&-"],
            capture_output=True,
            text=True,
            env=environment(live.url),
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def test_arguments_that_are_no_text_are_one_line(tmp_path: Path, dataset: Path) -> None:
    refused(run(tmp_path, dataset, "--trigger", "caf\udce9"), "--trigger: ", "unicode")
    refused(run(tmp_path, dataset, model="vllm/caf\udce9"), "--model: ", "not UTF-8 text")
    refused(
        emeval("run", "unethical_test", "-m", MODEL, "--out", f"{tmp_path}/caf\udce9", url="http://x/v1"), "not UTF-8"
    )
    assert [path.name for path in tmp_path.iterdir()] == [dataset.name]


def test_a_scenario_cannot_be_called_like_the_pooled_row(tmp_path: Path, dataset: Path) -> None:
    dataset.write_text(dataset.read_text().replace('"s01"', '"ALL"'))
    refused(run(tmp_path, dataset), f"{dataset}:2: id: ALL names the row over all prompts")
