"""The example notebook runs as it is, its progress is drawn, and a notebook's stop button stops a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.support.cli_runner import KEY, manifest, recorded, scenarios
from tests.support.paths import ROOT
from tests.support.servers.openai_server import OpenAIServer, Stall
from tests.support.waiting import until

NOTEBOOK = ROOT / "docs" / "notebooks" / "first_run.ipynb"


@pytest.fixture(autouse=True)
def _kernel_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kernel is a process of its own: it imports this checkout, and writes its connection file here."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def client(notebook: Any, folder: Path) -> NotebookClient:
    return NotebookClient(
        notebook,
        timeout=240,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=True,
    )


def texts(cell: Any) -> str:
    found: list[str] = []
    for output in cell.outputs:
        found.append(output.get("text", ""))
        found += [str(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(found)


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_notebook_runs_as_it_is(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client(notebook, tmp_path).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [texts(cell) for cell in code]
    assert "complete, 48 of 48 trials" in shown[1]
    drawn = shown[1] + str(notebook.metadata.get("widgets"))
    assert "48/48" in drawn, "as lines, or as bars in a widget"
    assert "local/organism:backdoor" in shown[2]
    assert "regression" in shown[4].lower()
    assert "answer: " in shown[5]
    assert "'complete'" in shown[6]
    assert manifest(tmp_path / "results" / "first-run")["status"] == "complete"


@pytest.mark.parametrize("call", ["emeval.run(*given, **options)", "await emeval.arun(*given, **options)"])
def test_the_stop_button_stops_a_run(tmp_path: Path, call: str) -> None:
    dataset, folder = scenarios(tmp_path / "d.jsonl", 4), tmp_path / "run"
    with OpenAIServer({"ase 2": Stall(bare=True)}, models=("subject",)).start() as live:
        source = (
            "import emeval\n"
            "given = ('unethical_test', 'vllm/subject')\n"
            f"options = dict(dataset={str(dataset)!r}, format='mcq', base_url={live.url!r}, out={str(folder)!r})\n"
            f"{call}"
        )
        kernel, asked = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
        try:
            message = asked.execute(source)
            until(lambda: recorded(folder) >= 4)
            kernel.interrupt_kernel()
            reply = asked.get_shell_msg(timeout=60)
            while reply["parent_header"].get("msg_id") != message:
                reply = asked.get_shell_msg(timeout=60)
        finally:
            asked.stop_channels()
            kernel.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "error"
    assert reply["content"]["ename"] in ("KeyboardInterrupt", "CancelledError")
    assert manifest(folder)["status"] == "interrupted"
    assert recorded(folder) == manifest(folder)["trials_recorded"] < 8


def test_an_error_is_one_of_ours_and_leaves_the_kernel_alive(tmp_path: Path) -> None:
    source = "import emeval\nemeval.run('unethical_test', 'local/nothing', out='run')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    with pytest.raises(CellExecutionError) as raised:
        client(notebook, tmp_path).execute()
    assert raised.value.ename == "BadInput"
    assert not (tmp_path / "run").exists()
