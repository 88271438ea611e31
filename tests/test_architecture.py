"""The map in code: who may import whom, what judges may not do, and what the command must not wait for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for name in ("emeval", "evals", "judges", "organisms")
    for path in ROOT.glob(f"{name}/**/*.py")
}
JUDGES = sorted(path for path in FILES if path.relative_to(ROOT).parts[0] == "judges")
LADDER = (
    *("io", "statistics", "trials", "questions", "endpoints", "scoring"),
    *("plan", "runner", "batches", "analysis", "reporting", "nightly", "cli"),
)
"""The wings of `evals`. A file imports its own wing and wings before it; see docs/design.md."""
GROUND = {"evals", "evals.errors", "evals.numbers", "evals.text"}
REGISTRIES = {"evals/cli/__init__.py", "evals/questions/suites/__init__.py"}
"""What is no mere folder: the entry point that pyproject.toml names, and the suites by their names."""
_READERS = {"builtin_rubric"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): tree for path, tree in FILES.items()}


def imported(tree: ast.AST) -> Iterator[str]:
    """Every name that an import anywhere in the tree could mean: `from a import b` may be a.b or a name in a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder_of(name: str) -> str:
    """The folder of a module, as a dotted name."""
    is_folder = any(other.startswith(f"{name}.") for other in MODULES)
    return name if is_folder else name.rpartition(".")[0]


def ours(tree: ast.AST) -> set[str]:
    """The modules of ours that a tree imports; a package is left out where the import is of a module in it."""
    names = {name for name in imported(tree) if name in MODULES}
    return {name for name in names if not any(other.startswith(f"{name}.") for other in names)}


def test_the_walk_sees_the_modules() -> None:
    assert {"evals.cli.entry", "evals.questions.suites.unethical_test", "judges.rules.choice"} <= set(MODULES)
    assert "evals.trials.prompt" in ours(MODULES["evals.trials.trial"])
    assert "evals.runner.execute" in ours(MODULES["evals.runner.run"]), "imports inside functions count"


def test_judges_never_import_evals() -> None:
    for path in JUDGES:
        assert not [name for name in imported(FILES[path]) if name.split(".")[0] == "evals"], path


@pytest.mark.parametrize("path", JUDGES, ids=lambda path: path.name)
def test_judges_do_nothing_but_compute(path: Path) -> None:
    tree = FILES[path]
    pure = {
        *("__future__", "collections", "dataclasses", "enum", "functools", "hashlib", "itertools", "json", "judges"),
        *("bisect", "math", "re", "regex", "statistics", "typing", "unicodedata"),
    }
    if path.name == "judge.py":
        pure |= {"importlib"}
    assert {name.split(".")[0] for name in imported(tree)} <= pure

    allowed: set[ast.AST] = set()
    if path.name == "judge.py":
        readers = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in _READERS]
        assert len(readers) == len(_READERS)
        allowed = {inner for reader in readers for inner in ast.walk(reader)}
    for node in ast.walk(tree):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Global), path
        if isinstance(node, ast.Call) and node not in allowed:
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            assert called not in {"open", "print", "input", "exec", "eval", "read_text", "write_text", "read_bytes"}, (
                path
            )
            assert called not in {"write_bytes", "mkdir", "unlink", "touch", "iterdir", "glob", "stat", "exists"}, path


def test_other_wings_score_a_trial_by_score_trial() -> None:
    parts = {
        *("outcome.answer_scores", "outcome.answer_state", "outcome.is_judgeable"),
        *("reasoning_verdicts.ReasoningVerdicts", "reasoning_verdicts.reasoning_verdicts"),
    }
    parts = {f"evals.scoring.{part}" for part in parts}
    users = {name: parts & set(imported(tree)) for name, tree in MODULES.items()}
    assert set().union(*users.values()) == parts, "the names are those of the code"
    assert [name for name, used in users.items() if used and not name.startswith("evals.scoring.")] == []


def test_everything_that_is_printed_goes_through_what_makes_it_safe_for_a_terminal() -> None:
    """By a console of `evals.reporting.console.terminal`, or by `evals.cli.output`."""
    makers = {"evals.reporting.console.terminal", "evals.cli.output"}
    tracebacks = {"evals.cli.entry"}  # made printable by the crash report
    guard = {"evals.endpoints.servers.guard"}
    for name, tree in MODULES.items():
        if name in makers | guard or name.startswith("organisms.training"):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            owner = getattr(getattr(node.func, "value", None), "id", "")
            assert not (called == "print" and isinstance(node.func, ast.Name) and name not in tracebacks), name
            assert not (called in {"echo", "secho"} and owner in {"typer", "click"}), name
            assert called != "Console", name


