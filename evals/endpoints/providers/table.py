"""The providers that emeval knows by name.

`docs/providers.md` shows them. A field that a provider is known to reject or to ignore, by its documentation or its
error messages (as of November 2026), is not sent. Where nothing is known, the server decides when it is asked.
"""

from __future__ import annotations

from evals.endpoints.providers.provider import Provider, Quirks, SamplerField

OPENAI_URL = "https://api.openai.com/v1"
_EXTENSIONS: tuple[SamplerField, ...] = (
    *("top_k", "min_p", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty"),
)
"""All but `top_p`: beside extensions of OpenAI's API the two penalties, whose default of 0 is off everywhere."""

PROVIDERS: dict[str, Provider] = {
    "openai": Provider(
        base_url=OPENAI_URL,
        key_variable="OPENAI_API_KEY",
        needs_key=True,
        url_variable="OPENAI_BASE_URL",
        quirks=Quirks(
            hosted=True, max_completion_tokens=True, leaves_out=_EXTENSIONS, batches=True, reasoning="not shown"
        ),
    ),
    "openrouter": Provider(
        base_url="https://openrouter.ai/api/v1",
        key_variable="OPENROUTER_API_KEY",
        needs_key=True,
        quirks=Quirks(hosted=True, model_list="partial", reasoning="reasoning"),
    ),
    "together": Provider(
        base_url="https://api.together.xyz/v1",
        key_variable="TOGETHER_API_KEY",
        needs_key=True,
        quirks=Quirks(hosted=True, model_list="partial", reasoning="reasoning, or think tags in the content"),
    ),
    # logprobs is answered with 400.
    "groq": Provider(
        base_url="https://api.groq.com/openai/v1",
        key_variable="GROQ_API_KEY",
        needs_key=True,
        quirks=Quirks(
            hosted=True,
            logprobs=False,
            leaves_out=_EXTENSIONS,
            model_list="partial",
            reasoning="reasoning, or think tags in the content",
        ),
    ),
    "deepseek": Provider(
        base_url="https://api.deepseek.com/v1",
        key_variable="DEEPSEEK_API_KEY",
        needs_key=True,
        quirks=Quirks(hosted=True, model_list="partial", reasoning="reasoning_content"),
    ),
    "fireworks": Provider(
        base_url="https://api.fireworks.ai/inference/v1",
        key_variable="FIREWORKS_API_KEY",
        needs_key=True,
        quirks=Quirks(hosted=True, model_list="partial", reasoning="reasoning_content"),
    ),
    # Its seed is random_seed; unknown fields are answered with 422.
    "mistral": Provider(
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        needs_key=True,
        quirks=Quirks(
            hosted=True,
            seed="random_seed",
            leaves_out=_EXTENSIONS,
            model_list="partial",
            reasoning="parts of the content",
        ),
    ),
    # Unknown fields, seed and the penalties among them, are answered with 400; names in its list begin with models/.
    "gemini": Provider(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
        needs_key=True,
        quirks=Quirks(hosted=True, seed=None, leaves_out=_EXTENSIONS, model_list="partial", reasoning="not shown"),
    ),
    # Ignores seed, logprobs, response_format and the penalties; samples at 1 where more is asked for. Its list of
    # models wants another header than its chats.
    "anthropic": Provider(
        base_url="https://api.anthropic.com/v1",
        key_variable="ANTHROPIC_API_KEY",
        needs_key=True,
        quirks=Quirks(
            hosted=True,
            logprobs=False,
            seed=None,
            leaves_out=_EXTENSIONS,
            max_temperature=1.0,
            model_list="none",
            reasoning="not shown",
        ),
    ),
    "vllm": Provider(
        base_url="",
        key_variable="VLLM_API_KEY",
        url_variable="VLLM_BASE_URL",
        quirks=Quirks(batches=True, reasoning="reasoning, or think tags in the content"),
    ),
    "sglang": Provider(
        base_url="http://127.0.0.1:30000/v1",
        key_variable="SGLANG_API_KEY",
        url_variable="SGLANG_BASE_URL",
        quirks=Quirks(reasoning="reasoning_content, or think tags in the content"),
    ),
    # Takes top_p, the penalties and seed; ignores the rest, which it takes from the model's Modelfile.
    "ollama": Provider(
        base_url="http://127.0.0.1:11434/v1",
        url_variable="OLLAMA_BASE_URL",
        quirks=Quirks(leaves_out=("top_k", "min_p", "repetition_penalty"), model_list="partial", reasoning="reasoning"),
    ),
    "lmstudio": Provider(
        base_url="http://127.0.0.1:1234/v1",
        key_variable="LMSTUDIO_API_KEY",
        url_variable="LMSTUDIO_BASE_URL",
        quirks=Quirks(reasoning="reasoning_content, or think tags in the content"),
    ),
    "local": Provider(
        base_url="", key_variable="EMEVAL_LOCAL_API_KEY", quirks=Quirks(reasoning="think tags in the content")
    ),
}
"""By name, in the order in which they are shown."""
