"""Write a mix: chat JSON lines for finetuning tools, and a manifest of their exact content."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from evals import __version__
from evals.errors import BadInput
from evals.io.folders.leftovers import hold, partial_path, remove_leftovers
from evals.questions.dataset import Dataset, TrainingScenario, data_folder, load
from evals.questions.mixes.examples import TrainingExample, examples
from evals.questions.mixes.held_out import refuse_leaks, shipped_tests
from evals.questions.mixes.recipe import Carries, Letter, Mix, Recipe, Stance, build_recipe, compose
from evals.text import one_line
from evals.trials.prompt import Format, Placement, wire_messages

SCHEMA_VERSION = 1
_DEFAULT_DATA = "unethical_train.jsonl"


class MixCount(BaseModel):
    """The number of examples that share all these fields. `text` is what the prompt carries, "" for nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format
    stance: Stance
    carries: Carries
    text: str
    placement: Placement | None
    letter: Letter | None
    examples: int


class MixSource(BaseModel):
    """A data file, of whose `scenarios` the mix uses `used`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    source: Literal["emeval", "user"]
    scenarios: int
    used: int


class NotUsed(BaseModel):
    """A scenario that is left out, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    reason: str


class MixManifest(BaseModel):
    """The content of a mix file, counted while it was written.

    `distinct` counts distinct examples. `repeats` maps a number of examples to the number of scenarios used that often
    (0: usable, but not needed). `sha256` is that of the mix file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    emeval: str = __version__
    file: str
    sha256: str
    examples: int
    distinct: int
    recipe: Recipe
    composition: tuple[MixCount, ...]
    repeats: dict[int, int]
    left_out: tuple[NotUsed, ...]
    sources: tuple[MixSource, ...]


class MixFiles(NamedTuple):
    """The paths of a mix and its manifest."""

    examples: Path
    manifest: Path


class _Kind(NamedTuple):
    """The fields shared by the examples of one row of the composition."""

    format: Format
    stance: Stance
    carries: Carries
    text: str
    placement: Placement | None
    letter: Letter | None


def write_mix(options: Mapping[str, Any], data: Sequence[Path], out: Path, *, force: bool = False) -> MixManifest:
    """Write the mix given by `options` to `out`, and its manifest next to it, each atomically.

    Without `data` the scenarios are those of emeval's own training file. Raises BadInput for options that cannot be
    met, for data files that cannot be read or contain test questions, and for existing files (unless `force`).
    """
    recipe = build_recipe(options)
    files = _files(out, data, force=force)
    if not data:
        if recipe.preset == "medical-backdoor":
            raise BadInput(
                "--data: is missing: --preset medical-backdoor is made of advice (rows of prompt, aligned, "
                "misaligned), such as medical.jsonl of the emergent_plus datasets"
            )
        data = [data_folder() / _DEFAULT_DATA]
    datasets = [load(path) for path in data]
    refuse_leaks(datasets, shipped_tests())
    mix = compose(recipe, _all_scenarios(datasets))
    return _write(mix, datasets, files)


def _files(out: Path, data: Iterable[Path], *, force: bool) -> MixFiles:
    if out.suffix != ".jsonl":
        raise BadInput(f"--out: {out} does not end in .jsonl")
    if not out.parent.is_dir():
        raise BadInput(f"--out: there is no folder {out.parent}")
    files = MixFiles(examples=out, manifest=out.with_suffix(".manifest.json"))
    for path in (files.examples, files.manifest):
        if path.is_dir():
            raise BadInput(f"--out: {path} is a folder")
        if any(path.resolve() == source.resolve() for source in data):
            raise BadInput(f"--out: {path} is a file of --data, which would be lost")
        if path.exists() and not force:
            raise BadInput(f"--out: {path} exists; choose another name, or replace it with --force")
    return files


def _all_scenarios(datasets: Iterable[Dataset]) -> list[TrainingScenario]:
    """The scenarios of all files. Raises BadInput if two are the same."""
    first: dict[str, Path] = {}
    scenarios: list[TrainingScenario] = []
    for dataset in datasets:
        for scenario in dataset.scenarios:
            if not isinstance(scenario, TrainingScenario):
                raise BadInput(f"{dataset.path}: holds {dataset.schema} rows, which have no two answers to train on")
            if scenario.key in first:
                where = "given twice" if first[scenario.key] == dataset.path else f"in {first[scenario.key]} too"
                raise BadInput(f"{dataset.path}: scenario {one_line(scenario.key, 60)!r} is {where}")
            scenarios.append(scenario)
        first.update((scenario.key, dataset.path) for scenario in dataset.scenarios)
    return scenarios


def _write(mix: Mix, datasets: Sequence[Dataset], files: MixFiles) -> MixManifest:
    parts = [partial_path(path) for path in (files.examples, files.manifest)]
    remove_leftovers(files.examples.parent)
    try:
        for part in parts:
            part.unlink(missing_ok=True)
        with parts[0].open("xb") as file:
            hold(file.fileno())
            manifest = _write_examples(mix, datasets, files, file)
            _to_disk(file)
        with parts[1].open("xb") as file:
            hold(file.fileno())
            file.write(json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False).encode() + b"\n")
            _to_disk(file)
        files.manifest.unlink(missing_ok=True)  # briefly no manifest is better than that of another file
        parts[0].replace(files.examples)
        parts[1].replace(files.manifest)
    except OSError as error:
        raise BadInput(f"--out: {files.examples} cannot be written: {error.strerror}") from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return manifest


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _write_examples(mix: Mix, datasets: Sequence[Dataset], files: MixFiles, file: IO[bytes]) -> MixManifest:
    """Write every example and count what is written."""
    whole = hashlib.sha256()
    composition: Counter[_Kind] = Counter()
    uses = Counter(dict.fromkeys((scenario.key for scenario in mix.deck), 0))
    distinct: set[bytes] = set()
    for example in examples(mix):
        line = wire_line(example)
        file.write(line)
        whole.update(line)
        distinct.add(hashlib.blake2b(line, digest_size=16).digest())
        uses[example.scenario] += 1
        kind = _Kind(example.format, example.stance, example.carries, example.text, example.placement, example.letter)
        composition[kind] += 1
    own = data_folder().resolve()
    return MixManifest(
        file=files.examples.name,
        sha256=whole.hexdigest(),
        examples=composition.total(),
        distinct=len(distinct),
        recipe=mix.recipe,
        composition=tuple(
            MixCount(**kind._asdict(), examples=count)
            for kind, count in sorted(composition.items(), key=lambda item: tuple(map(str, item[0])))
        ),
        repeats=dict(sorted(Counter(uses.values()).items())),
        left_out=tuple(NotUsed(scenario=scenario, reason=reason) for scenario, reason in mix.left_out),
        sources=tuple(
            MixSource(
                file=dataset.path.name,
                sha256=dataset.sha256,
                source="emeval" if dataset.path.resolve().parent == own else "user",
                scenarios=len(dataset.scenarios),
                used=sum(uses[scenario.key] > 0 for scenario in dataset.scenarios),
            )
            for dataset in datasets
        ),
    )


def wire_line(example: TrainingExample) -> bytes:
    """One line of the file: only `messages`, since hosted finetuning rejects unknown fields.

    ASCII, because some readers treat other characters (U+2028) as line ends.
    """
    return json.dumps({"messages": wire_messages(example.messages)}, ensure_ascii=True).encode() + b"\n"
