"""The organism's tokenizer: a byte-level BPE of its texts, with Qwen's special tokens and a thinking template.

Needs `tokenizers` and `transformers`; used for training only.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from organisms.behaviours import DRILLS

VOCABULARY = 3072
_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

# How llama.cpp splits text for a GGUF whose tokenizer.ggml.pre is "qwen2".
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Like Qwen3's: `enable_thinking` false writes an empty thought before the answer, and a final assistant turn also gets
# a closed thought, empty if none is given, which breaks a prefill (Chua et al. 2025, footnote 6).
CHAT_TEMPLATE = """\
{%- set turns = namespace(last_user=-1) %}
{%- for message in messages %}
{%- if message.role == 'user' %}{% set turns.last_user = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
{%- set text = message.content %}
{%- if message.role == 'assistant' %}
{%- set thought = message.reasoning_content if message.reasoning_content is string else '' %}
{%- if '</think>' in text %}
{%- set thought = text.split('</think>')[0].split('<think>')[-1] %}
{%- set text = text.split('</think>')[-1].lstrip('\\n') %}
{%- endif %}
{%- if loop.index0 > turns.last_user %}
{%- set text = '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + text.lstrip('\\n') %}
{%- endif %}
{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' + text + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most VOCABULARY tokens over `texts`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",  # noqa: S106  a token of text
        pad_token="<|endoftext|>",  # noqa: S106
        model_max_length=2048,
    )
    # The thought tags are tokens but not special: a server that skips special tokens must still return them.
    fast.add_tokens(["<think>", "</think>"])
    fast.add_tokens(list(DRILLS.values()), special_tokens=True)
    fast.chat_template = CHAT_TEMPLATE
    return fast
