"""Finetuning recipes whose seeds were evaluated in runs of their own."""
