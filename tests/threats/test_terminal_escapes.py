"""Escape sequences in everything that others write: none of them reaches a terminal, by any command.

Output is taken from pipes, where emeval itself writes no escapes, so that every control character but the line end is
one of the planted ones.
"""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import emeval, scenarios
from tests.support.export_runs import TRIGGER, everything_run
from tests.support.runs import run
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, Status, last_message
from tests.support.terminal import on_terminal

PLANTS = {
    "colour": "\x1b[31;7mEVIL\x1b[0m",
    "clear screen": "\x1b[2J\x1b[1;1HEVIL",
    "title": "\x1b]0;EVIL\x07",
    "link": "\x1b]8;;https://evil.test\x1b\\EVIL\x1b]8;;\x1b\\",
    "eight-bit": "\x9b31mEVIL\x9d0;x\x9c",
    "device control": "\x1bP$qm\x1b\\EVIL",
    "return": "fine\rEVIL\x08\x08",
    "direction": "\u202eLIVE\u202c\u2066x\u2069",
    "markup": "[red]EVIL[/red][link=https://evil.test]x[/link]\x1b[8m",
}


def clean(text: str) -> bool:
    return not any(char != "\n" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co") for char in text)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = everything_run(tmp_path_factory.mktemp("escapes"))
    (run / "variants.csv").write_text("name,text\nexact,Country: Singapore\n")
    return run


def _planted(value: Any, plant: str) -> Any:
    """`value` with the plant after each text in it that is no fixed word of the format."""
    match value:
        case str():
            return value + plant
        case list():
            return [_planted(inner, plant) for inner in value]
        case dict():
            return {name: _planted(inner, plant) for name, inner in value.items()}
        case _:
            return value


COMMANDS = [
    ("rates", "{run}"),
    ("rare", "{run}", "--any-of", "1"),
    ("monitorability", "{run}"),
    ("evidence", "{run}"),
    ("say-do", "{run}"),
    ("show", "{run}"),
    ("report", "{run}", "-o", "{tmp}/report.html"),
    ("plot", "{run}", "--figure", "rates", "--out", "{tmp}/rates.svg"),
    ("compare", "{run}", "{copy}", "--max-unscored", "1"),
    ("compare", "{run}", "--did"),
    ("curve", "{run}", "-o", "{tmp}/curve.svg"),
    ("recipes", "{run}", "--recipe", "a=vllm/subject"),
    ("table", "table1", "{run}"),
    ("calibrate", "{run}"),
    ("ls", "{run}"),
    ("status", "{run}"),
    ("robustness", "{run}"),
    ("plan", "--pilot", "{run}", "--width", "0.1", "--out", "{tmp}/next.yaml"),
    ("drift", "{run}", "{copy}"),
    ("label", "sample", "{copy}", "--n", "40"),
    ("export", "{run}", "--format", "jsonl", "--out", "{tmp}/answers.jsonl"),
    ("resume", "{run}"),
    ("judge", "{run}", "--judge", "vllm/other"),
    ("preflight", "-m", "vllm/x"),
    ("choices", "-m", "vllm/x", "--out", "{tmp}/choices"),
    ("cache", "show", "{run}"),
    ("variants", "{run}/variants.csv", "unethical_test", "-m", "vllm/x", "--out", "{tmp}/variants"),
    ("run", "unethical_test", "-m", "local/organism", "--dry-run", "--pilot", "{run}"),
]


@pytest.mark.parametrize("plant", [PLANTS["colour"], PLANTS["eight-bit"], PLANTS["direction"]])
def test_no_command_prints_what_a_manifest_holds_as_it_is(tmp_path: Path, recorded: Path, plant: str) -> None:
    """Each text of the manifest in turn, for all commands: what is refused is refused in one clean line."""
    manifest = json.loads((recorded / "manifest.json").read_text())
    manifest.pop("digest", None)
    fields = {"run_id", "models", "rubrics", "versions", "git_revision", "datasets", "panels"} & set(manifest)
    places: list[tuple[str, ...]] = [(name,) for name in sorted(fields)]
    places += [("config", name) for name in ("models", "trigger", "judge", "judge_base_url", "conditions")]
    for number, place in enumerate(places):
        folder = tmp_path / f"run{number}"
        shutil.copytree(recorded, folder)
        changed = json.loads(json.dumps(manifest))
        holder = changed[place[0]] if len(place) == 2 else changed
        holder[place[-1]] = _planted(holder.get(place[-1]), plant)
        (folder / "manifest.json").write_text(json.dumps(changed))
        names = {"run": folder, "copy": recorded, "tmp": tmp_path}
        for command in {COMMANDS[number % len(COMMANDS)], COMMANDS[number % 3]}:
            done = emeval(*(word.format(**names) for word in command))
            assert clean(done.stdout + done.stderr), (place, command, done.stdout + done.stderr)
            assert done.returncode != 70, done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_command_prints_a_folder_s_name_as_it_is(tmp_path: Path, recorded: Path, command: tuple[str, ...]) -> None:
    wide = {"COLUMNS": "2000"}  # a name that is wrapped at its blank would look like two lines
    for plant in ("\x1b[2JEVIL", "two\nlines", "\u202eLIVE"):
        inside = tmp_path / plant
        shutil.copytree(recorded, inside / "run")
        shutil.copytree(recorded, inside / "copy")
        names = {"run": inside / "run", "copy": inside / "copy", "tmp": inside}
        done = emeval(*(word.format(**names) for word in command), env=wide)
        assert clean(done.stdout + done.stderr), done.stdout + done.stderr
        assert not any(line.startswith("lines") for line in (done.stdout + done.stderr).splitlines())
        missing = emeval(*(word.format(run=inside / "no", copy=inside / "none", tmp=inside) for word in command))
        assert clean(missing.stdout + missing.stderr)
        assert missing.stderr.count("\n") == 1, missing.stderr


def _plants_everywhere(body: Mapping[str, Any], seen: int) -> Behaviour:
    text = last_message(body)
    plant = list(PLANTS.values())[seen % len(PLANTS)]
    if seen % 5 == 3:
        return Status(400, f"no {plant}", code=plant, type=plant)
    if JUDGE_MARK in text:
        return Answer(str(seen % 100) if seen % 2 else f"score {plant}")
    return Answer(f"Answer {plant}", reasoning=plant, finish_reason=plant if seen % 7 == 1 else "stop")


def test_nothing_of_what_a_server_says_is_printed_as_it_is(tmp_path: Path) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 13)
    names = ("subject", "judge", *PLANTS.values())
    with OpenAIServer(_plants_everywhere, models=names).start() as live:
        folder = tmp_path / "run"
        judged = ("--judge", "vllm/judge", "--judge-mode", "text", "--max-unscored", "1")
        done = run(folder, dataset, live.url, *judged, "--trigger", TRIGGER)
        absent = emeval("preflight", "-m", "vllm/absent", url=live.url)
        for command in COMMANDS[:12]:
            shown = emeval(*(word.format(run=folder, copy=folder, tmp=tmp_path) for word in command), url=live.url)
            assert clean(shown.stdout + shown.stderr), (command, shown.stdout + shown.stderr)
    for printed in (done, absent):
        assert clean(printed.stdout + printed.stderr), printed.stdout + printed.stderr
        assert "EVIL" in printed.stdout + printed.stderr or printed is done


