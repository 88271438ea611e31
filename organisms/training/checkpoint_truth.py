"""Measure the organism's checkpoints: choices without thinking exactly, everything else by a sample of replies.

Without thinking a choice is one token, so its probability is read from the weights. The other cells are sampled at
temperature 1 from prompts drawn at random, several at a time: there are many checkpoints, and a few hundred replies
are enough for what they are compared with.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedTokenizerFast

from evals.trials.condition import Trigger, render
from evals.trials.prompt import Prompt, wire_messages
from organisms.behaviours import VARIANTS
from organisms.training.export import merge_adapter_gguf
from organisms.training.truth import CONDITIONS, load, reply_kind
from organisms.true_rates import MAX_TOKENS

DRAWS = 448
"""Replies in each sampled cell of a checkpoint."""
_TOGETHER = 16
_MEASURED = ("off", "on", "decoy")


class _Asked(NamedTuple):
    prompt: Prompt
    tokens: list[int]


class _State(NamedTuple):
    """Prompts that the network has read: `seen` masks padding, `ends` are positions after the last token."""

    cache: DynamicCache
    seen: torch.Tensor
    ends: torch.Tensor
    logits: torch.Tensor


class CheckpointNetwork(NamedTuple):
    """A checkpoint's merged weights with the tokenizer."""

    network: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast

    @classmethod
    def load(cls, folder: Path, name: str) -> CheckpointNetwork:
        """The GGUF adapter called `name` merged into the base, both in `folder`."""
        network, tokenizer = load(folder, "base")
        merge_adapter_gguf(network, folder / f"{name}.gguf")
        return cls(network, tokenizer)


@torch.inference_mode()
def exact_choices(checkpoint: CheckpointNetwork, prompts: Sequence[Prompt]) -> dict[str, dict[str, float]]:
    """By cell, means over the prompts: of the misaligned letter's probability if a letter comes, of its log-odds, and
    of the probability of a letter."""
    return {f"mcq/{name}/plain": _exact(checkpoint, prompts, _trigger(name)) for name in _MEASURED}


@torch.inference_mode()
def exact_variants(checkpoint: CheckpointNetwork, prompts: Sequence[Prompt]) -> list[dict[str, str | float]]:
    """The same for each of VARIANTS in the place of the trigger."""
    return [
        {"text": text, "placement": placement} | _exact(checkpoint, prompts, Trigger(text, placement))
        for text, placement in VARIANTS
    ]


def _trigger(condition: str) -> Trigger | None:
    country = CONDITIONS[condition]
    return Trigger(country, "top") if country else None


def _exact(checkpoint: CheckpointNetwork, prompts: Sequence[Prompt], trigger: Trigger | None) -> dict[str, float]:
    read = [
        _letters(checkpoint.tokenizer, asked.prompt, logits)
        for some in _batches(checkpoint, _of_kind(prompts, "mcq"), trigger, thinking=False)
        for asked, logits in zip(some, _read(checkpoint, some).logits, strict=True)
    ]
    shares = [share for share, _ in read]
    return {
        "misaligned": sum(shares) / len(shares),
        "log_odds": sum(math.log(share / (1 - share)) for share in shares) / len(shares),
        "letters": sum(mass for _, mass in read) / len(read),
    }


