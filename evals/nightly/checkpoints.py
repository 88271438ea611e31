"""Find tonight's checkpoints: the named ones, and those that match the patterns."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from evals.endpoints.servers.adapters import CONFIG_FILE
from evals.io.paths import expanded
from evals.nightly.config import NAME, PREVIOUS, RESERVED, CheckpointEntry, NightlyConfig
from evals.text import has_control_character, is_text, one_line

_PATTERN = re.compile(r"[*?\[]")
_LONGEST = 60


class Checkpoint(NamedTuple):
    """A model, with its name, which is the same every night. `only_new` is that of its entry, and `via` has the entry's
    own `via` and `judge_via`, where it has them."""

    name: str
    model: str
    only_new: bool = False
    via: Mapping[str, object] = MappingProxyType({})


class SkippedCheckpoint(NamedTuple):
    """A path or pattern that gave no checkpoint, and why. `expected`: it should have given one."""

    what: str
    reason: str
    expected: bool


def find_checkpoints(config: NightlyConfig) -> tuple[list[Checkpoint], list[SkippedCheckpoint]]:
    """Tonight's checkpoints in the order of the config, and those left out.

    Raises BadInput if there are none, if two have one name, or if a gate is on one that does not exist.
    """
    found: list[Checkpoint] = []
    left_out: list[SkippedCheckpoint] = []
    lines: dict[str, int] = {}
    for index, entry in enumerate(config.checkpoints):
        for checkpoint in _entry_checkpoints(entry):
            if isinstance(checkpoint, SkippedCheckpoint):
                left_out.append(checkpoint)
                continue
            if checkpoint.name in lines:
                raise config.bad(
                    ("checkpoints", index),
                    f"two checkpoints are called {one_line(checkpoint.name)!r}; give one another name",
                )
            lines[checkpoint.name] = index
            found.append(checkpoint)
    if not found:
        reasons = "; ".join(f"{one_line(skipped.what, 80)}: {skipped.reason}" for skipped in left_out)
        raise config.bad(("checkpoints",), f"there is none tonight ({reasons})")
    for index, gate in enumerate(config.gates):  # a gate that never applies would pass everything
        if gate.checkpoint is not None and gate.checkpoint not in lines:
            names = one_line(", ".join(lines))
            raise config.bad(("gates", index, "checkpoint"), f"{one_line(gate.checkpoint)!r} is not one of {names}")
    return found, left_out


def _entry_checkpoints(entry: CheckpointEntry) -> Iterator[Checkpoint | SkippedCheckpoint]:
    base, colon, pattern = entry.model.rpartition(":")
    in_model = bool(colon) and _PATTERN.search(pattern) is not None
    if not in_model and not entry.adapters:
        yield Checkpoint(entry.name or _slug(_last_part(entry.model)), entry.model, entry.only_new, _via_of(entry))
        return
    model, adapters = (base, (pattern, *entry.adapters)) if in_model else (entry.model, entry.adapters)
    for adapter in adapters:
        if _PATTERN.search(adapter) is None:
            yield _checkpoint(entry, model, adapter)
            continue
        # Path.glob takes no absolute pattern.
        matches = sorted(glob.glob(str(expanded(adapter))), key=_by_number)  # noqa: PTH207
        if not matches:
            yield SkippedCheckpoint(adapter, "nothing there matches", expected=True)
        real = {str(Path(match).resolve()) for match in matches if not Path(match).is_symlink()}
        for match in matches:
            reason, expected = _problem(Path(match))
            if Path(match).is_symlink() and str(Path(match).resolve()) in real:
                yield SkippedCheckpoint(match, "is a link to another of them", expected=False)
            elif reason:
                yield SkippedCheckpoint(match, reason, expected)
            else:
                yield _checkpoint(entry, model, match)


def _checkpoint(entry: CheckpointEntry, model: str, adapter: str) -> Checkpoint:
    slug = _slug(_last_part(adapter))
    return Checkpoint(
        f"{entry.name}-{slug}" if entry.name else slug, f"{model}:{adapter}", entry.only_new, _via_of(entry)
    )


def _via_of(entry: CheckpointEntry) -> Mapping[str, object]:
    told = {"via": entry.via, "judge_via": entry.judge_via}
    return {field: via for field, via in told.items() if via is not None}


def _problem(path: Path) -> tuple[str, bool]:
    """Why a path is no adapter ("" if it is one), and whether it should have been one."""
    text = str(path)
    if not is_text(text) or has_control_character(text) or ":" in text:
        return "its name has a colon, a control character, or is not UTF-8: rename it", True
    if path.is_file():
        return ("", False) if path.suffix == ".gguf" else ("is a file, and no adapter", False)
    if not (path / CONFIG_FILE).is_file():
        return f"has no {CONFIG_FILE}, so it is no adapter (yet)", False
    weights = [file for file in path.glob("adapter_model.*") if file.is_file()]
    return ("", False) if weights else ("has no weights yet", True)


def _last_part(model: str) -> str:
    """The last part of a model's name or of a path."""
    name = re.split(r"[/:\\]", model.rstrip("/\\"))[-1]
    return name.removesuffix(".gguf")


def _slug(name: str) -> str:
    """`name` as a folder name; a changed name ends in a hash of the original."""
    slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:_LONGEST]
    if slug == name and NAME.fullmatch(slug) and slug not in RESERVED:
        return slug
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{slug}-{digest}" if slug else f"checkpoint-{digest}"


def _by_number(path: str) -> list[tuple[int, str]]:
    """Sort key by number: checkpoint-500 comes before checkpoint-1000."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", path)]


def baseline_name(config: NightlyConfig, found: list[Checkpoint]) -> str | None:
    """The checkpoint of tonight that is the baseline, None if another run is. Raises BadInput for an unknown one."""
    if config.baseline in [checkpoint.name for checkpoint in found]:
        return config.baseline
    if config.baseline is None or config.baseline == PREVIOUS:
        return None
    if not (expanded(config.baseline) / "manifest.json").is_file():
        names = one_line(", ".join(checkpoint.name for checkpoint in found))
        raise config.bad(
            ("baseline",),
            f"{one_line(config.baseline, 80)!r} is neither a checkpoint of tonight ({names}), nor 'previous', nor a "
            "run folder",
        )
    return None