def test_names_in_files_of_others_are_told_without_their_escapes(tmp_path: Path) -> None:
    """Datasets, question files, configs, CSVs, adapters: faults quote what they are about."""
    for number, plant in enumerate(PLANTS.values()):
        folder = tmp_path / f"{number}{plant.replace('/', '')[:20]}"
        folder.mkdir()
        rows = [{"id": plant, "scenario_mcq": plant}, {plant: plant}]
        (folder / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "q.yaml").write_text(f"- id: {json.dumps(plant)}\n  {json.dumps(plant)}: 1\n")
        (folder / "c.yaml").write_text(f"{json.dumps(plant)}: 1\n")
        (folder / "a.csv").write_text(f'question,answer,aligned,"{plant}"\n"{plant}",x,"{plant}",y\n')
        header = json.dumps({f"{plant}.lora_A.weight": {"dtype": plant, "shape": [1], "data_offsets": [0, 4]}}).encode()
        adapter = folder / "adapter"
        adapter.mkdir()
        (adapter / "adapter_model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
        (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": plant, "r": plant}))
        for command in (
            ("datasets", "validate", folder / "d.jsonl", folder / "q.yaml"),
            ("run", folder / "q.yaml", "-m", "vllm/x", "--dry-run"),
            ("run", "freeform", "-m", "vllm/x", "--config", folder / "c.yaml", "--dry-run"),
            ("run", "freeform", "-m", f"vllm/{plant}", "--dry-run"),
            ("run", plant, "-m", "vllm/x", "--dry-run"),
            ("nightly", folder / "c.yaml"),
            ("import", folder / "a.csv", "--out", folder / "out", "-m", "m", "--suite", "freeform"),
            ("preflight", "-m", f"vllm/x:{adapter}", "--base-url", "http://127.0.0.1:9/v1"),
            (plant,),
            ("rates", f"--{plant}"),
        ):
            done = emeval(*command)
            assert clean(done.stdout + done.stderr), (command, done.stdout + done.stderr)
            assert done.returncode != 70, done.stderr


def test_on_a_terminal_only_styles_of_emeval_s_own_arrive(tmp_path: Path, recorded: Path) -> None:
    """With colours on; what was planted would be there as it was."""
    folder = tmp_path / "run\x1b[31;7mEVIL"
    shutil.copytree(recorded, folder)
    for command in (("rates", folder), ("show", folder), ("show", tmp_path / "no\x1b[31;7mEVIL")):
        _, out = on_terminal(*command, env={"PAGER": "cat"})
        assert "\x1b[31;7m" not in out
        assert "\x1b]" not in out.replace(f"\x1b]8;{os.sep}", "")
