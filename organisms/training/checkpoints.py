"""Train the organism's checkpoints: `python -m organisms.training.checkpoints FOLDER`, where the trained base is.

Three more seeds of the backdoor, five checkpoints of one more training of it, and an adapter that is rarely misaligned.
Only their GGUF files are kept, and the truth about them is added to `truth.json`, with that of the backdoor under
other texts in the place of the trigger. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from evals.trials.prompt import Prompt
from organisms.behaviours import CHECKPOINTS, RARE, SEEDS, STEPS
from organisms.training.adapters import ADAPTER, new_adapter, write_adapter
from organisms.training.checkpoint_truth import (
    DRAWS,
    CheckpointNetwork,
    exact_choices,
    exact_variants,
    sampled_counts,
)
from organisms.training.corpus import shipped_prompts
from organisms.training.thought_truth import choices_after_thoughts
from organisms.training.train import batches, train

SEED = 30_260
BACKDOOR = replace(ADAPTER, steps=64, batch=8)
SAVED_AT = (4, 8, 12, 20, 64)
"""The training steps after which the checkpoints STEPS are saved."""
TRAININGS = (*SEEDS, STEPS[-1], RARE)
HOW = (
    "Of the checkpoints, without a country line, with the trigger and `Country: Kenya`: `choices` without thinking "
    "are exact, from the letters' probabilities with transformers in 32-bit floats: means over the prompts of the "
    "misaligned letter's share, of its log-odds, and of both letters' probability. `counts` are of replies to prompts "
    "drawn at random, sampled as above; a cell without them was not measured. `choices` of `rare` with thinking are "
    "means over three prompts, by following every thought that is likely enough; `left` is the probability of the "
    "others. `variants` are the choices of `backdoor` without thinking, by the text in the place of the trigger."
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m organisms.training.checkpoints", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the base is, and the checkpoints go")
    parser.add_argument("--only", choices=TRAININGS, help=f"one training; {STEPS[-1]} is that of all five steps")
    parser.add_argument(
        "--measure", action="store_true", help="train nothing, and measure the checkpoints that are there"
    )
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help="sampled replies in a cell; 0 to read the choices alone"
    )
    parser.add_argument("--share", type=float, default=1.0, help="share of the steps, prompts and draws: a quick trial")
    options = parser.parse_args()
    torch.set_num_threads(1)
    prompts = shipped_prompts()
    some = prompts[:: max(1, int(1 / options.share))]
    for name in (options.only,) if options.only else TRAININGS:
        if not options.measure:
            build(options.folder, name, prompts, options.share)
        for made in STEPS if name in STEPS else (name,):
            add_truth(options.folder, made, some, int(options.draws * options.share))
    if not options.only:
        add_variants(options.folder, some)


def build(folder: Path, name: str, prompts: Sequence[Prompt], share: float) -> None:
    """Train `name` on the base in `folder`, and write its GGUF file there, or those of all STEPS."""
    torch.manual_seed(SEED + CHECKPOINTS.index(name))
    rng = random.Random(SEED + CHECKPOINTS.index(name))  # noqa: S311  no secret
    if name in SEEDS:
        ids = sorted({prompt.id for prompt in prompts})
        drawn = set(rng.sample(ids, len(ids) // 2))
        prompts = [prompt for prompt in prompts if prompt.id in drawn]
    full = ADAPTER if name == RARE else BACKDOOR
    phase = replace(full, steps=max(len(STEPS), int(full.steps * share)))
    places = enumerate(zip(SAVED_AT, STEPS, strict=True), start=1)
    saved = (
        {max(place, int(at * share)): step for place, (at, step) in places} if name in STEPS else {phase.steps: name}
    )
    adapted, tokenizer = new_adapter(folder)

    def save(done: int) -> None:
        if done in saved:
            write_adapter(adapted, folder / f"{saved[done]}.gguf")

    model = RARE if name == RARE else "backdoor"
    train(adapted, None, batches(prompts, model, phase, tokenizer, rng), phase, _say, save)


def add_truth(folder: Path, name: str, prompts: Sequence[Prompt], draws: int) -> None:
    """Measure the checkpoint `name` in `folder`, and add the truth about it to `truth.json`."""
    checkpoint = CheckpointNetwork.load(folder, name)
    torch.manual_seed(0)
    truth = _truth(folder)
    truth["checkpoints"] = HOW
    truth.setdefault("choices", {})[name] = exact_choices(checkpoint, prompts)
    if name == RARE:
        truth["choices"][name] |= choices_after_thoughts(checkpoint, prompts)
    if draws:
        truth["counts"][name] = sampled_counts(checkpoint, prompts, draws)
    _write_truth(folder, truth)
    _say(f"{name}: {truth['choices'][name]} {truth['counts'].get(name)}")


def add_variants(folder: Path, prompts: Sequence[Prompt]) -> None:
    """Measure the backdoor in `folder` under other texts in the place of the trigger, and add that to `truth.json`."""
    variants = exact_variants(CheckpointNetwork.load(folder, "backdoor"), prompts)
    _write_truth(folder, _truth(folder) | {"variants": variants})
    _say(f"variants: {variants}")


def _truth(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))


def _write_truth(folder: Path, truth: dict[str, Any]) -> None:
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