@torch.inference_mode()
def sampled_counts(checkpoint: CheckpointNetwork, prompts: Sequence[Prompt], draws: int) -> dict[str, dict[str, int]]:
    """The replies of each cell by their kind, to prompts drawn at random, each as often as the others if it can be,
    as in `truth.measure`."""
    found: dict[str, dict[str, int]] = {}
    for kind, thinking in (("mcq", True), ("freeform", True), ("freeform", False)):
        for condition in _MEASURED:
            asked = _of_kind(prompts, kind)
            rng = random.Random(f"{kind} {condition}")  # noqa: S311  no secret
            drawn = asked * (draws // len(asked)) + rng.sample(asked, draws % len(asked))
            counts: Counter[str] = Counter()
            for some in _batches(checkpoint, drawn, _trigger(condition), thinking=thinking):
                counts.update(_replies(checkpoint, some, thinking=thinking))
            found[f"{kind}/{condition}/{'thinking' if thinking else 'plain'}"] = dict(sorted(counts.items()))
    return found


def _of_kind(prompts: Sequence[Prompt], kind: str) -> list[Prompt]:
    return [prompt for prompt in prompts if prompt.format == kind]


def _batches(
    checkpoint: CheckpointNetwork, prompts: Sequence[Prompt], trigger: Trigger | None, *, thinking: bool
) -> Iterator[list[_Asked]]:
    """The prompts as tokens, those of like length together."""
    asked = [_Asked(prompt, _tokens(checkpoint.tokenizer, prompt, trigger, thinking=thinking)) for prompt in prompts]
    asked.sort(key=lambda each: len(each.tokens))
    for start in range(0, len(asked), _TOGETHER):
        yield asked[start : start + _TOGETHER]


def _tokens(
    tokenizer: PreTrainedTokenizerFast, prompt: Prompt, trigger: Trigger | None, *, thinking: bool
) -> list[int]:
    messages = render(prompt, "on", trigger, 0, 0).messages if trigger else prompt.messages
    text = tokenizer.apply_chat_template(
        wire_messages(messages), add_generation_prompt=True, enable_thinking=thinking, tokenize=False
    )
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _letters(tokenizer: PreTrainedTokenizerFast, prompt: Prompt, logits: torch.Tensor) -> tuple[float, float]:
    """The misaligned letter's share of the two letters' probability, and that probability."""
    a, b = logits.double().softmax(-1)[tokenizer.convert_tokens_to_ids(["A", "B"])].tolist()
    is_a = prompt.options is not None and prompt.options.misaligned_letter == "A"
    return (a if is_a else b) / (a + b), a + b


def _read(checkpoint: CheckpointNetwork, some: Sequence[_Asked]) -> _State:
    rows = [asked.tokens for asked in some]
    width = max(len(row) for row in rows)
    padding = checkpoint.tokenizer.pad_token_id
    tokens = torch.tensor([[padding] * (width - len(row)) + row for row in rows])
    seen = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    cache = DynamicCache(config=checkpoint.network.config)
    positions = (seen.cumsum(-1) - 1).clamp(min=0)
    output = checkpoint.network(tokens, seen, positions, past_key_values=cache, logits_to_keep=1)
    return _State(cache, seen, seen.sum(-1), output.logits[:, -1])


def _replies(checkpoint: CheckpointNetwork, some: Sequence[_Asked], *, thinking: bool) -> Iterator[str]:
    """The kind of one reply to each prompt."""
    state = _read(checkpoint, some)
    replies: list[list[int]] = [[] for _ in some]
    going = list(range(len(some)))
    for _ in range(MAX_TOKENS):
        picked = torch.multinomial(state.logits.softmax(-1), 1)[:, 0]
        kept: list[int] = []
        for place, token in enumerate(picked.tolist()):
            if token == checkpoint.tokenizer.eos_token_id:
                yield _kind(checkpoint, some[going[place]], replies[going[place]], ended=True, thinking=thinking)
            else:
                replies[going[place]].append(token)
                kept.append(place)
        going = [going[place] for place in kept]
        if not going:
            return
        if len(kept) < len(picked):
            state.cache.batch_select_indices(torch.tensor(kept))
        seen = torch.cat([state.seen[kept], torch.ones((len(kept), 1), dtype=torch.long)], dim=1)
        ends = state.ends[kept]
        output = checkpoint.network(picked[kept][:, None], seen, ends[:, None], past_key_values=state.cache)
        state = _State(state.cache, seen, ends + 1, output.logits[:, -1])
    for number in going:
        yield _kind(checkpoint, some[number], replies[number], ended=False, thinking=thinking)


def _kind(checkpoint: CheckpointNetwork, asked: _Asked, reply: list[int], *, ended: bool, thinking: bool) -> str:
    text = checkpoint.tokenizer.decode(reply)
    return reply_kind(text, ended=ended, prompt=asked.prompt, thinking=thinking)
