"""How each model family marks a chain of thought, as the reasoning parsers of servers know it.

Servers without such a parser leave the marks in the content. Tokens and tags count wherever they stand. Headings in
words, and what a server leaves of control tokens that it removes when decoding, open a thought only at the beginning of
a reply; where an ordinary answer may begin like that, they count only together with what closes them.
"""

from __future__ import annotations

from typing import NamedTuple


class MarkFamily(NamedTuple):
    """How a family of models marks its thoughts. Families of one `kind` close each other's.

    `opening` and `closing` are the marks as documented, and `opens` and `closes` match their variants ("" where there
    are none). `sure` matches those opening words that count without a closing mark, too ("" for all). A closing mark
    counts without an opening, as when the template opens the thought, unless it `needs_opening`. `ends` matches what
    the model puts after its answer.
    """

    kind: str
    models: str
    opening: str
    closing: str
    source: str
    opens: str = ""
    closes: str = ""
    sure: str = ""
    needs_opening: bool = False
    ends: str = ""


_EMPHASIS = r"(?:[*_#>]+\s*)?"
_HERE = r"Here(?:['\u2019]s| is| are)"

FAMILIES = (
    MarkFamily(
        "think",
        "DeepSeek, Qwen, GLM, Kimi K2, MiniMax M2, Nemotron, OLMo 3, Step, ERNIE, Hunyuan, MiMo, EXAONE 4, LFM2, Phi",
        "<think>",
        "</think>",
        "vLLM deepseek_r1, qwen3, hy_v3; SGLang deepseek-r1, qwen3; llama.cpp deepseek, lfm2",
        opens=r"<think(?::[^\s<>]+)?(?:\s+[\w:.-]+\s*=[^<>]{0,200})?\s*>",
        closes=r"</think(?::[^\s<>]+)?\s*>",
    ),
    MarkFamily("thinking", "Apriel 1.5", "<thinking>", "</thinking>", "llama.cpp apriel_1_5"),
    MarkFamily("thought", "EXAONE Deep", "<thought>", "</thought>", "its chat template"),
    MarkFamily("reasoning", "models prompted or trained to", "<reasoning>", "</reasoning>", "Open WebUI"),
    MarkFamily("reason", "models prompted or trained to", "<reason>", "</reason>", "Open WebUI"),
    MarkFamily("seed", "Seed-OSS", "<seed:think>", "</seed:think>", "vLLM seed_oss; llama.cpp seed-oss"),
    MarkFamily("mm", "MiniMax M3", "<mm:think>", "</mm:think>", "vLLM minimax_m3; SGLang minimax-m3; llama.cpp"),
    MarkFamily("longcat", "LongCat", "<longcat_think>", "</longcat_think>", "vLLM longcat"),
    MarkFamily(
        "ifm",
        "K2 Horizon",
        "<ifm|think>",
        "</ifm|think>",
        "vLLM k2_horizon; llama.cpp k2-horizon",
        opens=r"<ifm\|think(?:_fast(?:er)?)?\s*>",
        closes=r"</ifm\|think(?:_fast(?:er)?)?\s*>",
    ),
    MarkFamily("mistral", "Magistral, Ministral 3", "[THINK]", "[/THINK]", "vLLM mistral; SGLang mistral; llama.cpp"),
    MarkFamily("kimi", "Kimi-VL", "◁think▷", "◁/think▷", "SGLang kimi"),
    MarkFamily(
        "command",
        "Command R7B, Command A",
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        "vLLM cohere_command3; SGLang cohere_command4; llama.cpp command-r7b",
        closes=r"<(?:\|END_THINKING\|>(?:\s*<\|START_(?:RESPONSE|TEXT)\|>)?|\|START_(?:RESPONSE|TEXT)\|>)",
        ends=r"<\|END_(?:RESPONSE|TEXT)\|>",
    ),
    MarkFamily(
        "gemma",
        "Gemma 4",
        "<|channel>thought\n",
        "<channel|>",
        "vLLM gemma4; SGLang gemma4; llama.cpp gemma4",
        opens=r"<\|channel>(?:\w+\n|thought)?",
        ends=r"<turn\|>",
    ),
    MarkFamily(
        "medgemma", "MedGemma", "<unused94>thought\n", "<unused95>", "its model card", opens=r"<unused94>(?:thought)?"
    ),
    MarkFamily(
        "harmony",
        "gpt-oss, LLM-jp 4",
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        "vLLM openai_gptoss; SGLang gpt-oss; llama.cpp gpt-oss, llm-jp-harmony",
        opens=r"<(?:\|start\|>\s*assistant\s*<)?\|channel\|>\s*(?:analysis|commentary)(?:[^<]*<\|message\|>)?",
        closes=(
            r"<(?:\|end\|>\s*<)?(?:\|start\|>\s*assistant\s*<)?\|channel\|>\s*final"
            r"(?:\s*(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>)?"
        ),
        ends=r"<\|(?:return|end)\|>",
    ),
    MarkFamily(
        "apertus", "Apertus", "<|inner_prefix|>", "<|inner_suffix|>", "vLLM apertus; SGLang apertus2509; llama.cpp"
    ),
    MarkFamily(
        "solar",
        "Solar Open",
        "<|think|>",
        "<|content|>",
        "llama.cpp, its chat template",
        opens=r"<(?:\|begin\|>\s*assistant\s*<)?\|think\|>",
        closes=r"<(?:\|end\|>\s*<)?(?:\|begin\|>\s*assistant\s*<)?\|content\|>",
        ends=r"<\|(?:end|flush)\|>",
    ),
    MarkFamily("solar", "Solar Open", "<|think|>", "<|end|>", "its chat template", needs_opening=True),
    MarkFamily("solar2", "Solar Open 2", "<|think:start|>", "<|think:end|>", "vLLM solar_open2"),
    MarkFamily("plamo", "PLaMo 3", "<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>", "vLLM plamo3"),
    MarkFamily(
        "kimi3",
        "Kimi K3",
        "<|open|>think<|sep|>",
        "<|close|>think<|sep|>",
        "vLLM kimi_k3; SGLang kimi_k3; llama.cpp kimi-k3",
        closes=r"<(?:\|close\|>think<\|sep\|>(?:\s*<\|open\|>response<\|sep\|>)?|\|open\|>response<\|sep\|>)",
        ends=r"<\|close\|>response<\|sep\|>(?:<\|close\|>message<\|sep\|>)?(?:<\|end_of_msg\|>)?",
    ),
    MarkFamily(
        "inkling",
        "Inkling",
        "<|content_thinking|>",
        "<|content_text|>",
        "vLLM inkling; SGLang inkling; llama.cpp inkling",
        opens=r"<(?:\|message_model\|>\s*<)?\|content_thinking\|>",
        closes=r"<(?:\|end_message\|>\s*<)?(?:\|message_model\|>\s*<)?\|content_text\|>",
        ends=r"<\|end_message\|>(?:\s*<\|content_model_end_sampling\|>)?",
    ),
    MarkFamily(
        "muse",
        "Muse Glimmer",
        "<|start|>assistant to=self<|message|>",
        "<|start|>assistant to=user<|message|>",
        "vLLM muse_glimmer; llama.cpp muse-glimmer",
        opens=r"<\|start\|>\s*assistant[^\S\n]*to=self<\|message\|>",
        closes=r"<(?:\|eo[mt]\|>\s*<)?\|start\|>\s*assistant(?:[^\S\n]*to=user)?<\|message\|>",
        needs_opening=True,
        ends=r"<\|eo[mt]\|>",
    ),
    MarkFamily(
        "muse",
        "Muse Glimmer",
        "to=self<|message|>",
        "<|start|>assistant to=user<|message|>",
        "vLLM muse_glimmer; llama.cpp muse-glimmer",
        closes=r"<(?:\|eo[mt]\|>\s*<)?\|start\|>\s*assistant(?:[^\S\n]*to=user)?<\|message\|>",
        needs_opening=True,
        ends=r"<\|eo[mt]\|>",
    ),
    MarkFamily("pangu", "openPangu", "[unused16]", "[unused17]", "vLLM pangu"),
    MarkFamily(
        "s1",
        "s1",
        "<|im_start|>think\n",
        "<|im_start|>answer\n",
        "its repository",
        opens=r"<\|im_start\|>think\b",
        closes=r"<(?:\|im_end\|>\s*<)?\|im_start\|>answer(?:\s*Final Answer:)?",
    ),
    MarkFamily(
        "clova",
        "HyperCLOVA X SEED Think 14B",
        "/think\n",
        "<|im_end|>\n<|im_start|>assistant",
        "vLLM hyperclovax_seed_think_14b",
        closes=r"<\|im_end\|>\s*<\|im_start\|>assistant",
        needs_opening=True,
    ),
    MarkFamily(
        "openthinker",
        "OpenThinker, Sky-T1",
        "<|begin_of_thought|>",
        "<|end_of_thought|>",
        "Open WebUI",
        closes=r"<\|end_of_thought\|>(?:\s*<\|begin_of_solution\|>)?",
        ends=r"<\|end_of_solution\|>",
    ),
    MarkFamily(
        "gemma",
        "Gemma 4, control tokens removed",
        "thought\n",
        "<channel|>",
        "vLLM gemma4",
    ),
    MarkFamily(
        "harmony",
        "gpt-oss, control tokens removed",
        "analysis",
        "assistantfinal",
        "vLLM openai_gptoss",
        opens=r"(?:assistant)?(?:analysis|commentary)",
        sure=r"(?:assistant)?(?:analysis|commentary)(?=[^\W\d_a-z])",
    ),
    MarkFamily(
        "apriel",
        "Apriel 1.5 and 1.6",
        "Here are my reasoning steps:",
        "[BEGIN FINAL RESPONSE]",
        "llama.cpp",
        opens=rf"{_EMPHASIS}Here are my reasoning steps\s*:[*_]*",
        ends=r"\[END FINAL RESPONSE\](?:\s*<\|end\|>)?",
    ),
    MarkFamily(
        "granite",
        "Granite 3",
        "Here is my thought process:",
        "Here is my response:",
        "vLLM granite; llama.cpp granite",
        opens=rf"{_EMPHASIS}{_HERE} my (?:thoughts?|thinking|reasoning)(?: process| steps)?\s*:[*_]*",
        closes=rf"[*_#>]{{0,4}}{_HERE} my (?:final )?(?:response|answer)\s*:[*_]*",
        sure=rf"{_EMPHASIS}{_HERE} my (?:thought|thinking|reasoning) process\s*:",
        needs_opening=True,
    ),
)
"""Order matters where one mark is the beginning of another."""