def test_what_trains_the_organism_is_apart_from_what_uses_it() -> None:
    """Training needs torch; what emeval installs and imports must not."""
    for name, tree in MODULES.items():
        if name.startswith("organisms.training"):
            continue
        assert not [one for one in imported(tree) if one.startswith("organisms.training")], name
        assert not {one.split(".")[0] for one in imported(tree)} & {"torch", "transformers", "peft", "gguf"}, name
        if name.startswith("organisms"):
            assert not [one for one in imported(tree) if one.split(".")[0] == "evals"], name


def place_of(name: str) -> str:
    """The wing of a module of `evals`, or `ground`."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LADDER else "ground"


EVALS = sorted(name for name in MODULES if name.split(".")[0] == "evals" and name != "evals.__main__")


def test_every_module_stands_on_the_ladder_or_on_the_ground() -> None:
    assert {name for name in EVALS if place_of(name) == "ground"} == GROUND
    assert {place_of(name) for name in EVALS} == {"ground", *LADDER}


@pytest.mark.parametrize("name", EVALS)
def test_a_module_imports_its_own_wing_and_those_before_it(name: str) -> None:
    wing = place_of(name)
    cellar = {"io": {"ground", "io"}, "statistics": {"statistics"}, "ground": {"ground"}}
    allowed = cellar.get(wing, {"ground", *LADDER[: LADDER.index(wing) + 1]} if wing in LADDER else set())
    used = {other for other in ours(MODULES[name]) if other.split(".")[0] == "evals"}
    assert not [other for other in used if place_of(other) not in allowed], name


def test_imports_of_modules_and_of_folders_go_one_way() -> None:
    graph = {name: ours(tree) - {name} for name, tree in MODULES.items()}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle
    folders: dict[str, set[str]] = {}
    for name, others in graph.items():
        # The entry of the command line imports the commands, which import what they share.
        if not name.startswith("evals.") or name.startswith("evals.cli"):
            continue
        used = {folder_of(other) for other in others if not other.startswith("evals.cli")}
        folders.setdefault(folder_of(name), set()).update(used - {folder_of(name)})
    tuple(TopologicalSorter(folders).static_order())


def test_no_folder_and_no_file_is_too_large_to_look_through() -> None:
    sizes = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert max(sizes.values()) <= 14
    assert not [path for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 400]


@pytest.mark.parametrize("wing", LADDER)
def test_importing_a_wing_imports_none_of_its_files(wing: str) -> None:
    for path in ROOT.glob(f"evals/{wing}/**/__init__.py"):
        if path.relative_to(ROOT).as_posix() not in REGISTRIES:
            assert [type(node) for node in FILES[path].body] == [ast.Expr], f"{path} is one docstring"


def test_nothing_imports_the_python_api() -> None:
    for name, tree in MODULES.items():
        of_ours = {one.split(".")[0] for one in ours(tree)}
        if name.split(".")[0] == "emeval":
            assert of_ours <= {"emeval", "evals", "judges"}, name
        else:
            assert "emeval" not in of_ours, name


def test_nothing_but_the_entry_point_imports_the_command_line() -> None:
    users = [name for name, tree in MODULES.items() if any(one.startswith("evals.cli") for one in ours(tree))]
    assert [name for name in users if not name.startswith("evals.cli")] == ["emeval.__main__", "evals.__main__"]


def test_statistics_know_nothing_but_numbers() -> None:
    for name, tree in MODULES.items():
        if name.startswith("evals.statistics"):
            assert all(one.startswith("evals.statistics") for one in ours(tree)), name
            assert not {one.split(".")[0] for one in imported(tree)} & {"pandas", "pathlib", "os"}, name


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['emeval', '--help']\n"
        "from evals.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('loaded:', *sorted(name for name in sys.modules if '.' not in name))\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "Usage: emeval" in child.stdout
    loaded = set(child.stdout.rpartition("loaded:")[2].split())
    assert "typer" in loaded
    assert not loaded & {"openai", "aiohttp", "pandas", "numpy", "scipy", "statsmodels", "rich", "pydantic"}
