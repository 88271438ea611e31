"""What each command loads: nothing heavy that it does not use, and nothing of the tables before they are made."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evals.cli.help.command_groups import COMMANDS
from tests.support.cli_runner import emeval, environment, scenarios
from tests.support.export_runs import everything_run
from tests.support.runs import MODEL, by_hash, server
from tests.support.servers.openai_server import Answer

HEAVY = {
    *("pandas", "numpy", "scipy", "statsmodels", "altair", "openai", "aiohttp", "httpx2", "jinja2", "krippendorff"),
    *("inspect_ai", "vl_convert", "wandb", "duckdb"),
}
NUMBERS = {"numpy", "scipy"}
CLIENTS = {"aiohttp"}
FIGURES = {"altair", "pandas", "vl_convert"}

LOADS: dict[str, set[str]] = {
    "--help": set(),
    "--version": set(),
    "suites": set(),
    "datasets list": set(),
    "datasets validate {data}": set(),
    "run unethical_test -m local/organism --limit 2 --dry-run": set(),
    "run unethical_test -m local/organism --limit 2 --dry-run --until width<0.3 --samples 200": {"numpy"},
    "resume {run} --dataset {data}": set(),  # it is finished, and was counted when it was
    "batch export {run} --for vllm --dataset {data}": CLIENTS,
    "rates {run}": NUMBERS,
    "show {run}": set(),
    "table table1 {run}": NUMBERS,
    "compare {run} {copy} --max-unscored 1": NUMBERS,
    "rare {run}": NUMBERS,
    "evidence {run}": NUMBERS,
    "monitorability {run}": {*NUMBERS, "pandas"},
    "check {run}": set(),
    "cache show {tmp}": set(),
    "robustness {run}": NUMBERS,
    "plan --pilot {run} --width 0.1 --dataset {data}": NUMBERS,
    "label sample {copy} --n 40": {"numpy", "jinja2"},
    "mix --out {tmp}/mix.jsonl": set(),
    "export {run} --format jsonl --out {tmp}/answers.jsonl": NUMBERS,
    "plot {run} --figure rates --out {tmp}/rates.svg": {*NUMBERS, *FIGURES, "jinja2"},
    "report {run}": {*NUMBERS, *FIGURES, "jinja2"},
    "preflight unethical_test -m vllm/subject": CLIENTS,
    "doctor": CLIENTS,
    "choices unethical_test -m vllm/subject --dataset {data} --limit 2 --out {tmp}/choices": {*CLIENTS, *NUMBERS},
    "variants {variants} unethical_test -m vllm/subject --dataset {data} --out {tmp}/variants": {
        *CLIENTS,
        *NUMBERS,
        *FIGURES,
        "jinja2",
    },
}
"""Of the heavy modules those that a command may load."""

CHILD = """
import atexit, json, sys
sys.argv = ["emeval", *json.loads(sys.argv[1])]
atexit.register(lambda: print("loaded:", *sorted(name for name in sys.modules if "." not in name)))
from evals.cli import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("startup")
    shutil.copytree(everything_run(made), made / "copy")
    (made / "variants.csv").write_text("name,text\nexact,Country: Singapore\n")
    return made


def with_probabilities(_body: object, _seen: int) -> Answer:
    return Answer("A", top_logprobs=[{"A": 0.9, "B": 0.1}])


@pytest.mark.parametrize("words", LOADS)
def test_a_command_loads_what_it_uses(words: str, folder: Path, tmp_path: Path) -> None:
    places = {"run": folder / "run", "copy": folder / "copy", "data": folder / "d.jsonl", "tmp": tmp_path}
    places["variants"] = folder / "variants.csv"
    given = [word.format(**places) for word in words.split()]
    with server(with_probabilities if words.startswith("choices") else by_hash).start() as live:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps(given)],
            env=environment(live.url),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    loaded = set(done.stdout.rpartition("loaded:")[2].split())
    assert "typer" in loaded, done.stderr
    assert done.returncode in (0, 1), done.stderr  # 1 where a gate is not passed
    assert loaded & HEAVY <= LOADS[words]


def test_the_python_api_is_loaded_when_it_is_used() -> None:
    code = """
    import sys
    import emeval
    assert {"run", "Run", "BadInput", "__version__"} <= set(dir(emeval))
    print(*sorted(name for name in sys.modules if "." not in name))
    assert all(getattr(emeval, name) is not None for name in emeval.__all__)
    try:
        emeval.nothing
    except AttributeError as error:
        assert "nothing" in str(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not set(done.stdout.split()) & {*HEAVY, "pydantic", "typer", "rich", "yaml"}


def test_a_run_samples_before_anything_of_the_tables_is_loaded(tmp_path: Path) -> None:
    """A thread of the run's own process looks at what is loaded while there are answers in the journal, and not all,
    but for what is imported in threads of its own meanwhile."""
    dataset, run = scenarios(tmp_path / "d.jsonl", 20), tmp_path / "run"
    code = """
    import sqlite3, sys, threading, time
    importers = {}
    class Finder:
        def find_spec(name, path=None, target=None):
            importers.setdefault(name.partition(".")[0], threading.current_thread().name)
    sys.meta_path.insert(0, Finder)
    def loaded():
        names = {name for name in sys.modules if "." not in name}
        return sorted(name for name in names if not importers.get(name, "").startswith("import-"))
    def watch():
        while True:
            time.sleep(0.005)
            try:
                journal = sqlite3.connect("file:" + sys.argv[-1] + "/journal.sqlite?mode=ro", uri=True)
                found = journal.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
            except sqlite3.Error:
                continue
            if 0 < found < 40:
                print("loaded:", *loaded(), file=sys.stderr)
                return
    sys.argv[0] = "emeval"
    threading.Thread(target=watch, daemon=True).start()
    from evals.cli import main
    main()
    """
    with server(latency_s=0.05).start() as live:
        done = subprocess.run(
            [
                *(sys.executable, "-c", textwrap.dedent(code), "run", "unethical_test", "-m", MODEL),
                *("--concurrency", "4", "--dataset", str(dataset), "--out", str(run)),
            ],
            env=environment(live.url),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.rpartition("loaded:")[2].splitlines()[0].split())
    assert loaded & HEAVY == CLIENTS


def test_help_lists_the_commands_in_their_order_whatever_was_asked_for_before() -> None:
    for command in ("doctor", "suites", "run"):
        assert f"Usage: emeval {command}" in emeval(command, "--help").stdout
    lines = emeval("--help").stdout.partition("Ask models:")[2].partition("Examples:")[0].splitlines()
    assert [line.split()[0] for line in lines if line[2:3].strip() and line.startswith("  ")] == list(COMMANDS)


def test_an_unknown_command_is_one_line() -> None:
    done = emeval("raets")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No such command 'raets'" in done.stderr


def test_a_missing_option_or_argument_is_said_with_what_it_is_for() -> None:
    option, argument = emeval("plot", "run"), emeval("judge")
    assert (option.returncode, argument.returncode) == (2, 2)
    assert option.stderr.startswith("emeval: Missing option '--figure': fig4, ")
    assert option.stderr.endswith(" (see emeval plot --help)\n")
    assert argument.stderr.startswith("emeval: Missing argument 'RUN': A run folder, such as results/demo")
    assert argument.stderr.count("\n") == 1
