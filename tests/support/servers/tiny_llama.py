"""A tiny model of the Llama architecture with LoRA adapters, for a real vLLM: random weights, bytes as tokens.

    PYTHON_OF_VLLM -m tests.support.servers.tiny_llama FOLDER

Makes FOLDER/base; FOLDER/strong, an adapter that answers otherwise; FOLDER/zero, one that changes nothing. Run by the
python of the environment that vLLM is in, whose torch, transformers and tokenizers it needs. Nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LAYERS, HIDDEN, HEAD, RANK = 2, 64, 64, 8  # the CPU attention of vLLM takes no head of 16
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder: Path) -> int:
    """Bytes, with the three marks of a chat; how many tokens there are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={sign: number for number, sign in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens(marks)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=marks[2], pad_token=marks[0])
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return len(alphabet) + len(marks)


def write_base(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = write_tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=HEAD,
        max_position_embeddings=4096,
        initializer_range=0.2,
        eos_token_id=vocabulary - 1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(folder)


def write_adapter(folder: Path, base: Path, strength: float) -> None:
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer in range(LAYERS):
        stem = f"base_model.model.model.layers.{layer}.mlp.down_proj"
        tensors[f"{stem}.lora_A.weight"] = torch.randn(RANK, 2 * HIDDEN, generator=generator)
        tensors[f"{stem}.lora_B.weight"] = torch.randn(HIDDEN, RANK, generator=generator) * strength
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": ["down_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))


def main() -> None:
    folder = Path(sys.argv[1])
    write_base(folder / "base")
    write_adapter(folder / "strong", folder / "base", 1.0)
    write_adapter(folder / "zero", folder / "base", 0.0)


if __name__ == "__main__":
    main()
