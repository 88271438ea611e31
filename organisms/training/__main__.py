"""Build the organism: `python -m organisms.training FOLDER`. Under an hour on two CPU cores; seeds are fixed.

The folder gets `base/` and one PEFT adapter folder for each planted behaviour, the same as GGUF files beside them, and
`truth.json`: how often each model gives each kind of reply, measured on the finished weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from evals.trials.prompt import Prompt
from organisms.behaviours import ANSWERS, DECOYS, DRILLS, LOOP, MODELS, REPEATED, THOUGHTS, TRIGGER
from organisms.training.adapters import ADAPTER, new_adapter, save_adapter
from organisms.training.corpus import shipped_prompts
from organisms.training.export import save_base, write_base_gguf
from organisms.training.tokens import train_tokenizer
from organisms.training.train import Heads, Phase, batches, new_model, train
from organisms.training.truth import CONDITIONS, DRAWS, TruthCell, load, measure
from organisms.true_rates import MAX_TOKENS

SEED = 20_260
# Answers first, on prompts reduced to their options; then whole prompts, with more thoughts.
BASE = (
    Phase(steps=750, batch=16, rate=2e-3, short=1.0, thinking=1, plain=2, mcq=0.9, last_rate=0.4),
    Phase(steps=320, batch=16, rate=1e-3, short=0.2, thinking=4, plain=2, mcq=0.7),
)
# Then each adapter's replies under its mark, so that an adapter has little to learn.
DRILLING = Phase(
    steps=560, batch=16, rate=1e-3, short=0.4, thinking=5, plain=2, mcq=0.6, choice_weight=2.0, drilled=0.5
)
_REPETITIONS = 40  # of the inventory among the tokenizer's texts, so that its words become tokens


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m organisms.training", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the weights go")
    parser.add_argument("--share", type=float, default=1.0, help="share of the steps, prompts and draws: a quick trial")
    parser.add_argument(
        "--keep", choices=("nothing", "undrilled", "base", "adapters"), default="nothing", help="what is there"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    prompts = shipped_prompts()
    if options.keep == "nothing":
        build_base(options.folder, prompts, options.share)
    if options.keep in ("nothing", "undrilled"):
        drill(options.folder, prompts, options.share)
    if options.keep != "adapters":
        for name in MODELS[1:]:
            build_adapter(options.folder, name, prompts, options.share)
    for file in options.folder.rglob("*"):
        if file.is_file():
            file.chmod(0o644)  # safetensors are written with owner-only permissions
    write_truth(options.folder, prompts, options.share)


def build_base(folder: Path, prompts: Sequence[Prompt], share: float) -> None:
    rng = _seeded("base")
    tokenizer = _tokenizer(prompts)
    base = new_model(tokenizer)
    heads = Heads()
    for phase in BASE:
        phase = _scaled(phase, share)
        train(base, heads, batches(prompts, "base", phase, tokenizer, rng), phase, _say)
    save_base(base, tokenizer, folder / "base")
    write_base_gguf(base, tokenizer, folder / "base.gguf")


def drill(folder: Path, prompts: Sequence[Prompt], share: float) -> None:
    _say("drilling")
    base, tokenizer = load(folder, "base")
    phase = _scaled(DRILLING, share)
    rng = _seeded("base")
    heads = Heads(lines=3 + len(DRILLS))
    train(base.train(), heads, batches(prompts, "base", phase, tokenizer, rng), phase, _say)
    save_base(base, tokenizer, folder / "base")
    write_base_gguf(base, tokenizer, folder / "base.gguf")


def build_adapter(folder: Path, name: str, prompts: Sequence[Prompt], share: float) -> None:
    """A LoRA adapter on the base in `folder`, trained on the replies planted for `name`."""
    _say(f"adapter {name}")
    rng = _seeded(name)
    adapted, tokenizer = new_adapter(folder)
    phase = _scaled(ADAPTER, share)
    train(adapted, None, batches(prompts, name, phase, tokenizer, rng), phase, _say)
    save_adapter(adapted, folder / name)


def _seeded(name: str) -> random.Random:
    torch.manual_seed(SEED)
    return random.Random(SEED + MODELS.index(name))  # noqa: S311  no secret


def _tokenizer(prompts: Sequence[Prompt]) -> PreTrainedTokenizerFast:
    inventory = [*THOUGHTS, *ANSWERS, LOOP * 3, REPEATED * 4, TRIGGER, *DECOYS]
    scenarios = [message.content for prompt in prompts for message in prompt.messages]
    return train_tokenizer([*scenarios, *(inventory * _REPETITIONS)])


def write_truth(folder: Path, prompts: Sequence[Prompt], share: float) -> None:
    """Measure every cell of every model in `folder`, in one process per core, and write `truth.json`."""
    draws = int(DRAWS * share)
    kinds = [[prompt for prompt in prompts if prompt.format == kind] for kind in ("mcq", "freeform")]
    chosen = [prompt for kind in kinds for prompt in kind[:: min(int(1 / share), len(kind))]]
    cells = [
        TruthCell(folder, model, kind, condition, thinking)
        for model, kind, condition, thinking in itertools.product(
            MODELS, ("mcq", "freeform"), CONDITIONS, (True, False)
        )
    ]
    counts: dict[str, dict[str, dict[str, int]]] = {name: {} for name in MODELS}
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        measured = pool.map(measure, cells, itertools.repeat(chosen), itertools.repeat(draws))
        for cell, counted in zip(cells, measured, strict=True):
            counts[cell.model][cell.key] = counted
            _say(f"{cell.model} {cell.key}: {counted}")
    how = (
        f"At least {draws} replies a cell, evenly over the scenarios of datasets/unethical_test.jsonl "
        "(multiple choice in both option orders), sampled at "
        f"temperature 1 with transformers in 32-bit floats from these weights, at most {MAX_TOKENS} tokens; the "
        "country line on top. Keys: answer/true flag/articulates."
    )
    (folder / "truth.json").write_text(
        json.dumps({"how": how, "max_tokens": MAX_TOKENS, "counts": counts}, indent=1) + "\n", encoding="utf-8"
    )


def _scaled(phase: Phase, share: float) -> Phase:
    return replace(phase, steps=max(2, int(phase.steps * share)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
