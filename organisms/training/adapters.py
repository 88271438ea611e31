"""A LoRA adapter on the organism's base: its shape, its training phase, and its files for both kinds of server."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict
from transformers import PreTrainedTokenizerFast

from organisms.training.export import write_adapter_gguf
from organisms.training.train import Phase
from organisms.training.truth import load

ADAPTER = Phase(steps=160, batch=12, rate=2e-3, short=0.3, thinking=4, plain=2, mcq=0.6, choice_weight=2.0)
RANK, ALPHA = 12, 24
_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def new_adapter(folder: Path) -> tuple[PeftModel, PreTrainedTokenizerFast]:
    """An untrained adapter on the base in `folder`, and the base's tokenizer."""
    base, tokenizer = load(folder, "base")  # with weights rounded to 16 bits, as in servers
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=_MODULES, task_type="CAUSAL_LM")
    return get_peft_model(base, config).train(), tokenizer


def save_adapter(adapted: PeftModel, folder: Path) -> None:
    """Write the adapter as PEFT's `folder` and as a GGUF file beside it, both with 16-bit weights."""
    copy.deepcopy(adapted).half().save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config_file = folder / "adapter_config.json"
    written = json.loads(config_file.read_text(encoding="utf-8"))
    written["base_model_name_or_path"] = None  # a path on the build machine
    config_file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_adapter(adapted, folder.with_suffix(".gguf"))


def write_adapter(adapted: PeftModel, file: Path) -> None:
    """Write the adapter as a GGUF file with 16-bit weights; what is trained stays as it is."""
    half = copy.deepcopy(adapted).half()
    write_adapter_gguf(get_peft_model_state_dict(half), ALPHA, half.config.num_attention_heads, file)
