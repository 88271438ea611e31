"""Servers that emeval runs itself: llama.cpp inside this process, and `vllm serve` beside it."""
