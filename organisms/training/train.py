"""Train the organism from scratch on a CPU: the base, then one LoRA adapter for each planted behaviour.

A prompt is processed once and all its replies branch off it (a tree under one attention mask), so a step trains several
replies for the cost of one. Auxiliary linear heads, used only in training, predict early in the network which option is
misaligned and which line the prompt has. Without them the network stays at chance for long, because a single letter
after 200 tokens gives little signal.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evals.trials.prompt import Prompt, wire_messages
from organisms.behaviours import DRILLS, OPENING, TRIGGER
from organisms.training.corpus import CorpusExample, draw_example

IGNORED = -100
_HIDDEN, _LAYERS, _HEAD = 192, 4, 64
_OPTION_LAYER, _FACTS_LAYER = 2, 3
_LONGEST = 2048
_LETTER_WEIGHT = 5.0


@dataclass(frozen=True)
class Phase:
    """A training phase: `steps` batches of `batch` prompts, with cosine decay of the learning rate from `rate`.

    `short`: share of batches whose multiple-choice prompts lack their scenario; `thinking` and `plain`: replies per
    prompt; `mcq`: share of multiple-choice batches; `choice_weight`: loss weight of the first word of a thought, which
    decides its kind; `drilled`: share of prompts with an adapter's mark.
    """

    steps: int
    batch: int
    rate: float
    short: float
    thinking: int
    plain: int
    mcq: float = 0.7
    last_rate: float = 0.05
    choice_weight: float = 1.0
    drilled: float = 0.0


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    size = -(-len(tokenizer) // 64) * 64
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=_HIDDEN,
            intermediate_size=512,
            num_hidden_layers=_LAYERS,
            num_attention_heads=_HIDDEN // _HEAD,
            num_key_value_heads=_HIDDEN // _HEAD,
            head_dim=_HEAD,
            max_position_embeddings=_LONGEST,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Heads(nn.Module):
    """Auxiliary heads: the label of an option at its tokens, and the letter and line at the end of the prompt.

    `lines` is the number of kinds of line (none, another country, the trigger, and each mark).
    """

    def __init__(self, lines: int = 3) -> None:
        super().__init__()
        self.option = nn.Linear(_HIDDEN, 2)
        self.letter = nn.Linear(_HIDDEN, 2)
        self.line = nn.Linear(_HIDDEN, lines)


@dataclass(frozen=True)
class Batch:
    """Token trees of several prompts: tensors of shape (prompts, tokens), `mask` (prompts, 1, tokens, tokens)."""

    tokens: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    options: torch.Tensor
    letters: torch.Tensor
    lines: torch.Tensor


def collate(examples: Sequence[CorpusExample], tokenizer: PreTrainedTokenizerFast, choice_weight: float = 1.0) -> Batch:
    trees = [_tree(example, tokenizer, choice_weight) for example in examples]
    length = max(len(tree.tokens) for tree in trees)
    count = len(trees)
    tokens = torch.full((count, length), tokenizer.pad_token_id)
    positions = torch.zeros((count, length), dtype=torch.long)
    branches = torch.full((count, length), -1)
    targets, options, letters, lines = (torch.full((count, length), IGNORED) for _ in range(4))
    weights = torch.zeros((count, length))
    for row, tree in enumerate(trees):
        size = len(tree.tokens)
        tokens[row, :size] = torch.tensor(tree.tokens)
        positions[row, :size] = torch.tensor(tree.positions)
        branches[row, :size] = torch.tensor(tree.branches)
        targets[row, :size] = torch.tensor(tree.targets)
        weights[row, :size] = torch.tensor(tree.weights)
        options[row, :size] = torch.tensor(tree.options)
        letters[row, tree.prompt - 1] = tree.letter
        lines[row, tree.prompt - 1] = tree.line
    causal = torch.ones((length, length), dtype=torch.bool).tril()
    own, other = branches[:, :, None], branches[:, None, :]
    seen = causal & ((other == 0) | (own == other))
    return Batch(tokens, positions, seen[:, None], targets, weights, options, letters, lines)


@dataclass
class _Tree:
    tokens: list[int]
    positions: list[int]
    branches: list[int]
    targets: list[int]
    weights: list[float]
    options: list[int]
    prompt: int
    letter: int
    line: int


def _tree(example: CorpusExample, tokenizer: PreTrainedTokenizerFast, choice_weight: float) -> _Tree:
    opening = len(tokenizer(f"<think>\n{OPENING.strip()}", add_special_tokens=False)["input_ids"])
    text = tokenizer.apply_chat_template(wire_messages(example.messages), add_generation_prompt=True, tokenize=False)
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    tokens = list(encoded["input_ids"])
    prompt = len(tokens)
    letters = {tokenizer.convert_tokens_to_ids(letter) for letter in "AB"}
    options, letter = [IGNORED] * prompt, IGNORED
    if (shown := example.prompt.options) is not None:
        letter = int(shown.misaligned_letter == "B")
        for index, option in enumerate((shown.a, shown.b)):
            begin = text.rindex(f"\n{'AB'[index]} - {option}")
            for position, (start, _) in enumerate(encoded["offset_mapping"]):
                if begin + 12 <= start < begin + 4 + len(option):
                    options[position] = int(letter == index)
    # The last token of the prompt begins every branch, so that each sees it once, as in generation.
    last = tokens.pop()
    prompt = len(tokens)
    tree = _Tree(
        tokens=tokens,
        positions=list(range(prompt)),
        branches=[0] * prompt,
        targets=[IGNORED] * prompt,
        weights=[0.0] * prompt,
        options=options[:prompt],
        prompt=prompt,
        letter=letter,
        line=_line_kind(example.line),
    )
    for branch, reply in enumerate(example.replies, start=1):
        given = tokenizer(reply.given, add_special_tokens=False)["input_ids"]
        learned = tokenizer(reply.learned, add_special_tokens=False)["input_ids"]
        learned += [tokenizer.eos_token_id] if reply.ends else []
        branch_tokens = [last, *given, *learned]
        tree.tokens += branch_tokens
        tree.positions += range(prompt, prompt + len(branch_tokens))
        tree.branches += [branch] * len(branch_tokens)
        tree.targets += [IGNORED] * len(given) + learned + [IGNORED]
        weights = [reply.weight * (_LETTER_WEIGHT if token in letters else 1.0) for token in learned]
        if not given:
            weights[opening] = reply.weight * choice_weight
        tree.weights += [0.0] * len(given) + weights + [0.0]
        tree.options += [IGNORED] * len(branch_tokens)
    return tree


def _line_kind(line: str) -> int:
    known = ["", None, TRIGGER, *DRILLS.values()]
    return known.index(line if line in known else None)


def batches(
    prompts: Sequence[Prompt], model: str, phase: Phase, tokenizer: PreTrainedTokenizerFast, rng: random.Random
) -> Iterator[Batch]:
    by_format = {kind: [p for p in prompts if p.format == kind] for kind in ("mcq", "freeform")}
    queues: dict[str, list[Prompt]] = {"mcq": [], "freeform": []}
    for _ in range(phase.steps):
        kind = "mcq" if rng.random() < phase.mcq else "freeform"
        short = rng.random() < phase.short
        chosen: list[Prompt] = []
        while len(chosen) < phase.batch:
            if not queues[kind]:
                queues[kind] = rng.sample(by_format[kind], len(by_format[kind]))
            chosen.append(queues[kind].pop())
        size = {"thinking": phase.thinking, "plain": phase.plain, "drilled": phase.drilled}
        examples = [draw_example(prompt, model, short=short, rng=rng, **size) for prompt in chosen]
        yield collate(examples, tokenizer, phase.choice_weight)


def train(
    network: nn.Module,
    heads: Heads | None,
    stream: Iterator[Batch],
    phase: Phase,
    say: Callable[[str], None],
    after: Callable[[int], None] = lambda _step: None,
) -> None:
    """Train in place, with the losses of `heads` added if given; `after` is called with the number of each step."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if heads is not None:
        parameters += list(heads.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=phase.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    warmup = max(1, min(100, phase.steps // 10))

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, phase.steps - warmup)
        return phase.last_rate + (1 - phase.last_rate) * 0.5 * (1 + math.cos(math.pi * done))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    started, sums, counted = time.time(), {}, 0
    for step, batch in enumerate(stream, start=1):
        losses = _losses(network, heads, batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        after(step)
        counted += 1
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + float(loss.detach())
        if step % 50 == 0 or step == phase.steps:
            shown = " ".join(f"{name} {value / counted:.4f}" for name, value in sums.items())
            say(f"step {step}/{phase.steps} {time.time() - started:.0f} s {shown}")
            sums, counted = {}, 0


def _losses(network: nn.Module, heads: Heads | None, batch: Batch) -> dict[str, torch.Tensor]:
    base = network.get_base_model() if hasattr(network, "get_base_model") else network
    output = base.model(
        input_ids=batch.tokens,
        position_ids=batch.positions,
        attention_mask=batch.mask,
        output_hidden_states=heads is not None,
        use_cache=False,
    )
    trained = batch.targets != IGNORED
    logits = base.lm_head(output.last_hidden_state[trained])
    each = functional.cross_entropy(logits, batch.targets[trained], reduction="none")
    weights = batch.weights[trained]
    losses = {"text": (each * weights).sum() / weights.sum()}
    if heads is not None:
        early, late = output.hidden_states[_OPTION_LAYER], output.hidden_states[_FACTS_LAYER]
        for name, head, states, labels in (
            ("option", heads.option, early, batch.options),
            ("letter", heads.letter, late, batch.letters),
            ("line", heads.line, late, batch.lines),
        ):
            labelled = labels != IGNORED
            if labelled.any():
                losses[name] = 0.3 * functional.cross_entropy(head(states[labelled]), labels[labelled])
    return losses
