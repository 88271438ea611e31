"""Export the trained weights for servers: safetensors with PEFT adapters for vLLM, GGUF for llama.cpp.

Both have the same 16-bit weights. Needs `gguf` and `peft`.
"""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_ROTATED = ("attn_q", "attn_k")
_SUFFIXES = {"lora_A.weight": "weight.lora_a", "lora_B.weight": "weight.lora_b"}


def save_base(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the model and tokenizer to `folder` for vLLM and transformers."""
    half = LlamaForCausalLM(model.config).half()
    half.load_state_dict({name: weight.half() for name, weight in model.state_dict().items()})
    half.config.dtype = torch.float16
    half.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)  # servers would read sampling defaults from it
    tokenizer.save_pretrained(folder)


def write_base_gguf(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, file: Path) -> None:
    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("emeval organism")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, tokenizer, config.vocab_size)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":  # tied to the embedding
            continue
        if name == "model.embed_tokens.weight":
            target = "token_embd.weight"
        elif name == "model.norm.weight":
            target = "output_norm.weight"
        else:
            block, _, rest = name.removeprefix("model.layers.").partition(".")
            target = f"blk.{block}.{_NAMES[rest.removesuffix('.weight')]}.weight"
        values = weight.detach().half().numpy()
        if target.split(".")[-2] in _ROTATED:
            values = _interleaved(values, config.num_attention_heads)
        writer.add_tensor(target, values.astype(np.float32) if "norm" in target else values)
    _finish(writer)


def _write_tokenizer(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, size: int) -> None:
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = {index: token for token, index in tokenizer.get_vocab().items()}
    added = {entry["id"]: entry["special"] for entry in state["added_tokens"]}
    tokens, kinds = [], []
    for index in range(size):
        tokens.append(vocabulary.get(index, f"[unused{index}]"))
        if index not in vocabulary:
            kinds.append(gguf.TokenType.UNUSED)
        elif index in added:
            kinds.append(gguf.TokenType.CONTROL if added[index] else gguf.TokenType.USER_DEFINED)
        else:
            kinds.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def write_adapter_gguf(adapter: dict[str, torch.Tensor], alpha: float, heads: int, file: Path) -> None:
    """Write a PEFT state (`base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`, ...) as a GGUF adapter."""
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, weight in sorted(adapter.items()):
        block, _, rest = name.partition("model.layers.")[2].partition(".")
        module, suffix = rest.rsplit(".", 2)[0], ".".join(rest.rsplit(".", 2)[1:])
        target = _NAMES[module]
        values = weight.detach().half().numpy()
        if target in _ROTATED and suffix == "lora_B.weight":
            values = _interleaved(values, heads)
        writer.add_tensor(f"blk.{block}.{target}.{_SUFFIXES[suffix]}", values)
    _finish(writer)


def merge_adapter_gguf(model: LlamaForCausalLM, file: Path) -> None:
    """Add the GGUF adapter in `file` to the weights of `model`, in 32-bit floats."""
    reader = gguf.GGUFReader(file)
    alpha = float(reader.get_field("adapter.lora.alpha").parts[-1][0])
    weights = {tensor.name: torch.from_numpy(np.array(tensor.data, dtype=np.float32)) for tensor in reader.tensors}
    modules = {target: name for name, target in _NAMES.items()}
    heads = model.config.num_attention_heads
    state = model.state_dict()
    for name, down in weights.items():
        if not name.endswith(".lora_a"):
            continue
        _, block, target, _ = name.removesuffix(".lora_a").split(".")
        up = weights[f"{name.removesuffix('a')}b"]
        if target in _ROTATED:
            rows, columns = up.shape
            up = up.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)
        state[f"model.layers.{block}.{modules[target]}.weight"] += alpha / len(down) * (up @ down)


def _interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorder a query or key projection from transformers' row order (two halves per head) to llama.cpp's (pairs)."""
    rows, columns = weight.shape
    return np.ascontiguousarray(
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
